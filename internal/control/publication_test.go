package control

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
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
				p := w.deploy(a.ID, r.ID, production, sandbox)
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

// An environment without a connected gateway holds nobody up.
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

		running, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := w.plane.settle(running); err != nil {
				t.Error(err)
			}
		})
		start := time.Now()
		got, err := w.plane.Publication(w.admin(), p.ID, 2*time.Second)
		if err != nil || got.Final() || got.Targets[0].Gateways[0].State != sluice.Active || time.Since(start) != 2*time.Second {
			t.Errorf("after 2 s: %+v, %v, %s", got, err, time.Since(start))
		}
		time.AfterFunc(2*time.Second, func() { live(w, g) })
		got, err = w.plane.Publication(w.admin(), p.ID, 30*time.Second)
		if err != nil || got.State != sluice.AllLive || time.Since(start) > 4*confirmWithin {
			t.Errorf("at last: %+v, %v, %s", got, err, time.Since(start))
		}
		if w.deployments(a.ID)[production].LiveAt.IsZero() {
			t.Error("the deployment is not live")
		}
		stop()
		wg.Wait()
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
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		w.restart()
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
