package gateway_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

// newListener returns a backend that notes the last request it was sent.
func newListener(t testing.TB, seen **http.Request) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { *seen = r }))
	t.Cleanup(s.Close)
	return s
}

func TestEndpointSecurity(t *testing.T) {
	var seen *http.Request
	backend := newListener(t, &seen)
	w := newWorld(t)
	api := weather(backend.URL, backend.URL)
	api.ProductionSecurity = &artifact.Credentials{Username: "Aladdin", Password: "open sesame"}
	w.apply(append(w.callers(api.ID), environment(sluice.HybridEnvironment), api)...)
	for name, tc := range map[string]struct {
		token string
		path  string
		want  string
	}{
		"production":    {w.token(nil), "/today", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
		"sandbox":       {w.token(sandboxKey), "/today", ""},
		"without a key": {"", "/open", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
	} {
		if got := w.call(request{path: "/weather/1.0" + tc.path, token: tc.token}); got.status != 200 {
			t.Fatalf("%s: status %d, %s", name, got.status, got.body)
		}
		if got := strings.Join(seen.Header.Values("Authorization"), "|"); got != tc.want {
			t.Errorf("%s: Authorization %q at the backend, want %q", name, got, tc.want)
		}
	}
}

func TestTraceContext(t *testing.T) {
	var seen *http.Request
	backend := newListener(t, &seen)
	w := newWorld(t)
	w.apply(environment(sluice.HybridEnvironment), weather(backend.URL, ""))
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for name, tc := range map[string]struct {
		sent  []string
		valid bool
	}{
		"valid":              {[]string{"00-" + trace + "-" + span + "-01"}, true},
		"of a later version": {[]string{"01-" + trace + "-" + span + "-01-more"}, true},
		"too long":           {[]string{"00-" + trace + "-" + span + "-01-more"}, false},
		"in capitals":        {[]string{"00-" + strings.ToUpper(trace) + "-" + span + "-01"}, false},
		"no trace id":        {[]string{"00-" + strings.Repeat("0", 32) + "-" + span + "-01"}, false},
		"no span id":         {[]string{"00-" + trace + "-" + strings.Repeat("0", 16) + "-01"}, false},
		"version ff":         {[]string{"ff-" + trace + "-" + span + "-01"}, false},
		"twice":              {[]string{"00-" + trace + "-" + span + "-01", "00-" + trace + "-" + span + "-01"}, false},
		"short":              {[]string{"00"}, false},
		"none":               {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{"Tracestate": {"vendor=1"}}
			if tc.sent != nil {
				h["Traceparent"] = tc.sent
			}
			got := w.call(request{path: "/weather/1.0/open", header: h})
			id := got.header.Get("X-Trace-Id")
			parent := seen.Header.Get("Traceparent")
			if (id == trace) != tc.valid || seen.Header.Get("X-Trace-Id") != id {
				t.Errorf("X-Trace-Id %q, at the backend %q", id, seen.Header.Get("X-Trace-Id"))
			}
			if !tc.valid {
				if parent != "" || tc.sent != nil && seen.Header.Get("Tracestate") != "" {
					t.Errorf("at the backend: traceparent %q, tracestate %q", parent, seen.Header.Get("Tracestate"))
				}
				return
			}
			if !regexp.MustCompile("^00-"+trace+"-[0-9a-f]{16}-01$").MatchString(parent) || strings.Contains(parent, span) {
				t.Errorf("traceparent %q at the backend", parent)
			}
			if seen.Header.Get("Tracestate") != "vendor=1" {
				t.Errorf("tracestate %q at the backend", seen.Header.Get("Tracestate"))
			}
		})
	}
}

func TestBackendJWT(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var seen *http.Request
	backend := newListener(t, &seen)
	w := newWorld(t)
	api := keyed(backend.URL, sluice.OAuth2, sluice.APIKeys)
	how := &artifact.BackendJWT{Issuer: "https://cp.example.com", Header: "X-Who", Dialect: "http://wso2.org/claims", KeyID: "b1", Key: der}
	w.apply(append(w.callers(api.ID), environment(sluice.HybridEnvironment), api, apiKey("k1", "good"), how)...)
	claims := func(r request) (jwt.MapClaims, string) {
		t.Helper()
		r.header = http.Header{"X-Who": {"forged"}, "X-Jwt-Assertion": {"forged"}, "Apikey": {"good"}}
		if got := w.call(r); got.status != 200 {
			t.Fatalf("status %d, %s", got.status, got.body)
		}
		if seen.Header.Get("X-Jwt-Assertion") != "" || len(seen.Header.Values("X-Who")) > 1 {
			t.Errorf("what the client says goes to the backend: %v", seen.Header)
		}
		text := seen.Header.Get("X-Who")
		if text == "" {
			return nil, ""
		}
		c := jwt.MapClaims{}
		if _, err := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithExpirationRequired(), jwt.WithIssuer(how.Issuer)).ParseWithClaims(text, c, func(token *jwt.Token) (any, error) {
			return &key.PublicKey, cmpKid(token, "b1")
		}); err != nil {
			t.Errorf("the backend cannot verify: %v", err)
		}
		short := jwt.MapClaims{}
		for name, v := range c {
			if n, ok := strings.CutPrefix(name, "http://wso2.org/claims/"); ok {
				short[n] = v
			}
		}
		return short, text
	}
	got, first := claims(request{path: "/weather/1.0/today", token: w.token(nil)})
	want := jwt.MapClaims{
		"subscriber": "olga", "applicationid": "app", "applicationname": "App", "applicationtier": "Unlimited", "apicontext": "/weather/1.0",
		"version": "1.0", "tier": "Gold", "keytype": "PRODUCTION", "usertype": "APPLICATION_USER", "enduser": "alice",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims for a user (-want +got):\n%s", diff)
	}
	if _, again := claims(request{path: "/weather/1.0/today", token: w.token(map[string]any{"jti": "j2"})}); again != first {
		t.Error("the same caller got another JWT")
	}
	if _, bob := claims(request{path: "/weather/1.0/today", token: w.token(map[string]any{"sub": "bob"})}); bob == first {
		t.Error("another user got the same JWT")
	}
	want["usertype"], want["enduser"] = "APPLICATION", "olga"
	if got, _ := claims(request{path: "/weather/1.0/today"}); cmp.Diff(want, got) != "" {
		t.Errorf("claims for an API key: %v", got)
	}
	if got, _ := claims(request{path: "/weather/1.0/open"}); got != nil {
		t.Errorf("claims for nobody: %v", got)
	}
	how.OmitUser = true
	w.apply(how)
	delete(want, "enduser")
	if got, _ := claims(request{path: "/weather/1.0/today"}); cmp.Diff(want, got) != "" {
		t.Errorf("claims for an application, without users: %v", got)
	}
	w.remove(how)
	if w.call(request{path: "/weather/1.0/today", token: w.token(nil)}); seen.Header.Get("X-Who") != "" {
		t.Error("a JWT is sent though it is off")
	}
}

