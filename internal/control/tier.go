package control

import (
	"context"
	"slices"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// Tiers returns the tiers of one level, also to anonymous readers of the Store.
func (p *Plane) Tiers(ctx context.Context, level sluice.TierLevel) (list []sluice.Tier, err error) {
	actor := reader(ctx)
	err = p.db.View(ctx, func(tx *database.Tx) error {
		list, err = tx.Tiers(actor.Organization, level)
		if p.o.NoUnlimited {
			list = slices.DeleteFunc(list, func(t sluice.Tier) bool { return t.Name == sluice.Unlimited })
		}
		return err
	})
	return list, err
}

// addDefaultTiers gives a new organization the tiers that each has at first.
func (p *Plane) addDefaultTiers(tx *database.Tx, org string) error {
	for _, t := range sluice.DefaultTiers() {
		t.ID, t.Organization = sluice.NewID(p.now()), org
		if err := tx.AddTier(&t); err != nil {
			return err
		}
	}
	return nil
}
