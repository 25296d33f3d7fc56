package control

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

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
	fixed := p.settings.Load().Environments
	if p.o.Cluster != nil && len(fixed) == 0 {
		return nil // they are in the file of another control plane
	}
	existing, err := tx.Environments()
	if err != nil {
		return err
	}
	ctx := sluice.WithActor(context.Background(), sluice.System())
	configured := map[string]bool{}
	for i, c := range fixed {
		e := c.Environment
		e.Position, e.Configured = i, true
		old, found := environmentNamed(existing, c.Name)
		var err error
		switch {
		case !found:
			e.ID, e.Epoch, e.CreatedAt = sluice.NewID(p.now()), 1, p.now()
			if err := tx.AddEnvironment(&e); err != nil {
				return err
			}
			err = audit(ctx, tx, "environment.create", "environment", e.ID, e.Name, nil, e)
		default:
			e.DisplayName, e.Provider, e.Properties, e.Permissions = old.DisplayName, old.Provider, old.Properties, old.Permissions // no file has them
			e.ID, e.Epoch, e.Generation, e.RowVersion, e.CreatedAt = old.ID, old.Epoch, old.Generation, old.RowVersion, old.CreatedAt
			err = p.changeEnvironment(ctx, tx, old, e)
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
		e.Configured, e.Dropped = false, true
		if err := p.changeEnvironment(ctx, tx, old, e); err != nil {
			return err
		}
	}
	return nil
}

// sealedCORS is where the digest of the CORS setting lies by which everything
// that is deployed was compiled.
const sealedCORS = "control/cors"

// followCORS compiles everything that is deployed anew where the installation's
// CORS setting is another than at the start before.
func (p *Plane) followCORS(tx *database.Tx) error {
	wanted := digest(p.settings.Load().CORS)
	if p.settings.Load().CORS == nil {
		wanted = ""
	}
	was, err := tx.Sealed(sealedCORS)
	if err != nil && !sluice.IsNotFound(err) {
		return err
	}
	if string(was) == wanted {
		return nil
	}
	list, err := tx.Environments()
	if err != nil {
		return err
	}
	for i := range list {
		if err := p.redeployAll(tx, &list[i]); err != nil {
			return err
		}
	}
	return tx.PutSealed(sealedCORS, []byte(wanted))
}

// environmentNamed finds an environment by name, without regard to case, spaces
// around it and Unicode form.
func environmentNamed(list []sluice.Environment, name string) (sluice.Environment, bool) {
	i := slices.IndexFunc(list, func(e sluice.Environment) bool { return strings.EqualFold(plainName(e.Name), plainName(name)) })
	if i < 0 {
		return sluice.Environment{}, false
	}
	return list[i], true
}

// plainName is a name without spaces around it, in the composed Unicode form.
func plainName(s string) string { return norm.NFC.String(strings.TrimSpace(s)) }

// changeEnvironment stores what an environment has become. Where that concerns
// its gateways they are told, and what is deployed there is compiled anew: an
// artifact depends on its environment's type and vhosts.
func (p *Plane) changeEnvironment(ctx context.Context, tx *database.Tx, old, e sluice.Environment) error {
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
		if err := p.redeployAll(tx, &e); err != nil {
			return err
		}
	}
	return audit(ctx, tx, "environment.change", "environment", e.ID, e.Name, old, e)
}

// redeployAll compiles everything that is deployed to an environment anew.
func (p *Plane) redeployAll(tx *database.Tx, e *sluice.Environment) error {
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
		if err := p.redeploy(tx, &a, e, d); err != nil {
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

// EnvironmentAPIs returns the APIs of all organizations that are deployed to an
// environment, each as name and version.
func (p *Plane) EnvironmentAPIs(ctx context.Context, id string) (list []string, err error) {
	if _, err := allowHere(ctx, operators...); err != nil {
		return nil, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if _, err := tx.Environment(id); err != nil {
			return err
		}
		list, err = deployedAPIs(tx, id)
		return err
	})
	return list, err
}

func deployedAPIs(tx *database.Tx, environmentID string) (list []string, err error) {
	deployments, err := tx.EnvironmentDeployments(environmentID)
	if err != nil {
		return nil, err
	}
	for _, d := range deployments {
		r, err := tx.Revision(d.APIID, d.RevisionID)
		if err != nil {
			return nil, err
		}
		list = append(list, r.API.Name+" "+r.API.Version)
	}
	slices.Sort(list)
	return list, nil
}

// CreateEnvironment adds an environment, after those of the configuration and in
// the order of creation. Its gateways join by token.
func (p *Plane) CreateEnvironment(ctx context.Context, e *sluice.Environment) error {
	if _, err := allowHere(ctx); err != nil {
		return err
	}
	e.Name = plainName(e.Name)
	if err := e.Validate(); err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		existing, err := tx.Environments()
		if err != nil {
			return err
		}
		if err := freeName(existing, e); err != nil {
			return err
		}
		e.ID, e.Epoch, e.CreatedAt, e.Position = sluice.NewID(p.now()), 1, p.now(), 0
		e.Configured, e.Dropped = false, false
		for _, o := range existing {
			if !o.Configured {
				e.Position = max(e.Position, o.Position+1)
			}
		}
		if err := tx.AddEnvironment(e); err != nil {
			return err
		}
		return audit(ctx, tx, "environment.create", "environment", e.ID, e.Name, nil, e)
	})
}

