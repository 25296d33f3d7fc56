package database

import "github.com/sluice-api/sluice"

const auditColumns = `sequence, time, organization, actor, client, address, action, object_type, object_id, object_name, before, after, result, trace_id`

func auditFields(e *sluice.AuditEntry) []any {
	return []any{
		&e.Sequence, (*instant)(&e.Time), &e.Organization, &e.Actor, &e.Client, &e.Address, &e.Action, &e.ObjectType, &e.ObjectID, &e.ObjectName,
		&e.Before, &e.After, &e.Result, &e.TraceID,
	}
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
	return query(tx, auditFields, `select `+auditColumns+` from audit_entries where organization = $1 and sequence > $2 order by sequence limit $3`, org, after, atMost(limit))
}
