package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

// keyed is the API weather taking API keys, or both, with an operation that asks
// for a scope and one for users alone.
func keyed(backend string, schemes ...sluice.Scheme) *artifact.API {
	a := weather(backend, "")
	a.Schemes = schemes
	a.Operations = []sluice.Operation{
		{Verb: "GET", Target: "/today", Auth: sluice.AuthAny},
		{Verb: "GET", Target: "/scoped", Auth: sluice.AuthAny, Scopes: []string{"read"}},
		{Verb: "GET", Target: "/users", Auth: sluice.AuthUser},
		{Verb: "GET", Target: "/open", Auth: sluice.AuthNone},
	}
	return a
}

func apiKey(id, key string) *artifact.APIKey {
	return &artifact.APIKey{ID: id, Hash: sluice.Secret(key).Hash(), ApplicationID: "app", Type: sluice.ProductionKey}
}

func TestAPIKeys(t *testing.T) {
	backend := newBackend(t, "production")
	w := newWorld(t)
	now := time.Now().UTC()
	old, here, page, sandbox, stranger, other := apiKey("k2", "old"), apiKey("k3", "here"), apiKey("k4", "page"), apiKey("k5", "sandbox"), apiKey("k6", "stranger"), apiKey("k8", "other-test")
	old.ExpiresAt, here.Addresses, page.Referers = now.Add(-time.Second), []string{"198.51.100.0/24", "2001:db8::1"}, []string{"https://shop.example.com/"}
	sandbox.Type, stranger.ApplicationID = sluice.SandboxKey, "nobody"
	trial := apiKey("k7", "trial")
	trial.ApplicationID, trial.APIID = "", "weather"
	other.ApplicationID, other.APIID = "", "pets"
	both := keyed(backend.URL, sluice.OAuth2, sluice.APIKeys)
	items := append(w.callers("weather"), environment(sluice.HybridEnvironment), both, apiKey("k1", "good"), old, here, page, sandbox, stranger, trial, other)
	w.apply(items...)
	header := func(name, value string) http.Header { return http.Header{name: {value}} }
	for name, tc := range map[string]struct {
		request request
		status  int
		code    string
	}{
		"in the header":                 {request{path: "/today", header: header("ApiKey", "good")}, 200, ""},
		"in the header in small":        {request{path: "/today", header: header("apikey", "good")}, 200, ""},
		"in the query":                  {request{path: "/today?a=1&apikey=good&b=2"}, 200, ""},
		"nothing":                       {request{path: "/today"}, 401, "900902"},
		"unknown":                       {request{path: "/today", header: header("ApiKey", "bad")}, 401, "900901"},
		"unknown in the query":          {request{path: "/today?apikey=bad"}, 401, "900901"},
		"too long":                      {request{path: "/today", header: header("ApiKey", strings.Repeat("x", 600))}, 401, "900901"},
		"expired":                       {request{path: "/today", header: header("ApiKey", "old")}, 401, "900903"},
		"from the address it is for":    {request{path: "/today", header: header("ApiKey", "here"), client: "198.51.100.9"}, 200, ""},
		"from the IPv6 address":         {request{path: "/today", header: header("ApiKey", "here"), client: "2001:db8::1"}, 200, ""},
		"from another address":          {request{path: "/today", header: header("ApiKey", "here")}, 403, "900908"},
		"from the page it is for":       {request{path: "/today", header: http.Header{"Apikey": {"page"}, "Referer": {"https://shop.example.com/x"}}}, 200, ""},
		"from another page":             {request{path: "/today", header: http.Header{"Apikey": {"page"}, "Referer": {"https://shop.example.com.evil/"}}}, 403, "900908"},
		"from no page":                  {request{path: "/today", header: header("ApiKey", "page")}, 403, "900908"},
		"no sandbox endpoint":           {request{path: "/today", header: header("ApiKey", "sandbox")}, 403, "900901"},
		"application that is gone":      {request{path: "/today", header: header("ApiKey", "stranger")}, 403, "900908"},
		"where a user is needed":        {request{path: "/users", header: header("ApiKey", "good")}, 401, "900905"},
		"where a scope is needed":       {request{path: "/scoped", header: header("ApiKey", "good")}, 403, "900910"},
		"bad key where none is needed":  {request{path: "/open", header: header("ApiKey", "bad")}, 200, ""},
		"bad token beside a good key":   {request{path: "/today", token: "x", header: header("ApiKey", "good")}, 401, "900901"},
		"good token beside a bad key":   {request{path: "/today", token: w.token(nil), header: header("ApiKey", "bad")}, 200, ""},
		"Basic beside a good key":       {request{path: "/today", header: http.Header{"Apikey": {"good"}, "Authorization": {"Basic YTpi"}}}, 200, ""},
		"test key":                      {request{path: "/today", header: header("Internal-Key", "trial")}, 200, ""},
		"test key where a scope is due": {request{path: "/scoped", header: header("Internal-Key", "trial")}, 200, ""},
		"test key as an API key":        {request{path: "/today", header: header("ApiKey", "trial")}, 401, "900901"},
		"API key as a test key":         {request{path: "/today", header: header("Internal-Key", "good")}, 401, "900901"},
		"test key of another API":       {request{path: "/today", header: header("Internal-Key", "other-test")}, 401, "900901"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.request.path = "/weather/1.0" + tc.request.path
			got := w.call(tc.request)
			if got.status != tc.status || got.code != tc.code {
				t.Errorf("status %d, body %s, want %d, %s", got.status, got.body, tc.status, tc.code)
			}
			if (got.header.Get("WWW-Authenticate") != "") != (tc.status == 401) {
				t.Errorf("WWW-Authenticate %q with status %d", got.header.Get("WWW-Authenticate"), tc.status)
			}
		})
	}
	t.Run("after unsubscribing", func(t *testing.T) { // D14
		w.remove(&artifact.Subscription{ID: "sub"})
		if got := w.call(request{path: "/weather/1.0/today", header: header("ApiKey", "good")}); got.code != "900908" {
			t.Errorf("status %d, %s, want 900908", got.status, got.body)
		}
	})
	t.Run("after it was revoked", func(t *testing.T) {
		w.remove(apiKey("k1", "good"))
		if got := w.call(request{path: "/weather/1.0/today", header: header("ApiKey", "good")}); got.code != "900901" {
			t.Errorf("status %d, %s, want 900901", got.status, got.body)
		}
	})
}

