package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/openapi"
)

// CreateAPI stores a new API in state CREATED, owned by the actor. Where a says
// nothing, it is public, answers over http and https, and passes on everything
// below its context. The conflicts are "api.exists", "api.name_taken" (another
// API's, or its own with another context) and "api.context_taken".
func (p *Plane) CreateAPI(ctx context.Context, a sluice.API) (sluice.API, error) {
	a.Overrides = nil
	if len(a.Operations) == 0 {
		for _, verb := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
			a.Operations = append(a.Operations, sluice.Operation{Verb: verb, Target: "/*", Auth: sluice.AuthAny})
		}
	}
	return a, p.createAPI(ctx, &a)
}

// createAPI stores a new API in state CREATED, owned by the actor.
func (p *Plane) createAPI(ctx context.Context, a *sluice.API) error {
	actor, err := allow(ctx, creators...)
	if err != nil {
		return err
	}
	a.ID, a.Organization, a.Owner, a.State = sluice.NewID(p.now()), actor.Organization, actor.Name, sluice.Created
	a.RowVersion, a.CreatedAt, a.UpdatedAt = 0, p.now(), p.now()
	complete(a)
	if err := a.Validate(); err != nil {
		return err
	}
	if err := p.sealPasswords(a, nil); err != nil {
		return err
	}
	if a.Definition, err = openapi.Apply(a); err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		if err := p.checkEndpoints(tx, a); err != nil {
			return err
		}
		return addAPI(ctx, tx, actor, a)
	})
}

// addAPI stores a new and valid API with its history.
func addAPI(ctx context.Context, tx *database.Tx, actor sluice.Actor, a *sluice.API) error {
	if err := checkReferences(tx, actor, a); err != nil {
		return err
	}
	if err := checkUnique(tx, actor, a); err != nil {
		return err
	}
	if err := tx.AddAPI(a); err != nil {
		return err
	}
	if err := tx.AddLifecycleChange(&sluice.LifecycleChange{APIID: a.ID, To: a.State, Actor: actor.Name, At: a.CreatedAt}); err != nil {
		return err
	}
	return audit(ctx, tx, "api.create", "api", a.ID, a.Name+" "+a.Version, nil, a)
}

// complete sets what an API must have and its author may leave out.
func complete(a *sluice.API) {
	if a.Visibility == "" {
		a.Visibility = sluice.Public
	}
	if len(a.Transports) == 0 {
		a.Transports = []string{"http", "https"}
	}
}

// checkUnique refuses a new API whose name, version or path is another's. Of an
// API that the actor may not see no more is said than that it is there.
func checkUnique(tx *database.Tx, actor sluice.Actor, a *sluice.API) error {
	versions, err := tx.APIVersions(a.Organization, a.Name)
	if err != nil {
		return err
	}
	for _, v := range versions {
		if v.Name == a.Name && strings.EqualFold(v.Version, a.Version) {
			return sluice.Errorf(sluice.Conflict, "api.exists", "An API with this name and version exists already.").At("name")
		}
	}
	for _, v := range versions {
		if v.Name != a.Name || !strings.EqualFold(v.Context, a.Context) {
			e := sluice.Errorf(sluice.Conflict, "api.name_taken", "Another API has this name already.").At("name")
			if mayAccess(&v, actor) {
				e.Message = fmt.Sprintf("The name belongs to the API %s %s at %s; a new version of it has the same name and context.", v.Name, v.Version, v.Context)
			}
			return e
		}
	}
	other, err := tx.APIAt(a)
	if sluice.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	e := sluice.Errorf(sluice.Conflict, "api.context_taken", "Another API already answers at this context and version.").At("context")
	if other.Organization == a.Organization && mayAccess(&other, actor) {
		e.Message = fmt.Sprintf("The API %s %s already answers at %s.", other.Name, other.Version, other.VersionedContext())
	}
	return e
}

