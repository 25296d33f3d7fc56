package control

import (
	"context"
	"fmt"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// ChangeLifecycle moves an API by one event of its lifecycle. State,
// deployments, subscriptions, audit and events are one transaction; it waits
// for no gateway. ifMatch is the row version the caller saw; 0: whatever it is.
func (p *Plane) ChangeLifecycle(ctx context.Context, apiID, event string, ifMatch int64) (sluice.API, error) {
	actor, err := allow(ctx, publishers...)
	if err != nil {
		return sluice.API{}, err
	}
	var a sluice.API
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		if a, err = changeable(tx, actor, apiID, ifMatch); err != nil {
			return err
		}
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
		a.State, a.UpdatedAt = to, p.now()
		if err := tx.PutAPI(&a); err != nil {
			return err
		}
		if err := followLifecycle(tx, &a); err != nil {
			return err
		}
		return audit(ctx, tx, "api.lifecycle", "api", a.ID, a.Name+" "+a.Version, before, a.State)
	})
	return a, err
}

// followLifecycle does to deployments and subscriptions what the API's new
// state asks for.
func followLifecycle(tx *database.Tx, a *sluice.API) error {
	switch a.State {
	case sluice.Created:
		return undeployAll(tx, a.ID)
	case sluice.Retired:
		if err := undeployAll(tx, a.ID); err != nil {
			return err
		}
		return deleteSubscriptions(tx, database.SubscriptionFilter{Organization: a.Organization, APIID: a.ID})
	}
	deployments, err := tx.Deployments(a.ID)
	if err != nil {
		return err
	}
	for _, d := range deployments { // a gateway must know what is blocked or a prototype
		e, err := tx.Environment(d.EnvironmentID)
		if err != nil {
			return err
		}
		if err := redeploy(tx, a, &e, d); err != nil {
			return fmt.Errorf("deploy in state %s: %w", a.State, err)
		}
	}
	return nil
}
