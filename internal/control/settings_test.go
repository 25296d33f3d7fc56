package control

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/database"
)

// servedCORS returns the CORS in the artifact that an environment serves.
func (w *world) servedCORS(apiID, environment string) (c *sluice.CORS) {
	w.t.Helper()
	w.view(func(tx *database.Tx) error {
		body, err := tx.Artifact(w.deployments(apiID)[environment].Digest)
		if err != nil {
			return err
		}
		item, err := artifact.Decode(artifact.APIItem(apiID), body)
		if err == nil {
			c = item.(*artifact.API).CORS
		}
		return err
	})
	return c
}

// The installation's CORS reaches gateways with every API that says nothing of
// it, also those that are deployed already.
func TestConfiguredCORS(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production")
	w.deploy(a.ID, w.revision(a.ID).ID, production)
	if got := w.servedCORS(a.ID, production); got != nil {
		t.Errorf("without a setting: %+v", got)
	}
	set := &sluice.CORS{Enabled: true, Origins: []string{"https://apps.example.com"}, Methods: []string{"GET"}, Headers: []string{"authorization"}, Credentials: true}
	w.o.CORS = set
	wantLines(t, "set", w.emitted(w.restart), "+deployment @ "+production)
	if diff := cmp.Diff(set, w.servedCORS(a.ID, production)); diff != "" {
		t.Errorf("with a setting (-want +got):\n%s", diff)
	}
	wantLines(t, "the same again", w.emitted(w.restart))
	w.o.CORS = nil
	wantLines(t, "taken back", w.emitted(w.restart), "+deployment @ "+production)
}

// What the Store lists: DisplayAllAPIs and DisplayMultipleVersions.
func TestWhatTheStoreLists(t *testing.T) {
	w := newWorld(t)
	first := w.published("Weather")
	w.clock.advance(1e6)
	second, err := w.plane.ImportOpenAPI(w.as("carla", sluice.Creator), []byte(document), sluice.API{
		Name: "Weather", Version: "2.0", Context: "/weather", Tiers: first.Tiers, Production: first.Production,
	})
	if err != nil {
		t.Fatal(err)
	}
	list := func() (versions []string) {
		t.Helper()
		found, total, err := w.plane.StoreAPIs(w.as("sam", sluice.Subscriber), APIFilter{})
		if err != nil || total != len(found) {
			t.Fatal(total, err)
		}
		for _, a := range found {
			versions = append(versions, a.Version)
		}
		return versions
	}
	want := func(what string, versions ...string) {
		t.Helper()
		if diff := cmp.Diff(versions, list()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	want("the newer is not published yet", "1.0")
	w.move(second.ID, "Publish")
	want("the newest alone", "2.0")
	w.o.Display.MultipleVersions = true
	w.restart()
	want("all versions", "1.0", "2.0")
	w.move(first.ID, "Deprecate")
	want("published ones", "2.0")
	w.o.Display.AllAPIs = true
	w.restart()
	want("deprecated ones beside them", "1.0", "2.0")
}

func TestUnlimitedIsNotOffered(t *testing.T) {
	w := newWorld(t)
	has := func() bool {
		t.Helper()
		list, err := w.plane.Tiers(w.admin(), sluice.SubscriptionTier)
		if err != nil {
			t.Fatal(err)
		}
		for _, tier := range list {
			if tier.Name == sluice.Unlimited {
				return true
			}
		}
		return false
	}
	if !has() {
		t.Error("Unlimited is not offered by default")
	}
	a := w.published("Weather")
	sam := w.as("sam", sluice.Subscriber)
	app := sluice.Application{Name: "Before", Tier: sluice.Unlimited}
	if err := w.plane.CreateApplication(sam, &app); err != nil {
		t.Fatal(err)
	}
	settings := w.o.Settings
	settings.NoUnlimited = true
	if err := w.plane.Reconfigure(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	if has() {
		t.Error("Unlimited is offered nevertheless")
	}
	another := sluice.Application{Name: "After", Tier: sluice.Unlimited}
	wantCode(t, "an application with it", w.plane.CreateApplication(sam, &another), sluice.Forbidden, "tier.not_offered")
	_, err := w.plane.Subscribe(sam, app.ID, a.ID, sluice.Unlimited)
	wantCode(t, "a subscription with it", err, sluice.Forbidden, "tier.not_offered")
	app.Description = "Keeps what it has."
	if err := w.plane.PutApplication(sam, &app, 0); err != nil {
		t.Errorf("an application that has it: %v", err)
	}
}

// Environments of a configuration that is read again begin to be enrolled, and
// those that go are not called any more.
func TestReconfigureEnrols(t *testing.T) {
	w := newWorldAt(t)
	n, joined := newNeighbour(t), make(chan struct{})
	n.take = func(token sluice.Secret) {
		if _, err := w.plane.Enrol(w.from("127.0.0.1"), enrolment(t, token, "gw")); err != nil {
			t.Error(err)
		}
		close(joined)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.plane.enrolAll(ctx) }()
	settings := w.o.Settings
	settings.Environments = append([]ConfiguredEnvironment{configured("https://127.0.0.1:1")}, settings.Environments[1:]...)
	if err := w.plane.Reconfigure(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	eventually := func(what string, ok func() bool) {
		t.Helper()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for !ok() {
			select {
			case <-t.Context().Done():
				t.Fatal(what)
			case <-tick.C:
			}
		}
	}
	eventually("nobody says that the gateway cannot be reached", func() bool { return len(w.plane.Unenrolled()) == 1 })
	settings.Environments = append([]ConfiguredEnvironment{configured(n.URL)}, settings.Environments[1:]...)
	if err := w.plane.Reconfigure(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	<-joined
	eventually("an address that is not configured any more is in trouble", func() bool { return len(w.plane.Unenrolled()) == 0 })
	stop()
	if err := <-ended; err != nil {
		t.Errorf("enrolAll = %v", err)
	}
}
