package gateway_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

// call10 is a call that passes, in parts that faults change.
type call10 struct {
	request    request
	context    string
	resource   string
	claims     map[string]any
	noToken    bool
	api        *artifact.API
	items      []artifact.Item
	subscribed sluice.SubscriptionState // empty: not

	applicationTier string // empty: Unlimited
}

// byKey has the call come with an API key instead of a token.
func (c *call10) byKey(key string, addresses []string) {
	c.noToken, c.api.Schemes = true, []sluice.Scheme{sluice.OAuth2, sluice.APIKeys}
	c.request.header = http.Header{"Apikey": {key}}
	k := apiKey("k1", "good")
	k.Addresses = addresses
	c.items = append(c.items, k)
}

// nothing returns a tier that allows no call.
func nothing(level sluice.TierLevel, name string) *artifact.Tier {
	return &artifact.Tier{Organization: "default", Level: level, Name: name, Limit: sluice.Limit{Window: time.Minute}}
}

// orderedFaults are those that a call can meet, in the order of the contract's
// §10.1. Faults with the same rank exclude each other.
var orderedFaults = []struct {
	name   string
	rank   int
	code   string
	status int
	cause  func(c *call10)
}{
	{"ambiguous path", 1, "400", 400, func(c *call10) { c.request.path = "/%2e" }},
	{"malformed host", 1, "400", 400, func(c *call10) { c.request.host = "a b" }},
	{"no API", 2, "404", 404, func(c *call10) { c.context = "/other" }},
	{"transport", 3, "403", 403, func(c *call10) { c.api.Transports = []string{"http"} }},
	{"no resource", 4, "404", 404, func(c *call10) { c.resource = "/nothing" }},
	{"verb", 5, "405", 405, func(c *call10) { c.request.method = "DELETE" }},
	{"blocked", 6, "700700", 503, func(c *call10) { c.api.State = sluice.Blocked }},
	{"no token", 7, "900902", 401, func(c *call10) { c.noToken = true }},
	{"unknown API key", 7, "900901", 401, func(c *call10) { c.byKey("other", nil) }},
	{"API key from elsewhere", 7, "900908", 403, func(c *call10) { c.byKey("good", []string{"198.51.100.1"}) }},
	{"token of nobody", 8, "900901", 401, func(c *call10) { c.claims["client_id"] = "nobody" }},
	{"token expired", 8, "900903", 401, func(c *call10) { c.claims["exp"] = time.Now().Unix() - 5 }},
	{"token revoked", 8, "900901", 401, func(c *call10) {
		c.items = append(c.items, &artifact.Revocation{ID: "r", Kind: sluice.RevokedToken, Subject: "j1", ExpiresAt: time.Now().Add(time.Hour)})
	}},
	{"token type", 9, "900905", 401, func(c *call10) { c.api.Operations[0].Auth = sluice.AuthApplication }},
	{"key type", 10, "900901", 401, func(c *call10) { c.claims["client_id"], c.claims["keytype"] = "ck-sandbox", "SANDBOX" }},
	{"not subscribed", 11, "900908", 403, func(c *call10) { c.subscribed = "" }},
	{"subscription blocked", 11, "900907", 401, func(c *call10) { c.subscribed = sluice.SubscriptionBlocked }},
	{"subscription on hold", 11, "900909", 401, func(c *call10) { c.subscribed = sluice.OnHold }},
	{"scope", 12, "900910", 403, func(c *call10) { c.claims["scope"] = "other" }},
	{"limit of the API", 13, "900800", 429, func(c *call10) {
		c.api.Tier = "None"
		c.items = append(c.items, nothing(sluice.APITier, "None"))
	}},
	{"burst", 14, "900807", 429, func(c *call10) {
		t := nothing(sluice.SubscriptionTier, "Gold")
		t.Limit.BurstWindow = time.Second
		c.items = append(c.items, t)
	}},
	{"limit of the subscription", 14, "900804", 429, func(c *call10) { c.items = append(c.items, nothing(sluice.SubscriptionTier, "Gold")) }},
	{"limit of the application", 15, "900803", 429, func(c *call10) {
		c.applicationTier = "None"
		c.items = append(c.items, nothing(sluice.ApplicationTier, "None"))
	}},
	{"backend", 16, "101503", 502, func(c *call10) { c.api.Production[0].URL = "http://127.0.0.1:1" }},
}

