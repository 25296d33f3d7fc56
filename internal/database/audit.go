package database

import (
	"fmt"
	"math"
	"time"

	"github.com/sluice-api/sluice"
)

const auditColumns = `sequence, time, organization, actor, client, address, action, object_type, object_id, object_name, before, after, result, trace_id`

func auditFields(e *sluice.AuditEntry) []any {
	return []any{
		&e.Sequence, (*instant)(&e.Time), &e.Organization, &e.Actor, &e.Client, &e.Address, &e.Action, &e.ObjectType, &e.ObjectID, &e.ObjectName,
		&e.Before, &e.After, &e.Result, &e.TraceID,
	}
}

// chainedColumns are those of an entry with its seal, from chainedTables.
const (
	chainedColumns = `e.sequence, time, organization, actor, client, address, action, object_type, object_id, object_name, before, after, result, trace_id,
		coalesce(s.previous_hash, ''), coalesce(s.hash, '')`
	chainedTables = `audit_entries e left join audit_seals s on s.sequence = e.sequence`
)

func chainedFields(e *sluice.AuditEntry) []any {
	return append(auditFields(e), &e.PreviousHash, &e.Hash)
}

// Audit stores an entry with the next sequence number and the time. Entries are
// never changed or deleted: the database refuses it.
func (tx *Tx) Audit(e sluice.AuditEntry) error {
	sequence, err := tx.next("audit")
	if err != nil {
		return err
	}
	e.Sequence, e.Time = sequence, tx.db.now()
	return tx.add(`insert into audit_entries (`+auditColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`, auditFields(&e)...)
}

// AuditEntries returns an organization's entries whose sequence is greater than
// after, in order, and at most limit of them; all where limit is zero.
func (tx *Tx) AuditEntries(org string, after int64, limit int) ([]sluice.AuditEntry, error) {
	return tx.FindAuditEntries(AuditFilter{Organization: org, After: after, Limit: limit})
}

// AuditFilter says which audit entries FindAuditEntries returns. What is zero does
// not matter.
type AuditFilter struct {
	Organization string    // must be given
	From, To     time.Time // From itself, but not To
	Actor        string
	Action       string
	ObjectType   string
	ObjectID     string
	After        int64 // sequence greater than
	Before       int64 // sequence less than
	Newest       bool  // the newest first, else the oldest
	Limit        int
}

// FindAuditEntries returns the entries that the filter asks for, with their seals.
func (tx *Tx) FindAuditEntries(f AuditFilter) ([]sluice.AuditEntry, error) {
	order := "asc"
	if f.Newest {
		order = "desc"
	}
	before, to := f.Before, int64(math.MaxInt64)
	if before == 0 {
		before = math.MaxInt64
	}
	if !f.To.IsZero() {
		to = f.To.UnixMicro()
	}
	return query(tx, chainedFields, `select `+chainedColumns+` from `+chainedTables+`
		where organization = $1 and e.sequence > $2 and e.sequence < $3 and time >= $4 and time < $5
		and $6 in ('', actor) and $7 in ('', action) and $8 in ('', object_type) and $9 in ('', object_id)
		order by e.sequence `+order+` limit $10`,
		f.Organization, f.After, before, instant(f.From), to, f.Actor, f.Action, f.ObjectType, f.ObjectID, atMost(f.Limit))
}

// AuditEntry returns one entry of an organization with its seal.
func (tx *Tx) AuditEntry(org string, sequence int64) (sluice.AuditEntry, error) {
	return one(tx, "entry", chainedFields, `select `+chainedColumns+` from `+chainedTables+` where organization = $1 and e.sequence = $2`, org, sequence)
}

// AuditChain returns the entries of all organizations whose sequence is greater
// than after, in order, at most limit of them, with their seals.
func (tx *Tx) AuditChain(after int64, limit int) ([]sluice.AuditEntry, error) {
	return query(tx, chainedFields, `select `+chainedColumns+` from `+chainedTables+` where e.sequence > $1 order by e.sequence limit $2`, after, atMost(limit))
}

// LastAudit returns the sequence number of the newest entry ever and that of the
// newest one that was sealed; zero: none.
func (tx *Tx) LastAudit() (entry, sealed int64, err error) {
	if entry, err = tx.number(`select value from counters where name = 'audit'`); err != nil {
		return 0, 0, err
	}
	sealed, err = tx.number(`select value from counters where name = 'seal'`)
	return entry, sealed, err
}

// auditSeal is a row of audit_seals.
type auditSeal struct {
	sequence       int64
	previous, hash string
}

func auditSealFields(s *auditSeal) []any { return []any{&s.sequence, &s.previous, &s.hash} }

// SealAudit chains the next entries that have no seal, at most limit of them (zero:
// all), and returns how many there were. Of several processes one does it at a
// time: the others wait for it.
func (tx *Tx) SealAudit(limit int) (int, error) {
	last := auditSeal{}
	var err error
	// The statement locks the counter's row until the transaction ends.
	if last.sequence, err = tx.number(`update counters set value = value where name = 'seal' returning value`); err != nil {
		return 0, err
	}
	if last.sequence > 0 {
		last, err = one(tx, "seal", auditSealFields, `select sequence, previous_hash, hash from audit_seals where sequence = $1`, last.sequence)
		if err != nil {
			return 0, fmt.Errorf("the newest seal of the audit log: %w", err)
		}
	}
	entries, err := tx.AuditChain(last.sequence, limit)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	for i := range entries {
		last = auditSeal{entries[i].Sequence, last.hash, entries[i].HashAfter(last.hash)}
		if err := tx.add(`insert into audit_seals (sequence, previous_hash, hash) values ($1, $2, $3)`, auditSealFields(&last)...); err != nil {
			return 0, err
		}
	}
	_, err = tx.exec(`update counters set value = $1 where name = 'seal'`, last.sequence)
	return len(entries), err
}
