package control

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/distribution"
	"github.com/sluice-api/sluice/internal/openapi"
)

// Plan is what a publication would do now. Nothing has changed yet.
type Plan struct {
	Digest        string          // names it; [PublicationRequest.PlanDigest]
	Blocking      []*sluice.Error // why it cannot be carried out; then nothing else is filled
	Publication   sluice.Publication
	Targets       []PlanTarget // those of Publication, in its order
	Applications  int          // that subscribe to what is touched
	Subscriptions int
	Definition    openapi.Comparison // what changes for callers where a revision replaces another; equal changes once

	compared []compared
}

// compared are two definitions of an API of which one replaces the other.
type compared struct{ apiID, before, after string }

// PlanTarget is one target of a Plan.
type PlanTarget struct {
	sluice.Target
	Type      sluice.EnvironmentType
	Connected int      // gateways that are waited for
	Stale     int      // gateways that take it when they come back
	URLs      []URL    // at which the API is served then
	Warnings  []string // sentences
}

// PlanPublication returns what a request would do now. It changes nothing and asks
// no gateway.
func (p *Plane) PlanPublication(ctx context.Context, q PublicationRequest) (Plan, error) {
	actor, err := q.actor(ctx)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Publication: p.newPublication(actor, &q)}
	_, err = p.rehearse(ctx, actor, &q, &plan.Publication, func(tx *database.Tx) error { return p.fillPlan(tx, &plan) })
	if b, blocked := errors.AsType[blockedError](err); blocked {
		e, ok := errors.AsType[*sluice.Error](b)
		if !ok {
			return Plan{}, err
		}
		list := e.Problems
		if len(list) == 0 {
			list = []*sluice.Error{e}
		}
		return Plan{Publication: plan.Publication, Blocking: list}, nil
	}
	if err != nil {
		return plan, err
	}
	plan.Digest = plan.Publication.PlanDigest
	return plan, plan.compare()
}

// compare fills Definition. It needs no transaction, since it may take a while.
func (plan *Plan) compare() error {
	told := map[openapi.Breaking]bool{}
	for _, c := range plan.compared {
		d, err := openapi.Compare([]byte(c.before), []byte(c.after))
		if err != nil {
			return fmt.Errorf("compare the definitions of %s: %w", c.apiID, err)
		}
		for _, b := range d.Breaking {
			if !told[b] {
				told[b] = true
				plan.Definition.Breaking = append(plan.Definition.Breaking, b)
			}
		}
		plan.Definition.Other += d.Other
	}
	return nil
}

// addCompared notes the definitions of a target at which a revision replaces
// another.
func addCompared(tx *database.Tx, plan *Plan, t *sluice.Target) error {
	if t.Change != "replace" || t.Before.RevisionID == t.RevisionID {
		return nil
	}
	before, err := tx.Revision(t.APIID, t.Before.RevisionID)
	if sluice.KindOf(err) == sluice.NotFound {
		return nil // deleted since: only its artifact is served
	}
	if err != nil {
		return err
	}
	after, err := tx.Revision(t.APIID, t.RevisionID)
	if err != nil {
		return err
	}
	c := compared{t.APIID, string(before.API.Definition), string(after.API.Definition)}
	if c.before != "" && c.after != "" && c.before != c.after && !slices.Contains(plan.compared, c) {
		plan.compared = append(plan.compared, c)
	}
	return nil
}

// fillPlan adds what people want to know beside the targets, from the transaction
// in which the publication was drafted.
func (p *Plane) fillPlan(tx *database.Tx, plan *Plan) error {
	counted := map[string]bool{}
	for _, t := range plan.Publication.Targets {
		e, err := tx.Environment(t.EnvironmentID)
		if err != nil {
			return err
		}
		a, err := tx.API(plan.Publication.Organization, t.APIID)
		if err != nil {
			return err
		}
		out := PlanTarget{Target: t, Type: e.Type}
		for _, g := range t.Gateways {
			if p.status.connected(g.GatewayID) {
				out.Connected++
			} else {
				out.Stale++
			}
		}
		out.Warnings = warnings(&out)
		d, err := deployment(tx, t.APIID, t.EnvironmentID)
		if err != nil {
			return err
		}
		s := EnvironmentStatus{Environment: e, Deployment: d}
		if err := addURLs(tx, &a, &s); err != nil {
			return err
		}
		out.URLs = s.URLs
		if err := addCompared(tx, plan, &t); err != nil {
			return err
		}
		plan.Targets = append(plan.Targets, out)
		if !counted[a.ID] {
			counted[a.ID] = true
			subscriptions, _, err := concerned(tx, &a)
			if err != nil {
				return err
			}
			plan.Subscriptions += subscriptions
		}
	}
	plan.Applications = plan.Subscriptions // an application subscribes to an API once
	return nil
}