// UpdateAPI stores a new working copy of an API; gateways go on serving the
// revisions they have. Name, version and context stay, and so does what is not
// the publisher's to write: owner, state, definition, endpoints of single
// environments. ifMatch is the row version the caller saw; 0: whatever it is.
// Where it is another by now, the Changed error lists what differs.
func (p *Plane) UpdateAPI(ctx context.Context, id string, ifMatch int64, a sluice.API) (sluice.API, error) {
	actor, err := allow(ctx, makers...)
	if err != nil {
		return sluice.API{}, err
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		old, err := changeable(tx, actor, id, ifMatch)
		if e, ok := errors.AsType[*sluice.Error](err); ok && e.Kind == sluice.Changed {
			e.Problems = differences(&old, &a)
		}
		if err != nil {
			return err
		}
		a.Organization, a.Definition, a.Overrides = old.Organization, old.Definition, old.Overrides
		if err := p.sealPasswords(&a, &old); err != nil {
			return err
		}
		return p.putAPI(ctx, tx, actor, "api.change", &old, &a)
	})
	return a, err
}

// putAPI stores a in the place of old, which it stays the same API as.
func (p *Plane) putAPI(ctx context.Context, tx *database.Tx, actor sluice.Actor, action string, old, a *sluice.API) error {
	a.ID, a.Organization, a.Owner, a.State = old.ID, old.Organization, old.Owner, old.State
	a.RowVersion, a.CreatedAt, a.UpdatedAt = old.RowVersion, old.CreatedAt, p.now()
	complete(a)
	if err := a.Validate(); err != nil {
		return err
	}
	var problems sluice.Problems
	for _, f := range []struct{ field, was, is string }{
		{"name", old.Name, a.Name}, {"version", old.Version, a.Version}, {"context", old.Context, a.Context},
	} {
		if f.was != f.is {
			problems.Add(f.field, "api.identity", "The %s of an API stays what it was made with, %s; make a new API, or a new version of this one.", f.field, f.was)
		}
	}
	if err := problems.Err(); err != nil {
		return err
	}
	if err := p.checkEndpoints(tx, a); err != nil {
		return err
	}
	if err := checkReferences(tx, actor, a); err != nil {
		return err
	}
	definition, err := openapi.Apply(a)
	if err != nil {
		return err
	}
	a.Definition = definition
	if err := tx.PutAPI(a); err != nil {
		return err
	}
	return audit(ctx, tx, action, "api", a.ID, a.Name+" "+a.Version, old, a)
}

// differences lists what of an API is stored otherwise than somebody, who saw an
// older state of it, wants to have it.
func differences(stored, wanted *sluice.API) []*sluice.Error {
	var list []*sluice.Error
	for _, f := range []struct {
		field string
		of    func(*sluice.API) any
	}{
		{"description", func(a *sluice.API) any { return a.Description }},
		{"isDefaultVersion", func(a *sluice.API) any { return a.Default }},
		{"transport", func(a *sluice.API) any { return append([]string{}, a.Transports...) }},
		{"policies", func(a *sluice.API) any { return append([]string{}, a.Tiers...) }},
		{"tags", func(a *sluice.API) any { return append([]string{}, a.Tags...) }},
		{"categories", func(a *sluice.API) any { return append([]string{}, a.Categories...) }},
		{"additionalProperties", func(a *sluice.API) any { return append([]sluice.Property{}, a.Properties...) }},
		{"businessInformation", func(a *sluice.API) any { return a.Business }},
		{"visibility", func(a *sluice.API) any { return []any{a.Visibility, append([]sluice.Role{}, a.VisibleRoles...)} }},
		{"accessControl", func(a *sluice.API) any { return append([]sluice.Role{}, a.AccessControl...) }},
		{"endpointConfig", func(a *sluice.API) any {
			return [][]sluice.Endpoint{append([]sluice.Endpoint{}, a.Production...), append([]sluice.Endpoint{}, a.Sandbox...)}
		}},
		{"operations", func(a *sluice.API) any { return append([]sluice.Operation{}, a.Operations...) }},
		{"scopes", func(a *sluice.API) any { return append([]sluice.Scope{}, a.Scopes...) }},
		{"securityScheme", func(a *sluice.API) any { return append([]sluice.Scheme{}, a.Schemes...) }},
		{"apiThrottlingPolicy", func(a *sluice.API) any { return a.Tier }},
		{"maxTps", func(a *sluice.API) any { return a.Throughput }},
		{"corsConfiguration", func(a *sluice.API) any { return a.CORS }},
	} {
		if digest(f.of(stored)) != digest(f.of(wanted)) {
			list = append(list, sluice.Errorf(sluice.Changed, "changed", "The stored %s is not the one you send.", f.field).At(f.field))
		}
	}
	return list
}