// TestCredentialsStayHere holds that no backend sees what a client showed the
// gateway, and that an API takes only what it says.
func TestCredentialsStayHere(t *testing.T) {
	var seen *http.Request
	backend := newListener(t, &seen)
	w := newWorld(t)
	for name, tc := range map[string]struct {
		change      func(a *artifact.API)
		request     request
		status      int
		uri         string
		stays, goes string // names of fields
	}{
		"key in the query":                             {func(*artifact.API) {}, request{path: "/today?apikey=good&a=1"}, 200, "/today?a=1", "", ""},
		"key alone in the query":                       {func(*artifact.API) {}, request{path: "/today?apikey=good"}, 200, "/today", "", ""},
		"key in the header":                            {func(*artifact.API) {}, request{path: "/today", header: http.Header{"Apikey": {"good"}}}, 200, "/today", "Apikey", ""},
		"where none is needed":                         {func(*artifact.API) {}, request{path: "/open?apikey=x", header: http.Header{"Apikey": {"x"}, "Internal-Key": {"x"}}}, 200, "/open", "Apikey Internal-Key", ""},
		"header of its own":                            {func(a *artifact.API) { a.APIKeyHeader = "X-Key" }, request{path: "/today", header: http.Header{"X-Key": {"good"}, "Apikey": {"mine"}}}, 200, "/today", "X-Key", "Apikey"},
		"the usual header then":                        {func(a *artifact.API) { a.APIKeyHeader = "X-Key" }, request{path: "/today", header: http.Header{"Apikey": {"good"}}}, 401, "", "", ""},
		"token header of its own":                      {func(a *artifact.API) { a.TokenHeader = "X-Token" }, request{path: "/today", header: http.Header{"X-Token": {"Bearer " + w.token(nil)}}}, 200, "/today", "X-Token", ""},
		"Authorization then":                           {func(a *artifact.API) { a.TokenHeader = "X-Token" }, request{path: "/today", token: w.token(nil)}, 401, "", "", ""},
		"keys alone, and a token":                      {func(a *artifact.API) { a.Schemes = []sluice.Scheme{sluice.APIKeys} }, request{path: "/today", token: w.token(nil)}, 401, "", "", ""},
		"tokens alone, and a key":                      {func(a *artifact.API) { a.Schemes = nil }, request{path: "/today", header: http.Header{"Apikey": {"good"}}}, 401, "", "", ""},
		"tokens alone: the parameter is the backend's": {func(a *artifact.API) { a.Schemes = nil }, request{path: "/open?apikey=x"}, 200, "/open?apikey=x", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			api := keyed(backend.URL, sluice.OAuth2, sluice.APIKeys)
			tc.change(api)
			w.gateway.Apply(update(t, true, append(w.callers(api.ID), environment(sluice.HybridEnvironment), api, apiKey("k1", "good"))...))
			tc.request.path = "/weather/1.0" + tc.request.path
			seen = nil
			if got := w.call(tc.request); got.status != tc.status {
				t.Fatalf("status %d, body %s, want %d", got.status, got.body, tc.status)
			}
			if tc.status != 200 {
				return
			}
			if seen.RequestURI != tc.uri || seen.Header.Get("Authorization") != "" {
				t.Errorf("the backend was asked for %s with %v, want %s", seen.RequestURI, seen.Header, tc.uri)
			}
			for f := range strings.FieldsSeq(tc.stays) {
				if seen.Header.Get(f) != "" {
					t.Errorf("the backend sees %s", f)
				}
			}
			for f := range strings.FieldsSeq(tc.goes) {
				if seen.Header.Get(f) == "" {
					t.Errorf("the backend does not see %s", f)
				}
			}
		})
	}
}
