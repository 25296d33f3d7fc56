package control

import (
	"context"
	"fmt"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// createAPI stores a new API in state CREATED, owned by the actor.
func (p *Plane) createAPI(ctx context.Context, a *sluice.API) error {
	actor, err := allow(ctx, creators...)
	if err != nil {
		return err
	}
	a.ID, a.Organization, a.Owner, a.State = sluice.NewID(p.now()), actor.Organization, actor.Name, sluice.Created
	a.RowVersion, a.CreatedAt, a.UpdatedAt = 0, p.now(), p.now()
	if err := a.Validate(); err != nil {
		return err
	}
	if a.Visibility == sluice.Restricted { // an API has no list of roles
		return sluice.Errorf(sluice.Invalid, "api.visibility", "Visibility by role is not supported; choose public or private.").At("visibility")
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		if err := knownTiers(tx, a); err != nil {
			return err
		}
		if err := tx.AddAPI(a); err != nil {
			return err
		}
		return audit(ctx, tx, "api.create", "api", a.ID, a.Name+" "+a.Version, nil, a)
	})
}

// knownTiers reports the tiers of an API that do not exist.
func knownTiers(tx *database.Tx, a *sluice.API) error {
	var problems sluice.Problems
	for _, name := range a.Tiers {
		if _, err := tx.Tier(a.Organization, sluice.SubscriptionTier, name); sluice.IsNotFound(err) {
			problems.Add("policies", "tier.unknown", "There is no subscription tier %q.", name)
		} else if err != nil {
			return err
		}
	}
	for _, o := range a.Operations {
		if o.Tier == "" || o.Tier == sluice.Unlimited {
			continue
		}
		if _, err := tx.Tier(a.Organization, sluice.APITier, o.Tier); sluice.IsNotFound(err) {
			problems.Add("operations", "tier.unknown", "There is no tier %q for operations.", o.Tier)
		} else if err != nil {
			return err
		}
	}
	return problems.Err()
}

// API returns the working copy with the given id, or, for the id of a revision,
// the API as it was frozen together with that revision.
func (p *Plane) API(ctx context.Context, id string) (api sluice.API, revision *sluice.Revision, err error) {
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return api, nil, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if api, err = tx.API(actor.Organization, id); !sluice.IsNotFound(err) {
			return err
		}
		r, revErr := tx.RevisionByID(actor.Organization, id)
		if revErr != nil {
			return err // it is the API that is not there
		}
		api, revision = r.API, &r
		return nil
	})
	return api, revision, err
}

// APIs returns a page of the organization's APIs and how many there are.
func (p *Plane) APIs(ctx context.Context, f APIFilter) (list []sluice.API, total int, err error) {
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return nil, 0, err
	}
	f.Organization = actor.Organization
	err = p.db.View(ctx, func(tx *database.Tx) error {
		list, total, err = tx.FindAPIs(f)
		return err
	})
	return list, total, err
}

// DeleteAPI deletes an API that nobody subscribes to, and takes it off every
// gateway. ifMatch is the row version the caller saw; 0: whatever it is.
func (p *Plane) DeleteAPI(ctx context.Context, id string, ifMatch int64) error {
	actor, err := allow(ctx, makers...)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := changeable(tx, actor, id, ifMatch)
		if err != nil {
			return err
		}
		_, n, err := tx.FindSubscriptions(database.SubscriptionFilter{Organization: actor.Organization, APIID: id, Limit: 1})
		if err != nil {
			return err
		}
		if n > 0 {
			return sluice.Errorf(sluice.Conflict, "api.subscribed", "%d applications subscribe to this API; it cannot be deleted.", n)
		}
		if err := undeployAll(tx, a.ID); err != nil {
			return err
		}
		if err := tx.DeleteAPI(actor.Organization, id); err != nil {
			return err
		}
		return audit(ctx, tx, "api.delete", "api", a.ID, a.Name+" "+a.Version, a, nil)
	})
}

// changeable returns the working copy of an API where the actor may change it
// and nobody else did since ifMatch. Who may not publish may not change what is
// published.
func changeable(tx *database.Tx, actor sluice.Actor, id string, ifMatch int64) (sluice.API, error) {
	a, err := tx.API(actor.Organization, id)
	if err != nil {
		return a, err
	}
	if ifMatch != 0 && ifMatch != a.RowVersion {
		return a, sluice.Errorf(sluice.Changed, "changed", "Somebody else changed the API in the meantime; read it again.")
	}
	if (a.State == sluice.Published || a.State == sluice.Deprecated) && !actor.Has(publishers...) {
		return a, sluice.Errorf(sluice.Forbidden, "api.state_forbids", "The API is %s; only a publisher may change it.", a.State)
	}
	return a, nil
}

// undeployAll takes an API off every environment.
func undeployAll(tx *database.Tx, apiID string) error {
	deployments, err := tx.Deployments(apiID)
	if err != nil {
		return err
	}
	for _, d := range deployments {
		if err := undeploy(tx, d); err != nil {
			return fmt.Errorf("undeploy from environment %s: %w", d.EnvironmentID, err)
		}
	}
	return nil
}

// undeploy takes one deployment back and tells its gateways.
func undeploy(tx *database.Tx, d sluice.Deployment) error {
	if err := tx.DeleteDeployment(d.APIID, d.EnvironmentID); err != nil {
		return err
	}
	if d.Digest == "" {
		return nil // no gateway ever had it
	}
	return emit(tx, d.EnvironmentID, sluice.DeploymentChanged, d.APIID, nil)
}