// checkReferences reports what an API names and what does not exist.
func checkReferences(tx *database.Tx, actor sluice.Actor, a *sluice.API) error {
	if err := knownTiers(tx, a); err != nil {
		return err
	}
	if err := knownCategories(tx, a); err != nil {
		return err
	}
	return knownRoles(tx, actor, a)
}

// knownRoles reports the roles of an API that nobody has. A role is known where
// the platform gives it a meaning or a user of the organization has it: a name
// misspelt would hide the API from everybody. Nobody may shut themselves out.
func knownRoles(tx *database.Tx, actor sluice.Actor, a *sluice.API) error {
	if len(a.VisibleRoles)+len(a.AccessControl) == 0 {
		return nil
	}
	known, err := tx.Roles(a.Organization)
	if err != nil {
		return err
	}
	known = append(known, sluice.Roles()...)
	var problems sluice.Problems
	check := func(field string, roles []sluice.Role) {
		for _, r := range roles {
			if !slices.Contains(known, r) {
				problems.Add(field, "role.unknown", "Nobody has the role %q.", r)
			}
		}
	}
	check("visibleRoles", a.VisibleRoles)
	check("accessControlRoles", a.AccessControl)
	if !mayAccess(a, actor) {
		problems.Add("accessControlRoles", "api.access_control", "You have none of these roles; you would not see the API any more.")
	}
	return problems.Err()
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
	if a.Tier != "" && a.Tier != sluice.Unlimited {
		if _, err := tx.Tier(a.Organization, sluice.APITier, a.Tier); sluice.IsNotFound(err) {
			problems.Add("apiThrottlingPolicy", "tier.unknown", "There is no tier %q for APIs.", a.Tier)
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
		api, revision, err = readableOrFrozen(tx, actor, id)
		return err
	})
	return api, revision, err
}

// readableOrFrozen returns an API by its id or by that of one of its revisions.
func readableOrFrozen(tx *database.Tx, actor sluice.Actor, id string) (sluice.API, *sluice.Revision, error) {
	api, err := readable(tx, actor, id)
	if !sluice.IsNotFound(err) {
		return api, nil, err
	}
	r, revErr := tx.RevisionByID(actor.Organization, id)
	if revErr != nil {
		return api, nil, err // it is the API that is not there
	}
	if _, err := readable(tx, actor, r.APIID); err != nil {
		return api, nil, err
	}
	return r.API, &r, nil
}

// readable returns the working copy of an API that the actor may see in the
// Publisher; another is not there.
func readable(tx *database.Tx, actor sluice.Actor, id string) (sluice.API, error) {
	a, err := tx.API(actor.Organization, id)
	if err == nil && !mayAccess(&a, actor) {
		return sluice.API{}, sluice.Errorf(sluice.NotFound, "api.unknown", "There is no such API.")
	}
	return a, err
}

// mayAccess reports whether an API's access control lets the actor see it in the
// Publisher.
func mayAccess(a *sluice.API, actor sluice.Actor) bool {
	return len(a.AccessControl) == 0 || actor.Has(a.AccessControl...)
}

// accessRoles returns the roles that restricted APIs are found by; nil: all are.
func accessRoles(actor sluice.Actor) []sluice.Role {
	if actor.Has() {
		return nil
	}
	return append([]sluice.Role{}, actor.Roles...)
}

// APIs returns a page of the organization's APIs and how many there are.
func (p *Plane) APIs(ctx context.Context, f APIFilter) (list []sluice.API, total int, err error) {
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return nil, 0, err
	}
	f.Organization, f.AccessRoles = actor.Organization, accessRoles(actor)
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
		if err := idle(tx, actor.Organization, id); err != nil {
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
		if err := deleteAPIKeysOf(tx, "", a.ID); err != nil {
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
	a, err := readable(tx, actor, id)
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
