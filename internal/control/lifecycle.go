package control

import (
	"context"
	"fmt"
	"slices"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// LifecycleCheck is something that publishing a new version may do to the older
// ones of the same name.
type LifecycleCheck string

// Checks, as people call them.
const (
	DeprecateOldVersions  LifecycleCheck = "Deprecate Old Versions"
	RequireReSubscription LifecycleCheck = "Require Re-Subscription" // else subscriptions are copied from the older versions
)

// LifecycleStatus is where an API is in its lifecycle, and what moving it on
// concerns.
type LifecycleStatus struct {
	API           sluice.API
	Checks        []LifecycleCheck // that Publish may be given: there is an older version
	Subscriptions int              // that Retire ends, and Demote to Created lets sleep
	Gateways      int              // of the environments that serve it
}

// Lifecycle returns where an API is in its lifecycle.
func (p *Plane) Lifecycle(ctx context.Context, apiID string) (s LifecycleStatus, err error) {
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return s, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if s.API, err = readable(tx, actor, apiID); err != nil {
			return err
		}
		older, err := olderVersions(tx, actor, &s.API)
		if err != nil {
			return err
		}
		if len(older) > 0 {
			s.Checks = []LifecycleCheck{DeprecateOldVersions, RequireReSubscription}
		}
		s.Subscriptions, s.Gateways, err = concerned(tx, &s.API)
		return err
	})
	return s, err
}

// concerned counts who notices when an API is taken away: its subscriptions, and
// the gateways of the environments it is deployed to.
func concerned(tx *database.Tx, a *sluice.API) (subscriptions, gateways int, err error) {
	_, subscriptions, err = tx.FindSubscriptions(database.SubscriptionFilter{Organization: a.Organization, APIID: a.ID, Limit: 1})
	if err != nil {
		return 0, 0, err
	}
	deployments, err := tx.Deployments(a.ID)
	if err != nil {
		return 0, 0, err
	}
	for _, d := range deployments {
		list, err := tx.Gateways(d.EnvironmentID)
		if err != nil {
			return 0, 0, err
		}
		gateways += len(list)
	}
	return subscriptions, gateways, nil
}

// LifecycleHistory returns the moves an API has made, the oldest first.
func (p *Plane) LifecycleHistory(ctx context.Context, apiID string) (list []sluice.LifecycleChange, err error) {
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return nil, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if _, err := readable(tx, actor, apiID); err != nil {
			return err
		}
		list, err = tx.LifecycleChanges(apiID)
		return err
	})
	return list, err
}

// ChangeLifecycle moves an API by an event of [sluice.Lifecycle.Moves]. State,
// history, deployments, subscriptions, audit entry and the events to gateways
// are one transaction; no gateway is waited for. Demote to Created takes the API
// off every gateway and keeps its subscriptions; Retire also ends them.
// Publishing a new version copies the subscriptions of the older ones, but those
// on hold, unless checks says otherwise.
func (p *Plane) ChangeLifecycle(ctx context.Context, apiID, event string, ifMatch int64, checks ...LifecycleCheck) (sluice.API, error) {
	actor, err := allow(ctx, publishers...)
	if err != nil {
		return sluice.API{}, err
	}
	var a sluice.API
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		if a, err = changeable(tx, actor, apiID, ifMatch); err != nil {
			return err
		}
		if err := idle(tx, actor.Organization, apiID); err != nil {
			return err
		}
		return p.move(ctx, tx, actor, &a, event, checks)
	})
	return a, err
}

// move moves an API by an event, with all that follows from it.
func (p *Plane) move(ctx context.Context, tx *database.Tx, actor sluice.Actor, a *sluice.API, event string, checks []LifecycleCheck) error {
	before := a.State
	to, err := before.Move(event)
	if err != nil {
		return err
	}
	if to == sluice.Published {
		if err := a.Publishable(); err != nil {
			return err
		}
	}
	if err := p.moveTo(ctx, tx, actor, a, to); err != nil {
		return err
	}
	if err := p.takeOverDefault(ctx, tx, a); err != nil {
		return err
	}
	if to != sluice.Published || before != sluice.Created && before != sluice.Prototyped {
		return nil
	}
	return p.succeed(ctx, tx, actor, a, checks)
}

