package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// confirmWithin is how long connected gateways may take to prove a deployment.
const confirmWithin = 5 * time.Second

// Deploy makes the environments serve a revision: committed in one transaction
// and then confirmed. It returns when every gateway that was connected has
// proved it on its own listeners, has failed, or was silent for 5 seconds; the
// Publication says which. Environments without a connected gateway converge by
// themselves. An unknown environment or vhost leaves everything as it was.
func (p *Plane) Deploy(ctx context.Context, apiID, revisionID string, targets []DeployTarget) (sluice.Publication, error) {
	actor, err := allow(ctx, makers...)
	if err != nil {
		return sluice.Publication{}, err
	}
	if len(targets) == 0 {
		return sluice.Publication{}, sluice.Errorf(sluice.Invalid, "deployment.targets", "Name at least one environment.")
	}
	pub := p.newPublication(actor, apiID, "deploy")
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := changeable(tx, actor, apiID, 0)
		if err != nil {
			return err
		}
		if !a.State.Deployable() {
			return sluice.Errorf(sluice.Forbidden, "api.state_forbids", "An API that is %s cannot be deployed.", a.State)
		}
		r, err := tx.Revision(a.ID, revisionID)
		if err != nil {
			return err
		}
		pub.RevisionID, pub.RevisionNumber, pub.Targets = r.ID, r.Number, nil
		environments, err := resolve(tx, targets)
		if err != nil {
			return err
		}
		if err := permitted(actor, environments); err != nil {
			return err
		}
		for i := range environments {
			vhost, _ := environments[i].Vhost(targets[i].Vhost)
			t, err := p.deploy(tx, &a, &r, &environments[i], sluice.Deployment{Vhost: vhost.Host, Store: targets[i].Store, DeployedAt: p.now()})
			if err != nil {
				return err
			}
			pub.Targets = append(pub.Targets, t)
		}
		if err := p.takeOverDefault(ctx, tx, &a); err != nil {
			return err
		}
		return p.commit(ctx, tx, &pub, a.Name+" "+a.Version)
	})
	if err != nil {
		return sluice.Publication{}, err
	}
	return p.confirm(ctx, pub), nil
}

// resolve finds the environments by name; all that are unknown, or lack the
// vhost, are reported together.
func resolve(tx *database.Tx, targets []DeployTarget) ([]sluice.Environment, error) {
	var problems sluice.Problems
	var list []sluice.Environment
	for _, t := range targets {
		e, err := tx.EnvironmentByName(t.Environment)
		switch {
		case sluice.IsNotFound(err):
			problems.Add("name", "environment.unknown", "There is no gateway environment %q.", t.Environment)
			continue
		case err != nil:
			return nil, err
		}
		if _, ok := e.Vhost(t.Vhost); !ok {
			problems.Add("vhost", "environment.vhost", "The gateway environment %q has no vhost %q.", e.Name, t.Vhost)
		}
		if slices.ContainsFunc(list, func(o sluice.Environment) bool { return o.ID == e.ID }) {
			problems.Add("name", "environment.twice", "The gateway environment %q is named twice.", e.Name)
		}
		list = append(list, e)
	}
	return list, problems.Err()
}

// permitted refuses an actor whom the permissions of an environment exclude.
func permitted(actor sluice.Actor, environments []sluice.Environment) error {
	for _, e := range environments {
		if !e.Permissions.Allow(actor.Roles) {
			return sluice.Errorf(sluice.Forbidden, "environment.permission", "Your roles do not allow to deploy to the environment %q.", e.Name)
		}
	}
	return nil
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
	pub := p.newPublication(actor, apiID, "undeploy")
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := changeable(tx, actor, apiID, 0)
		if err != nil {
			return err
		}
		r, err := findRevision(tx, apiID, revisionID, revisionNumber)
		if err != nil {
			return err
		}
		pub.RevisionID, pub.RevisionNumber, pub.Targets = r.ID, r.Number, nil
		var wanted []DeployTarget
		for _, name := range environments {
			wanted = append(wanted, DeployTarget{Environment: name})
		}
		named, err := resolve(tx, wanted)
		if err != nil {
			return err
		}
		if all {
			if named, err = tx.Environments(); err != nil {
				return err
			}
		}
		for _, e := range named {
			d, err := deployment(tx, apiID, e.ID)
			if err != nil {
				return err
			}
			if d == nil || d.RevisionID != r.ID {
				continue // not deployed there: as asked
			}
			if err := undeploy(tx, *d); err != nil {
				return err
			}
			pub.Targets = append(pub.Targets, sluice.Target{EnvironmentID: e.ID, Environment: e.Name, Vhost: d.Vhost, Change: "remove", State: sluice.Pending})
		}
		return p.commit(ctx, tx, &pub, a.Name+" "+a.Version)
	})
	if err != nil {
		return sluice.Publication{}, err
	}
	return p.confirm(ctx, pub), nil
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

