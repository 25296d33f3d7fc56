package client_test

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/client"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/distribution"
	"github.com/sluice-api/sluice/internal/keymanager"
	"github.com/sluice-api/sluice/internal/rest"
)

const password = "correct-horse-battery-staple"

// platform is a control plane with its Key Manager, served over TLS.
type platform struct {
	url string
	tls *tls.Config // trusts its CA
}

// start runs a control plane with the environments "East" (hybrid) and "West"
// (sandbox) until the test ends.
func start(t *testing.T) *platform {
	t.Helper()
	db, err := database.Open(t.Context(), database.Options{URL: filepath.Join(t.TempDir(), "sluice.db"), Key: [32]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	mux := http.NewServeMux()
	server := httptest.NewUnstartedServer(mux)
	p := &platform{url: "https://" + server.Listener.Addr().String()}
	log := slogTo(t)
	var keys *keymanager.Server
	plane, err := control.New(t.Context(), control.Options{
		DB: db, ManagementURL: p.url, Quickstart: true, RevealSecrets: true, PasswordGrant: true, LegacyLogin: true,
		AccessTokenTTL: time.Hour, MaxAccessTokenTTL: 24 * time.Hour, LocalHost: func(host string) bool { return host == "127.0.0.1" || host == "localhost" },
		Settings: control.Settings{Environments: []control.ConfiguredEnvironment{
			{Environment: sluice.Environment{Name: "East", Type: sluice.HybridEnvironment, Vhosts: []sluice.Vhost{{Host: "east.example.com", HTTPPort: 80, HTTPSPort: 8244}}}},
			{Environment: sluice.Environment{Name: "West", Type: sluice.SandboxEnvironment, Vhosts: []sluice.Vhost{{Host: "west.example.com", HTTPSPort: 443}}}},
		}},
		Scopes: rest.ScopesOf, Log: log, Now: time.Now,
		InspectToken: func(sluice.Secret) (t control.SignedToken, ok bool) { return t, false },
		IssueToken: func(ctx context.Context, key string, scopes []string, ttl time.Duration) (sluice.Secret, time.Duration, []string, error) {
			return keys.IssueApplicationToken(ctx, key, scopes, ttl)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plane.EnsureAdministrator(t.Context(), password, false); err != nil {
		t.Fatal(err)
	}
	keys, err = keymanager.New(t.Context(), keymanager.Options{
		DB: db, Issuer: p.url + "/oauth2/token", Login: plane.Login, ManagementScopes: rest.ScopesOf,
		PasswordGrant: true, LegacyLogin: true, RevealSecrets: true, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/", rest.New(rest.Options{Plane: plane, Log: log}).Handler())
	mux.Handle("/oauth2/", keys.Handler())
	mux.Handle("/services/bus", plane.BusHandler())

	certificate, err := plane.ServerCertificate([]string{"localhost", "127.0.0.1"})(nil)
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(plane.CACertificates())
	p.tls = &tls.Config{RootCAs: pool}

	run(t, plane.Run)
	return p
}

// slogTo logs into the test's output.
func slogTo(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// run runs a part until the test ends, and waits for it.
func run(t *testing.T, part func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := part(ctx); err != nil {
			t.Errorf("a part ended with: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// login returns a Client of the administrator with all scopes.
func (p *platform) login(t *testing.T) *client.Client {
	t.Helper()
	c := client.New(client.Options{BaseURL: p.url, TLS: p.tls})
	t.Cleanup(c.Close)
	registered, err := c.RegisterClient(t.Context(), "admin", password)
	if err != nil {
		t.Fatal(err)
	}
	token, err := c.PasswordToken(t.Context(), registered.ID, registered.Secret, "admin", password, rest.ScopesOf([]sluice.Role{sluice.Administrator}))
	if err != nil {
		t.Fatal(err)
	}
	if token.ExpiresIn <= 0 || !slices.Contains(token.Scopes, "apim:api_create") {
		t.Fatalf("token for %s with %v", token.ExpiresIn, token.Scopes)
	}
	return c.WithToken(token.Token)
}

// gateway joins with a token and takes what it is sent. It has no listeners: it
// reports as live whatever it is given.
func (p *platform) gateway(t *testing.T, join sluice.Secret, name string) {
	t.Helper()
	identity, err := distribution.Join(t.Context(), distribution.JoinOptions{ControlURL: p.url, Token: join, Name: name, Version: "test", Log: slogTo(t)})
	if err != nil {
		t.Fatal(err)
	}
	trust, err := identity.TLS()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // guards serving
	serving := map[string]sluice.DeploymentReport{}
	var follower *distribution.Follower
	stateKeys := make([]ed25519.PublicKey, len(identity.StateKeys))
	for i, k := range identity.StateKeys {
		stateKeys[i] = k
	}
	follower, err = distribution.NewFollower(distribution.FollowerOptions{
		GatewayID: identity.GatewayID, EnvironmentID: identity.EnvironmentID, Version: "test", URL: identity.BusURL, TLS: trust,
		Seed: identity.Seed, StateKeys: stateKeys, Dir: t.TempDir(), Log: slogTo(t),
		Check: func([]distribution.Item, []string) []distribution.Refusal { return nil },
		Apply: func(u distribution.Update) {
			mu.Lock()
			defer mu.Unlock()
			if u.Complete {
				clear(serving)
			}
			for _, id := range u.Remove {
				delete(serving, id)
			}
			for _, item := range u.Put {
				if v, err := artifact.Decode(item.ID, item.Body); err == nil {
					if a, ok := v.(*artifact.API); ok {
						serving[item.ID] = sluice.DeploymentReport{APIID: a.ID, Digest: item.Digest.String(), State: sluice.Live, Revision: a.Revision, Since: time.Now()}
					}
				}
			}
			follower.Report()
		},
		Reports: func() []sluice.DeploymentReport {
			mu.Lock()
			defer mu.Unlock()
			var list []sluice.DeploymentReport
			for _, d := range serving {
				list = append(list, d)
			}
			return list
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, follower.Run)
}

// TestStory goes with a Client alone from an empty platform to an API that is
// live on a gateway, called by an application, and back.
func TestStory(t *testing.T) {
	p := start(t)
	ctx := t.Context()
	c := p.login(t)

	environments, err := c.Environments(ctx)
	if err != nil || len(environments) != 2 || environments[0].Name != "East" {
		t.Fatalf("environments = %+v, %v", environments, err)
	}
	token, secret, err := c.CreateEnrolmentToken(ctx, environments[0].ID, "east-1", time.Hour)
	if err != nil || !strings.Contains(token.Command, secret.Reveal()) {
		t.Fatalf("enrolment token = %+v, %v", token, err)
	}
	p.gateway(t, secret, "east-1")
	connected := waitFor(t, func() (client.Gateway, bool) {
		list, err := c.Gateways(ctx, environments[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		return list[0], list[0].State == "connected"
	})
	if connected.Name != "east-1" || connected.Environment != "East" || connected.EnvironmentID != environments[0].ID {
		t.Errorf("gateway = %+v", connected)
	}

	definition, err := os.ReadFile("testdata/weather.yaml")
	if err != nil {
		t.Fatal(err)
	}
	api, err := c.ImportOpenAPI(ctx, definition, map[string]any{
		"name": "Weather", "context": "/weather", "policies": []string{"Gold"}, "isDefaultVersion": true,
		"endpointConfig": map[string]any{"endpoint_type": "http", "production_endpoints": map[string]any{"url": "http://backend.example.com"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if api.State != "CREATED" || api.Version != "1.0" || api.Owner != "admin" {
		t.Errorf("imported %+v", api)
	}
	publish(t, c, api)
	consume(t, c, api)
	withdraw(t, c, api)
}

// publish deploys the API to both environments, of which one lacks an endpoint.
func publish(t *testing.T, c *client.Client, api client.API) {
	t.Helper()
	ctx := t.Context()
	if next, err := c.ChangeLifecycle(ctx, api.ID, "Publish"); err != nil || !slices.Contains(next, "Block") {
		t.Fatalf("published; next %v, %v", next, err)
	}
	revision, err := c.CreateRevision(ctx, api.ID, "first")
	if err != nil || revision.DisplayName != "Revision 1" {
		t.Fatalf("revision = %+v, %v", revision, err)
	}
	deployed, err := c.Deploy(ctx, api.ID, revision.ID, []client.Deployment{{Environment: "East", Store: true}, {Environment: "West", Store: true}})
	if err != nil {
		t.Fatal(err)
	}
	if len(deployed) != 2 || deployed[0].Live != 1 || deployed[0].Connected != 1 || deployed[0].Gateways[0].State != "live" || deployed[1].Live != 0 {
		t.Errorf("deployed = %+v, want live on East's gateway", deployed)
	}
	if again, err := c.Deployments(ctx, api.ID); err != nil || len(again) != 2 {
		t.Errorf("deployments = %+v, %v", again, err)
	}
	status, err := c.APIStatus(ctx, api.ID)
	if err != nil || status.Environments[0].State != "live" || status.Environments[1].State != "skipped" || status.Environments[1].Reason != "no sandbox endpoint" {
		t.Errorf("status = %+v, %v", status, err)
	}
	shown, err := c.WithToken("").StoreAPI(ctx, api.ID)
	want := []client.Endpoint{{
		Environment: "East", Type: "hybrid",
		URLs:    client.URLs{HTTP: "http://east.example.com/weather/1.0", HTTPS: "https://east.example.com:8244/weather/1.0"},
		Default: client.URLs{HTTP: "http://east.example.com/weather", HTTPS: "https://east.example.com:8244/weather"},
	}}
	if err != nil || !slices.Equal(shown.Endpoints, want) {
		t.Errorf("endpoints in the Store = %+v, %v, want %+v", shown.Endpoints, err, want)
	}
}

// consume makes an application with a subscription and keys.
func consume(t *testing.T, c *client.Client, api client.API) {
	t.Helper()
	ctx := t.Context()
	app, err := c.CreateApplication(ctx, "Phone", "")
	if err != nil {
		t.Fatal(err)
	}
	if found, err := c.Applications(ctx, "Phone"); err != nil || len(found) != 1 || found[0].ID != app.ID {
		t.Errorf("applications = %+v, %v", found, err)
	}
	sub, err := c.Subscribe(ctx, app.ID, api.ID, "Gold")
	if err != nil || sub.Status != string(sluice.Unblocked) {
		t.Errorf("subscription = %+v, %v", sub, err)
	}
	if _, err = c.Subscribe(ctx, app.ID, api.ID, "Gold"); !client.IsStatus(err, http.StatusConflict) {
		t.Errorf("second subscription: %v, want 409", err)
	}
	keys, err := c.GenerateKeys(ctx, app.ID, client.KeyRequest{Type: sluice.ProductionKey, Grants: []string{sluice.GrantClientCredentials}, TTL: time.Hour})
	if err != nil || keys.Key == "" || keys.Secret == "" || strings.Count(keys.Token.Reveal(), ".") != 2 {
		t.Errorf("keys = %+v, %v", keys, err)
	}
	again, err := c.Keys(ctx, app.ID)
	if err != nil || len(again) != 1 || again[0].Secret != keys.Secret || again[0].Token != "" {
		t.Errorf("keys again = %+v, %v", again, err)
	}
	if list, err := c.Subscriptions(ctx, app.ID); err != nil || len(list) != 1 {
		t.Errorf("subscriptions = %+v, %v", list, err)
	}
	if err := c.Unsubscribe(ctx, sub.ID); err != nil {
		t.Error(err)
	}
}

// withdraw takes the API back, as far as it goes.
func withdraw(t *testing.T, c *client.Client, api client.API) {
	t.Helper()
	ctx := t.Context()
	revisions, err := c.Revisions(ctx, api.ID)
	if err != nil || len(revisions) != 1 || len(revisions[0].Deployments) != 2 {
		t.Fatalf("revisions = %+v, %v", revisions, err)
	}
	if err := c.DeleteRevision(ctx, api.ID, revisions[0].ID); !client.IsStatus(err, http.StatusBadRequest) {
		t.Errorf("deleting a deployed revision: %v, want 400", err)
	}
	if left, err := c.Undeploy(ctx, api.ID, revisions[0].ID, "West"); err != nil || len(left) != 1 {
		t.Errorf("left = %+v, %v", left, err)
	}
	if left, err := c.Undeploy(ctx, api.ID, revisions[0].ID); err != nil || len(left) != 0 {
		t.Errorf("left = %+v, %v", left, err)
	}
	if err := c.DeleteAPI(ctx, api.ID); err != nil {
		t.Error(err)
	}
	if _, total, err := c.APIs(ctx, `name:"Weather"`); err != nil || total != 0 {
		t.Errorf("%d APIs left, %v", total, err)
	}
	personal, secret, err := c.CreateAccessToken(ctx, "ci", []string{"apim:api_view"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.WithToken(secret).APIs(ctx, ""); err != nil {
		t.Error(err)
	}
	if err := c.DeleteAccessToken(ctx, personal.ID); err != nil {
		t.Error(err)
	}
	if _, _, err := c.WithToken(secret).APIs(ctx, ""); !client.IsStatus(err, http.StatusUnauthorized) {
		t.Errorf("a deleted token: %v, want 401", err)
	}
}

// waitFor asks until get says that it is done.
func waitFor[T any](t *testing.T, get func() (T, bool)) T {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for {
		v, done := get()
		if done {
			return v
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("still %+v after 10 s", v)
		}
	}
}

// TestErrors reads all three forms of an error.
func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		contentType, body string
		status            int
		want              client.Error
		text              string
	}{
		"WSO2's body": {
			"application/json", `{"code":900308,"message":"API Not Found","description":"There is no such API.","moreInfo":"","error":[{"code":"api.unknown","message":"There is no such API.","description":""}],"traceId":"t1"}`, 404,
			client.Error{Status: 404, Code: "api.unknown", Number: 900308, Message: "API Not Found", Detail: "There is no such API.", TraceID: "t1"},
			"There is no such API. (404, api.unknown, trace t1)",
		},
		"a problem": {
			"application/problem+json", `{"type":"about:blank","title":"Conflict","status":409,"detail":"Taken.","code":"x.taken","errors":[]}`, 409,
			client.Error{Status: 409, Code: "x.taken", Message: "Conflict", Detail: "Taken.", TraceID: "t1"},
			"Taken. (409, x.taken, trace t1)",
		},
		"an OAuth error": {
			"application/json", `{"error":"invalid_grant","error_description":"Wrong password."}`, 400,
			client.Error{Status: 400, Code: "invalid_grant", Message: "invalid_grant", Detail: "Wrong password.", TraceID: "t1"},
			"Wrong password. (400, invalid_grant, trace t1)",
		},
		"a redirect, which is not followed": {
			"text/html", `<a href="/login">`, 302,
			client.Error{Status: 302, Message: "Found", TraceID: "t1"},
			"Found (302, trace t1)",
		},
		"no JSON at all": {
			"text/html", `<h1>Bad Gateway</h1>`, 502,
			client.Error{Status: 502, Message: "Bad Gateway", TraceID: "t1"},
			"Bad Gateway (502, trace t1)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.contentType)
				w.Header().Set("X-Trace-Id", "t1")
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			defer server.Close()
			_, err := client.New(client.Options{BaseURL: server.URL}).API(t.Context(), "x")
			got, ok := errors.AsType[*client.Error](err)
			if !ok || *got != c.want || got.Error() != c.text {
				t.Errorf("error = %#v %v, want %#v %s", got, err, c.want, c.text)
			}
		})
	}
}

// TestRequests: what a Client sends.
func TestRequests(t *testing.T) {
	var got http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = *r
		_, _ = w.Write([]byte(`{}`))
	}))
	defer server.Close()
	c := client.New(client.Options{BaseURL: server.URL + "/", Token: "secret", UserAgent: "test/1"})
	if _, err := c.API(t.Context(), "a/../b c"); err != nil {
		t.Fatal(err)
	}
	if got.RequestURI != "/api/am/publisher/v4/apis/a%2F..%2Fb%20c" || got.Header.Get("Authorization") != "Bearer secret" || got.UserAgent() != "test/1" {
		t.Errorf("sent %s %v", got.RequestURI, got.Header)
	}
	if _, err := c.WithToken("").API(t.Context(), "x"); err != nil || got.Header.Get("Authorization") != "" {
		t.Errorf("without a token: %v %v", err, got.Header)
	}
	if _, err := client.New(client.Options{BaseURL: "://"}).API(t.Context(), "x"); err == nil {
		t.Error("a malformed address is no error")
	}
}
