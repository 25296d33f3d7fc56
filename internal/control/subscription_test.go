package control

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

func TestSubscribe(t *testing.T) {
	w := newWorld(t)
	a := w.published("Weather")
	app := w.application("sam", "App")
	sam := w.as("sam", sluice.Subscriber)
	created, private := w.api("Created", "production"), w.published("Private")
	w.update(func(tx *database.Tx) error {
		a, err := tx.API(private.Organization, private.ID)
		if err != nil {
			return err
		}
		a.Visibility = sluice.Private
		return tx.PutAPI(&a)
	})
	for name, c := range map[string]struct {
		app, api, tier string
		kind           sluice.Kind
		code           string
	}{
		"an API that is not there":        {app.ID, "nope", "Gold", sluice.NotFound, "api.unknown"},
		"an application that is not":      {"nope", a.ID, "Gold", sluice.NotFound, "application.unknown"},
		"an API that is only created":     {app.ID, created.ID, "Gold", sluice.NotFound, "api.unknown"},
		"a tier it does not offer":        {app.ID, a.ID, "Bronze", sluice.Forbidden, "subscription.tier"},
		"a tier that does not exist":      {app.ID, a.ID, "", sluice.Forbidden, "subscription.tier"},
		"an API that is deprecated":       {app.ID, w.move(w.published("Old").ID, "Deprecate").ID, "Gold", sluice.Forbidden, "subscription.state"},
		"an API that needs no key":        {app.ID, w.move(w.api("Proto", "production").ID, "Deploy as a Prototype").ID, "Gold", sluice.Forbidden, "subscription.state"},
		"an API that is blocked":          {app.ID, w.move(w.published("Blocked").ID, "Block").ID, "Gold", sluice.NotFound, "api.unknown"},
		"the revision of a published API": {app.ID, w.revision(a.ID).ID, "Gold", sluice.NotFound, "api.unknown"},
	} {
		_, err := w.plane.Subscribe(sam, c.app, c.api, c.tier)
		wantCode(t, name, err, c.kind, c.code)
	}

	var s sluice.Subscription
	got := w.emitted(func() {
		var err error
		if s, err = w.plane.Subscribe(sam, app.ID, a.ID, "Gold"); err != nil {
			t.Fatal(err)
		}
	})
	wantLines(t, "Subscribe", got, "+subscription @ "+production, "+subscription @ "+sandbox, "+subscription @ "+both)
	if s.State != sluice.Unblocked || s.Tier != "Gold" {
		t.Errorf("subscription = %+v", s)
	}
	_, err := w.plane.Subscribe(sam, app.ID, a.ID, sluice.Unlimited)
	wantCode(t, "a second subscription", err, sluice.Conflict, "subscription.exists")
	if _, err := w.plane.Subscribe(sam, app.ID, private.ID, "Gold"); err != nil {
		t.Errorf("a user subscribes to a private API: %v", err)
	}
	list, total, err := w.plane.Subscriptions(sam, app.ID, "", Page{Limit: 1})
	if err != nil || len(list) != 1 || total != 2 {
		t.Errorf("subscriptions = %v of %d, %v", list, total, err)
	}
	got = w.emitted(func() {
		if err := w.plane.Unsubscribe(sam, s.ID); err != nil {
			t.Error(err)
		}
	})
	wantLines(t, "Unsubscribe", got, "-subscription @ "+production, "-subscription @ "+sandbox, "-subscription @ "+both)
	wantCode(t, "unsubscribing again", w.plane.Unsubscribe(sam, s.ID), sluice.NotFound, "subscription.unknown")
}

func TestRetiringEndsManySubscriptions(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Environments = o.Environments[:1] })
	a := w.published("Weather")
	const many = 501 // more than are deleted at a time
	w.update(func(tx *database.Tx) error {
		for i := range many {
			app := sluice.Application{ID: fmt.Sprint("app", i), Organization: a.Organization, Owner: "sam", Name: fmt.Sprint("App ", i), Tier: sluice.Unlimited, TokenType: "JWT"}
			s := sluice.Subscription{ID: fmt.Sprint("s", i), Organization: a.Organization, ApplicationID: app.ID, APIID: a.ID, Tier: "Gold", State: sluice.Unblocked}
			if err := tx.AddApplication(&app); err != nil {
				return err
			}
			if err := tx.AddSubscription(&s); err != nil {
				return err
			}
		}
		return nil
	})
	w.move(a.ID, "Deprecate")
	if got := w.emitted(func() { w.move(a.ID, "Retire") }); len(got) != many {
		t.Errorf("%d events, want one for each of %d subscriptions", len(got), many)
	}
	if _, total, err := w.plane.Subscriptions(w.admin(), "", a.ID, Page{}); total != 0 || err != nil {
		t.Errorf("%d subscriptions are left, %v", total, err)
	}
}

