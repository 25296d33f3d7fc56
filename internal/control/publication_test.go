package control

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/distribution"
)

// serves makes a gateway report that it has heard everything and is in a state
// with all that its environment shall serve.
func (w *world) serves(gatewayID, environment string, state sluice.DeploymentState, reason string) {
	w.t.Helper()
	e := w.environment(environment)
	var list []sluice.DeploymentReport
	w.view(func(tx *database.Tx) error {
		deployments, err := tx.EnvironmentDeployments(e.ID)
		for _, d := range deployments {
			if d.Digest != "" {
				list = append(list, sluice.DeploymentReport{APIID: d.APIID, Digest: d.Digest, State: state, Reason: reason, Since: w.o.Now(), Revision: d.RevisionNumber})
			}
		}
		return err
	})
	w.says(gatewayID, e.Generation, list...)
}

// story is what gateways g1 and g2 of the production environment say, so many
// seconds after a deployment to production and sandbox has begun.
type story map[float64]func(w *world, g1, g2 string)

func live(w *world, id string)   { w.serves(id, production, sluice.Live, "") }
func active(w *world, id string) { w.serves(id, production, sluice.Active, "") }

func TestPublicationIsConfirmedByGateways(t *testing.T) {
	for name, c := range map[string]struct {
		story   story
		state   sluice.PublicationState
		reason  string
		gateway [2]sluice.DeploymentState
		target  sluice.DeploymentState
		took    time.Duration
	}{
		"both live": {
			story{0.5: func(w *world, g1, g2 string) { active(w, g1); active(w, g2) }, 1: func(w *world, g1, _ string) { live(w, g1) }, 2: func(w *world, _, g2 string) { live(w, g2) }},
			sluice.AllLive, "",
			[2]sluice.DeploymentState{sluice.Live, sluice.Live},
			sluice.Live, 2 * time.Second,
		},
		"one fails": {
			story{1: func(w *world, g1, g2 string) { live(w, g1); w.serves(g2, production, sluice.Failed, "no build") }},
			sluice.PartlyLive, "g2: no build",
			[2]sluice.DeploymentState{sluice.Live, sluice.Failed},
			sluice.Failed, time.Second,
		},
		"one is silent": {
			story{1: func(w *world, g1, _ string) { live(w, g1) }},
			sluice.PartlyLive, "g2: silent for 5 seconds",
			[2]sluice.DeploymentState{sluice.Live, sluice.Pending},
			sluice.Pending, confirmWithin,
		},
		"one never proves it": {
			story{1: func(w *world, g1, g2 string) { live(w, g1); active(w, g2) }},
			sluice.PartlyLive, "g2: silent for 5 seconds",
			[2]sluice.DeploymentState{sluice.Live, sluice.Active},
			sluice.Active, confirmWithin,
		},
		"one goes meanwhile": {
			story{1: func(w *world, g1, g2 string) { live(w, g1); w.says(g2, -1) }},
			sluice.PartlyLive, "g2: silent for 5 seconds",
			[2]sluice.DeploymentState{sluice.Live, sluice.Pending},
			sluice.Pending, confirmWithin,
		},
		"one had said live of what it has not heard of": {
			story{1: func(w *world, g1, g2 string) {
				live(w, g1)
				d := w.plane.status.report(g1).Deployments
				w.says(g2, w.environment(production).Generation-1, d...)
			}},
			sluice.PartlyLive, "g2: silent for 5 seconds",
			[2]sluice.DeploymentState{sluice.Live, sluice.Pending},
			sluice.Pending, confirmWithin,
		},
		"one serves something else": {
			story{1: func(w *world, g1, g2 string) {
				live(w, g1)
				d := w.plane.status.report(g1).Deployments[0]
				d.Digest = "other"
				w.says(g2, w.environment(production).Generation, d)
			}},
			sluice.PartlyLive, "g2: silent for 5 seconds",
			[2]sluice.DeploymentState{sluice.Live, sluice.Pending},
			sluice.Pending, confirmWithin,
		},
		"one is served before it is proved": {
			story{1: func(w *world, _, g2 string) { active(w, g2) }, 2: func(w *world, g1, g2 string) { live(w, g1); live(w, g2) }},
			sluice.AllLive, "",
			[2]sluice.DeploymentState{sluice.Live, sluice.Live},
			sluice.Live, 2 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorldAt(t)
				g1, g2, gone := w.gateway(production, "g1"), w.gateway(production, "g2"), w.gateway(production, "gone")
				w.says(g1, 0)
				w.says(g2, 0)
				a := w.api("Weather", "production")
				r := w.revision(a.ID)
				for at, f := range c.story {
					time.AfterFunc(time.Duration(at*float64(time.Second)), func() { f(w, g1, g2) })
				}
				start := time.Now()
				p := w.publish(PublicationRequest{Action: sluice.Deploy, Mode: sluice.BestEffort, APIID: a.ID, RevisionID: r.ID, Targets: targets(production, sandbox)})
				if p.State != c.state || p.Reason != c.reason || !p.Final() {
					t.Errorf("publication is %s (%q), want %s (%q)", p.State, p.Reason, c.state, c.reason)
				}
				if took := time.Since(start); took != c.took || !p.FinishedAt.Equal(start.Add(c.took)) {
					t.Errorf("it took %s, finished at %s, want %s", took, p.FinishedAt, c.took)
				}
				if len(p.Targets) != 2 || p.Targets[0].State != c.target || p.Targets[1].State != sluice.Skipped || p.Targets[1].Reason != "no sandbox endpoint" {
					t.Fatalf("targets = %+v", p.Targets)
				}
				for i, id := range []string{g1, g2, gone} {
					want := sluice.Stale
					if i < 2 {
						want = c.gateway[i]
					}
					if got := p.Targets[0].Gateways[i]; got.GatewayID != id || got.State != want {
						t.Errorf("gateway %s: %+v, want %s", got.Name, got, want)
					}
				}
				stored, err := w.plane.Publication(w.admin(), p.ID, 0)
				if err != nil || stored.State != c.state || stored.Reason != c.reason || len(stored.Targets) != 2 {
					t.Errorf("stored: %+v, %v", stored, err)
				}
				d := w.deployments(a.ID)
				if d[production].LiveAt.IsZero() == (c.state == sluice.AllLive) || !d[sandbox].LiveAt.IsZero() {
					t.Errorf("live at %s and %s", d[production].LiveAt, d[sandbox].LiveAt)
				}
			})
		})
	}
}

