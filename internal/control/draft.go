package control

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// PublicationRequest is what to publish, to undeploy or to roll back.
type PublicationRequest struct {
	Action      sluice.PublicationAction
	Mode        sluice.PublicationMode // empty: all or nothing; undeploying is always by best effort
	APIID       string                 // empty only where everything since a time is rolled back
	RevisionID  string                 // to deploy, or that alone is undeployed; empty: NewRevision, or any
	NewRevision bool                   // a revision is made of the working copy, in the same transaction; of too many the oldest goes that is not deployed
	Description string                 // of the new revision
	Targets     []DeployTarget         // none: undeploy and roll back everywhere
	Exact       bool                   // where the API is served and no target is, it is undeployed
	Lifecycle   string                 // event of [sluice.Lifecycle.Moves] that the API makes with it; empty: none
	Since       time.Time              // all publications since then are rolled back; zero: the last one
	PlanDigest  string                 // of the plan that was seen: refused where it would be another now; empty: was not
}

// check refuses a request that makes no sense.
func (q *PublicationRequest) check() error {
	var problems sluice.Problems
	if q.Mode == "" {
		q.Mode = sluice.AllOrNothing
	}
	if q.Mode != sluice.AllOrNothing && q.Mode != sluice.BestEffort {
		problems.Add("mode", "publication.mode", `The mode is "all" or "best-effort".`)
	}
	if q.APIID == "" && (q.Action != sluice.Rollback || q.Since.IsZero()) {
		problems.Add("apiId", "publication.api", "Name the API.")
	}
	if utf8.RuneCountInString(q.Description) > 255 {
		problems.Add("description", "revision.description", "A description has at most 255 characters.")
	}
	switch q.Action {
	case sluice.Deploy:
		if (q.RevisionID == "") != q.NewRevision {
			problems.Add("revisionId", "publication.revision", "Name a revision, or ask for a new one.")
		}
		if len(q.Targets) == 0 && !q.Exact {
			problems.Add("targets", "deployment.targets", "Name at least one environment.")
		}
	case sluice.Undeploy, sluice.Rollback:
		if q.NewRevision || q.Exact || q.Lifecycle != "" {
			problems.Add("action", "publication.action", "A new revision, exact and lifecycle go with deploy alone.")
		}
	default:
		problems.Add("action", "publication.action", "The action is deploy, undeploy or rollback.")
	}
	if q.Action == sluice.Undeploy {
		q.Mode = sluice.BestEffort // it is never taken back
	}
	return problems.Err()
}

// place is where an API is deployed.
type place struct{ apiID, environmentID string }

// draft carries a request out in a transaction. Where that is committed it is the
// publication, where it is taken back its plan.
type draft struct {
	p       *Plane
	tx      *database.Tx
	actor   sluice.Actor
	request *PublicationRequest
	pub     *sluice.Publication

	apis   []*sluice.API // that may be touched, the first of them first
	before map[place]sluice.Deployment
	named  map[place]bool
}

// blockedError is why a request that makes sense cannot be carried out now.
type blockedError struct{ error }

// Unwrap returns what is in the way.
func (e blockedError) Unwrap() error { return e.error }

// block marks an error as one that a plan shows.
func block(err error) error {
	if err == nil {
		return nil
	}
	return blockedError{err}
}

// draft fills pub with what the request comes to now, and does all of it in tx.
// That pub names a revision already is no mistake: it is the id that a new one gets.
func (p *Plane) draft(ctx context.Context, tx *database.Tx, actor sluice.Actor, q *PublicationRequest, pub *sluice.Publication) error {
	d := &draft{p: p, tx: tx, actor: actor, request: q, pub: pub, before: map[place]sluice.Deployment{}, named: map[place]bool{}}
	pub.Targets, pub.Undo = nil, sluice.Undo{}
	var err error
	switch q.Action {
	case sluice.Deploy:
		err = d.deploy(ctx)
	case sluice.Undeploy:
		err = d.undeploy()
	case sluice.Rollback:
		err = d.rollback()
	}
	if err != nil {
		return err
	}
	if err := d.addTargets(); err != nil {
		return err
	}
	pub.PlanDigest = planDigest(pub)
	return nil
}

// touch notes what is deployed of an API before anything is changed.
func (d *draft) touch(a *sluice.API) error {
	if slices.ContainsFunc(d.apis, func(o *sluice.API) bool { return o.ID == a.ID }) {
		return nil
	}
	list, err := d.tx.Deployments(a.ID)
	if err != nil {
		return err
	}
	d.apis = append(d.apis, a)
	for _, dep := range list {
		d.before[place{a.ID, dep.EnvironmentID}] = dep
	}
	return nil
}

