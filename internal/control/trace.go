package control

import (
	"context"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// Trace returns why a call was refused or failed, as the gateway that served it
// remembers it. Who looks after APIs sees the calls of the organization's APIs,
// everybody else those of their own applications; the installation's
// administrators also see calls that no API answered. It is NotFound where no
// connected gateway remembers the call.
func (p *Plane) Trace(ctx context.Context, id string) (t sluice.Trace, err error) {
	actor, err := known(ctx)
	if err != nil {
		return t, err
	}
	unknown := sluice.Errorf(sluice.NotFound, "trace.unknown", "No connected gateway remembers this call; they keep the newest that were refused or failed, for a day.")
	if len(id) != 32 {
		return t, unknown
	}
	var environments []string
	connected := 0
	err = p.db.View(ctx, func(tx *database.Tx) error {
		list, err := tx.Environments()
		if err != nil {
			return err
		}
		for _, e := range list {
			environments = append(environments, e.ID)
			gateways, err := tx.Gateways(e.ID)
			if err != nil {
				return err
			}
			for _, g := range gateways {
				if p.status.connected(g.ID) {
					connected++
				}
			}
		}
		return nil
	})
	if err != nil {
		return t, err
	}
	t, found, err := p.bus.Trace(ctx, environments, connected, id)
	if err != nil {
		return sluice.Trace{}, err
	}
	if !found || !p.maySee(ctx, actor, t) {
		return sluice.Trace{}, unknown
	}
	return t, nil
}

// maySee reports whether the actor may be told of a call.
func (p *Plane) maySee(ctx context.Context, actor sluice.Actor, t sluice.Trace) bool {
	if t.Organization == "" {
		return actor.Organization == sluice.DefaultOrganization && actor.Has(operators...)
	}
	if t.Organization != actor.Organization {
		return false
	}
	if actor.Has(viewers...) {
		return true
	}
	if t.ApplicationID == "" {
		return false
	}
	err := p.db.View(ctx, func(tx *database.Tx) error {
		_, err := ownApplication(tx, actor, t.ApplicationID)
		return err
	})
	return err == nil
}