func TestApplications(t *testing.T) {
	w := newWorld(t)
	sam := w.as("sam", sluice.Subscriber)
	for name, c := range map[string]struct {
		a    sluice.Application
		code string
	}{
		"no name":             {sluice.Application{Tier: sluice.Unlimited}, "application.name"},
		"a long name":         {sluice.Application{Name: strings.Repeat("x", 101), Tier: sluice.Unlimited}, "application.name"},
		"an unknown tier":     {sluice.Application{Name: "App", Tier: "Gold"}, "tier.unknown"},
		"no tier":             {sluice.Application{Name: "App"}, "tier.unknown"},
		"opaque tokens":       {sluice.Application{Name: "App", Tier: sluice.Unlimited, TokenType: "OAUTH"}, "application.token_type"},
		"a control character": {sluice.Application{Name: "A\nB", Tier: sluice.Unlimited}, "application.name"},
	} {
		wantCode(t, name, w.plane.CreateApplication(sam, &c.a), sluice.Invalid, c.code)
	}
	a := sluice.Application{ID: "mine", Organization: "acme", Owner: "root", RowVersion: 9, Name: "App", Tier: "10PerMin"}
	got := w.emitted(func() {
		if err := w.plane.CreateApplication(sam, &a); err != nil {
			t.Fatal(err)
		}
	})
	wantLines(t, "CreateApplication", got, "+application @ "+production, "+application @ "+sandbox, "+application @ "+both)
	if a.ID == "mine" || a.Organization != sluice.DefaultOrganization || a.Owner != "sam" || a.RowVersion != 1 || a.TokenType != "JWT" {
		t.Errorf("application = %+v: what belongs to the platform came from the caller", a)
	}
	wantCode(t, "the same name again", w.plane.CreateApplication(sam, &sluice.Application{Name: "App", Tier: sluice.Unlimited}), sluice.Conflict, "application.exists")
	if err := w.plane.CreateApplication(w.as("tess", sluice.Subscriber), &sluice.Application{Name: "App", Tier: sluice.Unlimited}); err != nil {
		t.Errorf("the same name of another owner: %v", err)
	}
	list, total, err := w.plane.Applications(sam, ApplicationFilter{})
	if err != nil || total != 1 || len(list) != 1 || list[0].ID != a.ID {
		t.Errorf("applications = %v, %d, %v", list, total, err)
	}
}

func TestTiersAreThoseOfTheFirstStart(t *testing.T) {
	w := newWorld(t)
	w.restart() // makes none twice
	for level, want := range map[sluice.TierLevel]int{sluice.SubscriptionTier: 5, sluice.ApplicationTier: 4, sluice.APITier: 4} {
		if list, err := w.plane.Tiers(t.Context(), level); err != nil || len(list) != want {
			t.Errorf("tiers of level %s: %v, %v, want %d", level, list, err, want)
		}
	}
	_, err := w.plane.ImportOpenAPI(w.admin(), []byte(document), sluice.API{Name: "A", Tiers: []string{"Gold", "Platinum"}})
	wantCode(t, "an API with an unknown tier", err, sluice.Invalid, "tier.unknown")
}

// Publishers block subscriptions at every gateway; those to APIs that they may
// not see are not there.
func TestPublishersBlockSubscriptions(t *testing.T) {
	w := newWorld(t)
	a := w.published("Weather")
	secret := w.published("Secret")
	sam := w.as("sam", sluice.Subscriber)
	app := w.application("sam", "App")
	s, err := w.plane.Subscribe(sam, app.ID, a.ID, "Gold")
	if err != nil {
		t.Fatal(err)
	}
	hidden, err := w.plane.Subscribe(sam, app.ID, secret.ID, "Gold")
	if err != nil {
		t.Fatal(err)
	}
	secret.AccessControl = []sluice.Role{sluice.Administrator}
	if _, err := w.plane.UpdateAPI(w.admin(), secret.ID, 0, secret); err != nil {
		t.Fatal(err)
	}
	paul := w.as("paul", sluice.Publisher)
	list, applications, total, err := w.plane.PublisherSubscriptions(paul, "", Page{})
	if err != nil || total != 1 || list[0].ID != s.ID || applications[0].Name != "App" {
		t.Errorf("subscriptions for a publisher: %+v, %d, %v", list, total, err)
	}
	if _, _, total, err := w.plane.PublisherSubscriptions(w.admin(), "", Page{}); total != 2 || err != nil {
		t.Errorf("subscriptions for an administrator: %d, %v", total, err)
	}
	for _, state := range []sluice.SubscriptionState{sluice.SubscriptionBlocked, sluice.ProductionOnlyBlocked} {
		events := w.emitted(func() {
			if err := w.plane.BlockSubscription(paul, s.ID, state, 0); err != nil {
				t.Error(err)
			}
		})
		wantLines(t, string(state), events, "+subscription @ "+production, "+subscription @ "+sandbox, "+subscription @ "+both)
		if got, err := w.plane.Subscription(sam, s.ID); err != nil || got.State != state {
			t.Errorf("state = %s, %v, want %s", got.State, err, state)
		}
	}
	wantCode(t, "another state", w.plane.BlockSubscription(paul, s.ID, sluice.Rejected, 0), sluice.Invalid, "subscription.state")
	wantCode(t, "an old row version", w.plane.UnblockSubscription(paul, s.ID, 1), sluice.Changed, "changed")
	wantCode(t, "of an API out of sight", w.plane.BlockSubscription(paul, hidden.ID, sluice.SubscriptionBlocked, 0), sluice.NotFound, "subscription.unknown")
	if err := w.plane.UnblockSubscription(paul, s.ID, 3); err != nil {
		t.Error(err)
	}
	if got, err := w.plane.Subscription(sam, s.ID); err != nil || got.State != sluice.Unblocked {
		t.Errorf("state after unblocking: %s, %v", got.State, err)
	}
}
