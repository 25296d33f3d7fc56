package database

import "github.com/sluice-api/sluice"

// AddLifecycleChange stores the newest move of an API's lifecycle.
func (tx *Tx) AddLifecycleChange(c *sluice.LifecycleChange) error {
	return tx.add(`insert into lifecycle_changes (api_id, number, from_state, to_state, actor, at)
		select $1, count(*) + 1, $2, $3, $4, $5 from lifecycle_changes where api_id = $1`,
		c.APIID, string(c.From), string(c.To), c.Actor, (*instant)(&c.At))
}

// LifecycleChanges returns the moves of an API, the oldest first.
func (tx *Tx) LifecycleChanges(apiID string) ([]sluice.LifecycleChange, error) {
	fields := func(c *sluice.LifecycleChange) []any {
		return []any{&c.APIID, &c.From, &c.To, &c.Actor, (*instant)(&c.At)}
	}
	return query(tx, fields, `select api_id, from_state, to_state, actor, at from lifecycle_changes where api_id = $1 order by number`, apiID)
}
