package control

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/distribution"
)

// answerWithin is when Deploy has an answer: some clients give up at ten seconds.
const answerWithin = 9 * time.Second

// actor returns who asks, where they may, and checks the request.
func (q *PublicationRequest) actor(ctx context.Context) (sluice.Actor, error) {
	roles := makers
	if q.Lifecycle != "" {
		roles = publishers
	}
	actor, err := allow(ctx, roles...)
	if err != nil {
		return actor, err
	}
	return actor, q.check()
}

func (p *Plane) newPublication(actor sluice.Actor, q *PublicationRequest) sluice.Publication {
	return sluice.Publication{
		ID: sluice.NewID(p.now()), Organization: actor.Organization, APIID: q.APIID, Action: q.Action, Mode: q.Mode,
		State: sluice.Preparing, RevisionID: q.RevisionID, Actor: actor.Name, CreatedAt: p.now(),
	}
}

// Publish begins a publication and returns it; it goes on by itself. In mode all,
// the connected gateways of its targets are first asked whether they can take it:
// a no, or 3 seconds of silence, and nothing changes anywhere. Then all of it is
// committed in one transaction, and gateways take it and prove it on their own
// listeners; where one fails, or is silent for 5 seconds, all go back to what they
// served. Environments without a connected gateway hold nobody up and converge by
// themselves.
//
// What is refused before that leaves no publication: a request that makes no sense
// (Invalid), what must not be deployed, a plan that is another by now, and a second
// publication of the API beside one that is under way (Conflict).
func (p *Plane) Publish(ctx context.Context, q PublicationRequest) (sluice.Publication, error) {
	r, err := p.begin(ctx, &q)
	if err != nil {
		return sluice.Publication{}, err
	}
	return r.now(), nil
}

func (p *Plane) begin(ctx context.Context, q *PublicationRequest) (*run, error) {
	actor, err := q.actor(ctx)
	if err != nil {
		return nil, err
	}
	pub := p.newPublication(actor, q)
	changes, err := p.rehearse(ctx, actor, q, &pub, nil)
	if err != nil {
		return nil, err
	}
	if q.PlanDigest != "" && q.PlanDigest != pub.PlanDigest {
		return nil, planChanged()
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		for _, t := range pub.Targets {
			if err := idle(tx, pub.Organization, t.APIID); err != nil {
				return err
			}
		}
		return tx.AddPublication(&pub)
	})
	if err != nil {
		return nil, err
	}
	r := p.runs.add(pub)
	p.acts.Go(func() {
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the actor of ctx goes on; the request need not wait
		defer cancel()
		defer context.AfterFunc(p.life, cancel)()
		defer r.cancel()
		p.carryOut(ctx, actor, q, r, changes)
		p.runs.remove(pub.ID)
		close(r.done)
		p.status.tell()
	})
	return r, nil
}

func planChanged() error {
	return sluice.Errorf(sluice.Conflict, "publication.plan_changed", "What this would change is no longer what the plan said; look at it again.").At("planDigest")
}

// idle refuses what would come in the way of a publication of the API that is under
// way.
func idle(tx *database.Tx, org, apiID string) error {
	open, err := tx.UnfinishedPublications()
	if err != nil {
		return err
	}
	for _, p := range open {
		touches := p.APIID == apiID || slices.ContainsFunc(p.Targets, func(t sluice.Target) bool { return t.APIID == apiID })
		if p.Organization == org && touches {
			return sluice.Errorf(sluice.Conflict, "publication.running", "Another publication of this API is under way: %s.", p.ID)
		}
	}
	return nil
}

// carryOut brings a publication to its end, or leaves it to settle where ctx ends.
func (p *Plane) carryOut(ctx context.Context, actor sluice.Actor, q *PublicationRequest, r *run, changes map[string]distribution.Change) {
	refusal := p.ask(ctx, r, changes)
	if ctx.Err() != nil {
		refusal = endedBefore
	}
	if refusal != "" {
		p.conclude(ctx, r, sluice.Refused, refusal)
		return
	}
	switch err := p.commit(ctx, actor, q, r); {
	case errors.Is(err, errCancelled):
		p.conclude(ctx, r, sluice.Cancelled, "")
	case err != nil:
		p.log.Error("publication was not committed", "publication", r.now().ID, "err", err)
		p.conclude(ctx, r, sluice.Refused, message(err))
	default:
		p.confirm(ctx, r)
	}
}

// endedBefore is the reason of a publication that a stop has come before.
const endedBefore = "the control plane ended before anything was changed"

// message is what people may read of an error.
func message(err error) string {
	if e, ok := errors.AsType[*sluice.Error](err); ok {
		return strings.TrimSuffix(e.Error(), ".")
	}
	return "the control plane failed; its log says how"
}

// errCancelled says that a publication was cancelled before it was committed.
var errCancelled = errors.New("cancelled")

