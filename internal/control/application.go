package control

import (
	"context"
	"slices"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// ApplicationFilter is the filter of lists of applications; a Limit of zero is 25.
type ApplicationFilter = database.ApplicationFilter

// defaultApplication is what every subscriber has from the first login.
const defaultApplication = "DefaultApplication"

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
	if err := p.offered(a.Tier); err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error { return addApplication(ctx, tx, a) })
}

func addApplication(ctx context.Context, tx *database.Tx, a *sluice.Application) error {
	if err := knownApplicationTier(tx, a); err != nil {
		return err
	}
	if err := tx.AddApplication(a); err != nil {
		return err
	}
	if err := emit(tx, "", sluice.ApplicationChanged, a.ID, a); err != nil {
		return err
	}
	return audit(ctx, tx, "application.create", "application", a.ID, a.Name, nil, a)
}

func knownApplicationTier(tx *database.Tx, a *sluice.Application) error {
	_, err := tx.Tier(a.Organization, sluice.ApplicationTier, a.Tier)
	if sluice.IsNotFound(err) {
		return sluice.Errorf(sluice.Invalid, "tier.unknown", "There is no application tier %q.", a.Tier).At("throttlingPolicy")
	}
	return err
}

// PutApplication changes name, description, tier and attributes of one of the
// actor's applications. ifMatch is the row version the caller saw; 0: whatever it
// is. It sets the rest of a to what is stored.
func (p *Plane) PutApplication(ctx context.Context, a *sluice.Application, ifMatch int64) error {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		before, err := changeableApplication(tx, actor, a.ID, ifMatch)
		if err != nil {
			return err
		}
		a.Organization, a.Owner, a.RowVersion, a.CreatedAt = before.Organization, before.Owner, before.RowVersion, before.CreatedAt
		if a.TokenType == "" {
			a.TokenType = before.TokenType
		}
		if err := a.Validate(); err != nil {
			return err
		}
		if err := knownApplicationTier(tx, a); err != nil {
			return err
		}
		if a.Tier != before.Tier {
			if err := p.offered(a.Tier); err != nil {
				return err
			}
		}
		if err := tx.PutApplication(a); err != nil {
			return err
		}
		if err := emit(tx, "", sluice.ApplicationChanged, a.ID, a); err != nil {
			return err
		}
		return audit(ctx, tx, "application.update", "application", a.ID, a.Name, before, a)
	})
}

// changeableApplication returns an application of the actor where nobody changed
// it since ifMatch.
func changeableApplication(tx *database.Tx, actor sluice.Actor, id string, ifMatch int64) (sluice.Application, error) {
	a, err := ownApplication(tx, actor, id)
	if err == nil && ifMatch != 0 && ifMatch != a.RowVersion {
		err = sluice.Errorf(sluice.Changed, "changed", "Somebody else changed the application in the meantime; read it again.")
	}
	return a, err
}

// DeleteApplication deletes an application of the actor with its keys and
// subscriptions. Its tokens end with the keys: at gateways as soon as they hear of
// it, at the Key Manager at once. ifMatch is as in PutApplication.
func (p *Plane) DeleteApplication(ctx context.Context, id string, ifMatch int64) error {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := changeableApplication(tx, actor, id, ifMatch)
		if err != nil {
			return err
		}
		return p.deleteApplication(ctx, tx, a)
	})
}

func (p *Plane) deleteApplication(ctx context.Context, tx *database.Tx, a sluice.Application) error {
	if err := deleteSubscriptions(tx, database.SubscriptionFilter{Organization: a.Organization, ApplicationID: a.ID}); err != nil {
		return err
	}
	if err := deleteAPIKeysOf(tx, a.ID, ""); err != nil {
		return err
	}
	keys, err := tx.ConsumerKeys(a.ID)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := p.endKeyTokens(tx, k.Key); err != nil {
			return err
		}
		if err := emit(tx, "", sluice.KeyChanged, k.Key, nil); err != nil {
			return err
		}
	}
	if err := tx.DeleteApplication(a.Organization, a.ID); err != nil {
		return err
	}
	if err := emit(tx, "", sluice.ApplicationChanged, a.ID, nil); err != nil {
		return err
	}
	return audit(ctx, tx, "application.delete", "application", a.ID, a.Name, a, nil)
}

