package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/client"
	"github.com/sluice-api/sluice/internal/database/databasetest"
)

// The page "Publish through Multiple API Gateways", step by step, with "IP of
// the first instance" as localhost.
func TestSeedStoryOnLocalhost(t *testing.T) {
	if namespace(t) {
		tellStory(t, "localhost", []int{1, 2, 0})
	}
}

// The same with an address of the machine that is not loopback. Every listener
// is on loopback all the same, and the address is dialled there.
func TestSeedStoryOnOwnAddress(t *testing.T) {
	if namespace(t) {
		tellStory(t, ownAddress, []int{0, 2, 1})
	}
}

// The same with the control plane's data in PostgreSQL.
func TestSeedStoryOnPostgres(t *testing.T) {
	if namespace(t) {
		tellStoryOn(t, &story{ip: "localhost", database: databasetest.Postgres(t).URL(t)}, []int{0, 1, 2})
	}
}

// story is the platform of the page: three instances, and what is made on them.
type story struct {
	homes     [3]string
	instances [3]*process
	fourth    *process // joined by token
	ip        string   // of the first instance, as the page says it
	database  string   // URL; empty: SQLite
	call      *caller
	rest      *client.Client

	apiID, revisionID   string
	production, sandbox client.Keys
	productionToken     string
	sandboxToken        string
}

// gateway returns an address of the API at the instance with the offset.
func (s *story) gateway(offset int, path string) string {
	return fmt.Sprintf("https://localhost:%d/citybikes/1.0%s", 8243+offset, path)
}

func (s *story) plain(offset int, path string) string {
	return fmt.Sprintf("http://localhost:%d/citybikes/1.0%s", 8280+offset, path)
}

// oauth returns an OAuth address at the instance with the offset.
func (s *story) oauth(offset int, path string) string {
	return fmt.Sprintf("https://localhost:%d%s", 8243+offset, path)
}

// tellStory tells the whole story; each step builds on those before.
func tellStory(t *testing.T, ip string, order []int) { tellStoryOn(t, &story{ip: ip}, order) }

func tellStoryOn(t *testing.T, s *story, order []int) {
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"copy the product into three folders and edit them", s.editHomes},
		{"start the instances", func(t *testing.T) { s.startAll(t, order) }},
		{"import the API", s.importAPI},
		{"deploy to the sandbox gateway only", s.deployToSandbox},
		{"deploy to both, and publish", s.deployToBoth},
		{"subscribe and make keys", s.subscribe},
		{"tokens from every gateway", s.fetchTokens},
		{"a fourth instance joins by token", s.joinFourth},
		{"calls", s.calls},
		{"refusals", s.refusals},
		{"revocation", s.revocation},
		{"undeploy from one environment", s.undeploy},
		{"the control plane is gone", s.withoutControlPlane},
		{"the control plane is back", s.controlPlaneBack},
		{"an environment named twice", s.duplicateEnvironment},
	} {
		// Not a subtest's own lifetime: processes live as long as the story.
		start := time.Now()
		step.do(t)
		t.Logf("%s (%.2f s)", step.name, time.Since(start).Seconds())
		if t.Failed() {
			t.Fatalf("the story ends at: %s", step.name)
		}
	}
}

func (s *story) editHomes(t *testing.T) {
	const carbon, manager = "repository/conf/carbon.xml", "repository/conf/api-manager.xml"
	for i := range s.homes {
		home := unpack(t, fmt.Sprintf("instance-%d", i+1))
		s.homes[i] = home
		edit(t, home, "sluice.yaml", `$`, "gateway:\n  clock_leeway: 0s\n")
		if i == 0 {
			if s.database != "" {
				edit(t, home, "sluice.yaml", `$`, fmt.Sprintf("database: %q\n", s.database))
			}
			continue
		}
		edit(t, home, carbon, `<Offset>0</Offset>`, fmt.Sprintf("<Offset>%d</Offset>", i))
		edit(t, home, manager, `<EnableThriftServer>true<`, "<EnableThriftServer>false<")
		edit(t, home, manager, `(<AuthManager>\s*<ServerURL>)[^<]*`, "${1}https://"+s.ip+":9443/services/")
		edit(t, home, manager, `(<APIKeyValidator>\s*<ServerURL>)[^<]*`, "${1}https://"+s.ip+":9443/services/")
		edit(t, home, manager, `(<RevokeAPIURL>)[^<]*`, "${1}https://"+s.ip+":8243/revoke")
	}
	environment := func(kind, name string, offset int) string {
		return fmt.Sprintf(`<Environment type="%s" api-console="true">
                <Name>%s</Name>
                <Description>%s of the page</Description>
                <ServerURL>https://localhost:%d//services/</ServerURL>
                <Username>admin</Username>
                <Password>admin</Password>
                <GatewayEndpoint>http://localhost:%d,https://localhost:%d</GatewayEndpoint>
            </Environment>`, kind, name, name, 9443+offset, 8280+offset, 8243+offset)
	}
	edit(t, s.homes[0], manager, `<Environment .*</Environment>`,
		environment("production", "Production Gateway", 1)+"\n            "+environment("sandbox", "Sandbox Gateway", 2))
}

