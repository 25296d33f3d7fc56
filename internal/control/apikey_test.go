package control

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/database"
)

// item returns an item of an environment's snapshot, nil where it is not in it.
func (w *world) item(environment, id string) artifact.Item {
	w.t.Helper()
	s, err := w.plane.snapshot(w.t.Context(), w.environment(environment).ID)
	if err != nil {
		w.t.Fatal(err)
	}
	body, there := s.Items[id]
	if !there {
		return nil
	}
	item, err := artifact.Decode(id, body)
	if err != nil {
		w.t.Fatal(err)
	}
	return item
}

func TestAPIKeys(t *testing.T) {
	w := newWorld(t)
	app, sam := w.application("sam", "Shop"), w.as("sam", sluice.Subscriber)
	var k sluice.APIKey
	var secret sluice.Secret
	var err error
	wantLines(t, "making a key", w.emitted(func() {
		k, secret, err = w.plane.CreateAPIKey(sam, app.ID, APIKeyRequest{Type: sluice.SandboxKey, Name: "n", TTL: time.Hour, Addresses: []string{"192.0.2.0/24", "2001:db8::1"}})
	}), "+api_key @ "+production, "+api_key @ "+sandbox, "+api_key @ "+both)
	if err != nil || k.Hash != secret.Hash() || len(secret.Reveal()) != 64 || !strings.HasPrefix(secret.Reveal(), k.Prefix) || len(k.Prefix) != 8 {
		t.Fatalf("key %+v, %v", k, err)
	}
	item, _ := w.item(sandbox, "apikey/"+k.ID).(*artifact.APIKey)
	if item == nil || item.Hash != secret.Hash() || item.ApplicationID != app.ID || item.Type != sluice.SandboxKey || len(item.Addresses) != 2 || item.ExpiresAt.IsZero() {
		t.Errorf("item %+v", item)
	}
	if list, err := w.plane.APIKeys(sam, app.ID); err != nil || len(list) != 1 || list[0].Name != "n" {
		t.Errorf("APIKeys = %+v, %v", list, err)
	}
	_, err = w.plane.APIKeys(w.as("tim", sluice.Subscriber), app.ID)
	wantCode(t, "another's keys", err, sluice.NotFound, "application.unknown")
	wantCode(t, "another type", w.plane.RevokeAPIKey(sam, app.ID, sluice.ProductionKey, k.ID, ""), sluice.NotFound, "api_key.unknown")
	wantCode(t, "no key at all", w.plane.RevokeAPIKey(sam, app.ID, sluice.SandboxKey, "", ""), sluice.NotFound, "api_key.unknown")
	wantLines(t, "revoking by the key", w.emitted(func() {
		if err := w.plane.RevokeAPIKey(sam, app.ID, sluice.SandboxKey, "", secret); err != nil {
			t.Error(err)
		}
	}), "-api_key @ "+production, "-api_key @ "+sandbox, "-api_key @ "+both)
	if w.item(sandbox, "apikey/"+k.ID) != nil {
		t.Error("a revoked key is in the snapshot")
	}
	_, _, err = w.plane.CreateAPIKey(sam, app.ID, APIKeyRequest{Type: "OTHER", TTL: time.Millisecond, Addresses: []string{"x"}, Referers: []string{"*"}})
	if e, ok := errors.AsType[*sluice.Error](err); !ok || e.Kind != sluice.Invalid || len(e.Problems) != 4 {
		t.Errorf("four problems: %v", err)
	}

	if _, _, err = w.plane.CreateAPIKey(sam, app.ID, APIKeyRequest{Type: sluice.SandboxKey, TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(time.Hour)
	wantLines(t, "an expired key", w.emitted(func() { w.update(w.plane.removeExpired) }), "-api_key @ "+production, "-api_key @ "+sandbox, "-api_key @ "+both)
}

func TestTestKey(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production")
	k, secret, err := w.plane.CreateTestKey(w.as("paula", sluice.Publisher), a.ID)
	if err != nil || secret == "" || k.ExpiresAt.Sub(w.clock.now()) > testKeyTTL {
		t.Fatalf("key %+v, %v", k, err)
	}
	if item, _ := w.item(production, "apikey/"+k.ID).(*artifact.APIKey); item == nil || item.APIID != a.ID || item.ApplicationID != "" {
		t.Errorf("item %+v", item)
	}
	if err := w.plane.DeleteAPI(w.admin(), a.ID, 0); err != nil {
		t.Fatal(err)
	}
	if w.item(production, "apikey/"+k.ID) != nil {
		t.Error("the key outlived its API")
	}
}

// Who has none of the roles that an API is restricted to neither tries it out
// nor reads where its backends are.
func TestRestrictedAPIKeepsItsBackends(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production")
	env := w.environment(production).ID
	w.update(func(tx *database.Tx) error {
		stored, err := tx.API(a.Organization, a.ID)
		if err != nil {
			return err
		}
		stored.AccessControl = []sluice.Role{"partner"}
		return tx.PutAPI(&stored)
	})
	for name, known := range map[string]bool{"outsider": false, "partner": true} {
		ctx := w.as("carla", sluice.Creator, sluice.Role(name))
		_, _, readErr := w.plane.EndpointOverride(ctx, a.ID, env)
		_, _, keyErr := w.plane.CreateTestKey(ctx, a.ID)
		_, putErr := w.plane.PutEndpointOverride(ctx, a.ID, sluice.EndpointOverride{EnvironmentID: env}, 0)
		for what, err := range map[string]error{"EndpointOverride": readErr, "CreateTestKey": keyErr, "PutEndpointOverride": putErr} {
			if known && err != nil || !known && !sluice.IsNotFound(err) {
				t.Errorf("%s of an %s: %v", what, name, err)
			}
		}
	}
}

func TestEndpointPasswords(t *testing.T) {
	w := newWorld(t)
	carla := w.as("carla", sluice.Creator)
	with := sluice.API{
		Name: "Weather", Context: "/weather", Tiers: []string{"Gold"}, Production: []sluice.Endpoint{{URL: "http://p.example.com"}},
		ProductionSecurity: &sluice.EndpointSecurity{Username: "u", Password: []byte("hidden")},
	}
	a, err := w.plane.ImportOpenAPI(carla, []byte(document), with)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(a.ProductionSecurity.Password), "hidden") {
		t.Error("the password is stored in clear")
	}
	served := func() string {
		w.deploy(a.ID, w.revision(a.ID).ID, production)
		api := w.item(production, artifact.APIItem(a.ID)).(*artifact.API)
		if api.ProductionSecurity == nil {
			return ""
		}
		return api.ProductionSecurity.Username + ":" + api.ProductionSecurity.Password
	}
	if got := served(); got != "u:hidden" {
		t.Errorf("gateways have %q", got)
	}
	for _, step := range []struct {
		name     string
		security *sluice.EndpointSecurity
		want     string
	}{
		{"an empty one keeps the stored", &sluice.EndpointSecurity{Username: "v"}, "v:hidden"},
		{"another", &sluice.EndpointSecurity{Username: "v", Password: []byte("other")}, "v:other"},
		{"none", nil, ""},
	} {
		change := a
		change.ProductionSecurity = step.security
		if a, err = w.plane.UpdateAPI(carla, a.ID, 0, change); err != nil {
			t.Fatal(err)
		}
		if got := served(); got != step.want {
			t.Errorf("%s: gateways have %q, want %q", step.name, got, step.want)
		}
	}
	a.ProductionSecurity = &sluice.EndpointSecurity{Username: "v"}
	_, err = w.plane.UpdateAPI(carla, a.ID, 0, a)
	wantCode(t, "no password at all", err, sluice.Invalid, "api.endpoint_security")
}

func TestOwnEndpoints(t *testing.T) { // A15
	w := newWorld(t, func(o *Options) {
		o.LocalHost = func(h string) bool { return h == "127.0.0.1" || h == "localhost" || h == "control.example.com" }
		o.OwnAddresses = []string{"127.0.0.1:9763", ":8280"}
	})
	a := w.api("Weather", "production")
	for url, own := range map[string]bool{
		"https://prod.example.com:8243/x": true, "http://PROD.example.com.:8280": true, "https://prod.example.com": false, "http://prod.example.com:8243": true,
		"https://control.example.com:9443/": true, "https://127.0.0.1:9443": true, "http://localhost:9763": true, "http://localhost:8280": true,
		"http://backend.example.com:8280": false, "http://localhost:8281": false,
	} {
		a.Sandbox = []sluice.Endpoint{{URL: url}}
		_, err := w.plane.UpdateAPI(w.admin(), a.ID, 0, a)
		if own {
			wantCode(t, url, err, sluice.Invalid, "api.endpoint")
		} else if err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	wantOwn(t, w, a)
	for _, url := range []string{"javascript:alert(1)", "file:///etc/passwd", "gopher://x/", "http://u:p@x/"} {
		a.Sandbox = []sluice.Endpoint{{URL: url}}
		_, err := w.plane.UpdateAPI(w.admin(), a.ID, 0, a)
		wantCode(t, url, err, sluice.Invalid, "api.endpoint")
	}
}

// wantOwn tries every way into an API for an endpoint that leads back to Sluice:
// a, which has none yet, comes to have one as an environment is moved to the
// address of its backend.
func wantOwn(t *testing.T, w *world, a sluice.API) {
	t.Helper()
	admin := w.admin()
	loop := []sluice.Endpoint{{URL: "https://prod.example.com:8243/x"}}
	_, err := w.plane.ImportOpenAPI(admin, []byte(document), sluice.API{Name: "Loop", Context: "/loop", Production: loop})
	wantCode(t, "import", err, sluice.Invalid, "api.endpoint")
	_, err = w.plane.PutEndpointOverride(admin, a.ID, sluice.EndpointOverride{EnvironmentID: w.environment(sandbox).ID, Sandbox: loop}, 0)
	wantCode(t, "own endpoints of an environment", err, sluice.Invalid, "api.endpoint")

	backend := sluice.EndpointOverride{EnvironmentID: w.environment(production).ID, Production: []sluice.Endpoint{{URL: "https://later.example.com:8243"}}}
	if _, err := w.plane.PutEndpointOverride(admin, a.ID, backend, 0); err != nil {
		t.Fatal(err)
	}
	frozen := w.revision(a.ID)
	w.o.OwnAddresses = append(w.o.OwnAddresses, "later.example.com:8243")
	w.restart()
	_, err = w.plane.CopyAPI(admin, a.ID, "9.0", false)
	wantCode(t, "copy", err, sluice.Invalid, "api.endpoint")
	_, err = w.plane.RestoreRevision(admin, a.ID, frozen.ID)
	wantCode(t, "restore", err, sluice.Invalid, "api.endpoint")
	if _, err := w.plane.PutEndpointOverride(admin, a.ID, sluice.EndpointOverride{EnvironmentID: backend.EnvironmentID}, 0); err != nil {
		t.Fatal(err)
	}
}

func TestEndpointOverrides(t *testing.T) { // CONTRACT 4-10
	w := newWorld(t)
	a := w.api("Weather", "production")
	env := w.environment(sandbox)
	o := sluice.EndpointOverride{EnvironmentID: env.ID, Sandbox: []sluice.Endpoint{{URL: "http://own.example.com"}}}
	version, err := w.plane.PutEndpointOverride(w.admin(), a.ID, o, a.RowVersion)
	if err != nil || version != a.RowVersion+1 {
		t.Fatalf("version %d, %v", version, err)
	}
	_, err = w.plane.PutEndpointOverride(w.admin(), a.ID, o, a.RowVersion)
	wantCode(t, "an old version", err, sluice.Changed, "changed")
	_, err = w.plane.PutEndpointOverride(w.admin(), a.ID, sluice.EndpointOverride{EnvironmentID: "x"}, 0)
	wantCode(t, "no such environment", err, sluice.NotFound, "environment.unknown")
	o.Sandbox[0].URL = "ftp://x"
	_, err = w.plane.PutEndpointOverride(w.admin(), a.ID, o, 0)
	wantCode(t, "no endpoint", err, sluice.Invalid, "api.endpoint")
	if got, v, err := w.plane.EndpointOverride(w.admin(), a.ID, env.ID); err != nil || v != version || fmt.Sprint(got.Sandbox) != "[{http://own.example.com}]" {
		t.Errorf("EndpointOverride = %+v, %d, %v", got, v, err)
	}
	w.move(a.ID, "Publish")
	frozen := w.revision(a.ID)
	w.deploy(a.ID, frozen.ID, production, sandbox)
	if got := w.item(sandbox, artifact.APIItem(a.ID)).(*artifact.API); fmt.Sprint(got.Sandbox, got.Production) != "[{http://own.example.com}] []" {
		t.Errorf("the environment is served %v and %v", got.Sandbox, got.Production)
	}
	if _, err := w.plane.PutEndpointOverride(w.admin(), a.ID, sluice.EndpointOverride{EnvironmentID: env.ID}, 0); err != nil {
		t.Fatal(err)
	}
	w.deploy(a.ID, w.revision(a.ID).ID, sandbox)
	if got := w.deployments(a.ID)[sandbox]; got.Skipped == "" {
		t.Errorf("without endpoints of its own: %+v, want it skipped", got)
	}
	w.deploy(a.ID, frozen.ID, sandbox)
	if w.item(sandbox, artifact.APIItem(a.ID)) == nil {
		t.Error("the revision lost the endpoints it was frozen with")
	}
}

func TestDefaultVersion(t *testing.T) { // CONTRACT 10-6
	w := newWorld(t)
	admin := w.admin()
	version := func(v string) sluice.API {
		with := sluice.API{
			Name: "Weather", Version: v, Context: "/weather", Tiers: []string{"Gold"}, Default: true,
			Production: []sluice.Endpoint{{URL: "http://p" + v + ".example.com"}},
		}
		a, err := w.plane.ImportOpenAPI(admin, []byte(document), with)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	served := func(a sluice.API) string {
		item, _ := w.item(production, artifact.APIItem(a.ID)).(*artifact.API)
		if item == nil {
			return "not at all"
		}
		return item.DefaultContext
	}
	one, two := version("1.0"), version("2.0")
	w.move(one.ID, "Publish")
	w.deploy(one.ID, w.revision(one.ID).ID, production)
	if got := served(one); got != "/weather" {
		t.Fatalf("the first version answers at %q", got)
	}
	w.deploy(two.ID, w.revision(two.ID).ID, production)
	if served(one) != "/weather" || served(two) != "" {
		t.Errorf("before the second is published: %q and %q", served(one), served(two))
	}
	w.move(two.ID, "Publish")
	if served(one) != "" || served(two) != "/weather" {
		t.Errorf("after: %q and %q", served(one), served(two))
	}
	first, _, err := w.plane.API(admin, one.ID)
	if err != nil || first.Default || len(first.Definition) == 0 {
		t.Errorf("the first version is marked %v, with %d bytes of definition, %v", first.Default, len(first.Definition), err)
	}
	first.Default = true
	if _, err := w.plane.UpdateAPI(admin, one.ID, 0, first); err != nil {
		t.Fatal(err)
	}
	if served(two) != "/weather" {
		t.Error("a mark that is not deployed took over")
	}
	w.deploy(one.ID, w.revision(one.ID).ID, production)
	if served(one) != "/weather" || served(two) != "" {
		t.Errorf("after deploying the first again: %q and %q", served(one), served(two))
	}
}

func TestBackendJWTSettings(t *testing.T) {
	w := newWorld(t)
	if w.item(production, "backend-jwt") != nil {
		t.Error("gateways have a key though backend JWTs are off")
	}
	w.o.BackendJWT = BackendJWT{Enabled: true, Dialect: "https://example.com/claims/"}
	w.restart()
	on, _ := w.item(production, "backend-jwt").(*artifact.BackendJWT)
	if on == nil || on.Header != "X-JWT-Assertion" || on.Dialect != "https://example.com/claims" || on.Issuer != w.o.ManagementURL || len(on.Key) == 0 {
		t.Fatalf("item %+v", on)
	}
	wantLines(t, "starting again", w.emitted(w.restart))
	w.o.BackendJWT = BackendJWT{}
	wantLines(t, "switching off", w.emitted(w.restart), "-backend_jwt @ "+production, "-backend_jwt @ "+sandbox, "-backend_jwt @ "+both)
	if w.item(production, "backend-jwt") != nil {
		t.Error("gateways keep the key")
	}
	w.o.BackendJWT.Enabled = true
	w.restart()
	if again, _ := w.item(production, "backend-jwt").(*artifact.BackendJWT); again == nil || again.KeyID != on.KeyID {
		t.Error("the key is another one")
	}
}