// commit makes everything of a publication true at once. It must be what was
// prepared.
func (p *Plane) commit(ctx context.Context, actor sluice.Actor, q *PublicationRequest, r *run) error {
	prepared := r.now()
	next := clonePublication(prepared)
	err := p.db.Update(ctx, func(tx *database.Tx) error {
		stored, err := tx.Publication(prepared.Organization, prepared.ID)
		if err != nil {
			return err
		}
		if stored.State != sluice.Preparing {
			return errCancelled
		}
		if err := p.draft(ctx, tx, actor, q, &next); err != nil {
			return err
		}
		if next.PlanDigest != prepared.PlanDigest {
			return planChanged()
		}
		for i := range next.Targets { // the plan is the same, and so are its targets
			next.Targets[i].Gateways = waitingAgain(prepared.Targets[i].Gateways)
		}
		next.State, next.Reason, next.CommittedAt = sluice.Confirming, "", p.now()
		if err := tx.PutPublication(&next); err != nil {
			return err
		}
		name := "several"
		if a, err := tx.API(next.Organization, next.APIID); err == nil {
			name = a.Name + " " + a.Version
		}
		return audit(ctx, tx, "api."+string(next.Action), "api", next.APIID, name, nil, next.Targets)
	})
	if err != nil && !p.committed(ctx, &next) {
		return err
	}
	p.change(r, func(pub *sluice.Publication) { *pub = next })
	return nil
}

// waitingAgain returns gateways whose answer to a question no longer counts: what
// they serve does.
func waitingAgain(list []sluice.TargetGateway) []sluice.TargetGateway {
	list = slices.Clone(list)
	for i := range list {
		if s := list[i].State; s != sluice.Stale && s != sluice.Skipped {
			list[i].State, list[i].Reason = sluice.Pending, ""
		}
	}
	return list
}

// committed reports whether a publication was committed though the database gave an
// error: the answer to the commit may be what was lost.
func (p *Plane) committed(ctx context.Context, pub *sluice.Publication) bool {
	var stored sluice.Publication
	err := p.db.View(ctx, func(tx *database.Tx) (err error) {
		stored, err = tx.Publication(pub.Organization, pub.ID)
		return err
	})
	return err == nil && stored.State == sluice.Confirming
}

// CancelPublication ends a publication before it is committed. Afterwards that is a
// Conflict, "publication.committed": a rollback takes it back then.
func (p *Plane) CancelPublication(ctx context.Context, id string) (pub sluice.Publication, err error) {
	actor, err := allow(ctx, makers...)
	if err != nil {
		return pub, err
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		if pub, err = readablePublication(tx, actor, id); err != nil {
			return err
		}
		if pub.State != sluice.Preparing {
			return sluice.Errorf(sluice.Conflict, "publication.committed", "It is too late to cancel this publication: it is %s. Roll it back instead.", pub.State)
		}
		pub.State, pub.FinishedAt = sluice.Cancelled, p.now()
		if err := tx.PutPublication(&pub); err != nil {
			return err
		}
		return audit(ctx, tx, "publication.cancel", "publication", pub.ID, "", nil, nil)
	})
	if r := p.runs.of(id); err == nil && r != nil {
		r.cancel()
	}
	return pub, err
}

// Deploy makes the environments serve a revision, all or none of them, as Publish
// does. It returns when the publication is final, when it is being taken back, or
// when ctx ends; then it goes on by itself.
func (p *Plane) Deploy(ctx context.Context, apiID, revisionID string, targets []DeployTarget) (sluice.Publication, error) {
	if len(targets) == 0 {
		if _, err := allow(ctx, makers...); err != nil {
			return sluice.Publication{}, err
		}
		return sluice.Publication{}, sluice.Errorf(sluice.Invalid, "deployment.targets", "Name at least one environment.")
	}
	return p.publishAndWait(ctx, &PublicationRequest{Action: sluice.Deploy, APIID: apiID, RevisionID: revisionID, Targets: targets})
}

func (p *Plane) publishAndWait(ctx context.Context, q *PublicationRequest) (sluice.Publication, error) {
	r, err := p.begin(ctx, q)
	if err != nil {
		return sluice.Publication{}, err
	}
	enough := time.NewTimer(answerWithin)
	defer enough.Stop()
	for {
		news := p.status.next()
		if pub := r.now(); pub.State == sluice.Reverting {
			return pub, nil
		}
		select {
		case <-r.done:
			return r.now(), nil
		case <-news:
		case <-enough.C:
			return r.now(), nil
		case <-ctx.Done():
			return r.now(), nil
		}
	}
}

