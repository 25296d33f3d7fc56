package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/gateway"
)

func preflight(origin string) http.Header {
	return http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"GET"}, "Access-Control-Request-Headers": {"authorization"}}
}

// TestOptions holds who answers OPTIONS: with CORS on and off, declared and not,
// as a preflight and otherwise (CONTRACT 10-13).
func TestOptions(t *testing.T) {
	backend := newBackend(t, "production")
	for name, tc := range map[string]struct {
		cors   *sluice.CORS
		path   string
		header http.Header
		token  bool
		status int
		code   string
		asked  string // of the backend; empty: the gateway answers
		allow  string
	}{
		"preflight":                           {path: "/today", header: preflight("https://a.com"), status: 200, allow: "GET, HEAD"},
		"preflight, declared":                 {path: "/declared", header: preflight("https://a.com"), status: 200, allow: "GET, HEAD, OPTIONS"},
		"preflight, unknown origin":           {cors: &sluice.CORS{Enabled: true}, path: "/today", header: preflight("https://a.com"), status: 200, allow: "GET, HEAD"},
		"preflight to nothing":                {path: "/nothing", header: preflight("https://a.com"), status: 404, code: "404"},
		"plain OPTIONS":                       {path: "/today", status: 200, allow: "GET, HEAD"},
		"plain OPTIONS, with an origin":       {path: "/today", header: http.Header{"Origin": {"https://a.com"}}, status: 200, allow: "GET, HEAD"},
		"plain OPTIONS, declared":             {path: "/declared", token: true, status: 200, asked: "OPTIONS /declared"},
		"plain OPTIONS, declared, no token":   {path: "/declared", status: 401, code: "900902"},
		"declared, with an origin alone":      {path: "/declared", header: http.Header{"Origin": {"https://a.com"}}, status: 401, code: "900902"},
		"CORS off":                            {cors: &sluice.CORS{}, path: "/today", header: preflight("https://a.com"), status: 405, code: "405", allow: "GET, HEAD"},
		"CORS off, declared":                  {cors: &sluice.CORS{}, path: "/declared", header: preflight("https://a.com"), token: true, status: 200, asked: "OPTIONS /declared"},
		"CORS off, declared, without a token": {cors: &sluice.CORS{}, path: "/declared", header: preflight("https://a.com"), status: 401, code: "900902"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			api := weather(backend.URL, "")
			api.CORS = tc.cors
			api.Operations = []sluice.Operation{
				{Verb: "GET", Target: "/today", Auth: sluice.AuthAny},
				{Verb: "GET", Target: "/declared", Auth: sluice.AuthAny},
				{Verb: "OPTIONS", Target: "/declared", Auth: sluice.AuthAny},
			}
			w.apply(append(w.callers(api.ID), environment(sluice.HybridEnvironment), api)...)
			r := request{method: "OPTIONS", path: "/weather/1.0" + tc.path, header: tc.header}
			if tc.token {
				r.token = w.token(nil)
			}
			got := w.call(r)
			if got.status != tc.status || got.code != tc.code || got.header.Get("X-Asked") != tc.asked || got.header.Get("Allow") != tc.allow {
				t.Errorf("status %d, code %q, asked %q, Allow %q, want %d, %q, %q, %q",
					got.status, got.code, got.header.Get("X-Asked"), got.header.Get("Allow"), tc.status, tc.code, tc.asked, tc.allow)
			}
			if tc.asked == "" && tc.code == "" && got.body != "" {
				t.Errorf("body %q, want none", got.body)
			}
		})
	}
}

// TestCORSFields holds that preflights, answers of backends and faults carry the
// fields, and a backend's own stay.
func TestCORSFields(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "own" {
			w.Header().Set("Access-Control-Allow-Origin", "https://own.com")
		}
	}))
	t.Cleanup(backend.Close)
	w := newWorld(t)
	api := weather(backend.URL, "")
	api.CORS = &sluice.CORS{Enabled: true, Origins: []string{"https://good.com"}, Credentials: true}
	w.apply(append(w.callers(api.ID), environment(sluice.HybridEnvironment), api)...)
	for name, tc := range map[string]struct {
		request                      request
		status                       int
		origin, methods, credentials string
	}{
		"preflight":          {request{method: "OPTIONS", path: "/weather/1.0/today", header: preflight("https://good.com")}, 200, "https://good.com", "GET", "true"},
		"preflight, evil":    {request{method: "OPTIONS", path: "/weather/1.0/today", header: preflight("https://evil.good.com")}, 200, "", "", ""},
		"answer":             {request{path: "/weather/1.0/open", header: preflight("https://good.com")}, 200, "https://good.com", "GET", "true"},
		"answer, two verbs":  {request{path: "/weather/1.0/x", header: preflight("https://good.com")}, 200, "https://good.com", "POST,GET", "true"},
		"answer, null":       {request{path: "/weather/1.0/open", header: preflight("null")}, 200, "", "", ""},
		"backend's own":      {request{path: "/weather/1.0/open?own", header: preflight("https://good.com")}, 200, "https://own.com", "", ""},
		"no token":           {request{path: "/weather/1.0/today", header: preflight("https://good.com")}, 401, "https://good.com", "GET", "true"},
		"method not allowed": {request{method: "PUT", path: "/weather/1.0/open", header: preflight("https://good.com")}, 405, "https://good.com", "GET", "true"},
		"no API":             {request{path: "/other", header: preflight("https://good.com")}, 404, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.call(tc.request)
			origin, methods, credentials := got.header.Get("Access-Control-Allow-Origin"), got.header.Get("Access-Control-Allow-Methods"), got.header.Get("Access-Control-Allow-Credentials")
			if got.status != tc.status || origin != tc.origin || methods != tc.methods || credentials != tc.credentials {
				t.Errorf("status %d, origin %q, methods %q, credentials %q, want %d, %q, %q, %q",
					got.status, origin, methods, credentials, tc.status, tc.origin, tc.methods, tc.credentials)
			}
			if n := len(got.header.Values("Access-Control-Allow-Origin")); n > 1 {
				t.Errorf("%d fields Access-Control-Allow-Origin", n)
			}
		})
	}
}

// TestCORSAfterPanic holds that an answer made after a panic can be read by
// pages too.
func TestCORSAfterPanic(t *testing.T) {
	w := newWorld(t, func(o *gateway.Options) { o.Transport = panicking{o.Transport} })
	w.apply(environment(sluice.HybridEnvironment), weather("http://127.0.0.1:1", ""))
	got := w.call(request{path: "/weather/1.0/open?panic", header: preflight("https://a.com")})
	if got.status != 500 || got.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("status %d, Access-Control-Allow-Origin %q", got.status, got.header.Get("Access-Control-Allow-Origin"))
	}
}