// In mode all it is all or nothing: a gateway that says no, is silent, or fails
// when it serves it leaves everything as it was, or takes everything back to that
// (CONTRACT 5-2, 5-5).
func TestPublicationIsAllOrNothing(t *testing.T) {
	for name, c := range map[string]struct {
		refuses string // what g2 answers when it is asked
		silent  bool   // g2 does not answer
		story   story  // once it is committed
		state   sluice.PublicationState
		reason  string
		took    time.Duration
	}{
		"both live": {
			story: story{1: func(w *world, g1, g2 string) { live(w, g1); live(w, g2) }},
			state: sluice.AllLive, took: time.Second,
		},
		"one cannot take it": {
			refuses: "no build", state: sluice.Refused, reason: "g2: no build",
		},
		"one is silent when asked": {
			silent: true, state: sluice.Refused, reason: "g2: silent for 3 seconds", took: prepareWithin,
		},
		"one fails when it serves it": {
			story: story{
				1: func(w *world, g1, g2 string) {
					live(w, g1)
					w.serves(g2, production, sluice.Failed, "the HTTPS listener did not answer")
				},
				2: func(w *world, g1, g2 string) { live(w, g1); live(w, g2) },
			},
			state: sluice.Reverted, reason: "g2: the HTTPS listener did not answer", took: 2 * time.Second,
		},
		"one falls silent": {
			story: story{
				1: func(w *world, g1, _ string) { live(w, g1) },
				7: func(w *world, g1, g2 string) { live(w, g1); live(w, g2) },
			},
			state: sluice.Reverted, reason: "g2: silent for 5 seconds", took: 7 * time.Second,
		},
		"one never comes back": {
			story: story{1: func(w *world, g1, _ string) { live(w, g1) }, 6: func(w *world, g1, _ string) { live(w, g1) }},
			state: sluice.Reverted, reason: "g2: silent for 5 seconds; what was served before is not confirmed by g2: silent for 5 seconds", took: 2 * confirmWithin,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorldAt(t)
				g1, g2 := w.gateway(production, "g1"), w.gateway(production, "g2")
				a := w.api("Weather", "production", "sandbox")
				first := w.revision(a.ID)
				w.deploy(a.ID, first.ID, production) // nobody is connected yet
				live(w, g1)
				live(w, g2)
				a.Description = "another"
				if _, err := w.plane.UpdateAPI(w.admin(), a.ID, 0, a); err != nil {
					t.Fatal(err)
				}
				before := w.deployments(a.ID)
				if c.refuses != "" {
					w.answers = map[string][]distribution.Refusal{g2: {{ItemID: "api/" + a.ID, Reason: c.refuses}}}
				}
				w.silent = map[string]bool{g2: c.silent}
				for at, f := range c.story {
					time.AfterFunc(time.Duration(at*float64(time.Second)), func() { f(w, g1, g2) })
				}
				start := time.Now()
				p := w.publish(PublicationRequest{
					Action: sluice.Deploy, APIID: a.ID, NewRevision: true, Exact: true, Lifecycle: "Publish", Targets: targets(production, both),
				})
				if p.State != c.state || p.Reason != c.reason || time.Since(start) != c.took {
					t.Errorf("publication is %s (%q) after %s, want %s (%q) after %s", p.State, p.Reason, time.Since(start), c.state, c.reason, c.took)
				}
				after := w.deployments(a.ID)
				now, _, err := w.plane.API(w.admin(), a.ID)
				if err != nil {
					t.Fatal(err)
				}
				if c.state == sluice.AllLive {
					if now.State != sluice.Published || after[production].RevisionNumber != 2 || after[both].RevisionNumber != 2 || after[production].LiveAt.IsZero() {
						t.Errorf("%s, deployed: %+v", now.State, after)
					}
					return
				}
				if now.State != sluice.Created {
					t.Errorf("the API is %s, want it as it was", now.State)
				}
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("deployments have changed (-before +after):\n%s", diff)
				}
			})
		})
	}
}

