package integration

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-api/sluice/internal/client"
)

// A home of the production profile, as `sluice init` makes it: nobody has a
// built-in password, the own gateway joins by itself, and what is legacy is off.
func TestProductionHome(t *testing.T) {
	if !namespace(t) {
		return
	}
	pack := unpack(t, "binary")
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(t.TempDir(), "home")
	if out, code := run(t, pack, "init", home, "--admin-password-file", password); code != 0 {
		t.Fatalf("init = %d %s", code, out)
	}
	out, code := run(t, pack, "token", "create", "--home", home)
	if code != 0 {
		t.Fatalf("token create = %d %s", code, out)
	}
	p := start(t, pack, "serve", "--home", home)
	ready(t, p, 0)
	call := newCaller(t, home)
	rest := client.New(client.Options{BaseURL: "https://localhost:9443", TLS: call.tls})
	if _, err := rest.RegisterClient(t.Context(), "admin", "admin"); !client.IsStatus(err, http.StatusUnauthorized) {
		t.Errorf("admin/admin: %v, want it refused", err)
	}
	registered, err := rest.RegisterClient(t.Context(), "admin", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rest.PasswordToken(t.Context(), registered.ID, registered.Secret, "admin", "correct horse", nil); err == nil || !strings.Contains(err.Error(), "apictl login") {
		t.Errorf("a management login by password: %v, want it refused with the way that works", err)
	}
	environments, err := rest.WithToken(secret(out)).Environments(t.Context())
	if err != nil || len(environments) != 1 {
		t.Errorf("environments %+v, %v", environments, err)
	}
	environmentCommands(t, pack, home, strings.TrimSpace(out))
	if _, err := os.Stat(filepath.Join(home, "admin-password")); !os.IsNotExist(err) {
		t.Errorf("the password's file is still there: %v", err)
	}
	grant := url.Values{"grant_type": {"client_credentials"}}
	if a := call.form(t, "http://localhost:8280/token", "x", "y", grant); a.status != http.StatusForbidden {
		t.Errorf("POST /token over plain HTTP = %d %s, want 403", a.status, a.body)
	}
	if a := call.form(t, "https://127.0.0.1:8243/token", "x", "y", grant); a.status != http.StatusUnauthorized || a.text("error") != "invalid_client" {
		t.Errorf("POST /token of an unknown client = %d %s", a.status, a.body)
	}
}

// environmentCommands adds, lists and removes an environment from the command
// line while the control plane runs.
func environmentCommands(t *testing.T, pack, home, token string) {
	t.Helper()
	t.Setenv("SLUICE_TOKEN", token)
	for _, step := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"add", "North", "--type", "sandbox", "--host", "north.example.com"}, "sluice gateway join --control https://", 0},
		{[]string{"add", " NORTH", "--host", "north.example.com"}, "environment names must be unique", 1},
		{[]string{"list"}, "https://north.example.com:8243", 0},
		{[]string{"remove", "South"}, `there is no environment "South"; there are: `, 1},
		{[]string{"remove", "north"}, "Removed the environment North.", 0},
	} {
		out, code := run(t, pack, append(append([]string{"environment"}, step.args...), "--home", home)...)
		if code != step.code || !strings.Contains(out, step.want) {
			t.Errorf("sluice environment %q = %d %s\nwant %d and %q", step.args, code, out, step.code, step.want)
		}
	}
}
