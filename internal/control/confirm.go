package control

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// confirmWithin is how long connected gateways may take to prove a publication.
const confirmWithin = 5 * time.Second

// confirm waits until the gateways have proved a publication that was committed, or
// one has failed, and ends it. Where that is to be taken back it takes it back and
// waits for that.
func (p *Plane) confirm(ctx context.Context, r *run) {
	failed, ok := p.await(ctx, r, r.now().CommittedAt)
	if !ok {
		return
	}
	pub := r.now()
	switch {
	case len(failed) == 0:
		p.conclude(ctx, r, sluice.AllLive, "")
	case pub.Mode != sluice.AllOrNothing:
		p.conclude(ctx, r, sluice.PartlyLive, strings.Join(failed, "; "))
	default:
		if err := p.takeBack(ctx, r, strings.Join(failed, "; ")); err != nil {
			p.log.Error("publication was not taken back; trying again", "publication", pub.ID, "err", err)
			return // settle does
		}
		p.confirmReturn(ctx, r, p.now())
	}
}

// confirmReturn waits until the gateways serve again what they served before, and
// ends the publication.
func (p *Plane) confirmReturn(ctx context.Context, r *run, since time.Time) {
	failed, ok := p.await(ctx, r, since)
	if !ok {
		return
	}
	reason := r.now().Reason
	if len(failed) > 0 {
		reason += "; what was served before is not confirmed by " + strings.Join(failed, "; ")
	}
	p.conclude(ctx, r, sluice.Reverted, reason)
}

// await waits until nothing more is to be waited for, at most as long as gateways
// have since a moment. It returns who failed, and false where ctx ended first.
func (p *Plane) await(ctx context.Context, r *run, since time.Time) (failed []string, ok bool) {
	for {
		news := p.status.next()
		waiting := false
		r.mu.Lock()
		waiting, failed = p.observe(&r.pub, since.Add(confirmWithin))
		all := r.pub.Mode == sluice.AllOrNothing && r.pub.State == sluice.Confirming
		r.mu.Unlock()
		if !waiting || all && len(failed) > 0 { // one is enough to go back
			return failed, true
		}
		timer := time.NewTimer(since.Add(confirmWithin).Sub(p.now()))
		select {
		case <-news:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, false
		}
		timer.Stop()
	}
}

// observe brings a publication up to what gateways say. It reports whether there is
// something to wait for, and which gateways have failed: also those that are silent
// at the deadline. A zero deadline never comes.
func (p *Plane) observe(pub *sluice.Publication, deadline time.Time) (waiting bool, failed []string) {
	if pub.State == sluice.Preparing {
		return true, nil
	}
	late := !deadline.IsZero() && !p.now().Before(deadline)
	for i := range pub.Targets {
		t := &pub.Targets[i]
		for j := range t.Gateways {
			g := &t.Gateways[j]
			if g.State == sluice.Stale || g.State == sluice.Skipped {
				continue
			}
			state, digest, reason := p.reached(pub, t, g.GatewayID)
			if state != g.State || digest != g.Digest || reason != g.Reason {
				g.State, g.Digest, g.Reason, g.At = state, digest, reason, p.now()
			}
			switch {
			case state == sluice.Live || state == sluice.Removed:
			case state == sluice.Failed:
				failed = append(failed, fmt.Sprintf("%s: %s", g.Name, reason))
			case late:
				if g.Reason == "" {
					g.Reason = "silent for 5 seconds"
				}
				failed = append(failed, g.Name+": "+g.Reason)
			default:
				waiting = true
			}
		}
		t.State = targetState(t)
	}
	return waiting, failed
}

