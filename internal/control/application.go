package control

import (
	"context"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// CreateApplication stores a new application of the actor.
func (p *Plane) CreateApplication(ctx context.Context, a *sluice.Application) error {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return err
	}
	a.ID, a.Organization, a.Owner = sluice.NewID(p.now()), actor.Organization, actor.Name
	a.RowVersion, a.CreatedAt = 0, p.now()
	if a.TokenType == "" {
		a.TokenType = "JWT"
	}
	if err := a.Validate(); err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		if _, err := tx.Tier(a.Organization, sluice.ApplicationTier, a.Tier); sluice.IsNotFound(err) {
			return sluice.Errorf(sluice.Invalid, "tier.unknown", "There is no application tier %q.", a.Tier).At("throttlingPolicy")
		} else if err != nil {
			return err
		}
		if err := tx.AddApplication(a); err != nil {
			return err
		}
		if err := emit(tx, "", sluice.ApplicationChanged, a.ID, a); err != nil {
			return err
		}
		return audit(ctx, tx, "application.create", "application", a.ID, a.Name, nil, a)
	})
}

// Application returns one of the actor's applications.
func (p *Plane) Application(ctx context.Context, id string) (a sluice.Application, err error) {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return a, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		a, err = ownApplication(tx, actor, id)
		return err
	})
	return a, err
}

// ownApplication returns an application of the actor; those of others are not
// there for anybody but an administrator.
func ownApplication(tx *database.Tx, actor sluice.Actor, id string) (sluice.Application, error) {
	a, err := tx.Application(actor.Organization, id)
	if err == nil && a.Owner != actor.Name && !actor.Has() {
		return sluice.Application{}, sluice.Errorf(sluice.NotFound, "application.unknown", "There is no such application.")
	}
	return a, err
}

// Applications returns a page of the actor's applications and how many there
// are; name "" is any.
func (p *Plane) Applications(ctx context.Context, name string, page Page) (list []sluice.Application, total int, err error) {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return nil, 0, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		list, total, err = tx.FindApplications(database.ApplicationFilter{
			Organization: actor.Organization, Owner: actor.Name, Name: name, Offset: page.Offset, Limit: page.limit(),
		})
		return err
	})
	return list, total, err
}
