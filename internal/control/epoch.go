package control

import (
	"context"
	"fmt"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// BeginEpoch makes the gateways of all environments take their state anew, also
// those that have a later one: to be called, on a stopped control plane, once its
// database was restored from a backup.
func (p *Plane) BeginEpoch(ctx context.Context) error {
	actor := sluice.System()
	actor.Client = "cli"
	ctx = sluice.WithActor(ctx, actor)
	return p.db.Update(ctx, func(tx *database.Tx) error {
		list, err := tx.Environments()
		if err != nil {
			return err
		}
		for i := range list {
			if err := p.beginEpoch(ctx, tx, &list[i], 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// overtaken begins a new epoch of an environment where a gateway has a later
// state than the database, which was put back to an older one without a word.
func (p *Plane) overtaken(ctx context.Context, environmentID string, epoch, generation int64) error {
	ctx = sluice.WithActor(ctx, sluice.System())
	var e sluice.Environment
	err := p.db.Update(ctx, func(tx *database.Tx) (err error) {
		if e, err = tx.Environment(environmentID); err != nil {
			return err
		}
		if epoch < e.Epoch || epoch == e.Epoch && generation <= e.Generation {
			return nil // the bus was behind, or another heartbeat came first
		}
		p.log.Error("a gateway has a later state than the database, which is an older one that was put back; a new epoch begins",
			"environment", e.Name, "gateway_epoch", epoch, "gateway_generation", generation, "epoch", e.Epoch, "generation", e.Generation)
		return p.beginEpoch(ctx, tx, &e, epoch)
	})
	if err != nil {
		return err
	}
	return p.bus.Refresh(ctx, e.ID, e.Epoch, e.Generation)
}

// beginEpoch begins an epoch of one environment, later than one that was heard
// of. Epochs are numbered by the second of their beginning, so that a backup that
// is restored twice begins two.
func (p *Plane) beginEpoch(ctx context.Context, tx *database.Tx, e *sluice.Environment, heard int64) error {
	before := e.Epoch
	e.Epoch = max(before+1, heard+1, p.now().Unix())
	if err := tx.PutEnvironment(e); err != nil {
		return err
	}
	return audit(ctx, tx, "environment.epoch", "environment", e.ID, fmt.Sprintf("%s: epoch %d after %d", e.Name, e.Epoch, before), nil, nil)
}
