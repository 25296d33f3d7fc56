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
