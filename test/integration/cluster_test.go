package integration

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/client"
	"github.com/sluice-api/sluice/internal/database/databasetest"
)

// Two control planes on one PostgreSQL database: what one publishes is live on
// the gateways of both, and when one is killed its gateways go over to the other.
func TestF7TwoControlPlanes(t *testing.T) {
	if !namespace(t) {
		return
	}
	s := &story{ip: "localhost", database: databasetest.Postgres(t).URL(t)}
	s.editHomes(t)
	edit(t, s.homes[0], "sluice.yaml", `$`, "bus:\n  cluster:\n    peers: [\"localhost:6227\"]\n")
	s.startAll(t, []int{0, 1, 2})
	s.importAPI(t)
	first, key := s.rest, filepath.Join(s.homes[0], "state", "master.key")

	alone := s.controlPlane(t, "alone", 7, fmt.Sprintf("database: %q\ndatabase_key_file: %q\n", s.database, key))
	if out, code := run(t, alone); code != 1 || !strings.Contains(out, "is in use by sluice, process ") || !strings.Contains(out, "bus.cluster") {
		t.Errorf("a second control plane without bus.cluster: %d %s, want 1 and the holder", code, out)
	}
	const cluster = "database: %q\nbus:\n  cluster:\n    peers: [\"localhost:6222\"]\n"
	keyless := s.controlPlane(t, "keyless", 6, fmt.Sprintf(cluster, s.database))
	if out, code := run(t, keyless); code != 1 || !strings.Contains(out, "sealed with another key") {
		t.Errorf("a second control plane without the key: %d %s, want 1 and what is missing", code, out)
	}

	home := s.controlPlane(t, "second", 5, fmt.Sprintf(cluster, s.database)+fmt.Sprintf("database_key_file: %q\n", key))
	p := start(t, home)
	ready(t, p, 5)
	second, secondToken := s.logInAt(t, "https://localhost:9448")
	third := s.joinAt(t, second, "https://localhost:9448")
	ready(t, third, 3)

	for round, rest := range []*client.Client{first, second, first, second} {
		s.rest = rest
		s.deployNew(t, fmt.Sprint("round ", round), 2)
	}
	s.rest = second
	if _, err := s.rest.ChangeLifecycle(t.Context(), s.apiID, "Publish"); err != nil {
		t.Fatal(err)
	}
	s.subscribe(t)
	token := s.token(t, 3, s.production, "") // issued by the second
	for _, offset := range []int{1, 3} {
		eventually(t, "the token is taken", func() error {
			if a := s.call.get(t, s.gateway(offset, "/stations"), token); a.status != http.StatusOK {
				return fmt.Errorf("%d %s", a.status, a.body)
			}
			return nil
		})
	}
	s.revoke(t, 1, s.production, token) // at the first
	s.refusedWithinASecond(t, token, s.gateway(1, "/stations"), s.gateway(3, "/stations"))

	const there = `"https://localhost:9448"`
	for _, offset := range []int{1, 2, 3} {
		eventually(t, "the gateway knows the second control plane", func() error { return says(t, offset, there) })
	}
	s.instances[0].kill(t)
	for _, offset := range []int{1, 2, 3} {
		eventually(t, "the gateway has gone over", func() error { return says(t, offset, `"control_plane":`+there) })
	}
	s.allConnected(t, second)
	s.deployNew(t, "after the first was killed", 2) // whichever gateway had not gone over would not be live
	s.call.want(t, s.gateway(1, "/status"), "", http.StatusOK, "production")
	eventually(t, "gateway 1 gets tokens of the other Key Manager", func() error {
		a, err := s.call.do(t.Context(), http.MethodPost, s.oauth(1, "/token"), "", "grant_type=client_credentials", func(r *http.Request) {
			r.SetBasicAuth(s.production.Key, s.production.Secret.Reveal())
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		})
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("%d %s", a.status, a.body)
		}
		return err
	})

	s.instances[0] = start(t, s.homes[0])
	ready(t, s.instances[0], 0)
	s.rest = first
	s.allConnected(t, first)
	s.deployNew(t, "after it came back", 2)
	s.removed(t, secondToken)
}