// moveTo brings an API into a state, and writes who did it.
func (p *Plane) moveTo(ctx context.Context, tx *database.Tx, actor sluice.Actor, a *sluice.API, to sluice.Lifecycle) error {
	before := a.State
	a.State, a.UpdatedAt = to, p.now()
	if err := tx.PutAPI(a); err != nil {
		return err
	}
	if err := tx.AddLifecycleChange(&sluice.LifecycleChange{APIID: a.ID, From: before, To: to, Actor: actor.Name, At: p.now()}); err != nil {
		return err
	}
	if err := p.followLifecycle(tx, a); err != nil {
		return err
	}
	return audit(ctx, tx, "api.lifecycle", "api", a.ID, a.Name+" "+a.Version, before, a.State)
}

// olderVersions returns the older versions of an API that the actor may see, the
// newest first.
func olderVersions(tx *database.Tx, actor sluice.Actor, a *sluice.API) ([]sluice.API, error) {
	versions, err := tx.APIVersions(a.Organization, a.Name)
	older := slices.DeleteFunc(versions, func(v sluice.API) bool {
		return v.Name != a.Name || !mayAccess(&v, actor) || sluice.CompareVersions(v.Version, a.Version) >= 0
	})
	slices.SortStableFunc(older, func(v, w sluice.API) int { return sluice.CompareVersions(w.Version, v.Version) })
	return older, err
}

// succeed does to the older versions of a newly published API what the checks
// ask for.
func (p *Plane) succeed(ctx context.Context, tx *database.Tx, actor sluice.Actor, a *sluice.API, checks []LifecycleCheck) error {
	older, err := olderVersions(tx, actor, a)
	if err != nil {
		return err
	}
	for _, v := range older {
		if !slices.Contains(checks, RequireReSubscription) {
			if err := p.copySubscriptions(ctx, tx, v.ID, a); err != nil {
				return fmt.Errorf("copy the subscriptions of version %s: %w", v.Version, err)
			}
		}
		if v.State == sluice.Published && slices.Contains(checks, DeprecateOldVersions) {
			whole, err := tx.API(v.Organization, v.ID) // with its definition
			if err != nil {
				return err
			}
			if err := p.moveTo(ctx, tx, actor, &whole, sluice.Deprecated); err != nil {
				return fmt.Errorf("deprecate version %s: %w", v.Version, err)
			}
		}
	}
	return nil
}

// followLifecycle does to deployments and subscriptions what the API's new
// state asks for.
func (p *Plane) followLifecycle(tx *database.Tx, a *sluice.API) error {
	switch a.State {
	case sluice.Created:
		return undeployAll(tx, a.ID)
	case sluice.Retired:
		if err := undeployAll(tx, a.ID); err != nil {
			return err
		}
		return deleteSubscriptions(tx, database.SubscriptionFilter{Organization: a.Organization, APIID: a.ID})
	}
	if err := p.redeployEverywhere(tx, a); err != nil { // a gateway must know what is blocked or a prototype
		return fmt.Errorf("deploy in state %s: %w", a.State, err)
	}
	return nil
}

// redeployEverywhere compiles every deployment of an API anew.
func (p *Plane) redeployEverywhere(tx *database.Tx, a *sluice.API) error {
	deployments, err := tx.Deployments(a.ID)
	if err != nil {
		return err
	}
	for _, d := range deployments {
		e, err := tx.Environment(d.EnvironmentID)
		if err != nil {
			return err
		}
		if err := p.redeploy(tx, a, &e, d); err != nil {
			return err
		}
	}
	return nil
}
