package control

import (
	"context"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// AuditFilter says which audit entries are asked for; its Organization is the
// actor's.
type AuditFilter = database.AuditFilter

// auditBatch is how many entries are read or sealed at a time.
const auditBatch = 500

// seal chains new audit entries, every second, until ctx ends.
func (p *Plane) seal(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := p.sealAudit(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("audit entries were not sealed", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// sealAudit chains the audit entries that have no seal. Where there is none it
// writes nothing.
func (p *Plane) sealAudit(ctx context.Context) error {
	for {
		more := false
		err := p.db.View(ctx, func(tx *database.Tx) error {
			entry, sealed, err := tx.LastAudit()
			more = entry > sealed
			return err
		})
		if err != nil || !more {
			return err
		}
		sealed := 0
		err = p.db.Update(ctx, func(tx *database.Tx) error {
			sealed, err = tx.SealAudit(auditBatch)
			return err
		})
		if err != nil || sealed == 0 { // none: the entries that were counted are gone
			return err
		}
	}
}

// AuditEntries returns the entries of the actor's organization that a filter asks
// for.
func (p *Plane) AuditEntries(ctx context.Context, f AuditFilter) (list []sluice.AuditEntry, err error) {
	actor, err := allow(ctx)
	if err != nil {
		return nil, err
	}
	f.Organization = actor.Organization
	err = p.db.View(ctx, func(tx *database.Tx) error {
		list, err = tx.FindAuditEntries(f)
		return err
	})
	return list, err
}

// ExportAudit calls f with all entries that a filter asks for, the oldest first, in
// batches. It reads each batch by itself, so that a slow reader holds nothing up.
func (p *Plane) ExportAudit(ctx context.Context, filter AuditFilter, f func(batch []sluice.AuditEntry) error) error {
	if _, err := allow(ctx); err != nil {
		return err
	}
	filter.Newest, filter.Limit = false, auditBatch
	for {
		batch, err := p.AuditEntries(ctx, filter)
		if err != nil {
			return err
		}
		if err := f(batch); err != nil {
			return err
		}
		if len(batch) < auditBatch {
			return nil
		}
		filter.After = batch[len(batch)-1].Sequence
	}
}

// AuditEntry returns one entry of the actor's organization.
func (p *Plane) AuditEntry(ctx context.Context, sequence int64) (e sluice.AuditEntry, err error) {
	actor, err := allow(ctx)
	if err != nil {
		return e, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		e, err = tx.AuditEntry(actor.Organization, sequence)
		return err
	})
	return e, err
}

// VerifyAudit walks along the chain of the whole installation's audit log, from one
// sequence number to another; 0: from the first, to the last.
func (p *Plane) VerifyAudit(ctx context.Context, from, to int64) (sluice.AuditVerification, error) {
	if _, err := allowHere(ctx); err != nil {
		return sluice.AuditVerification{}, err
	}
	return p.VerifyAuditOffline(ctx, from, to)
}

// VerifyAuditOffline is VerifyAudit for the command line on the control plane's own
// home.
func (p *Plane) VerifyAuditOffline(ctx context.Context, from, to int64) (sluice.AuditVerification, error) {
	return p.db.VerifyAudit(ctx, from, to)
}