func (d *draft) deploy(ctx context.Context) error {
	q, tx := d.request, d.tx
	a, err := changeable(tx, d.actor, q.APIID, 0)
	if err != nil {
		return err
	}
	if !a.State.Deployable() {
		return block(sluice.Errorf(sluice.Forbidden, "api.state_forbids", "An API that is %s cannot be deployed.", a.State))
	}
	environments, err := resolve(tx, q.Targets)
	if err != nil {
		return err
	}
	if err := d.touch(&a); err != nil {
		return err
	}
	if err := d.permitted(environments); err != nil {
		return err
	}
	defaults, err := d.touchDefaults(&a)
	if err != nil {
		return err
	}
	r, err := d.revision(ctx, &a)
	if err != nil {
		return err
	}
	if err := d.move(ctx, &a); err != nil {
		return block(err)
	}
	for i := range environments {
		vhost, _ := environments[i].Vhost(q.Targets[i].Vhost)
		d.named[place{a.ID, environments[i].ID}] = true
		err := d.p.deploy(tx, &a, &r, &environments[i], sluice.Deployment{Vhost: vhost.Host, Store: q.Targets[i].Store, DeployedAt: d.p.now()})
		if err != nil {
			return block(err)
		}
	}
	if q.Exact {
		if err := d.undeployOthers(&a); err != nil {
			return err
		}
	}
	if err := d.p.takeOverDefault(ctx, tx, &a); err != nil {
		return err
	}
	for _, id := range defaults {
		other, err := tx.API(d.actor.Organization, id)
		if err != nil {
			return err
		}
		if !other.Default {
			d.pub.Undo.Defaults = append(d.pub.Undo.Defaults, id)
		}
	}
	return nil
}

// permitted refuses an actor whom the permissions of an environment exclude: of
// the targets, and of those that lose the API.
func (d *draft) permitted(environments []sluice.Environment) error {
	all := slices.Clone(environments)
	for at := range d.before {
		if !d.request.Exact || slices.ContainsFunc(environments, func(e sluice.Environment) bool { return e.ID == at.environmentID }) {
			continue
		}
		e, err := d.tx.Environment(at.environmentID)
		if err != nil {
			return err
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b sluice.Environment) int { return strings.Compare(a.Name, b.Name) })
	for _, e := range all {
		if !e.Permissions.Allow(d.actor.Roles) {
			return block(sluice.Errorf(sluice.Forbidden, "environment.permission", "Your roles do not allow to deploy to the environment %q.", e.Name))
		}
	}
	return nil
}

// touchDefaults notes the versions that may lose the mark of the default one, and
// returns their ids.
func (d *draft) touchDefaults(a *sluice.API) (ids []string, err error) {
	if !a.Default {
		return nil, nil
	}
	versions, err := d.tx.APIVersions(a.Organization, a.Name)
	if err != nil {
		return nil, err
	}
	for i := range versions {
		if v := &versions[i]; v.ID != a.ID && v.Default {
			if err := d.touch(v); err != nil {
				return nil, err
			}
			ids = append(ids, v.ID)
		}
	}
	return ids, nil
}

// revision returns the revision to deploy, made where the request asks for a new
// one.
func (d *draft) revision(ctx context.Context, a *sluice.API) (r sluice.Revision, err error) {
	if !d.request.NewRevision {
		r, err = d.tx.Revision(a.ID, d.request.RevisionID)
		d.pub.RevisionID, d.pub.RevisionNumber = r.ID, r.Number
		return r, err
	}
	list, err := d.tx.Revisions(a.ID)
	if err != nil {
		return r, err
	}
	if len(list) >= sluice.MaxRevisions {
		i := slices.IndexFunc(list, func(r sluice.Revision) bool { return !d.deployed(r.ID) })
		if i < 0 {
			return r, block(tooManyRevisions())
		}
		if err := d.tx.DeleteRevision(a.ID, list[i].ID); err != nil {
			return r, err
		}
		if err := audit(ctx, d.tx, "revision.delete", "revision", list[i].ID, a.Name+" "+a.Version, list[i].Digest, nil); err != nil {
			return r, err
		}
	}
	if d.pub.RevisionID == "" {
		d.pub.RevisionID = sluice.NewID(d.p.now())
	}
	r, err = d.p.freeze(ctx, d.tx, d.actor, a, d.pub.RevisionID, d.request.Description)
	d.pub.RevisionNumber = r.Number
	return r, err
}

// deployed reports whether a revision was deployed before.
func (d *draft) deployed(revisionID string) bool {
	for _, b := range d.before {
		if b.RevisionID == revisionID {
			return true
		}
	}
	return false
}

