package control

import (
	"context"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// ConfiguredEnvironment is an Environment that the configuration fixes, and how
// its first gateway is enrolled.
type ConfiguredEnvironment struct {
	sluice.Environment
	ServerURL string // "https://host:port" of that gateway; empty: gateways join by token
	Username  string // its enrolment credentials
	Password  sluice.Secret
	From      string // FILE:LINE, for messages
}

// syncEnvironments takes the configured environments over into the database, in
// their order. One that is no longer configured is kept as it is, and is then
// an administrator's to change: nothing is undeployed by a typing error.
func (p *Plane) syncEnvironments(tx *database.Tx) error {
	existing, err := tx.Environments()
	if err != nil {
		return err
	}
	configured := map[string]bool{}
	for i, c := range p.o.Environments {
		at := slices.IndexFunc(existing, func(e sluice.Environment) bool { return strings.EqualFold(e.Name, c.Name) })
		e := c.Environment
		e.Position, e.Configured = i, true
		if at < 0 {
			e.ID, e.Epoch, e.CreatedAt = sluice.NewID(p.now()), 1, p.now()
			if err := tx.AddEnvironment(&e); err != nil {
				return err
			}
			configured[e.ID] = true
			continue
		}
		old := existing[at]
		configured[old.ID] = true
		e.ID, e.Epoch, e.Generation, e.RowVersion, e.CreatedAt = old.ID, old.Epoch, old.Generation, old.RowVersion, old.CreatedAt
		if digest(e) == digest(old) {
			continue
		}
		if err := tx.PutEnvironment(&e); err != nil {
			return err
		}
		if err := emit(tx, e.ID, sluice.EnvironmentChanged, e.ID, e); err != nil {
			return err
		}
	}
	for _, e := range existing {
		if !e.Configured || configured[e.ID] {
			continue
		}
		p.log.Warn("environment is not in the configuration any more; its gateways serve on", "environment", e.Name)
		e.Configured, e.Position = false, len(p.o.Environments)+e.Position
		if err := tx.PutEnvironment(&e); err != nil {
			return err
		}
	}
	return nil
}

// Environments returns the gateway environments, in their order.
func (p *Plane) Environments(ctx context.Context) (list []sluice.Environment, err error) {
	if _, err := known(ctx); err != nil {
		return nil, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		list, err = tx.Environments()
		return err
	})
	return list, err
}