// A publication can be cancelled until it is committed.
func TestCancelPublication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldAt(t)
		g := w.gateway(production, "g")
		w.says(g, 0)
		w.silent = map[string]bool{g: true}
		a := w.api("Weather", "production")
		r := w.revision(a.ID)
		p, err := w.plane.Publish(w.admin(), PublicationRequest{Action: sluice.Deploy, APIID: a.ID, RevisionID: r.ID, Targets: targets(production)})
		if err != nil || p.State != sluice.Preparing {
			t.Fatalf("%+v, %v", p, err)
		}
		_, err = w.plane.Deploy(w.admin(), a.ID, r.ID, targets(production))
		wantCode(t, "a second publication", err, sluice.Conflict, "publication.running")
		_, err = w.plane.ChangeLifecycle(w.admin(), a.ID, "Publish", 0)
		wantCode(t, "a move meanwhile", err, sluice.Conflict, "publication.running")
		wantCode(t, "deleting the API meanwhile", w.plane.DeleteAPI(w.admin(), a.ID, 0), sluice.Conflict, "publication.running")
		wantCode(t, "deleting the revision meanwhile", w.plane.DeleteRevision(w.admin(), a.ID, r.ID), sluice.Conflict, "publication.running")
		if p, err = w.plane.CancelPublication(w.admin(), p.ID); err != nil || p.State != sluice.Cancelled {
			t.Fatalf("%+v, %v", p, err)
		}
		w.plane.acts.Wait()
		if got := w.final(p.ID); got.State != sluice.Cancelled || len(w.deployments(a.ID)) != 0 {
			t.Errorf("%+v, deployed %v", got, w.deployments(a.ID))
		}
		_, err = w.plane.CancelPublication(w.admin(), p.ID)
		wantCode(t, "cancelling it twice", err, sluice.Conflict, "publication.committed")
	})
}

// What is removed counts as removed when the gateway has heard of it and says
// nothing of the API any more.
func TestUndeployIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldAt(t)
		g := w.gateway(production, "g")
		a := w.api("Weather", "production")
		w.deploy(a.ID, w.revision(a.ID).ID, production)
		live(w, g)
		d := w.plane.status.report(g).Deployments
		time.AfterFunc(time.Second, func() { w.says(g, w.environment(production).Generation, d...) })
		time.AfterFunc(2*time.Second, func() { w.says(g, w.environment(production).Generation) })
		start := time.Now()
		p, err := w.plane.Undeploy(w.admin(), a.ID, "", 1, nil, true)
		if err != nil || p.State != sluice.AllLive || p.Targets[0].State != sluice.Removed || time.Since(start) != 2*time.Second {
			t.Errorf("publication = %+v, %v, after %s", p, err, time.Since(start))
		}
		status, err := w.plane.Status(w.admin(), a.ID)
		if err != nil || status[0].Deployment != nil || status[0].State != "" || status[0].Gateways[0].State != sluice.Removed {
			t.Errorf("status = %+v, %v", status[0], err)
		}
	})
}

