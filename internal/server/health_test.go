package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-api/sluice/internal/config"
)

func get(h http.Handler, path string) (status int, body, contentType string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String(), w.Header().Get("Content-Type")
}

// On loopback the operations port says everything; where others reach it, it
// says how the process is in a word, and nothing else is there.
func TestOperationsPort(t *testing.T) {
	paths := []string{"/metrics", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/profile?seconds=0", "/debug/pprof/symbol", "/debug/pprof/heap"}
	for address, open := range map[string]bool{"127.0.0.1:9763": true, "localhost:9763": true, "[::1]:9763": true, ":9763": false, "0.0.0.0:9763": false, "192.0.2.1:9763": false} {
		s := newServer(t, "profile: production\n")
		s.cfg.Listen.Operations = address
		h := s.operations()
		s.health.degrade("control plane", "it is at 10.1.2.3")
		for _, path := range []string{"/healthz", "/readyz"} {
			status, body, _ := get(h, path)
			var full struct {
				State   string
				Reasons map[string]string
				Version string
			}
			if open {
				if err := json.Unmarshal([]byte(body), &full); status != 200 || err != nil || full.State != "degraded" || full.Reasons["control plane"] == "" || full.Version != "v1" {
					t.Errorf("%s%s = %d %s, %v", address, path, status, body, err)
				}
			} else if status != 200 || body != "degraded\n" {
				t.Errorf("%s%s = %d %q, want the state alone", address, path, status, body)
			}
		}
		for _, path := range paths {
			if path == "/debug/pprof/profile?seconds=0" && open {
				continue // takes 30 seconds
			}
			if status, _, _ := get(h, path); (status == 200) != open || !open && status != 404 {
				t.Errorf("%s%s = %d, want it there: %t", address, path, status, open)
			}
		}
		s.health.degrade("control plane", "")
		s.health.wait("gateway", "APIs are not loaded")
		if status, body, _ := get(h, "/readyz"); status != http.StatusServiceUnavailable || !open && body != "not ready\n" {
			t.Errorf("%s: not ready = %d %q", address, status, body)
		}
		s.health.wait("gateway", "")
		if status, body, _ := get(h, "/readyz"); status != http.StatusOK || !open && body != "ok\n" {
			t.Errorf("%s: ready = %d %q", address, status, body)
		}
	}
}

// Where others reach the operations port, who shows the token sees everything.
func TestOperationsToken(t *testing.T) {
	home := t.TempDir()
	write(t, filepath.Join(home, "operations-token"), "0123456789abcdef\n")
	s := serverOf(t, home, "profile: production\nlisten: {operations: \"0.0.0.0:9763\"}\noperations: {token_file: operations-token}\n")
	h := s.operations()
	for name, c := range map[string]struct {
		authorization string
		sees          bool
	}{
		"nothing": {}, "the token": {"Bearer 0123456789abcdef", true}, "in another case": {"bearer 0123456789abcdef", true},
		"another": {"Bearer 0123456789abcdeF", false}, "none": {"Bearer ", false}, "another scheme": {"Basic 0123456789abcdef", false},
	} {
		ask := func(path string) *httptest.ResponseRecorder {
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil)
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			h.ServeHTTP(w, r)
			return w
		}
		for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/cmdline"} {
			w := ask(path)
			if seen := w.Code == http.StatusOK; seen != c.sees || !seen && (w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") == "") {
				t.Errorf("%s: %s = %d", name, path, w.Code)
			}
		}
		if w := ask("/healthz"); w.Code != http.StatusOK || strings.Contains(w.Body.String(), `"version":"v1"`) != c.sees {
			t.Errorf("%s: /healthz = %d %s", name, w.Code, w.Body)
		}
	}
	for what, file := range map[string]struct {
		token string
		mode  os.FileMode
	}{"others can read": {"0123456789abcdef", 0o644}, "less than 16 characters": {"short", 0o600}} {
		name := filepath.Join(home, "operations-token")
		write(t, name, file.token)
		if err := os.Chmod(name, file.mode); err != nil {
			t.Fatal(err)
		}
		if _, problems := config.Load(home, config.Overrides{}); len(problems) != 1 || problems[0].Line != 3 || !strings.Contains(problems[0].Text, what) {
			t.Errorf("a file that %s: %v", what, problems)
		}
	}
}

// The management port says no more than the state, whatever is behind it.
func TestManagementPort(t *testing.T) {
	for name, c := range map[string]struct{ yaml, line string }{
		"control plane": {"role: control-plane\n", "This is a Sluice control plane. Its REST API is below /api, its Key Manager below /oauth2.\n"},
		"gateway":       {"control_plane: {url: \"https://control.example.com:9443\"}\n", "This is a Sluice gateway. Its control plane is https://control.example.com:9443.\n"},
	} {
		s := newServer(t, c.yaml)
		if name == "control plane" {
			s.control = &controlRole{}
		}
		mux := http.NewServeMux()
		s.handleRest(mux)
		s.health.wait("gateway", "a reason")
		if status, body, _ := get(mux, "/healthz"); status != 503 || body != "not ready\n" {
			t.Errorf("%s: health = %d %q", name, status, body)
		}
		if status, body, kind := get(mux, "/"); status != 200 || body != c.line || kind != "text/plain; charset=utf-8" {
			t.Errorf("%s: / = %d %q", name, status, body)
		}
		for _, path := range []string{"/metrics", "/debug/pprof/", "/services/AuthenticationAdmin", "/carbon"} {
			if status, _, _ := get(mux, path); status != 404 {
				t.Errorf("%s: %s = %d, want 404", name, path, status)
			}
		}
	}
}
