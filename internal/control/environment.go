package control

import (
	"context"
	"fmt"

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
	ctx := sluice.WithActor(context.Background(), sluice.System())
	configured := map[string]bool{}
	for i, c := range p.o.Environments {
		e := c.Environment
		e.Position, e.Configured = i, true
		old, err := tx.EnvironmentByName(c.Name)
		switch {
		case sluice.IsNotFound(err):
			e.ID, e.Epoch, e.CreatedAt = sluice.NewID(p.now()), 1, p.now()
			if err := tx.AddEnvironment(&e); err != nil {
				return err
			}
			err = audit(ctx, tx, "environment.create", "environment", e.ID, e.Name, nil, e)
		case err == nil:
			e.ID, e.Epoch, e.Generation, e.RowVersion, e.CreatedAt = old.ID, old.Epoch, old.Generation, old.RowVersion, old.CreatedAt
			err = changeEnvironment(ctx, tx, old, e)
		}
		if err != nil {
			return err
		}
		configured[e.ID] = true
	}
	for _, old := range existing {
		if !old.Configured || configured[old.ID] {
			continue
		}
		p.log.Warn("environment is not in the configuration any more; its gateways serve on", "environment", old.Name)
		e := old
		e.Configured, e.Position = false, len(p.o.Environments)+old.Position
		if err := changeEnvironment(ctx, tx, old, e); err != nil {
			return err
		}
	}
	return nil
}

// changeEnvironment stores what an environment has become. Where that concerns
// its gateways they are told, and what is deployed there is compiled anew: an
// artifact depends on its environment's type and vhosts.
func changeEnvironment(ctx context.Context, tx *database.Tx, old, e sluice.Environment) error {
	if digest(e) == digest(old) {
		return nil
	}
	if err := tx.PutEnvironment(&e); err != nil {
		return err
	}
	if digest(environmentItem(e)) != digest(environmentItem(old)) {
		if err := emit(tx, e.ID, sluice.EnvironmentChanged, e.ID, e); err != nil {
			return err
		}
		if err := redeployAll(tx, &e); err != nil {
			return err
		}
	}
	return audit(ctx, tx, "environment.change", "environment", e.ID, e.Name, old, e)
}

// redeployAll compiles everything that is deployed to an environment anew.
func redeployAll(tx *database.Tx, e *sluice.Environment) error {
	deployments, err := tx.EnvironmentDeployments(e.ID)
	if err != nil {
		return err
	}
	for _, d := range deployments {
		r, err := tx.Revision(d.APIID, d.RevisionID)
		if err != nil {
			return err
		}
		a, err := tx.API(r.API.Organization, d.APIID)
		if err != nil {
			return err
		}
		if err := redeploy(tx, &a, e, d); err != nil {
			return fmt.Errorf("deploy %s %s to the changed environment %s: %w", a.Name, a.Version, e.Name, err)
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