// freeName refuses a name that another environment has.
func freeName(existing []sluice.Environment, e *sluice.Environment) error {
	if other, taken := environmentNamed(existing, e.Name); taken && other.ID != e.ID {
		return sluice.Errorf(sluice.Conflict, "environment.taken", "There is an environment %q already; environment names must be unique.", other.Name).At("name")
	}
	return nil
}

// UpdateEnvironment changes the environment with the id of e to what e says. One
// of the configuration is changed there alone (Conflict
// "environment.read_only"). The name stays (Conflict "environment.renamed"), but
// for an environment that is not in the configuration any more. version is the
// row version that the caller has seen; 0: any. What is deployed there follows,
// and gateways are told.
func (p *Plane) UpdateEnvironment(ctx context.Context, e *sluice.Environment, version int64) error {
	if _, err := allowHere(ctx); err != nil {
		return err
	}
	wanted := *e
	wanted.Name = plainName(e.Name)
	return p.db.Update(ctx, func(tx *database.Tx) error {
		old, err := tx.Environment(e.ID)
		if err != nil {
			return err
		}
		if err := changeableEnvironment(old, version); err != nil {
			return err
		}
		if err := wanted.Validate(); err != nil {
			return err
		}
		if wanted.Name != old.Name && !old.Dropped {
			return sluice.Errorf(sluice.Conflict, "environment.renamed", "The environment %q cannot be renamed.", old.Name).At("name")
		}
		existing, err := tx.Environments()
		if err != nil {
			return err
		}
		changed := wanted
		changed.Position, changed.Configured, changed.Dropped = old.Position, false, old.Dropped
		changed.Epoch, changed.Generation, changed.RowVersion, changed.CreatedAt = old.Epoch, old.Generation, old.RowVersion, old.CreatedAt
		if changed.Name != old.Name {
			changed.Dropped = false // the name is an administrator's from now on
		}
		if err := freeName(existing, &changed); err != nil {
			return err
		}
		if err := p.changeEnvironment(ctx, tx, old, changed); err != nil {
			return err
		}
		*e, err = tx.Environment(e.ID)
		return err
	})
}

func changeableEnvironment(e sluice.Environment, version int64) error {
	switch {
	case version != 0 && version != e.RowVersion:
		return sluice.Errorf(sluice.Changed, "changed", "Somebody else changed this in the meantime. Load it again.")
	case e.Configured:
		return sluice.Errorf(sluice.Conflict, "environment.read_only", "The environment %q is fixed by the configuration; change it there.", e.Name)
	}
	return nil
}

// DeleteEnvironment deletes an environment, and its gateways with it: they are cut
// off. Where APIs are deployed there it is a Conflict that lists them,
// "environment.in_use".
func (p *Plane) DeleteEnvironment(ctx context.Context, id string, version int64) error {
	if _, err := allowHere(ctx); err != nil {
		return err
	}
	var gateways []sluice.Gateway
	err := p.db.Update(ctx, func(tx *database.Tx) error {
		e, err := tx.Environment(id)
		if err != nil {
			return err
		}
		if err := changeableEnvironment(e, version); err != nil {
			return err
		}
		apis, err := deployedAPIs(tx, id)
		if err != nil {
			return err
		}
		if len(apis) > 0 {
			return sluice.Errorf(sluice.Conflict, "environment.in_use", "APIs are deployed to the environment %q; undeploy them first: %s.", e.Name, strings.Join(apis, ", "))
		}
		if gateways, err = tx.Gateways(id); err != nil {
			return err
		}
		for _, g := range gateways {
			if err := tx.DeleteGateway(g.ID); err != nil {
				return err
			}
			if err := audit(ctx, tx, "gateway.remove", "gateway", g.ID, g.Name, g, nil); err != nil {
				return err
			}
		}
		if err := tx.DeleteEnvironment(id); err != nil {
			return err
		}
		return audit(ctx, tx, "environment.delete", "environment", id, e.Name, e, nil)
	})
	if err != nil {
		return err
	}
	for _, g := range gateways {
		p.bus.Disconnect(g.ID)
		p.status.forget(g.ID)
	}
	return nil
}