// reached says how far a gateway is with its part of a publication, or of taking it
// back. What it said before it had heard of the change does not count.
func (p *Plane) reached(pub *sluice.Publication, t *sluice.Target, gatewayID string) (state sluice.DeploymentState, digest, reason string) {
	want, apiID := t.Digest, t.APIID
	if apiID == "" {
		apiID = pub.APIID
	}
	if pub.State == sluice.Reverting {
		want = ""
		if t.Before != nil {
			want = t.Before.Digest
		}
	}
	r := p.status.report(gatewayID)
	if r.Generation < t.Generation {
		return sluice.Pending, "", ""
	}
	for _, d := range r.Deployments {
		switch {
		case d.APIID != apiID:
		case want != "" && d.Digest == want:
			return d.State, d.Digest, d.Reason
		default:
			return sluice.Pending, d.Digest, ""
		}
	}
	if want == "" {
		return sluice.Removed, "", ""
	}
	return sluice.Pending, "", ""
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

// conclude ends a publication: its outcome is stored before anybody sees it. It is
// no failure of the publication that it cannot be stored; settle tries again.
func (p *Plane) conclude(ctx context.Context, r *run, state sluice.PublicationState, reason string) {
	pub := r.now()
	pub.State, pub.Reason, pub.FinishedAt = state, reason, p.now()
	err := p.db.Update(context.WithoutCancel(ctx), func(tx *database.Tx) error {
		stored, err := tx.Publication(pub.Organization, pub.ID)
		if err != nil {
			return err
		}
		if stored.Final() { // it was cancelled
			pub = stored
			return nil
		}
		return storeOutcome(tx, &pub)
	})
	if err != nil {
		p.log.Error("outcome of a publication was not stored", "publication", pub.ID, "err", err)
	}
	p.log.Info("publication finished", "publication", pub.ID, "api_id", pub.APIID, "action", pub.Action,
		"state", pub.State, "reason", pub.Reason, "took", pub.FinishedAt.Sub(pub.CreatedAt))
	p.change(r, func(now *sluice.Publication) { *now = pub })
}

func storeOutcome(tx *database.Tx, pub *sluice.Publication) error {
	for _, t := range pub.Targets {
		if t.State != sluice.Live {
			continue
		}
		d, err := deployment(tx, t.APIID, t.EnvironmentID)
		if err != nil {
			return err
		}
		if d == nil || d.Digest != t.Digest || !d.LiveAt.IsZero() {
			continue
		}
		d.LiveAt = pub.FinishedAt
		if err := tx.PutDeployment(d); err != nil {
			return err
		}
	}
	return tx.PutPublication(pub)
}

// takeBack commits again what was before a publication, where it is still as the
// publication left it.
func (p *Plane) takeBack(ctx context.Context, r *run, reason string) error {
	next := clonePublication(r.now())
	err := p.db.Update(ctx, func(tx *database.Tx) error {
		stored, err := tx.Publication(next.Organization, next.ID)
		if err != nil {
			return err
		}
		if stored.State != sluice.Confirming {
			return fmt.Errorf("it is %s by now", stored.State)
		}
		next.State, next.Reason = sluice.Reverting, reason
		if err := p.undo(ctx, tx, &next); err != nil {
			return err
		}
		if err := tx.PutPublication(&next); err != nil {
			return err
		}
		return audit(ctx, tx, "publication.revert", "publication", next.ID, reason, nil, nil)
	})
	if err != nil {
		return err
	}
	p.change(r, func(pub *sluice.Publication) { *pub = next })
	return nil
}

// undo puts back the states, marks and deployments from before a publication.
func (p *Plane) undo(ctx context.Context, tx *database.Tx, pub *sluice.Publication) error {
	apis := map[string]*sluice.API{}
	for _, t := range pub.Targets {
		if apis[t.APIID] != nil {
			continue
		}
		a, err := tx.API(pub.Organization, t.APIID)
		if err != nil {
			return err
		}
		apis[a.ID] = &a
		if err := p.undoAPI(ctx, tx, pub, &a); err != nil {
			return err
		}
	}
	for i := range pub.Targets {
		t := &pub.Targets[i]
		if err := p.undoTarget(tx, apis[t.APIID], t); err != nil {
			return fmt.Errorf("go back on %s: %w", t.Environment, err)
		}
	}
	for i := range pub.Targets { // once all is written
		t := &pub.Targets[i]
		e, err := tx.Environment(t.EnvironmentID)
		if err != nil {
			return err
		}
		t.Generation, t.Gateways = e.Generation, waitingAgain(t.Gateways)
		t.State = targetState(t)
	}
	return nil
}

// undoAPI puts back the state of the API that was published, and the mark of one
// that was the default version.
func (p *Plane) undoAPI(ctx context.Context, tx *database.Tx, pub *sluice.Publication, a *sluice.API) error {
	changed := false
	if a.ID == pub.APIID && pub.Undo.From != "" && a.State == pub.Undo.To {
		a.State, changed = pub.Undo.From, true
		if err := tx.AddLifecycleChange(&sluice.LifecycleChange{APIID: a.ID, From: pub.Undo.To, To: pub.Undo.From, Actor: pub.Actor, At: p.now()}); err != nil {
			return err
		}
	}
	if slices.Contains(pub.Undo.Defaults, a.ID) && !a.Default {
		a.Default, changed = true, true
	}
	if !changed {
		return nil
	}
	a.UpdatedAt = p.now()
	if err := tx.PutAPI(a); err != nil {
		return err
	}
	return audit(ctx, tx, "publication.revert", "api", a.ID, a.Name+" "+a.Version, nil, a.State)
}

// undoTarget deploys again what was deployed before, unless somebody has changed it
// since.
func (p *Plane) undoTarget(tx *database.Tx, a *sluice.API, t *sluice.Target) error {
	d, err := deployment(tx, t.APIID, t.EnvironmentID)
	if err != nil {
		return err
	}
	left := d == nil && t.RevisionID == "" || d != nil && d.RevisionID == t.RevisionID
	if !left {
		return nil
	}
	if t.State == sluice.Skipped { // its gateways serve again what they served
		t.State = sluice.Pending
		for i := range t.Gateways {
			t.Gateways[i].State = sluice.Pending
		}
	}
	if t.Before == nil {
		if d != nil {
			return undeploy(tx, *d)
		}
		return nil
	}
	e, err := tx.Environment(t.EnvironmentID)
	if err != nil {
		return err
	}
	r, err := tx.Revision(t.APIID, t.Before.RevisionID)
	if err != nil {
		return err
	}
	if err := p.deploy(tx, a, &r, &e, *t.Before); err != nil {
		return err
	}
	if d, err = deployment(tx, t.APIID, t.EnvironmentID); err != nil {
		return err
	}
	t.Before = d
	return nil
}

// Times after which settle takes up a publication that nobody seems to carry out.
const (
	leftPreparing  = 30 * time.Second
	leftConfirming = 2 * confirmWithin
	leftReverting  = 3 * confirmWithin
)

// settle ends publications that nobody carries out any more: those of a control
// plane that ended. At the start it gives gateways the time to connect again and
// say how they are.
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
		if err := p.settlePublications(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("publications were not finished", "err", err)
		}
	}
}

func (p *Plane) settlePublications(ctx context.Context) error {
	var open []sluice.Publication
	err := p.db.View(ctx, func(tx *database.Tx) (err error) {
		open, err = tx.UnfinishedPublications()
		return err
	})
	for _, pub := range open {
		if p.runs.of(pub.ID) != nil {
			continue
		}
		r := newRun(pub)
		since := p.now().Sub(pub.CommittedAt)
		switch {
		case pub.State == sluice.Preparing && p.now().Sub(pub.CreatedAt) > leftPreparing:
			p.conclude(ctx, r, sluice.Refused, endedBefore)
		case pub.State == sluice.Confirming && since > leftConfirming:
			p.confirm(sluice.WithActor(ctx, sluice.Actor{Name: pub.Actor, Organization: pub.Organization, Client: "control plane"}), r)
		case pub.State == sluice.Reverting && since > leftReverting:
			p.confirmReturn(ctx, r, pub.CommittedAt)
		}
	}
	return err
}