func (p *Plane) newPublication(actor sluice.Actor, apiID, action string) sluice.Publication {
	return sluice.Publication{
		ID: sluice.NewID(p.now()), Organization: actor.Organization, APIID: apiID, Action: action, Mode: "best-effort",
		State: sluice.Confirming, Actor: actor.Name, CreatedAt: p.now(),
	}
}

// commit writes the publication and its audit entry, with the gateways it
// speaks of: those that are connected now.
func (p *Plane) commit(ctx context.Context, tx *database.Tx, pub *sluice.Publication, name string) error {
	pub.CommittedAt = p.now()
	for i := range pub.Targets {
		t := &pub.Targets[i]
		e, err := tx.Environment(t.EnvironmentID)
		if err != nil {
			return err
		}
		t.Generation = e.Generation
		gateways, err := tx.Gateways(t.EnvironmentID)
		if err != nil {
			return err
		}
		for _, g := range gateways {
			tg := sluice.TargetGateway{GatewayID: g.ID, Name: g.Name, State: sluice.Pending, At: p.now()}
			switch {
			case t.State == sluice.Skipped:
				tg.State = sluice.Skipped
			case !p.status.connected(g.ID):
				tg.State, tg.Reason = sluice.Stale, "not connected when the publication started"
			}
			t.Gateways = append(t.Gateways, tg)
		}
	}
	if err := tx.AddPublication(pub); err != nil {
		return err
	}
	return audit(ctx, tx, "api."+pub.Action, "api", pub.APIID, name, nil, pub.Targets)
}

// confirm waits until the publication is final, as long as ctx lasts; what is
// committed goes on without it. It is no failure of the publication that its
// outcome cannot be stored; settle tries again.
func (p *Plane) confirm(ctx context.Context, pub sluice.Publication) sluice.Publication {
	for {
		news := p.status.next()
		if p.observe(&pub) {
			if err := p.finish(context.WithoutCancel(ctx), &pub); err != nil {
				p.log.Error("outcome of a publication was not stored", "publication", pub.ID, "err", err)
			}
			return pub
		}
		timer := time.NewTimer(pub.CommittedAt.Add(confirmWithin).Sub(p.now()))
		select {
		case <-news:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return pub // settle finishes it
		}
		timer.Stop()
	}
}

// observe brings the publication up to what gateways say, and reports whether
// nothing more is to be waited for.
func (p *Plane) observe(pub *sluice.Publication) bool {
	late := p.now().Sub(pub.CommittedAt) >= confirmWithin
	waiting, failed := false, []string{}
	for i := range pub.Targets {
		t := &pub.Targets[i]
		for j := range t.Gateways {
			g := &t.Gateways[j]
			if g.State == sluice.Stale || g.State == sluice.Skipped {
				continue
			}
			state, reason := p.reached(g.GatewayID, pub.APIID, t)
			if state != g.State {
				g.State, g.Reason, g.At = state, reason, p.now()
			}
			switch {
			case state == sluice.Live || state == sluice.Removed:
			case state == sluice.Failed:
				failed = append(failed, fmt.Sprintf("%s: %s", g.Name, reason))
			case late:
				g.Reason = "silent for 5 seconds"
				failed = append(failed, g.Name+": "+g.Reason)
			default:
				waiting = true
			}
		}
		t.State = targetState(t)
	}
	if waiting {
		return false
	}
	pub.State, pub.Reason = sluice.AllLive, ""
	if len(failed) > 0 {
		pub.State, pub.Reason = sluice.PartlyLive, strings.Join(failed, "; ")
	}
	pub.FinishedAt = p.now()
	return true
}

