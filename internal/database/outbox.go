package database

import "github.com/sluice-api/sluice"

const eventColumns = `sequence, environment_id, generation, kind, subject, body, created_at`

func eventFields(e *sluice.Event) []any {
	return []any{&e.Sequence, &e.EnvironmentID, &e.Generation, &e.Kind, &e.Subject, &e.Body, (*instant)(&e.CreatedAt)}
}

// Emit writes an event for the gateways of e.EnvironmentID, or one for every
// environment where that is "". Each gets the next generation of its
// environment, a sequence number and the time. Sequence numbers follow the order
// of commits, have no gaps, and are never used again.
func (tx *Tx) Emit(e sluice.Event) error {
	ids, err := query(tx, func(id *string) []any { return []any{id} },
		`select id from environments where $1 in ('', id) order by id`, e.EnvironmentID)
	if err != nil {
		return err
	}
	if len(ids) == 0 && e.EnvironmentID != "" {
		return unknown("environment")
	}
	e.CreatedAt = tx.db.now()
	for _, e.EnvironmentID = range ids {
		if e.Sequence, err = tx.next("event"); err != nil {
			return err
		}
		e.Generation, err = tx.number(`update environments set generation = generation + 1 where id = $1 returning generation`, e.EnvironmentID)
		if err != nil {
			return err
		}
		if err := tx.add(`insert into events (`+eventColumns+`) values ($1, $2, $3, $4, $5, $6, $7)`, eventFields(&e)...); err != nil {
			return err
		}
		tx.emitted = true
	}
	return nil
}

// Events returns the events whose sequence is greater than after, in order, and
// at most limit of them; all where limit is zero.
func (tx *Tx) Events(after int64, limit int) ([]sluice.Event, error) {
	return query(tx, eventFields, `select `+eventColumns+` from events where sequence > $1 order by sequence limit $2`, after, atMost(limit))
}

// DeleteEvents deletes the events up to and with a sequence number.
func (tx *Tx) DeleteEvents(upTo int64) error {
	_, err := tx.exec(`delete from events where sequence <= $1`, upTo)
	return err
}

// LastEvent returns the sequence number of the newest event ever, zero where
// there was none.
func (tx *Tx) LastEvent() (int64, error) {
	return tx.number(`select value from counters where name = 'event'`)
}

// next returns the next number of a counter.
func (tx *Tx) next(counter string) (int64, error) {
	return tx.number(`update counters set value = value + 1 where name = $1 returning value`, counter)
}