// warnings says what somebody should know of a target before it is published.
func warnings(t *PlanTarget) (list []string) {
	switch {
	case t.State == sluice.Skipped:
		list = append(list, fmt.Sprintf("Nothing is deployed there: %s.", t.Reason))
	case len(t.Gateways) == 0:
		list = append(list, "No gateway has joined this environment yet; the first one that does takes it.")
	case t.Connected == 0:
		list = append(list, "No gateway of this environment is connected; each takes it when it comes back.")
	case t.Stale > 0:
		list = append(list, fmt.Sprintf("%d of %d gateways are not connected; they take it when they come back.", t.Stale, len(t.Gateways)))
	}
	return list
}

// planDigest names what a publication does. Which gateways are connected, and the
// id of a revision that is still to be made, are no part of it.
func planDigest(pub *sluice.Publication) string {
	type change struct {
		APIID, EnvironmentID, Vhost, Change string
		Store                               bool
		Revision                            int
		Digest, Before                      string
	}
	var list []change
	for _, t := range pub.Targets {
		c := change{t.APIID, t.EnvironmentID, t.Vhost, t.Change, t.Store, t.RevisionNumber, t.Digest, ""}
		if t.Before != nil {
			c.Before = t.Before.Digest
		}
		list = append(list, c)
	}
	return digest([]any{pub.Action, pub.APIID, pub.Undo, list})
}

// errRehearsed takes back a transaction that was only to be tried.
var errRehearsed = errors.New("rehearsed")

// rehearse drafts a publication without making it, and hands the transaction it
// was drafted in to see. It returns what gateways would be sent, by environment.
func (p *Plane) rehearse(ctx context.Context, actor sluice.Actor, q *PublicationRequest, pub *sluice.Publication, see func(tx *database.Tx) error) (map[string]distribution.Change, error) {
	changes := map[string]distribution.Change{}
	err := p.db.Update(ctx, func(tx *database.Tx) error {
		last, err := tx.LastEvent()
		if err != nil {
			return err
		}
		if err := p.draft(ctx, tx, actor, q, pub); err != nil {
			return err
		}
		events, err := tx.Events(last, 0)
		if err != nil {
			return err
		}
		epochs := map[string]int64{}
		for _, e := range events {
			c, err := change(tx, e, epochs)
			if err != nil {
				return err
			}
			changes[e.EnvironmentID] = merge(changes[e.EnvironmentID], c)
		}
		if see != nil {
			if err := see(tx); err != nil {
				return err
			}
		}
		return errRehearsed
	})
	if !errors.Is(err, errRehearsed) {
		return nil, err
	}
	return changes, nil
}

// merge adds a change to those of its environment that came before it.
func merge(to, c distribution.Change) distribution.Change {
	for _, it := range c.Put {
		to.Put = slices.DeleteFunc(to.Put, func(o distribution.Item) bool { return o.ID == it.ID })
		to.Remove = slices.DeleteFunc(to.Remove, func(id string) bool { return id == it.ID })
	}
	for _, id := range c.Remove {
		to.Put = slices.DeleteFunc(to.Put, func(o distribution.Item) bool { return o.ID == id })
		to.Remove = slices.DeleteFunc(to.Remove, func(o string) bool { return o == id })
	}
	to.EnvironmentID = c.EnvironmentID
	to.Put, to.Remove = append(to.Put, c.Put...), append(to.Remove, c.Remove...)
	return to
}
