package control

import (
	"slices"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

func TestLifecycleMovesWhatIsDeployed(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production", "sandbox")
	r := w.revision(a.ID)
	w.deploy(a.ID, r.ID, production, sandbox)
	deployedAt := w.deployments(a.ID)[production].DeployedAt
	var subscription string
	for _, step := range []struct {
		event string
		state sluice.Lifecycle
		want  []string
	}{
		{"Publish", sluice.Published, nil}, // gateways make no difference
		{"Block", sluice.Blocked, []string{"+deployment @ " + production, "+deployment @ " + sandbox}},
		{"Re-Publish", sluice.Published, []string{"+deployment @ " + production, "+deployment @ " + sandbox}},
		{"Publish", sluice.Published, nil},
		{"Deprecate", sluice.Deprecated, nil},
		{"Retire", sluice.Retired, []string{
			"-deployment @ " + production, "-deployment @ " + sandbox,
			"-subscription @ " + production, "-subscription @ " + sandbox, "-subscription @ " + both,
		}},
	} {
		w.clock.advance(time.Minute)
		got := w.emitted(func() {
			if a := w.move(a.ID, step.event); a.State != step.state {
				t.Errorf("%s leads to %s, want %s", step.event, a.State, step.state)
			}
		})
		wantLines(t, step.event, got, step.want...)
		for name, d := range w.deployments(a.ID) {
			if !d.DeployedAt.Equal(deployedAt) {
				t.Errorf("after %s the deployment to %s is of %s, want %s", step.event, name, d.DeployedAt, deployedAt)
			}
		}
		if step.state == sluice.Published && subscription == "" {
			s, err := w.plane.Subscribe(w.as("sam", sluice.Subscriber), w.application("sam", "App").ID, a.ID, "Gold")
			if err != nil {
				t.Fatal(err)
			}
			subscription = s.ID
		}
	}
	if d := w.deployments(a.ID); len(d) != 0 {
		t.Errorf("a retired API is deployed: %v", d)
	}
	_, err := w.plane.Subscription(w.as("sam", sluice.Subscriber), subscription)
	wantCode(t, "subscription to a retired API", err, sluice.NotFound, "subscription.unknown")
	_, err = w.plane.Deploy(w.admin(), a.ID, r.ID, targets(production))
	wantCode(t, "deploying a retired API", err, sluice.Forbidden, "api.state_forbids")
}

func TestDemotedAPIKeepsItsSubscriptions(t *testing.T) {
	w := newWorld(t)
	a := w.published("Weather")
	w.deploy(a.ID, w.revision(a.ID).ID, production, both)
	sam := w.as("sam", sluice.Subscriber)
	s, err := w.plane.Subscribe(sam, w.application("sam", "App").ID, a.ID, "Gold")
	if err != nil {
		t.Fatal(err)
	}
	got := w.emitted(func() { w.move(a.ID, "Demote to Created") })
	wantLines(t, "Demote to Created", got, "-deployment @ "+production, "-deployment @ "+both)
	if _, err := w.plane.Subscription(sam, s.ID); err != nil {
		t.Errorf("subscription after the API was demoted: %v", err)
	}
}

// A prototype is served everywhere, whatever endpoint it has; published, it is
// served only where it has one.
func TestPrototypeNeedsNoEndpointOfTheEnvironment(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production")
	w.deploy(a.ID, w.revision(a.ID).ID, production, sandbox)
	if d := w.deployments(a.ID)[sandbox]; d.Skipped != "no sandbox endpoint" || d.Digest != "" {
		t.Fatalf("sandbox deployment = %+v, want it skipped", d)
	}
	got := w.emitted(func() { w.move(a.ID, "Deploy as a Prototype") })
	wantLines(t, "Deploy as a Prototype", got, "+deployment @ "+production, "+deployment @ "+sandbox)
	status, err := w.plane.Status(w.admin(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(status[1].URLs) != 2 || status[1].Deployment.Skipped != "" {
		t.Errorf("status of the prototype in the sandbox: %+v, want two URLs", status[1])
	}
	got = w.emitted(func() { w.move(a.ID, "Publish") })
	wantLines(t, "Publish", got, "+deployment @ "+production, "-deployment @ "+sandbox)
	if d := w.deployments(a.ID)[sandbox]; d.Skipped == "" || d.Digest != "" {
		t.Errorf("sandbox deployment after Publish = %+v, want it skipped", d)
	}
}

// Moves that are not allowed, or lack what they need, change nothing (CONTRACT 6-1,
// 6-2).
func TestLifecycleRefusals(t *testing.T) {
	w := newWorld(t)
	bare, err := w.plane.ImportOpenAPI(w.admin(), []byte(document), sluice.API{Name: "Bare"})
	if err != nil {
		t.Fatal(err)
	}
	good := w.api("Good", "production")
	published := w.published("Published")
	w.deploy(published.ID, w.revision(published.ID).ID, production)
	before := w.counts()
	for name, c := range map[string]struct {
		id, event string
		ifMatch   int64
		kind      sluice.Kind
		code      string
	}{
		"an unknown event":            {good.ID, "Explode", 0, sluice.Conflict, "api.lifecycle"},
		"an event of another state":   {good.ID, "Retire", 0, sluice.Conflict, "api.lifecycle"},
		"publishing without anything": {bare.ID, "Publish", 0, sluice.Invalid, "invalid"},
		"an old row version":          {published.ID, "Block", published.RowVersion - 1, sluice.Changed, "changed"},
		"an API that is not there":    {"nope", "Publish", 0, sluice.NotFound, "api.unknown"},
		"the id of a revision":        {w.deployments(published.ID)[production].RevisionID, "Block", 0, sluice.NotFound, "api.unknown"},
		"no event":                    {good.ID, "", 0, sluice.Conflict, "api.lifecycle"},
	} {
		_, err := w.plane.ChangeLifecycle(w.admin(), c.id, c.event, c.ifMatch)
		wantCode(t, name, err, c.kind, c.code)
	}
	if after := w.counts(); after != before {
		t.Errorf("refused moves left publications, audit entries, events %v, before %v", after, before)
	}
	if a, _, err := w.plane.API(w.admin(), published.ID); err != nil || a.State != sluice.Published {
		t.Errorf("state after refused moves: %s, %v", a.State, err)
	}
}

// Publishing a new version does to the older ones what the checks say (CONTRACT 6-4).
func TestPublishingANewVersion(t *testing.T) {
	for name, c := range map[string]struct {
		checks   []LifecycleCheck
		old      sluice.Lifecycle // state of the version before
		copied   bool
		oldMoves int // of its history, beside the first
	}{
		"without checks":  {nil, sluice.Published, true, 1},
		"deprecating":     {[]LifecycleCheck{DeprecateOldVersions}, sluice.Deprecated, true, 2},
		"re-subscription": {[]LifecycleCheck{RequireReSubscription}, sluice.Published, false, 1},
		"both":            {[]LifecycleCheck{DeprecateOldVersions, RequireReSubscription}, sluice.Deprecated, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			old := w.published("Weather")
			sam := w.as("sam", sluice.Subscriber)
			apps := map[string]sluice.SubscriptionState{"Plain": sluice.Unblocked, "Held": sluice.OnHold, "Blocked": sluice.SubscriptionBlocked}
			names := map[string]string{}
			for app, state := range apps {
				a := w.application("sam", app)
				names[a.ID] = app
				s, err := w.plane.Subscribe(sam, a.ID, old.ID, "Gold")
				if err != nil {
					t.Fatal(err)
				}
				s.State = state
				w.update(func(tx *database.Tx) error { return tx.PutSubscription(&s) })
			}
			next := old
			next.Version, next.RowVersion = "1.10", 0
			next, err := w.plane.CreateAPI(w.admin(), next)
			if err != nil {
				t.Fatal(err)
			}
			status, err := w.plane.Lifecycle(w.admin(), next.ID)
			if err != nil || len(status.Checks) != 2 {
				t.Errorf("checks of the new version: %v, %v, want both", status.Checks, err)
			}
			if first, err := w.plane.Lifecycle(w.admin(), old.ID); err != nil || len(first.Checks) != 0 || first.Subscriptions != 3 {
				t.Errorf("checks of the first version: %+v, %v, want none and 3 subscriptions", first, err)
			}
			if _, err := w.plane.ChangeLifecycle(w.admin(), next.ID, "Publish", 0, c.checks...); err != nil {
				t.Fatal(err)
			}
			list, _, err := w.plane.Subscriptions(w.admin(), "", next.ID, Page{})
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for _, s := range list {
				got = append(got, names[s.ApplicationID]+" "+s.Tier+" "+string(s.State))
			}
			want := []string{}
			if c.copied {
				want = []string{"Plain Gold UNBLOCKED", "Blocked Gold BLOCKED"}
			}
			slices.Sort(got)
			wantLines(t, "subscriptions to the new version", got, want...)
			history, err := w.plane.LifecycleHistory(w.admin(), old.ID)
			if err != nil || len(history) != c.oldMoves+1 || history[len(history)-1].To != c.old || history[len(history)-1].Actor != "root" {
				t.Errorf("history of the old version: %+v, %v, want %s at its end", history, err, c.old)
			}
			if _, err := w.plane.ChangeLifecycle(w.admin(), next.ID, "Publish", 0); err != nil { // once more, to no effect
				t.Error(err)
			}
			if _, n, err := w.plane.Subscriptions(w.admin(), "", next.ID, Page{}); n != len(want) || err != nil {
				t.Errorf("subscriptions after publishing again: %d, %v", n, err)
			}
		})
	}
}

// Demote and Retire say beforehand whom they concern (CONTRACT 6-3); a demoted API's
// subscriptions sleep until it is published again.
func TestLifecycleSaysWhomItConcerns(t *testing.T) {
	w := newWorld(t)
	a := w.published("Weather")
	w.gateway(production, "g1")
	w.gateway(production, "g2")
	w.gateway(sandbox, "g3")
	w.deploy(a.ID, w.revision(a.ID).ID, production)
	s, err := w.plane.Subscribe(w.as("sam", sluice.Subscriber), w.application("sam", "App").ID, a.ID, "Gold")
	if err != nil {
		t.Fatal(err)
	}
	status, err := w.plane.Lifecycle(w.as("olga", sluice.Observer), a.ID)
	if err != nil || status.Subscriptions != 1 || status.Gateways != 2 || status.API.State != sluice.Published {
		t.Errorf("Lifecycle = %+v, %v, want 1 subscription and 2 gateways", status, err)
	}
	w.move(a.ID, "Demote to Created", "Publish")
	if again, err := w.plane.Subscription(w.as("sam", sluice.Subscriber), s.ID); err != nil || again.State != sluice.Unblocked {
		t.Errorf("subscription after the API was published again: %+v, %v", again, err)
	}
}

func TestDeletedAPILeavesTheGateways(t *testing.T) {
	w := newWorld(t)
	a := w.published("Weather")
	w.deploy(a.ID, w.revision(a.ID).ID, production, sandbox)
	sam := w.as("sam", sluice.Subscriber)
	s, err := w.plane.Subscribe(sam, w.application("sam", "App").ID, a.ID, "Gold")
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "deleting an API with a subscription", w.plane.DeleteAPI(w.admin(), a.ID, 0), sluice.Conflict, "api.subscribed")
	wantCode(t, "deleting with an old row version", w.plane.DeleteAPI(w.admin(), a.ID, a.RowVersion+1), sluice.Changed, "changed")
	wantCode(t, "a creator deletes a published API", w.plane.DeleteAPI(w.as("carla", sluice.Creator), a.ID, 0), sluice.Forbidden, "api.state_forbids")
	if err := w.plane.Unsubscribe(sam, s.ID); err != nil {
		t.Fatal(err)
	}
	got := w.emitted(func() {
		if err := w.plane.DeleteAPI(w.admin(), a.ID, a.RowVersion); err != nil {
			t.Error(err)
		}
	})
	wantLines(t, "DeleteAPI", got, "-deployment @ "+production, "-deployment @ "+sandbox)
	w.update(func(tx *database.Tx) error { return w.plane.removeExpired(tx) })
}
