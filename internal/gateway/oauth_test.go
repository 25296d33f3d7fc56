package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/gateway"
)

func TestOAuthPaths(t *testing.T) {
	keyManager := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Add("Set-Cookie", "__Host-sluice_login=1; Path=/")
		w.Header().Set("X-Asked", strings.Join([]string{r.Method, r.RequestURI, r.Header.Get("Authorization"), string(body)}, " | "))
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(keyManager.Close)
	endpoint, err := gateway.NewEndpoint(keyManager.URL + "/km")
	if err != nil {
		t.Fatal(err)
	}
	basic := http.Header{"Authorization": {"Basic Y2s6Y3M="}}
	for name, tc := range map[string]struct {
		plainOAuth bool
		request    request
		status     int
		asked      string
		allow      string
	}{
		"token":                        {false, request{method: "POST", path: "/token", header: basic, body: "grant_type=x"}, 418, "POST | /km/oauth2/token | Basic Y2s6Y3M= | grant_type=x", ""},
		"token on any host":            {false, request{method: "POST", path: "/token", host: "localhost:8243", body: "a"}, 418, "POST | /km/oauth2/token |  | a", ""},
		"revoke":                       {false, request{method: "POST", path: "/revoke", body: "token=x"}, 418, "POST | /km/oauth2/revoke |  | token=x", ""},
		"authorize":                    {false, request{path: "/authorize?response_type=code&client_id=x"}, 418, "GET | /km/oauth2/authorize?response_type=code&client_id=x |  |", ""},
		"userinfo":                     {false, request{path: "/userinfo", token: "t"}, 418, "GET | /km/oauth2/userinfo | Bearer t |", ""},
		"GET token":                    {false, request{path: "/token?grant_type=password"}, 405, "", "POST"},
		"PUT revoke":                   {false, request{method: "PUT", path: "/revoke"}, 405, "", "POST"},
		"POST authorize":               {false, request{method: "POST", path: "/authorize"}, 405, "", "GET, HEAD"},
		"POST userinfo":                {false, request{method: "POST", path: "/userinfo"}, 405, "", "GET, HEAD"},
		"below token":                  {false, request{method: "POST", path: "/token/x"}, 404, "", ""},
		"other endpoints":              {false, request{path: "/oauth2/token"}, 404, "", ""},
		"plain HTTP":                   {false, request{method: "POST", path: "/token", plain: true}, 403, "", ""},
		"plain HTTP before the verb":   {false, request{path: "/token", plain: true}, 403, "", ""},
		"plain HTTP, from loopback":    {false, request{method: "POST", path: "/token", plain: true, client: "127.0.0.1"}, 403, "", ""},
		"allowed, from loopback":       {true, request{method: "POST", path: "/token", plain: true, client: "127.0.0.1"}, 418, "POST | /km/oauth2/token |  |", ""},
		"allowed, from IPv6 loopback":  {true, request{method: "POST", path: "/token", plain: true, client: "::1"}, 418, "POST | /km/oauth2/token |  |", ""},
		"allowed, from mapped address": {true, request{method: "POST", path: "/token", plain: true, client: "::ffff:127.0.0.1"}, 418, "POST | /km/oauth2/token |  |", ""},
		"allowed, from elsewhere":      {true, request{method: "POST", path: "/token", plain: true}, 403, "", ""},
		"allowed, claimed loopback":    {true, request{method: "POST", path: "/token", plain: true, header: http.Header{"X-Forwarded-For": {"127.0.0.1"}}}, 403, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *gateway.Options) {
				o.KeyManager, o.PlainOAuth = func() *gateway.Endpoint { return endpoint }, tc.plainOAuth
			})
			w.apply(environment(sluice.HybridEnvironment))
			a := w.call(tc.request)
			if a.status != tc.status || a.header.Get("X-Asked") != tc.asked || a.header.Get("Allow") != tc.allow {
				t.Errorf("status %d, %s, asked %q, Allow %q, want %d, %q, %q",
					a.status, a.body, a.header.Get("X-Asked"), a.header.Get("Allow"), tc.status, tc.asked, tc.allow)
			}
			if a.header.Get("Set-Cookie") != "" {
				t.Errorf("Set-Cookie: %q", a.header.Get("Set-Cookie"))
			}
			if a.status == 403 || a.status == 405 {
				checkOAuthError(t, a, "invalid_request")
			}
		})
	}
}

func TestKeyManagerAway(t *testing.T) {
	gone, err := gateway.NewEndpoint("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	closing, err := gateway.NewEndpoint(newRawBackend(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	for name, endpoint := range map[string]*gateway.Endpoint{"not configured": nil, "nobody listens": gone, "closes": closing} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *gateway.Options) { o.KeyManager = func() *gateway.Endpoint { return endpoint } })
			w.apply(environment(sluice.HybridEnvironment))
			a := w.call(request{method: "POST", path: "/token", body: "grant_type=x"})
			if a.status != 503 || a.header.Get("Retry-After") == "" {
				t.Errorf("status %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
			}
			checkOAuthError(t, a, "temporarily_unavailable")
		})
	}
}

func checkOAuthError(t *testing.T, a answer, want string) {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	if body["error"] != want || body["error_description"] == "" || len(body) != 2 {
		t.Errorf("body %s, want error %q and a description", a.body, want)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control: %q", a.header.Get("Cache-Control"))
	}
}

// TestOAuthFaultsAreJSON holds that Accept makes no difference on the paths of
// OAuth.
func TestOAuthFaultsAreJSON(t *testing.T) {
	w := newWorld(t)
	w.apply(environment(sluice.HybridEnvironment))
	for _, r := range []request{{path: "/token"}, {path: "/token", method: "POST"}, {path: "/token", plain: true}} {
		r.header = http.Header{"Accept": {"application/xml"}}
		if got := w.call(r); !json.Valid([]byte(got.body)) || !strings.HasPrefix(got.header.Get("Content-Type"), "application/json") {
			t.Errorf("%+v: status %d, Content-Type %q, %s, want JSON", r, got.status, got.header.Get("Content-Type"), got.body)
		}
	}
}
