package gateway_test

import (
	"maps"
	"net/http"
	"testing"

	"github.com/sluice-api/sluice"
)

// TestDefaultVersion holds that the path without a version is a route as the one
// with it (CONTRACT 10-3, 10-6): the same verbs, OPTIONS and refusals, also for
// another organization than the first.
func TestDefaultVersion(t *testing.T) {
	backend := newBackend(t, "production")
	for _, prefix := range []string{"", "/t/acme.example.com"} {
		w := newWorld(t)
		api := weather(backend.URL, "")
		api.Context, api.DefaultContext = prefix+"/weather/1.0", prefix+"/weather"
		api.Operations = []sluice.Operation{{Verb: "OPTIONS", Target: "/declared", Auth: sluice.AuthAny}, {Verb: "GET", Target: "/secured", Auth: sluice.AuthAny}}
		for _, verb := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			api.Operations = append(api.Operations, sluice.Operation{Verb: verb, Target: "/open", Auth: sluice.AuthNone})
		}
		w.apply(append(w.callers(api.ID), environment(sluice.HybridEnvironment), api)...)
		for name, r := range map[string]request{
			"GET":                     {path: "/open"},
			"HEAD":                    {method: "HEAD", path: "/open"},
			"POST":                    {method: "POST", path: "/open"},
			"PUT":                     {method: "PUT", path: "/open"},
			"PATCH":                   {method: "PATCH", path: "/open"},
			"DELETE":                  {method: "DELETE", path: "/open"},
			"OPTIONS":                 {method: "OPTIONS", path: "/open"},
			"preflight":               {method: "OPTIONS", path: "/open", header: preflight("https://a.com")},
			"OPTIONS, declared":       {method: "OPTIONS", path: "/declared", token: w.token(nil)},
			"declared, no token":      {method: "OPTIONS", path: "/declared"},
			"no such verb":            {method: "DELETE", path: "/secured"},
			"no such resource":        {path: "/nothing"},
			"no token":                {path: "/secured"},
			"a token":                 {path: "/secured", token: w.token(nil)},
			"a field of the original": {path: "/secured", header: http.Header{"Wso2_am_api_default_version": {"x"}}},
		} {
			t.Run(prefix+" "+name, func(t *testing.T) {
				short, long := r, r
				short.path, long.path = prefix+"/weather"+r.path, prefix+"/weather/1.0"+r.path
				got, want := w.call(short), w.call(long)
				if (want.status == http.StatusNotFound) != (name == "no such resource") || got.status != want.status || got.code != want.code || got.header.Get("Allow") != want.header.Get("Allow") || got.header.Get("X-Asked") != want.header.Get("X-Asked") {
					t.Errorf("without the version: %d %s %q %q, with it: %d %s %q %q", got.status, got.code, got.header.Get("Allow"), got.header.Get("X-Asked"),
						want.status, want.code, want.header.Get("Allow"), want.header.Get("X-Asked"))
				}
			})
		}
	}
}

// TestSandboxThroughput holds that what a sandbox backend takes is counted as for
// production (CONTRACT 11-5), each side by itself.
func TestSandboxThroughput(t *testing.T) {
	backend := newBackend(t, "any")
	w, clock := limitedWorld(t, "", sluice.Unlimited, sluice.Unlimited)
	api := weather(backend.URL, backend.URL)
	api.Revision, api.Throughput = 2, &sluice.Throughput{Production: 3, Sandbox: 2}
	w.apply(api)
	for name, want := range map[string]int{"production": 3, "sandbox": 2} {
		claims := map[string]any{"iat": clock.Unix(), "nbf": clock.Unix(), "exp": clock.Unix() + 3600}
		if name == "sandbox" {
			maps.Copy(claims, sandboxKey)
		}
		n, refused := w.passes(request{path: "/weather/1.0/today", token: w.token(claims)})
		if n != want || refused.status != 503 || refused.code != "900801" || refused.header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d calls passed, then %d %s, want %d", name, n, refused.status, refused.body, want)
		}
	}
}
