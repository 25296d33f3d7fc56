package database

import (
	"context"

	"github.com/sluice-api/sluice"
)

// verifyBatch is how many audit entries are read at a time.
const verifyBatch = 500

// VerifyAudit walks along the chain of the audit log, from one sequence number to
// another (0: from the first, to the last one there is now), and says where an
// entry or a seal was altered, removed or put elsewhere. Who alters every entry and
// seal behind one, too, is found only by a Hash that was kept elsewhere.
func (db *DB) VerifyAudit(ctx context.Context, from, to int64) (sluice.AuditVerification, error) {
	c := chain{next: max(1, from)}
	var entry int64
	err := db.View(ctx, func(tx *Tx) (err error) {
		entry, c.sealed, err = tx.LastAudit()
		return err
	})
	if err != nil {
		return c.v, err
	}
	c.to = entry
	if to > 0 {
		c.to = min(to, entry)
	}
	after := c.next - 1
	if after > 0 {
		after-- // the entry before says with what the first one's seal must begin
	}
	for c.next <= c.to && c.v.Reason == "" {
		var batch []sluice.AuditEntry
		err = db.View(ctx, func(tx *Tx) (err error) {
			batch, err = tx.AuditChain(after, verifyBatch)
			return err
		})
		if err != nil {
			return c.v, err
		}
		c.walk(batch)
		after = c.next - 1
	}
	if c.v.Reason == "" && c.to == entry {
		err = db.View(ctx, func(tx *Tx) error { return c.checkEnd(tx, entry) })
	}
	c.v.OK = c.v.Reason == ""
	return c.v, err
}

// chain is a walk along the audit log.
type chain struct {
	v        sluice.AuditVerification
	next, to int64  // the sequence that must come now, and the last one
	sealed   int64  // the newest one that has a seal
	hash     string // of the entry before
}

// walk looks at the entries that come next.
func (c *chain) walk(batch []sluice.AuditEntry) {
	from := c.next
	for i := range batch {
		e := &batch[i]
		switch {
		case e.Sequence < c.next:
			c.hash = e.Hash
			continue
		case c.next > c.to:
			return
		case e.Sequence != c.next:
			c.stop("It is not there.")
			return
		case e.Hash == "" && e.Sequence <= c.sealed:
			c.stop("Its seal is not there.")
			return
		case e.Hash == "":
			c.v.Unsealed++
		case e.PreviousHash != c.hash || e.Hash != e.HashAfter(c.hash):
			c.stop("It, its seal or the order of the entries is not as it was sealed.")
			return
		default:
			c.hash, c.v.Last, c.v.Hash = e.Hash, e.Sequence, e.Hash
		}
		if c.v.First == 0 {
			c.v.First = e.Sequence
		}
		c.next++
	}
	if c.next == from {
		c.stop("It is not there.")
	}
}

func (c *chain) stop(why string) { c.v.BrokenAt, c.v.Reason = c.next, why }

// checkEnd looks for entries behind the last one that was counted.
func (c *chain) checkEnd(tx *Tx, last int64) error {
	now, _, err := tx.LastAudit()
	if err != nil || now != last {
		return err // newer ones came meanwhile
	}
	more, err := tx.AuditChain(last, 1)
	if err == nil && len(more) > 0 {
		c.next = more[0].Sequence
		c.stop("It was never counted.")
	}
	return err
}