// Undeploy takes a revision, by id or by number, off the named environments, or
// off all. It is never taken back: gateways that are away remove the API when
// they return.
func (p *Plane) Undeploy(ctx context.Context, apiID, revisionID string, revisionNumber int, environments []string, all bool) (sluice.Publication, error) {
	actor, err := allow(ctx, makers...)
	if err != nil {
		return sluice.Publication{}, err
	}
	if len(environments) == 0 && !all {
		return sluice.Publication{}, sluice.Errorf(sluice.Invalid, "deployment.targets", "Name at least one environment.")
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if _, err := changeable(tx, actor, apiID, 0); err != nil {
			return err
		}
		r, err := findRevision(tx, apiID, revisionID, revisionNumber)
		revisionID = r.ID
		return err
	})
	if err != nil {
		return sluice.Publication{}, err
	}
	q := &PublicationRequest{Action: sluice.Undeploy, APIID: apiID, RevisionID: revisionID}
	for _, name := range environments {
		if !all {
			q.Targets = append(q.Targets, DeployTarget{Environment: name})
		}
	}
	return p.publishAndWait(ctx, q)
}

// findRevision returns a revision by id, or else by number.
func findRevision(tx *database.Tx, apiID, id string, number int) (sluice.Revision, error) {
	if id != "" {
		return tx.Revision(apiID, id)
	}
	list, err := tx.Revisions(apiID)
	if err != nil {
		return sluice.Revision{}, err
	}
	for _, r := range list {
		if r.Number == number {
			return r, nil
		}
	}
	return sluice.Revision{}, sluice.Errorf(sluice.Invalid, "revision.number", "There is no revision %d.", number).At("revisionNumber")
}

// resolve finds the environments of targets, by id or by name; all that are
// unknown, or lack the vhost, are reported together.
func resolve(tx *database.Tx, targets []DeployTarget) ([]sluice.Environment, error) {
	var problems sluice.Problems
	var list []sluice.Environment
	for _, t := range targets {
		field, name := "name", t.Environment
		e, err := tx.EnvironmentByName(t.Environment)
		if t.EnvironmentID != "" {
			field, name = "environmentId", t.EnvironmentID
			e, err = tx.Environment(t.EnvironmentID)
		}
		switch {
		case sluice.IsNotFound(err):
			problems.Add(field, "environment.unknown", "There is no gateway environment %q.", name)
			continue
		case err != nil:
			return nil, err
		}
		if _, ok := e.Vhost(t.Vhost); !ok {
			problems.Add("vhost", "environment.vhost", "The gateway environment %q has no vhost %q.", e.Name, t.Vhost)
		}
		if slices.ContainsFunc(list, func(o sluice.Environment) bool { return o.ID == e.ID }) {
			problems.Add(field, "environment.twice", "The gateway environment %q is named twice.", e.Name)
		}
		list = append(list, e)
	}
	return list, problems.Err()
}

// PublicationFilter says which publications are asked for; its Organization is the
// actor's.
type PublicationFilter = database.PublicationFilter

// Publications returns a page of the publications of the actor's organization, the
// newest first, and how many there are.
func (p *Plane) Publications(ctx context.Context, f PublicationFilter) (list []sluice.Publication, total int, err error) {
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return nil, 0, err
	}
	f.Organization = actor.Organization
	err = p.db.View(ctx, func(tx *database.Tx) error {
		list, total, err = tx.FindPublications(f)
		return err
	})
	return list, total, err
}

// Publication returns a publication, waiting up to the given time until it is
// final.
func (p *Plane) Publication(ctx context.Context, id string, wait time.Duration) (pub sluice.Publication, err error) {
	deadline := p.now().Add(wait)
	err = p.FollowPublication(ctx, id, func(now sluice.Publication) (bool, time.Duration) {
		pub = now
		left := deadline.Sub(p.now())
		return left > 0, left
	})
	return pub, err
}

// FollowPublication calls f with a publication as it is, and again when it may have
// moved on, until it is final, f returns false, or ctx ends. f says how long to
// wait for the next at most; zero: as long as it takes.
func (p *Plane) FollowPublication(ctx context.Context, id string, f func(sluice.Publication) (more bool, within time.Duration)) error {
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return err
	}
	const look = 100 * time.Millisecond // at what another control plane carries out
	for {
		news := p.status.next()
		var pub sluice.Publication
		err := p.db.View(ctx, func(tx *database.Tx) (err error) {
			pub, err = readablePublication(tx, actor, id)
			return err
		})
		if err != nil {
			return err
		}
		if r := p.runs.of(id); r != nil && !pub.Final() {
			pub = r.now()
		} else if !pub.Final() {
			p.observe(&pub, time.Time{})
		}
		more, within := f(pub)
		if pub.Final() || !more {
			return nil
		}
		if within <= 0 || within > look {
			within = look
		}
		timer := time.NewTimer(within)
		select {
		case <-news:
		case <-timer.C:
		case <-ctx.Done(): // the next View says so
		}
		timer.Stop()
	}
}

// readablePublication returns a publication that the actor may see.
func readablePublication(tx *database.Tx, actor sluice.Actor, id string) (sluice.Publication, error) {
	pub, err := tx.Publication(actor.Organization, id)
	if err != nil {
		return pub, err
	}
	if a, err := tx.API(actor.Organization, pub.APIID); err == nil && !mayAccess(&a, actor) { // it outlives its API
		return pub, sluice.Errorf(sluice.NotFound, "publication.unknown", "There is no such publication.")
	}
	return pub, nil
}