// reached says how far a gateway is with its part of a publication. What it said
// before it had heard of the change does not count.
func (p *Plane) reached(gatewayID, apiID string, t *sluice.Target) (sluice.DeploymentState, string) {
	r := p.status.report(gatewayID)
	if r.Generation < t.Generation {
		return sluice.Pending, ""
	}
	for _, d := range r.Deployments {
		switch {
		case d.APIID != apiID:
		case t.Digest != "" && d.Digest == t.Digest:
			return d.State, d.Reason
		default:
			return sluice.Pending, ""
		}
	}
	if t.Digest == "" {
		return sluice.Removed, ""
	}
	return sluice.Pending, ""
}

// targetState sums up the gateways of a target: the least state of those that
// are waited for.
func targetState(t *sluice.Target) sluice.DeploymentState {
	if t.State == sluice.Skipped {
		return sluice.Skipped
	}
	order := []sluice.DeploymentState{sluice.Failed, sluice.Pending, sluice.Prepared, sluice.Active, sluice.Live, sluice.Removed}
	least := len(order)
	for _, g := range t.Gateways {
		if i := slices.Index(order, g.State); i >= 0 && i < least {
			least = i
		}
	}
	if least == len(order) {
		return sluice.Pending
	}
	return order[least]
}

// finish stores the outcome, and when a deployment was live on all gateways.
func (p *Plane) finish(ctx context.Context, pub *sluice.Publication) error {
	p.log.Info("publication finished", "publication", pub.ID, "api_id", pub.APIID, "action", pub.Action,
		"state", pub.State, "reason", pub.Reason, "took", pub.FinishedAt.Sub(pub.CreatedAt))
	return p.db.Update(ctx, func(tx *database.Tx) error { return storeOutcome(tx, pub) })
}

func storeOutcome(tx *database.Tx, pub *sluice.Publication) error {
	for _, t := range pub.Targets {
		d, err := deployment(tx, pub.APIID, t.EnvironmentID)
		if err != nil {
			return err
		}
		if t.State != sluice.Live || d == nil || d.Digest != t.Digest || !d.LiveAt.IsZero() {
			continue
		}
		d.LiveAt = pub.FinishedAt
		if err := tx.PutDeployment(d); err != nil {
			return err
		}
	}
	return tx.PutPublication(pub)
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
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return pub, err
	}
	deadline := p.now().Add(wait)
	for {
		news := p.status.next()
		err = p.db.View(ctx, func(tx *database.Tx) (err error) {
			if pub, err = tx.Publication(actor.Organization, id); err != nil {
				return err
			}
			if a, err := tx.API(actor.Organization, pub.APIID); err == nil && !mayAccess(&a, actor) { // it outlives its API
				return sluice.Errorf(sluice.NotFound, "publication.unknown", "There is no such publication.")
			}
			return nil
		})
		if err != nil || pub.Final() || !p.now().Before(deadline) {
			if err == nil && !pub.Final() {
				p.observe(&pub)
			}
			return pub, err
		}
		timer := time.NewTimer(min(100*time.Millisecond, deadline.Sub(p.now())))
		select {
		case <-news:
		case <-timer.C:
		case <-ctx.Done(): // the next View says so
		}
		timer.Stop()
	}
}

// settle finishes publications that nobody waits for any more: those of callers
// who left, and of a control plane that ended before it was sure. At the start it
// gives gateways the time to connect again and say how they are.
func (p *Plane) settle(ctx context.Context) error {
	tick := time.NewTicker(confirmWithin)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := p.storeRevocations(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("what gateways refuse was not stored", "err", err)
		}
		if !p.db.Leads() {
			continue // another control plane does it
		}
		var open []sluice.Publication
		err := p.db.View(ctx, func(tx *database.Tx) (err error) {
			open, err = tx.UnfinishedPublications()
			return err
		})
		for _, pub := range open {
			if p.now().Sub(pub.CommittedAt) > 2*confirmWithin && p.observe(&pub) {
				err = errors.Join(err, p.finish(ctx, &pub))
			}
		}
		if err != nil && ctx.Err() == nil {
			p.log.Error("publications were not finished", "err", err)
		}
	}
}
