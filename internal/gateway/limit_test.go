package gateway_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/gateway"
)

// limitedWorld is a world with a clock of its own, in which each level has tiers
// of a few calls a minute.
func limitedWorld(t *testing.T, operation, subscription, application string) (w *world, clock *time.Time) {
	t.Helper()
	now := time.Date(time.Now().Year()+1, 2, 10, 16, 19, 0, 0, time.UTC)
	w = newWorld(t, func(o *gateway.Options) { o.Now = func() time.Time { return now } })
	backend := newBackend(t, "production")
	api := weather(backend.URL, "")
	api.Operations = []sluice.Operation{
		{Verb: "GET", Target: "/today", Auth: sluice.AuthAny, Tier: operation},
		{Verb: "GET", Target: "/other", Auth: sluice.AuthAny, Tier: sluice.Unlimited},
		{Verb: "GET", Target: "/open", Auth: sluice.AuthNone},
	}
	items := append([]artifact.Item{environment(sluice.HybridEnvironment), api}, w.callers(api.ID)...)
	for _, it := range items {
		switch it := it.(type) {
		case *artifact.Application:
			it.Tier = application
		case *artifact.Subscription:
			it.Tier = subscription
		}
	}
	w.apply(append(
		items, tier(sluice.APITier, "Three", 3), tier(sluice.SubscriptionTier, "Three", 3), tier(sluice.ApplicationTier, "Three", 3),
		tier(sluice.SubscriptionTier, "Unauthenticated", 3),
	)...)
	return w, &now
}

func tier(level sluice.TierLevel, name string, requests int) *artifact.Tier {
	return &artifact.Tier{Organization: "default", Level: level, Name: name, Limit: sluice.Limit{Requests: requests, Window: time.Minute}}
}

// tokenAt returns a token of a user that is valid at a time.
func (w *world) tokenAt(now time.Time, user string) string {
	return w.token(map[string]any{"sub": user, "iat": now.Unix(), "exp": now.Unix() + 3600})
}

// passes returns how many calls pass until one is refused, and that answer.
func (w *world) passes(r request) (n int, refused answer) {
	w.Helper()
	for n = range 100 {
		if refused = w.call(r); refused.status != 200 {
			return n, refused
		}
	}
	return 100, answer{}
}

// TestLimits holds what each level of tiers counts together, and its answer
// (CONTRACT 11-2, 11-6).
func TestLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		operation, subscription, application string
		open                                 bool
		code                                 string
		sameForOther, sameForUser            bool // another operation, another user or address is refused too
	}{
		"operation":         {operation: "Three", code: "900802", sameForUser: true},
		"subscription":      {subscription: "Three", code: "900804", sameForOther: true, sameForUser: true},
		"application":       {application: "Three", code: "900803", sameForOther: true},
		"address":           {open: true, code: "900804"},
		"operation first":   {operation: "Three", subscription: "Three", application: "Three", code: "900802", sameForOther: true, sameForUser: true},
		"application later": {subscription: "Three", application: "Three", code: "900804", sameForOther: true, sameForUser: true},
	} {
		t.Run(name, func(t *testing.T) {
			w, clock := limitedWorld(t, tc.operation, tc.subscription, tc.application)
			r := request{path: "/weather/1.0/today", token: w.tokenAt(*clock, "alice")}
			user := request{path: r.path, token: w.tokenAt(*clock, "bob")}
			if tc.open {
				r, user = request{path: "/weather/1.0/open"}, request{path: "/weather/1.0/open", client: "192.0.2.8"}
			}
			n, got := w.passes(r)
			if n != 3 || got.status != 429 || got.code != tc.code {
				t.Fatalf("%d calls pass, then status %d, %s, want 3 and code %s", n, got.status, got.body, tc.code)
			}
			var body map[string]string
			want := clock.Add(20 * time.Second).Format("2006-Jan-02 15:04:05+0000 UTC")
			if err := json.Unmarshal([]byte(got.body), &body); err != nil || body["nextAccessTime"] != want || got.header.Get("Retry-After") != "20" {
				t.Errorf("Retry-After %q, body %s, want 20 and %s", got.header.Get("Retry-After"), got.body, want)
			}
			if !tc.open {
				other := request{path: "/weather/1.0/other", token: r.token}
				if got := w.call(other); (got.status == 429) != tc.sameForOther {
					t.Errorf("another operation: status %d, %s", got.status, got.code)
				}
			}
			if got := w.call(user); (got.status == 429) != tc.sameForUser {
				t.Errorf("another user or address: status %d, %s", got.status, got.code)
			}
			*clock = clock.Add(20 * time.Second)
			if n, _ := w.passes(r); n != 1 {
				t.Errorf("%d calls pass after Retry-After, want 1", n)
			}
		})
	}
}

// TestTierChanges changes a tier while it is reached, without a restart (CONTRACT
// 11-4).
func TestTierChanges(t *testing.T) {
	w, clock := limitedWorld(t, "", "Three", "")
	r := request{path: "/weather/1.0/today", token: w.tokenAt(*clock, "alice")}
	if n, _ := w.passes(r); n != 3 {
		t.Fatalf("%d calls pass, want 3", n)
	}
	w.apply(tier(sluice.SubscriptionTier, "Three", 60))
	*clock = clock.Add(time.Second)
	if n, _ := w.passes(r); n != 1 {
		t.Errorf("a second after 60 a minute came: %d calls pass, want 1", n)
	}
	w.remove(tier(sluice.SubscriptionTier, "Three", 0))
	if n, _ := w.passes(r); n != 100 {
		t.Errorf("after the tier was removed: %d calls pass, want all", n)
	}
	w.apply(&artifact.Tier{Organization: "default", Level: sluice.SubscriptionTier, Name: "Three"})
	if n, _ := w.passes(r); n != 100 {
		t.Errorf("with a tier of no limit: %d calls pass, want all", n)
	}
}

// TestRefusedCallsCountNowhere holds that what one tier refuses does not use up
// another.
func TestRefusedCallsCountNowhere(t *testing.T) {
	w, clock := limitedWorld(t, "", "Five", "Three")
	w.apply(tier(sluice.SubscriptionTier, "Five", 5))
	if n, got := w.passes(request{path: "/weather/1.0/today", token: w.tokenAt(*clock, "alice")}); n != 3 || got.code != "900803" {
		t.Fatalf("%d calls pass, then %s", n, got.body)
	}
	if n, got := w.passes(request{path: "/weather/1.0/today", token: w.tokenAt(*clock, "bob")}); n != 2 || got.code != "900804" {
		t.Errorf("of another user %d calls pass, then %s, want 2 and 900804", n, got.body)
	}
}

// TestPrototypesHaveNoLimit holds that a prototype is not counted (CONTRACT 10-2).
func TestPrototypesHaveNoLimit(t *testing.T) {
	w, _ := limitedWorld(t, "", "", "")
	api := weather(newBackend(t, "production").URL, "")
	api.State = sluice.Prototyped
	w.apply(api)
	if n, got := w.passes(request{path: "/weather/1.0/open", header: http.Header{"Accept": {"*/*"}}}); n != 100 {
		t.Errorf("%d calls pass, then %s", n, got.body)
	}
}
