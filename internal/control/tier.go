package control

import (
	"context"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// Tiers returns the tiers of one level, also to anonymous readers of the Store.
func (p *Plane) Tiers(ctx context.Context, level sluice.TierLevel) (list []sluice.Tier, err error) {
	actor := reader(ctx)
	err = p.db.View(ctx, func(tx *database.Tx) error {
		list, err = tx.Tiers(actor.Organization, level)
		return err
	})
	return list, err
}