// deleteUnused deletes the application that a user was given at the first login,
// where nothing was done with it.
func (p *Plane) deleteUnused(ctx context.Context, tx *database.Tx, u *sluice.User) error {
	list, _, err := tx.FindApplications(ApplicationFilter{Organization: u.Organization, Owner: u.Name, Name: defaultApplication, Exact: true, Limit: 1})
	if err != nil || len(list) == 0 {
		return err
	}
	keys, err := tx.ConsumerKeys(list[0].ID)
	if err != nil || len(keys) > 0 {
		return err
	}
	apiKeys, err := tx.APIKeys(list[0].ID, "")
	if err != nil || len(apiKeys) > 0 {
		return err
	}
	_, n, err := tx.FindSubscriptions(database.SubscriptionFilter{Organization: u.Organization, ApplicationID: list[0].ID, Limit: 1})
	if err != nil || n > 0 {
		return err
	}
	return p.deleteApplication(ctx, tx, list[0])
}

// ChangeApplicationOwner gives an application, with its keys and subscriptions, to
// another subscriber of the organization.
func (p *Plane) ChangeApplicationOwner(ctx context.Context, id, owner string) error {
	actor, err := allow(ctx)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := tx.Application(actor.Organization, id)
		if err != nil {
			return err
		}
		u, err := tx.UserByName(actor.Organization, owner)
		if err != nil && !sluice.IsNotFound(err) {
			return err
		}
		if err != nil || !(sluice.Actor{Roles: u.Roles}).Has(subscribers...) {
			return sluice.Errorf(sluice.Invalid, "application.owner", "The new owner must be a subscriber of the organization.").At("owner")
		}
		before := a
		a.Owner = u.Name
		if err := tx.PutApplication(&a); err != nil {
			return err
		}
		if err := emit(tx, "", sluice.ApplicationChanged, a.ID, a); err != nil {
			return err
		}
		return audit(ctx, tx, "application.owner", "application", a.ID, a.Name, before, a)
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

// Applications returns a page of the actor's applications and how many there are.
func (p *Plane) Applications(ctx context.Context, f ApplicationFilter) (list []sluice.Application, total int, err error) {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return nil, 0, err
	}
	f.Owner = actor.Name
	return p.findApplications(ctx, actor, f)
}

// OrganizationApplications returns a page of the applications of the actor's
// organization, to an administrator those of all owners.
func (p *Plane) OrganizationApplications(ctx context.Context, f ApplicationFilter) (list []sluice.Application, total int, err error) {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return nil, 0, err
	}
	if !actor.Has() {
		if f.Owner != "" && f.Owner != actor.Name {
			return nil, 0, nil
		}
		f.Owner = actor.Name
	}
	return p.findApplications(ctx, actor, f)
}

func (p *Plane) findApplications(ctx context.Context, actor sluice.Actor, f ApplicationFilter) (list []sluice.Application, total int, err error) {
	f.Organization, f.Limit = actor.Organization, Page{Limit: f.Limit}.limit()
	err = p.db.View(ctx, func(tx *database.Tx) error {
		list, total, err = tx.FindApplications(f)
		return err
	})
	return list, total, err
}

// welcome gives a subscriber an application at the first login.
func (p *Plane) welcome(ctx context.Context, u *sluice.User) error {
	if !(sluice.Actor{Roles: u.Roles}).Has(sluice.Subscriber) {
		return nil
	}
	known := false
	err := p.db.View(ctx, func(tx *database.Tx) (err error) {
		known, err = tx.Welcomed(u.ID)
		return err
	})
	if err != nil || known {
		return err
	}
	actor := sluice.ActorFrom(ctx)
	actor.UserID, actor.Name, actor.Organization, actor.Roles = u.ID, u.Name, u.Organization, u.Roles
	ctx = sluice.WithActor(ctx, actor)
	return p.db.Update(ctx, func(tx *database.Tx) error {
		if first, err := tx.Welcome(u.ID, p.now()); err != nil || !first {
			return err
		}
		_, n, err := tx.FindApplications(ApplicationFilter{Organization: u.Organization, Owner: u.Name, Name: defaultApplication, Exact: true, Limit: 1})
		if err != nil || n > 0 {
			return err
		}
		tiers, err := tx.Tiers(u.Organization, sluice.ApplicationTier)
		tiers = slices.DeleteFunc(tiers, func(t sluice.Tier) bool { return p.offered(t.Name) != nil })
		if err != nil || len(tiers) == 0 {
			return err
		}
		a := sluice.Application{
			ID: sluice.NewID(p.now()), Organization: u.Organization, Owner: u.Name, Name: defaultApplication,
			Tier: tiers[0].Name, TokenType: "JWT", CreatedAt: p.now(),
		}
		for _, t := range tiers {
			if t.Name == sluice.Unlimited {
				a.Tier = t.Name
			}
		}
		return addApplication(ctx, tx, &a)
	})
}
