package control

import (
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