func (s *story) startAll(t *testing.T, order []int) {
	for _, i := range order {
		s.instances[i] = start(t, s.homes[i])
	}
	for i, p := range s.instances {
		ready(t, p, i)
	}
	s.logIn(t)
	environments, err := s.rest.Environments(t.Context())
	if err != nil || len(environments) != 2 || environments[0].Name != "Production Gateway" || environments[1].Name != "Sandbox Gateway" {
		t.Errorf("environments %+v, %v; want the page's two in its order", environments, err)
	}
	// Instance 1 has no environment of its own: no API, but the Key Manager.
	s.call.want(t, s.gateway(0, "/status"), "", http.StatusNotFound, "404")
	if strings.Contains(s.instances[1].log.String(), "password=admin") {
		t.Error("the log shows a password")
	}
}

// logIn gets a management token of admin, as apictl does.
func (s *story) logIn(t *testing.T) {
	s.call = newCaller(t, s.homes[0])
	c := client.New(client.Options{BaseURL: "https://localhost:9443", TLS: s.call.tls})
	registered, err := c.RegisterClient(t.Context(), "admin", "admin")
	if err != nil {
		t.Fatal(err)
	}
	token, err := c.PasswordToken(t.Context(), registered.ID, registered.Secret, "admin", "admin", []string{
		"apim:api_view", "apim:api_create", "apim:api_publish", "apim:subscribe", "apim:app_manage", "apim:sub_manage",
		"apim:admin", "sluice:gateway_view", "sluice:gateway_manage", "sluice:status_view",
	})
	if err != nil {
		t.Fatal(err)
	}
	s.rest = c.WithToken(token.Token)
}

func (s *story) importAPI(t *testing.T) {
	endpoints := map[string]any{"endpoint_type": "http"}
	for _, side := range []string{"production", "sandbox"} {
		p := start(t, s.homes[0], "sample-backend", "--side", side)
		eventually(t, side+" backend is up", func() error {
			if !strings.Contains(p.log.String(), "\n") {
				return fmt.Errorf("it has not said where it is")
			}
			return nil
		})
		endpoints[side+"_endpoints"] = map[string]any{"url": strings.TrimSpace(p.log.String())}
	}
	definition, err := os.ReadFile(filepath.Join(root(), "internal/cli/sample/citybikes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.rest.ImportOpenAPI(t.Context(), definition, map[string]any{
		"context": "/citybikes", "policies": []string{"Unlimited", "Gold"}, "endpointConfig": endpoints,
	})
	if err != nil {
		t.Fatal(err)
	}
	if a.Name != "CityBikes" || a.Version != "1.0" || a.State != "CREATED" {
		t.Errorf("imported %+v", a)
	}
	s.apiID = a.ID
}

func (s *story) deployToSandbox(t *testing.T) {
	r, err := s.rest.CreateRevision(t.Context(), s.apiID, "first")
	if err != nil {
		t.Fatal(err)
	}
	s.revisionID = r.ID
	s.deploy(t, "Sandbox Gateway")
	s.call.want(t, s.gateway(2, "/status"), "", http.StatusOK, "sandbox")
	s.call.want(t, s.plain(2, "/status"), "", http.StatusOK, "sandbox")
	s.call.want(t, s.gateway(1, "/status"), "", http.StatusNotFound, "404")
}

