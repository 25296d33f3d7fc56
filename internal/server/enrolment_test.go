package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluice-api/sluice/internal/config"
	"github.com/sluice-api/sluice/internal/distribution"
)

// waiting returns a gateway that has not joined, behind its management port.
func waiting(t *testing.T, yaml string) (*gatewayRole, *clock, string) {
	t.Helper()
	s := newServer(t, yaml)
	c := newClock()
	s.now = c.now
	mux := http.NewServeMux()
	r, err := s.newGatewayRole(mux)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return r, c, server.URL + "/services/enrolment"
}

const gatewayYAML = "profile: quickstart\ncontrol_plane: {url: \"https://localhost:1\", username: gateway, password: opensesame}\n"

func basic(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

// G6: wrong credentials are refused, and after five of them nobody is heard for a
// while.
func TestG6EnrolmentTakesItsOwnCredentials(t *testing.T) {
	r, clock, url := waiting(t, gatewayYAML)
	c := http.DefaultClient
	if a := do(t, c, http.MethodGet, url, ""); a.status != http.StatusOK {
		t.Errorf("GET = %d %s", a.status, a.body)
	}
	wrong := []func(*http.Request){
		func(*http.Request) {}, basic("gateway", "Opensesame"), basic("admin", "opensesame"), basic("", ""), basic("gateway", ""),
	}
	for _, credentials := range wrong {
		a := do(t, c, http.MethodPost, url, `{"token":"t"}`, credentials)
		if a.status != http.StatusUnauthorized || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic ") || strings.Contains(a.body, "opensesame") {
			t.Errorf("POST = %d %v %s", a.status, a.header, a.body)
		}
	}
	if _, reasons := r.s.health.state(); !strings.Contains(reasons["enrolment credentials"], "5 callers") {
		t.Errorf("after five wrong ones the health says %v", reasons)
	}
	// After five wrong ones nobody is heard for a while, and then again.
	for range 2 {
		if a := do(t, c, http.MethodPost, url, `{"token":"t"}`, basic("gateway", "opensesame")); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
			t.Errorf("POST after five guesses = %d %v", a.status, a.header)
		}
	}
	clock.advance(guessPause)
	for name, body := range map[string]string{"no JSON": "token", "no token": `{"environment":"x"}`, "too long": `{"token":"` + strings.Repeat("x", 16<<10) + `"}`} {
		if a := do(t, c, http.MethodPost, url, body, basic("gateway", "opensesame")); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	a := do(t, c, http.MethodPost, url, `{"token":"slj1.x.y"}`, basic("gateway", "opensesame"))
	if a.status != http.StatusBadGateway || !strings.Contains(a.body, "https://localhost:1") {
		t.Errorf("a control plane that is not there: %d %s", a.status, a.body)
	}
	if a := do(t, c, http.MethodDelete, url, ""); a.status != http.StatusMethodNotAllowed {
		t.Errorf("DELETE = %d", a.status)
	}
}

// A gateway without credentials of its own takes none, empty ones least of all.
func TestEnrolmentWithoutCredentialsIsRefused(t *testing.T) {
	r, clock, url := waiting(t, "profile: quickstart\ncontrol_plane: {url: \"https://localhost:1\"}\n")
	for name, own := range map[string]struct {
		user     string
		password config.Secret
	}{"neither": {"", ""}, "no password": {"gateway", ""}, "no user name": {"", "opensesame"}} {
		r.s.cfg.ControlPlane.Username, r.s.cfg.ControlPlane.Password = own.user, own.password
		for _, sent := range []func(*http.Request){basic("", ""), basic(own.user, own.password.Reveal()), func(*http.Request) {}} {
			if a := do(t, http.DefaultClient, http.MethodPost, url, `{"token":"t"}`, sent); a.status != http.StatusUnauthorized {
				t.Errorf("%s: POST = %d %s", name, a.status, a.body)
			}
			clock.advance(guessPause)
		}
	}
}

func TestEnrolledGatewayTakesNoToken(t *testing.T) {
	r, _, url := waiting(t, gatewayYAML)
	r.identity = &distribution.Identity{}
	if a := do(t, http.DefaultClient, http.MethodGet, url, ""); a.status != http.StatusConflict {
		t.Errorf("GET = %d %s", a.status, a.body)
	}
	if a := do(t, http.DefaultClient, http.MethodPost, url, `{"token":"t"}`, basic("gateway", "opensesame")); a.status != http.StatusConflict {
		t.Errorf("POST = %d %s", a.status, a.body)
	}
	if a := do(t, http.DefaultClient, http.MethodPost, url, `{"token":"t"}`); a.status != http.StatusUnauthorized {
		t.Errorf("POST of somebody = %d %s", a.status, a.body)
	}
}

// What cannot be read is not taken for "has not joined".
func TestDamagedIdentityStopsTheStart(t *testing.T) {
	s := newServer(t, gatewayYAML)
	id := &distribution.Identity{GatewayID: "g"}
	if err := id.Save(s.path("gateway")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.newGatewayRole(http.NewServeMux()); err == nil || !strings.Contains(err.Error(), "identity") {
		t.Errorf("newGatewayRole: %v", err)
	}
}