// An environment without a connected gateway holds nobody up (CONTRACT 5-5).
func TestPublicationWithoutGatewaysIsOverAtOnce(t *testing.T) {
	w := newWorld(t)
	w.gateway(production, "away")
	a := w.api("Weather", "production", "sandbox")
	p := w.deploy(a.ID, w.revision(a.ID).ID, production, sandbox)
	if p.State != sluice.AllLive || p.Targets[0].State != sluice.Pending || p.Targets[1].State != sluice.Pending {
		t.Errorf("publication = %+v", p)
	}
	if g := p.Targets[0].Gateways; len(g) != 1 || g[0].State != sluice.Stale || g[0].Reason == "" {
		t.Errorf("gateways = %+v", g)
	}
	if d := w.deployments(a.ID)[production]; !d.LiveAt.IsZero() {
		t.Errorf("deployment nobody serves is live at %s", d.LiveAt)
	}
}

// What a block compiles anew is the same deployment, as old and as live as it was.
func TestBlockedDeploymentKeepsItsTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldAt(t)
		g := w.gateway(production, "g")
		w.says(g, 0)
		a := w.published("Weather")
		r := w.revision(a.ID)
		time.AfterFunc(time.Second, func() { live(w, g) })
		w.deploy(a.ID, r.ID, production)
		before := w.deployments(a.ID)[production]
		w.move(a.ID, "Block")
		after := w.deployments(a.ID)[production]
		if after.Digest == before.Digest || !after.LiveAt.Equal(before.LiveAt) || !after.DeployedAt.Equal(before.DeployedAt) || before.LiveAt.IsZero() {
			t.Errorf("before %+v, after %+v", before, after)
		}
	})
}

// A caller may leave: the publication is committed and finished all the same.
func TestPublicationOutlivesItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldAt(t)
		g := w.gateway(production, "g")
		w.says(g, 0)
		a := w.api("Weather", "production")
		r := w.revision(a.ID)
		ctx, leave := context.WithCancel(w.admin())
		time.AfterFunc(time.Second, leave)
		p, err := w.plane.Deploy(ctx, a.ID, r.ID, targets(production))
		if err != nil || p.Final() {
			t.Fatalf("publication = %+v, %v, want it unfinished", p, err)
		}
		time.AfterFunc(time.Second, func() { active(w, g) })
		start := time.Now()
		got, err := w.plane.Publication(w.admin(), p.ID, 2*time.Second)
		if err != nil || got.Final() || got.Targets[0].Gateways[0].State != sluice.Active || time.Since(start) != 2*time.Second {
			t.Errorf("after 2 s: %+v, %v, %s", got, err, time.Since(start))
		}
		time.AfterFunc(time.Second, func() { live(w, g) })
		got, err = w.plane.Publication(w.admin(), p.ID, 30*time.Second)
		if err != nil || got.State != sluice.AllLive || time.Since(start) != 3*time.Second {
			t.Errorf("at last: %+v, %v, %s", got, err, time.Since(start))
		}
		if w.deployments(a.ID)[production].LiveAt.IsZero() {
			t.Error("the deployment is not live")
		}
	})
}

// A control plane that ended in the middle does not call gateways silent before
// they had time to connect again.
func TestUnfinishedPublicationIsSettledAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldAt(t)
		g := w.gateway(production, "g")
		w.says(g, 0)
		a := w.api("Weather", "production")
		r := w.revision(a.ID)
		ctx, end := context.WithCancel(w.admin())
		time.AfterFunc(time.Second, end)
		p, err := w.plane.Deploy(ctx, a.ID, r.ID, targets(production))
		if err != nil || p.State != sluice.Confirming {
			t.Fatalf("publication = %+v, %v", p, err)
		}
		w.restart()
		<-time.After(time.Minute)
		running, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = w.plane.settle(running) })
		time.AfterFunc(confirmWithin/2, func() { live(w, g) })
		got, err := w.plane.Publication(w.admin(), p.ID, 30*time.Second)
		if err != nil || got.State != sluice.AllLive {
			t.Errorf("publication = %+v, %v", got, err)
		}
		stop()
		wg.Wait()
	})
}