// deploy deploys the revision and sees it live on every gateway named.
func (s *story) deploy(t *testing.T, environments ...string) {
	t.Helper()
	var targets []client.Deployment
	for _, e := range environments {
		targets = append(targets, client.Deployment{Environment: e, Store: true})
	}
	deployed, err := s.rest.Deploy(t.Context(), s.apiID, s.revisionID, targets)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deployed {
		if d.Connected == 0 || d.Live != d.Connected {
			t.Fatalf("deployment answered while %s was not live: %+v", d.Environment, d)
		}
	}
}

func (s *story) deployToBoth(t *testing.T) {
	s.deploy(t, "Production Gateway", "Sandbox Gateway")
	if _, err := s.rest.ChangeLifecycle(t.Context(), s.apiID, "Publish"); err != nil {
		t.Fatal(err)
	}
	s.call.want(t, s.gateway(1, "/status"), "", http.StatusOK, "production")
	s.call.want(t, s.gateway(2, "/status"), "", http.StatusOK, "sandbox")
	a, err := s.rest.StoreAPI(t.Context(), s.apiID)
	if err != nil {
		t.Fatal(err)
	}
	want := []client.Endpoint{
		{Environment: "Production Gateway", Type: "production", URLs: client.URLs{HTTP: "http://localhost:8281/citybikes/1.0", HTTPS: "https://localhost:8244/citybikes/1.0"}},
		{Environment: "Sandbox Gateway", Type: "sandbox", URLs: client.URLs{HTTP: "http://localhost:8282/citybikes/1.0", HTTPS: "https://localhost:8245/citybikes/1.0"}},
	}
	if fmt.Sprint(a.Endpoints) != fmt.Sprint(want) {
		t.Errorf("the Store shows %+v, want %+v", a.Endpoints, want)
	}
}

// application makes an application with keys, subscribed or not.
func (s *story) application(t *testing.T, name string, subscribed bool, ttl time.Duration, types ...sluice.KeyType) []client.Keys {
	t.Helper()
	app, err := s.rest.CreateApplication(t.Context(), name, "Unlimited")
	if err != nil {
		t.Fatal(err)
	}
	if subscribed {
		if _, err := s.rest.Subscribe(t.Context(), app.ID, s.apiID, "Gold"); err != nil {
			t.Fatal(err)
		}
	}
	var list []client.Keys
	for _, kt := range types {
		k, err := s.rest.GenerateKeys(t.Context(), app.ID, client.KeyRequest{Type: kt, Grants: []string{"client_credentials", "password"}, TTL: ttl})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, k)
	}
	return list
}

func (s *story) subscribe(t *testing.T) {
	keys := s.application(t, "Bike App", true, 0, sluice.ProductionKey, sluice.SandboxKey)
	s.production, s.sandbox = keys[0], keys[1]
}

// token gets a token with the sample cURL's password grant at an instance.
func (s *story) token(t *testing.T, offset int, k client.Keys, scope string) string {
	t.Helper()
	form := url.Values{"grant_type": {"password"}, "username": {"admin"}, "password": {"admin"}}
	if scope != "" {
		form.Set("scope", scope)
	}
	a := s.call.form(t, s.oauth(offset, "/token"), k.Key, k.Secret.Reveal(), form)
	if a.status != http.StatusOK || a.text("access_token") == "" || a.text("token_type") != "Bearer" || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("POST %s = %d %s %v", s.oauth(offset, "/token"), a.status, a.body, a.header)
	}
	return a.text("access_token")
}

func (s *story) fetchTokens(t *testing.T) {
	s.productionToken = s.token(t, 1, s.production, "")
	s.sandboxToken = s.token(t, 2, s.sandbox, "")
	onFirst := s.token(t, 0, s.production, "") // at instance 1's own 8243
	s.call.want(t, s.gateway(1, "/stations"), onFirst, http.StatusOK, "production")
	s.revoke(t, 0, s.production, onFirst)
	s.refusedWithinASecond(t, onFirst, s.gateway(1, "/stations"))
	if a := s.call.form(t, s.oauth(1, "/token"), s.production.Key, "wrong", url.Values{"grant_type": {"client_credentials"}}); a.status != http.StatusUnauthorized || a.text("error") != "invalid_client" {
		t.Errorf("a wrong secret: %d %s", a.status, a.body)
	}
}