// TestOrderOfChecks checks every pair of faults: the earlier one answers
// (CONTRACT 10-1).
func TestOrderOfChecks(t *testing.T) {
	backend := newBackend(t, "production")
	w := newWorld(t)
	try := func(causes ...func(c *call10)) answer {
		c := &call10{
			context: "/weather/1.0", resource: "/today", claims: map[string]any{}, api: weather(backend.URL, ""), subscribed: sluice.Unblocked,
		}
		c.api.Environment = sluice.ProductionEnvironment
		c.api.Operations = []sluice.Operation{{Verb: "GET", Target: "/today", Auth: sluice.AuthUser, Scopes: []string{"admin", "read"}}}
		for _, cause := range causes {
			cause(c)
		}
		items := append([]artifact.Item{environment(c.api.Environment), c.api}, w.callers(c.api.ID)...)
		if c.applicationTier != "" {
			c.items = append(c.items, &artifact.Application{ID: "app", Organization: "default", Name: "App", Owner: "olga", Tier: c.applicationTier})
		}
		sub := items[len(items)-1].(*artifact.Subscription)
		if sub.State = c.subscribed; sub.State == "" {
			items = items[:len(items)-1]
		}
		w.gateway.Apply(update(t, true, append(items, c.items...)...))
		if c.request.path == "" {
			c.request.path = c.context + c.resource
		}
		if !c.noToken {
			c.request.token = w.token(c.claims)
		}
		return w.call(c.request)
	}
	if got := try(); got.status != 200 {
		t.Fatalf("without a fault: status %d, %s", got.status, got.body)
	}
	for i, first := range orderedFaults {
		if got := try(first.cause); got.status != first.status || got.code != first.code {
			t.Errorf("%s: status %d, %s, want %d, code %s", first.name, got.status, got.body, first.status, first.code)
		}
		for _, second := range orderedFaults[i+1:] {
			if second.rank == first.rank {
				continue
			}
			got := try(second.cause, first.cause)
			if got.status != first.status || got.code != first.code {
				t.Errorf("%s and %s: status %d, %s, want %d, code %s", first.name, second.name, got.status, got.body, first.status, first.code)
			}
		}
	}
}

// TestKeyTypes holds every cell of the contract's §4.2, and where calls without
// a key go (CONTRACT 4-6, 4-8, 4-9, 10-2).
func TestKeyTypes(t *testing.T) {
	production, sandbox := newBackend(t, "production"), newBackend(t, "sandbox")
	const (
		wrongOnProduction = "A sandbox key cannot be used on a production gateway."
		wrongOnSandbox    = "A production key cannot be used on a sandbox gateway."
		noProduction      = "The API has no production endpoint here."
		noSandbox         = "The API has no sandbox endpoint here."
	)
	type cell struct {
		backend string // that answers; empty: refused
		status  int
		text    string
	}
	for _, tc := range []struct {
		kind                            sluice.EnvironmentType
		production, sandbox             bool // endpoints of the artifact
		state                           sluice.Lifecycle
		productionKey, sandboxKey, open cell
	}{
		{
			sluice.ProductionEnvironment, true, false, sluice.Published,
			cell{"production", 200, ""},
			cell{"", 401, wrongOnProduction},
			cell{"production", 200, ""},
		},
		{
			sluice.SandboxEnvironment, false, true, sluice.Published,
			cell{"", 401, wrongOnSandbox},
			cell{"sandbox", 200, ""},
			cell{"sandbox", 200, ""},
		},
		{
			sluice.HybridEnvironment, true, true, sluice.Published,
			cell{"production", 200, ""},
			cell{"sandbox", 200, ""},
			cell{"production", 200, ""},
		},
		{
			sluice.HybridEnvironment, true, false, sluice.Published,
			cell{"production", 200, ""},
			cell{"", 403, noSandbox},
			cell{"production", 200, ""},
		},
		{
			sluice.HybridEnvironment, false, true, sluice.Published,
			cell{"", 403, noProduction},
			cell{"sandbox", 200, ""},
			cell{"sandbox", 200, ""},
		},
		{ // a prototype needs no key and goes to every gateway
			sluice.ProductionEnvironment, false, true, sluice.Prototyped,
			cell{"sandbox", 200, ""},
			cell{"sandbox", 200, ""},
			cell{"sandbox", 200, ""},
		},
		{
			sluice.SandboxEnvironment, true, false, sluice.Prototyped,
			cell{"production", 200, ""},
			cell{"production", 200, ""},
			cell{"production", 200, ""},
		},
		{
			sluice.SandboxEnvironment, true, true, sluice.Prototyped,
			cell{"sandbox", 200, ""},
			cell{"sandbox", 200, ""},
			cell{"sandbox", 200, ""},
		},
	} {
		t.Run(fmt.Sprintf("%s, %s, production %v, sandbox %v", tc.state, tc.kind, tc.production, tc.sandbox), func(t *testing.T) {
			w := newWorld(t)
			api := weather("", "")
			api.Environment, api.State = tc.kind, tc.state
			if tc.production {
				api.Production = []sluice.Endpoint{{URL: production.URL}}
			}
			if tc.sandbox {
				api.Sandbox = []sluice.Endpoint{{URL: sandbox.URL}}
			}
			w.apply(append(w.callers(api.ID), environment(tc.kind), api)...)
			for name, c := range map[string]struct {
				request request
				want    cell
			}{
				"production key": {request{path: "/weather/1.0/today", token: w.token(nil)}, tc.productionKey},
				"sandbox key":    {request{path: "/weather/1.0/today", token: w.token(sandboxKey)}, tc.sandboxKey},
				"no key":         {request{path: "/weather/1.0/open"}, tc.open},
			} {
				got := w.call(c.request)
				if got.status != c.want.status || got.header.Get("X-Backend") != c.want.backend || got.text != c.want.text {
					t.Errorf("%s: status %d, backend %q, %s, want %+v", name, got.status, got.header.Get("X-Backend"), got.body, c.want)
				}
				if c.want.backend == "" && got.code != "900901" {
					t.Errorf("%s: code %s, want 900901", name, got.code)
				}
			}
		})
	}
}