// controlPlane returns the home of a control plane of the quickstart profile.
func (s *story) controlPlane(t *testing.T, name string, offset int, settings string) string {
	t.Helper()
	home := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	s.giveBinary(t, home)
	settings = fmt.Sprintf("profile: quickstart\nrole: control-plane\noffset: %d\n", offset) + settings
	if err := os.WriteFile(filepath.Join(home, "sluice.yaml"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return home
}

// giveBinary puts the product's binary into a home.
func (s *story) giveBinary(t *testing.T, home string) {
	t.Helper()
	binary, err := os.ReadFile(filepath.Join(s.homes[0], "sluice"))
	if err == nil {
		err = os.WriteFile(filepath.Join(home, "sluice"), binary, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// logInAt returns a client of the control plane at an address, for the user of
// the story, and its token.
func (s *story) logInAt(t *testing.T, address string) (*client.Client, sluice.Secret) {
	t.Helper()
	c := client.New(client.Options{BaseURL: address, TLS: s.call.tls})
	registered, err := c.RegisterClient(t.Context(), "admin", "admin")
	if err != nil {
		t.Fatal(err)
	}
	token, err := c.PasswordToken(t.Context(), registered.ID, registered.Secret, "admin", "admin", []string{
		"apim:api_view", "apim:api_create", "apim:api_publish", "apim:subscribe", "apim:app_manage", "apim:sub_manage",
		"apim:admin", "sluice:gateway_view", "sluice:gateway_manage", "sluice:status_view", "sluice:usage_view",
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.WithToken(token.Token), token.Token
}

// joinAt starts one more production gateway, at offset 3, that joins by token at
// a control plane.
func (s *story) joinAt(t *testing.T, rest *client.Client, control string) *process {
	t.Helper()
	environments, err := rest.Environments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(t.TempDir(), "third")
	if out, code := run(t, s.homes[0], "init", home, "--offset", "3"); code != 0 {
		t.Fatalf("init: %s", out)
	}
	s.giveBinary(t, home)
	_, token, err := rest.CreateEnrolmentToken(t.Context(), environments[0].ID, "third", 0)
	if err != nil {
		t.Fatal(err)
	}
	if out, code := run(t, home, "gateway", "join", "--control", control, "--token", token.Reveal()); code != 0 {
		t.Fatalf("gateway join: %s", out)
	}
	return start(t, home)
}

// deployNew deploys a new revision and sees it live on as many production
// gateways as there shall be.
func (s *story) deployNew(t *testing.T, description string, production int) {
	t.Helper()
	revisions, err := s.rest.Revisions(t.Context(), s.apiID)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range revisions {
		if len(revisions) >= 4 && r.ID != s.revisionID {
			if err := s.rest.DeleteRevision(t.Context(), s.apiID, r.ID); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	r, err := s.rest.CreateRevision(t.Context(), s.apiID, description)
	if err != nil {
		t.Fatal(err)
	}
	s.revisionID = r.ID
	began := time.Now()
	deployed, err := s.rest.Deploy(t.Context(), s.apiID, r.ID, []client.Deployment{{Environment: "Production Gateway", Store: true}, {Environment: "Sandbox Gateway", Store: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: live after %v", description, time.Since(began))
	for i, want := range []int{production, 1} {
		if i >= len(deployed) || deployed[i].Connected != want || deployed[i].Live != want {
			t.Fatalf("%s: %+v, want %d and 1 connected and live", description, deployed, production)
		}
	}
}

// allConnected waits until a control plane says that all gateways are connected.
func (s *story) allConnected(t *testing.T, rest *client.Client) {
	t.Helper()
	for _, offset := range []int{1, 2, 3} {
		eventually(t, "the gateway is connected", func() error { return healthy(t, offset) })
	}
	eventually(t, "the control plane knows it", func() error {
		gateways, err := rest.Gateways(t.Context(), "")
		for _, g := range gateways {
			if g.State != "connected" {
				err = fmt.Errorf("%s is %s", g.Name, g.State)
			}
		}
		return err
	})
}

// healthy returns what the operations port of a process says is wrong.
func healthy(t *testing.T, offset int) error {
	t.Helper()
	return says(t, offset, `"state":"ok"`)
}

// says returns what the operations port of a process says, as an error, unless
// that holds a text.
func says(t *testing.T, offset int, text string) error {
	t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", 9763+offset))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && !strings.Contains(string(body), text) {
		err = fmt.Errorf("%s", body)
	}
	return err
}

// removed removes the gateway that is connected to the second control plane at
// the first: it is cut soon. Its health, where that is seen, is a second late.
func (s *story) removed(t *testing.T, token sluice.Secret) {
	gateways, err := s.rest.Gateways(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range gateways {
		if !strings.HasSuffix(g.Name, fmt.Sprint(":", 8243+3)) {
			continue
		}
		began := time.Now()
		address := "https://localhost:9443/api/sluice/v1/gateways/" + g.ID
		etag := s.call.get(t, address, token.Reveal()).header.Get("ETag")
		a, err := s.call.do(t.Context(), http.MethodDelete, address, token.Reveal(), "", func(r *http.Request) { r.Header.Set("If-Match", etag) })
		if err != nil || a.status >= 300 {
			t.Fatalf("DELETE %s: %+v, %v", address, a, err)
		}
		eventually(t, "the gateway is cut", func() error {
			if err := healthy(t, 3); err == nil || !strings.Contains(err.Error(), "does not know this gateway's key") {
				return fmt.Errorf("it says %v", err)
			}
			return nil
		})
		t.Logf("cut after %v", time.Since(began))
		return
	}
	t.Errorf("the third gateway is not among %+v", gateways)
}