func (s *story) revoke(t *testing.T, offset int, k client.Keys, token string) {
	t.Helper()
	if a := s.call.form(t, s.oauth(offset, "/revoke"), k.Key, k.Secret.Reveal(), url.Values{"token": {token}}); a.status != http.StatusOK {
		t.Fatalf("POST %s = %d %s", s.oauth(offset, "/revoke"), a.status, a.body)
	}
}

// refusedWithinASecond sees that every address refuses the token soon, and from
// then on.
func (s *story) refusedWithinASecond(t *testing.T, token string, addresses ...string) {
	t.Helper()
	begin := time.Now()
	for _, address := range addresses {
		eventually(t, "the token is refused at "+address, func() error {
			if a := s.call.get(t, address, token); a.status != http.StatusUnauthorized || a.text("code") != "900901" {
				return fmt.Errorf("%d %s", a.status, a.body)
			}
			return nil
		})
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("the revocation took %v, want at most a second", took)
	}
}

func (s *story) joinFourth(t *testing.T) {
	environments, err := s.rest.Environments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(t.TempDir(), "instance-4")
	if out, code := run(t, s.homes[0], "init", home, "--offset", "3"); code != 0 {
		t.Fatalf("init: %s", out)
	}
	binary, err := os.ReadFile(filepath.Join(s.homes[0], "sluice"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "sluice"), binary, 0o755); err != nil {
		t.Fatal(err)
	}
	join := func(token string) (string, int) {
		return run(t, home, "gateway", "join", "--control", "https://localhost:9443", "--token", token)
	}
	info, good, err := s.rest.CreateEnrolmentToken(t.Context(), environments[0].ID, "fourth", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	brief, expired, err := s.rest.CreateEnrolmentToken(t.Context(), environments[0].ID, "expired", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(info.Command, "sluice gateway join --control https://localhost:9443 --token ") {
		t.Errorf("join command %q", info.Command)
	}
	wrong := []byte(good.Reveal())
	wrong[len("slj1.")] ^= 1 // another digit
	if out, code := join(string(wrong)); code != 1 || !strings.Contains(out, "token") {
		t.Errorf("joining with a wrong token: %d %s", code, out)
	}
	if out, code := join(good.Reveal()); code != 0 {
		t.Fatalf("joining: %d %s", code, out)
	}
	<-time.After(time.Until(brief.ExpiresAt.Add(50 * time.Millisecond))) // it must be over
	for name, token := range map[string]sluice.Secret{"used": good, "expired": expired} {
		other := filepath.Join(t.TempDir(), name)
		if out, code := run(t, s.homes[0], "init", other, "--offset", "4"); code != 0 {
			t.Fatalf("init: %s", out)
		}
		out, code := run(t, s.homes[0], "gateway", "join", "--home", other, "--control", "https://localhost:9443", "--token", token.Reveal())
		if code != 1 || !strings.Contains(out, "token") {
			t.Errorf("joining with a token that is %s: %d %s", name, code, out)
		}
	}
	s.fourth = start(t, home)
	ready(t, s.fourth, 3)
	eventually(t, "the fourth instance serves", func() error {
		if a := s.call.get(t, s.gateway(3, "/status"), ""); a.status != http.StatusOK {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
}

func (s *story) calls(t *testing.T) {
	for _, address := range []string{s.gateway(1, "/stations"), s.plain(1, "/stations?minBikes=4"), s.gateway(3, "/stations/s1/bikes")} {
		s.call.want(t, address, s.productionToken, http.StatusOK, "production")
	}
	for _, address := range []string{s.gateway(2, "/stations"), s.plain(2, "/stations/s2")} {
		s.call.want(t, address, s.sandboxToken, http.StatusOK, "sandbox")
	}
	crossed := s.call.want(t, s.gateway(2, "/stations"), s.productionToken, http.StatusUnauthorized, "900901")
	if got, want := crossed.text("description"), "A production key cannot be used on a sandbox gateway."; got != want {
		t.Errorf("description %q, want %q", got, want)
	}
	crossed = s.call.want(t, s.gateway(1, "/stations"), s.sandboxToken, http.StatusUnauthorized, "900901")
	if got, want := crossed.text("description"), "A sandbox key cannot be used on a production gateway."; got != want {
		t.Errorf("description %q, want %q", got, want)
	}
}