func TestSubscriptionStates(t *testing.T) {
	backend := newBackend(t, "any")
	w := newWorld(t)
	api := weather(backend.URL, backend.URL)
	w.apply(append(w.callers(api.ID), environment(sluice.HybridEnvironment), api)...)
	for state, want := range map[sluice.SubscriptionState][2]string{ // codes for the production and the sandbox key
		sluice.Unblocked:             {"", ""},
		sluice.SubscriptionBlocked:   {"900907", "900907"},
		sluice.ProductionOnlyBlocked: {"900907", ""},
		sluice.OnHold:                {"900909", "900909"},
		sluice.Rejected:              {"900909", "900909"},
		"NEW":                        {"900909", "900909"},
	} {
		w.apply(&artifact.Subscription{ID: "sub", ApplicationID: "app", APIID: api.ID, State: state})
		for i, changes := range []map[string]any{nil, sandboxKey} {
			if got := w.call(request{path: "/weather/1.0/today", token: w.token(changes)}); got.code != want[i] {
				t.Errorf("%s, key %d: status %d, code %q, want code %q", state, i, got.status, got.code, want[i])
			}
		}
	}
}

// TestTokenTypes holds the auth types of operations against both kinds of
// tokens.
func TestTokenTypes(t *testing.T) {
	backend := newBackend(t, "production")
	w := newWorld(t)
	api := weather(backend.URL, "")
	api.Operations = []sluice.Operation{
		{Verb: "GET", Target: "/any", Auth: sluice.AuthAny},
		{Verb: "GET", Target: "/user", Auth: sluice.AuthUser},
		{Verb: "GET", Target: "/application", Auth: sluice.AuthApplication},
	}
	w.apply(append(w.callers(api.ID), environment(sluice.HybridEnvironment), api)...)
	for path, want := range map[string][2]string{"any": {"", ""}, "user": {"", "900905"}, "application": {"900905", ""}} {
		for i, kind := range []string{"APPLICATION_USER", "APPLICATION"} {
			got := w.call(request{path: "/weather/1.0/" + path, token: w.token(map[string]any{"aut": kind})})
			if got.code != want[i] {
				t.Errorf("%s with a token of kind %s: status %d, code %q, want code %q", path, kind, got.status, got.code, want[i])
			}
		}
	}
}

// TestRevocation follows tokens, keys and subscriptions that end while they are
// in use.
func TestRevocation(t *testing.T) {
	backend := newBackend(t, "production")
	for name, tc := range map[string]struct {
		end  func(w *world)
		code string
	}{
		"token": {func(w *world) {
			w.apply(&artifact.Revocation{ID: "r", Kind: sluice.RevokedToken, Subject: "j1", ExpiresAt: time.Now().Add(time.Hour)})
		}, "900901"},
		"user": {func(w *world) {
			w.apply(&artifact.Revocation{ID: "r", Kind: sluice.RevokedUser, Subject: "alice", Before: time.Now(), ExpiresAt: time.Now().Add(time.Hour)})
		}, "900901"},
		"consumer key": {func(w *world) {
			w.apply(&artifact.Revocation{ID: "r", Kind: sluice.RevokedConsumerKey, Subject: "ck-production", Before: time.Now(), ExpiresAt: time.Now().Add(time.Hour)})
		}, "900901"},
		"consumer key deleted": {func(w *world) {
			w.remove(&artifact.Key{Key: "ck-production"})
		}, "900901"},
		"application deleted": {func(w *world) {
			w.remove(&artifact.Application{ID: "app"})
		}, "900908"},
		"subscription deleted": {func(w *world) {
			w.remove(&artifact.Subscription{ID: "sub"})
		}, "900908"},
		"signing keys gone": {func(w *world) {
			w.apply(&artifact.Tokens{Issuer: issuerName})
		}, "900901"},
		"token trust gone": {func(w *world) {
			w.remove(&artifact.Tokens{})
		}, "900900"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			api := weather(backend.URL, "")
			w.apply(append(w.callers(api.ID), environment(sluice.HybridEnvironment), api)...)
			r := request{path: "/weather/1.0/today", token: w.token(nil)}
			if got := w.call(r); got.status != 200 {
				t.Fatalf("before: status %d, %s", got.status, got.body)
			}
			tc.end(w)
			if got := w.call(r); got.code != tc.code {
				t.Errorf("after: status %d, code %q, want code %s", got.status, got.code, tc.code)
			}
		})
	}
}