// move makes the move in the lifecycle that goes with the deployment.
func (d *draft) move(ctx context.Context, a *sluice.API) error {
	if d.request.Lifecycle == "" {
		return nil
	}
	to, err := a.State.Move(d.request.Lifecycle)
	if err != nil {
		return err
	}
	if to == sluice.Created || !to.Deployable() {
		return sluice.Errorf(sluice.Conflict, "publication.lifecycle", "%q takes the API off all gateways; it does not go with deploying.", d.request.Lifecycle).At("lifecycle")
	}
	from := a.State
	if err := d.p.move(ctx, d.tx, d.actor, a, d.request.Lifecycle, nil); err != nil {
		return err
	}
	d.pub.Undo.From, d.pub.Undo.To = from, to
	return nil
}

// undeployOthers takes the API off the environments that are no targets.
func (d *draft) undeployOthers(a *sluice.API) error {
	for at, dep := range d.before {
		if at.apiID == a.ID && !d.named[at] {
			d.named[at] = true
			if err := undeploy(d.tx, dep); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *draft) undeploy() error {
	q, tx := d.request, d.tx
	a, err := changeable(tx, d.actor, q.APIID, 0)
	if err != nil {
		return err
	}
	environments, err := resolve(tx, q.Targets)
	if err != nil {
		return err
	}
	if q.RevisionID != "" {
		r, err := tx.Revision(a.ID, q.RevisionID)
		if err != nil {
			return err
		}
		d.pub.RevisionID, d.pub.RevisionNumber = r.ID, r.Number
	}
	if err := d.touch(&a); err != nil {
		return err
	}
	for at, dep := range d.before {
		wanted := len(q.Targets) == 0 || slices.ContainsFunc(environments, func(e sluice.Environment) bool { return e.ID == at.environmentID })
		if !wanted || q.RevisionID != "" && dep.RevisionID != q.RevisionID {
			continue // not deployed there: as asked
		}
		d.named[at] = true
		if err := undeploy(tx, dep); err != nil {
			return err
		}
	}
	return nil
}

// addTargets says what has become of every place that was named, and of those that
// changed with them.
func (d *draft) addTargets() error {
	environments, err := d.tx.Environments()
	if err != nil {
		return err
	}
	for _, a := range d.apis {
		list, err := d.tx.Deployments(a.ID)
		if err != nil {
			return err
		}
		for _, e := range environments {
			at := place{a.ID, e.ID}
			var before, after *sluice.Deployment
			if b, ok := d.before[at]; ok {
				before = &b
			}
			if i := slices.IndexFunc(list, func(n sluice.Deployment) bool { return n.EnvironmentID == e.ID }); i >= 0 {
				after = &list[i]
			}
			if before == nil && after == nil || !d.named[at] && before != nil && after != nil && before.Digest == after.Digest {
				continue
			}
			t := targetOf(before, after)
			t.APIID, t.EnvironmentID, t.Environment, t.Generation = a.ID, e.ID, e.Name, e.Generation
			if t.Gateways, err = d.p.gatewaysOf(d.tx, &t); err != nil {
				return err
			}
			d.pub.Targets = append(d.pub.Targets, t)
		}
	}
	return nil
}

// targetOf says what a deployment that was changed has become; nil is none.
func targetOf(before, after *sluice.Deployment) sluice.Target {
	served := before != nil && before.Digest != ""
	if after == nil {
		return sluice.Target{Change: "remove", Vhost: before.Vhost, State: sluice.Pending, Before: before}
	}
	t := sluice.Target{
		Change: "add", Vhost: after.Vhost, Store: after.Store, RevisionID: after.RevisionID, RevisionNumber: after.RevisionNumber,
		Digest: after.Digest, State: sluice.Pending, Before: before,
	}
	switch {
	case after.Skipped != "":
		t.Change, t.State, t.Reason = "skip", sluice.Skipped, after.Skipped
	case served && before.Digest == after.Digest:
		t.Change = "keep"
	case served:
		t.Change = "replace"
	}
	return t
}

// gatewaysOf returns the gateways that a publication speaks of at a target: those
// that are connected now are waited for.
func (p *Plane) gatewaysOf(tx *database.Tx, t *sluice.Target) (list []sluice.TargetGateway, err error) {
	gateways, err := tx.Gateways(t.EnvironmentID)
	if err != nil {
		return nil, err
	}
	for _, g := range gateways {
		tg := sluice.TargetGateway{GatewayID: g.ID, Name: g.Name, State: sluice.Pending, At: p.now()}
		switch {
		case t.State == sluice.Skipped:
			tg.State = sluice.Skipped
		case !p.status.connected(g.ID):
			tg.State, tg.Reason = sluice.Stale, "not connected when the publication started"
		}
		list = append(list, tg)
	}
	return list, nil
}