func cmpKid(token *jwt.Token, want string) error {
	if token.Header["kid"] != want {
		return jwt.ErrTokenUnverifiable
	}
	return nil
}

// TestLimitsOfAPIAndBackend holds the limits above and behind those of tiers.
func TestLimitsOfAPIAndBackend(t *testing.T) {
	second := func(n int) *sluice.Throughput { return &sluice.Throughput{Production: n} }
	for name, tc := range map[string]struct {
		operation, api string
		burst          bool
		throughput     *sluice.Throughput
		path           string
		code           string
		status         int
		after          string
	}{
		"API":                            {api: "Three", path: "/today", code: "900800", status: 429, after: "20"},
		"API instead of the operation":   {api: "Three", operation: "Three", path: "/other", code: "900800", status: 429, after: "20"},
		"API without a key":              {api: "Three", path: "/open", code: "900800", status: 429, after: "20"},
		"burst before the subscription":  {burst: true, path: "/today", code: "900807", status: 429, after: "1"},
		"backend":                        {throughput: second(3), path: "/today", code: "900801", status: 503, after: "1"},
		"backend without a key":          {throughput: second(2), path: "/open", code: "900801", status: 503, after: "1"},
		"operation before the backend":   {operation: "Three", throughput: second(3), path: "/today", code: "900802", status: 429, after: "20"},
		"backend of the other side only": {throughput: &sluice.Throughput{Sandbox: 1}, operation: "Three", path: "/today", code: "900802", status: 429, after: "20"},
	} {
		t.Run(name, func(t *testing.T) {
			w, clock := limitedWorld(t, tc.operation, "Bursting", sluice.Unlimited)
			backend := newBackend(t, "production")
			api := weather(backend.URL, "")
			api.Revision, api.Tier, api.Throughput = 2, tc.api, tc.throughput
			api.Operations = []sluice.Operation{
				{Verb: "GET", Target: "/today", Auth: sluice.AuthAny, Tier: tc.operation},
				{Verb: "GET", Target: "/other", Auth: sluice.AuthAny},
				{Verb: "GET", Target: "/open", Auth: sluice.AuthNone},
			}
			bursting := tier(sluice.SubscriptionTier, "Bursting", 1000)
			if tc.burst {
				bursting.Limit.Burst, bursting.Limit.BurstWindow = 3, 3*time.Second
			}
			w.apply(api, bursting, &artifact.Tier{Organization: "default", Level: sluice.SubscriptionTier, Name: "Unauthenticated"})
			r := request{path: "/weather/1.0" + tc.path, token: w.tokenAt(*clock, "alice")}
			n, refused := w.passes(r)
			want := 3
			if tc.throughput != nil && tc.throughput.Production == 2 {
				want = 2
			}
			if n != want || refused.status != tc.status || refused.code != tc.code || refused.header.Get("Retry-After") != tc.after {
				t.Errorf("%d calls passed, then %d, %s, Retry-After %s; want %d, %d, %s, %s", n, refused.status, refused.body, refused.header.Get("Retry-After"), want, tc.status, tc.code, tc.after)
			}
		})
	}
}