// A rollback brings back what the last publication of an API replaced, or what all
// publications since a time did; refused ones do not count, and a second rollback
// undoes the first (CONTRACT 5-11).
func TestRollback(t *testing.T) {
	w := newWorld(t)
	a, b := w.api("Weather", "production", "sandbox"), w.api("Traffic", "production")
	first, second := w.revision(a.ID), w.revision(a.ID)
	other := w.revision(b.ID)
	deploy := func(apiID, revisionID string, environments ...string) {
		t.Helper()
		w.clock.advance(time.Minute)
		w.deploy(apiID, revisionID, environments...)
	}
	rollback := func(q PublicationRequest) sluice.Publication {
		t.Helper()
		w.clock.advance(time.Minute)
		q.Action = sluice.Rollback
		return w.publish(q)
	}
	serves := func(what, apiID string, want map[string]int) {
		t.Helper()
		got := map[string]int{}
		for name, d := range w.deployments(apiID) {
			got[name] = d.RevisionNumber
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	_, err := w.plane.Publish(w.admin(), PublicationRequest{Action: sluice.Rollback, APIID: a.ID})
	wantCode(t, "before anything was published", err, sluice.Conflict, "publication.nothing")

	deploy(a.ID, first.ID, production)
	start := w.clock.now().Add(time.Second)
	deploy(a.ID, second.ID, production, sandbox)
	deploy(b.ID, other.ID, production)
	p := rollback(PublicationRequest{APIID: a.ID})
	if p.State != sluice.AllLive || p.Reverts == "" {
		t.Errorf("rollback = %+v", p)
	}
	serves("after the rollback", a.ID, map[string]int{production: 1})
	rollback(PublicationRequest{APIID: a.ID})
	serves("after a rollback of the rollback", a.ID, map[string]int{production: 2, sandbox: 2})
	rollback(PublicationRequest{APIID: a.ID, Targets: targets(sandbox)})
	serves("after a rollback of one environment", a.ID, map[string]int{production: 2})

	p = rollback(PublicationRequest{Since: start})
	if p.State != sluice.AllLive || p.APIID != "" || len(p.Targets) != 2 {
		t.Errorf("rollback of everything since = %+v", p)
	}
	serves("after a rollback of everything since", a.ID, map[string]int{production: 1})
	serves("after a rollback of everything since", b.ID, map[string]int{})

	deploy(a.ID, second.ID, production)
	if err := w.plane.DeleteRevision(w.admin(), a.ID, first.ID); err != nil {
		t.Fatal(err)
	}
	_, err = w.plane.Publish(w.admin(), PublicationRequest{Action: sluice.Rollback, APIID: a.ID})
	wantCode(t, "to a revision that was deleted", err, sluice.Conflict, "revision.gone")
}

// Save and Publish in one: a new revision, in the place of the oldest that is not
// deployed, to the targets and to no other environment, published (CONTRACT 5-2,
// 5-6).
func TestExactPublicationOfANewRevision(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production", "sandbox")
	first := w.revision(a.ID)
	w.deploy(a.ID, first.ID, production, sandbox)
	for range sluice.MaxRevisions - 1 {
		w.revision(a.ID)
	}
	p := w.publish(PublicationRequest{
		Action: sluice.Deploy, APIID: a.ID, NewRevision: true, Description: "new", Exact: true, Lifecycle: "Publish", Targets: targets(both),
	})
	if p.State != sluice.AllLive || p.RevisionNumber != sluice.MaxRevisions+1 {
		t.Errorf("publication = %+v", p)
	}
	changes := map[string]string{}
	for _, t := range p.Targets {
		changes[t.Environment] = t.Change
	}
	if diff := cmp.Diff(map[string]string{production: "remove", sandbox: "remove", both: "add"}, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	list, err := w.plane.Revisions(w.admin(), a.ID)
	if err != nil || len(list) != sluice.MaxRevisions || list[0].ID != first.ID || list[1].Number != 3 || list[len(list)-1].Description != "new" {
		t.Errorf("revisions = %+v, %v; the second, the oldest that was not deployed, makes room", list, err)
	}
	if now, _, err := w.plane.API(w.admin(), a.ID); err != nil || now.State != sluice.Published {
		t.Errorf("the API is %s, %v", now.State, err)
	}
	_, err = w.plane.Publish(w.as("carla", sluice.Creator), PublicationRequest{Action: sluice.Deploy, APIID: a.ID, NewRevision: true, Lifecycle: "Block", Targets: targets(both)})
	wantCode(t, "a move by who may not publish", err, sluice.Forbidden, "role.missing")
}

// What a new revision breaks for callers is in the plan, where one replaces another.
func TestPlanComparesDefinitions(t *testing.T) {
	w := newWorldAt(t)
	a := w.api("Weather", "production")
	w.deploy(a.ID, w.revision(a.ID).ID, production)
	a, _, err := w.plane.API(w.admin(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	gone := a.Operations[0].Verb + " " + a.Operations[0].Target
	a.Operations = []sluice.Operation{{Verb: "GET", Target: "/other", Auth: sluice.AuthAny}}
	if _, err := w.plane.UpdateAPI(w.admin(), a.ID, 0, a); err != nil {
		t.Fatal(err)
	}
	q := PublicationRequest{Action: sluice.Deploy, APIID: a.ID, NewRevision: true, Targets: targets(production)}
	plan, err := w.plane.PlanPublication(w.admin(), q)
	breaking := plan.Definition.Breaking
	if err != nil || len(breaking) == 0 || breaking[0].Operation != gone || breaking[0].Change != "It was removed." || plan.Definition.Other != 1 {
		t.Errorf("definition = %+v, %v", plan.Definition, err)
	}
}

// A plan says what would happen and changes nothing; a publication that names it
// is refused where it would do something else by then.
func TestPlan(t *testing.T) {
	w := newWorldAt(t)
	g := w.gateway(production, "g")
	w.gateway(production, "away")
	w.says(g, 0)
	a := w.api("Weather", "production")
	w.deploy(a.ID, w.revision(a.ID).ID, both)
	q := PublicationRequest{Action: sluice.Deploy, Mode: sluice.BestEffort, APIID: a.ID, NewRevision: true, Exact: true, Lifecycle: "Publish", Targets: targets(production, sandbox)}
	before := w.counts()
	plan, err := w.plane.PlanPublication(w.admin(), q)
	if err != nil || len(plan.Blocking) != 0 || plan.Digest == "" {
		t.Fatalf("plan = %+v, %v", plan, err)
	}
	if after := w.counts(); after != before {
		t.Errorf("planning left publications, audit entries, events %v, before %v", after, before)
	}
	type line struct {
		Environment, Change string
		Connected, Stale    int
		URLs, Warnings      int
	}
	var lines []line
	for _, t := range plan.Targets {
		lines = append(lines, line{t.Environment, t.Change, t.Connected, t.Stale, len(t.URLs), len(t.Warnings)})
	}
	want := []line{{production, "add", 1, 1, 2, 1}, {sandbox, "skip", 0, 0, 0, 1}, {both, "remove", 0, 0, 0, 1}}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	again, err := w.plane.PlanPublication(w.admin(), q)
	if err != nil || again.Digest != plan.Digest {
		t.Errorf("the same plan has another digest: %v", err)
	}
	a.Description = "another"
	a.Production = []sluice.Endpoint{{URL: "http://another.example.com"}}
	if _, err := w.plane.UpdateAPI(w.admin(), a.ID, 0, a); err != nil {
		t.Fatal(err)
	}
	q.PlanDigest = plan.Digest
	_, err = w.plane.Publish(w.admin(), q)
	wantCode(t, "after the working copy has changed", err, sluice.Conflict, "publication.plan_changed")

	q.Lifecycle, q.PlanDigest = "Retire", ""
	plan, err = w.plane.PlanPublication(w.admin(), q)
	if err != nil || len(plan.Blocking) != 1 || plan.Blocking[0].Code != "api.lifecycle" || plan.Digest != "" {
		t.Errorf("a move that is not allowed: %+v, %v", plan, err)
	}
	q.Lifecycle, q.Targets = "", []DeployTarget{{EnvironmentID: "nowhere"}}
	_, err = w.plane.PlanPublication(w.admin(), q)
	wantCode(t, "an environment that is not there", err, sluice.Invalid, "environment.unknown")
}
