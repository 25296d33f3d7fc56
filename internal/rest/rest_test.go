package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/database"
)

// platform is a control plane on a database of its own, served over TLS.
type platform struct {
	db    *database.DB
	plane *control.Plane
	rest  *Server
	http  *httptest.Server
	log   *logged
}

// logged is what was logged; goroutines may share it.
type logged struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Passwords and tokens of the tests, none of which may ever be logged.
const adminPassword = "correct-horse-battery-staple"

func start(t *testing.T, change ...func(*control.Options)) *platform {
	t.Helper()
	p := &platform{log: &logged{}}
	log := slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	p.db, err = database.Open(t.Context(), database.Options{URL: filepath.Join(t.TempDir(), "sluice.db"), Key: [32]byte{1}, Log: log, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.db.Close() }) // a test may have closed it
	o := control.Options{
		DB: p.db, ManagementURL: "https://localhost:9443", PasswordGrant: true, LegacyLogin: true, RevealSecrets: true,
		AccessTokenTTL: time.Hour, MaxAccessTokenTTL: 24 * time.Hour, LocalHost: func(string) bool { return true },
		Scopes: ScopesOf, Log: log, Now: time.Now,
		InspectToken: func(sluice.Secret) (t control.SignedToken, ok bool) { return t, false },
		IssueToken: func(_ context.Context, key string, scopes []string, _ time.Duration) (sluice.Secret, time.Duration, []string, error) {
			return sluice.Secret("first-token-of-" + key), time.Hour, scopes, nil
		},
		Settings: control.Settings{Environments: []control.ConfiguredEnvironment{
			{Environment: environment("Production Gateway", sluice.ProductionEnvironment, 8281, 8244)},
			{Environment: environment("Sandbox Gateway", sluice.SandboxEnvironment, 8282, 8245)},
		}},
	}
	for _, f := range change {
		f(&o)
	}
	if p.plane, err = control.New(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if _, err := p.plane.EnsureAdministrator(t.Context(), adminPassword, false); err != nil {
		t.Fatal(err)
	}
	p.rest = New(Options{Plane: p.plane, Log: log, Now: time.Now})
	p.http = httptest.NewTLSServer(p.rest.Handler())
	t.Cleanup(p.http.Close)
	return p
}

func environment(name string, kind sluice.EnvironmentType, http, https int) sluice.Environment {
	return sluice.Environment{
		Name: name, Type: kind, Console: true, Vhosts: []sluice.Vhost{{Host: "localhost", HTTPPort: http, HTTPSPort: https}},
	}
}

// user makes a user and returns a token with all scopes of the roles.
func (p *platform) user(t *testing.T, org, name string, roles ...sluice.Role) string {
	t.Helper()
	u := sluice.User{ID: sluice.NewID(time.Now()), Organization: org, Name: name, Roles: roles, CreatedAt: time.Now()}
	if err := p.db.Update(t.Context(), func(tx *database.Tx) error { return tx.AddUser(&u) }); err != nil {
		t.Fatal(err)
	}
	return p.token(t, u, ScopesOf(roles)...)
}

// token returns an access token of a user.
func (p *platform) token(t *testing.T, u sluice.User, scopes ...string) string {
	t.Helper()
	ctx := sluice.WithActor(t.Context(), sluice.Actor{UserID: u.ID, Name: u.Name, Organization: u.Organization, Roles: u.Roles})
	_, secret, err := p.plane.CreateAccessToken(ctx, "test", scopes, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return secret.Reveal()
}

// administrator returns a token with all scopes.
func (p *platform) administrator(t *testing.T, scopes ...string) string {
	t.Helper()
	_, secret, err := p.plane.CreateAccessTokenFor(t.Context(), control.AdministratorName, "test", scopes, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return secret.Reveal()
}

// reply is an answer.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// do sends "METHOD path" with a token ("" for none) and a JSON body ("" for
// none), and holds every answer against openapi.yaml.
func (p *platform) do(t *testing.T, token, call, body string, header ...string) reply {
	t.Helper()
	method, path, _ := strings.Cut(call, " ")
	r, err := http.NewRequestWithContext(t.Context(), method, p.http.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return p.send(t, r)
}

func (p *platform) send(t *testing.T, r *http.Request) reply {
	t.Helper()
	var sent []byte
	if r.GetBody != nil {
		again, err := r.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		if sent, err = io.ReadAll(again); err != nil {
			t.Fatal(err)
		}
	}
	client := *p.http.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if id := answer.Header.Get("X-Trace-Id"); len(id) != 32 {
		t.Errorf("%s %s: X-Trace-Id = %q, want 32 digits", r.Method, r.URL.Path, id)
	}
	checkAnswer(t, p.rest, r, answer, body)
	checkContract(t, p.rest, r, sent, answer, body)
	return reply{answer.StatusCode, answer.Header, body}
}

// as decodes the answer.
func as[T any](t *testing.T, a reply, status int) T {
	t.Helper()
	var v T
	if a.status != status {
		t.Fatalf("status = %d, want %d: %s", a.status, status, a.body)
	}
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

// code returns the stable code of an error in either form, and WSO2's number.
func (a reply) code() (string, int64) {
	var wso2 errorBody
	if json.Unmarshal(a.body, &wso2) == nil && len(wso2.Error) > 0 {
		return wso2.Error[0].Code, wso2.Code
	}
	var p problem
	_ = json.Unmarshal(a.body, &p)
	return p.Code, 0
}

// wantError holds an answer against a status, a stable code and WSO2's number,
// 0 for the status.
func (a reply) wantError(t *testing.T, status int, code string, number int64) {
	t.Helper()
	gotCode, gotNumber := a.code()
	if number == 0 && gotNumber == int64(status) {
		number = gotNumber
	}
	if a.status != status || gotCode != code || gotNumber != number {
		t.Errorf("answer = %d %q %d, want %d %q %d: %s", a.status, gotCode, gotNumber, status, code, number, a.body)
	}
}

// weather is a small API definition.
const weather = `{"openapi":"3.0.3","info":{"title":"Weather","version":"1.0","description":"Says it."},
	"paths":{"/today":{"get":{"responses":{"200":{"description":"ok"}}}},
	"/stations/{id}":{"get":{"security":[{"o":["read"]}],"responses":{"200":{"description":"ok"}}}}},
	"components":{"securitySchemes":{"o":{"type":"oauth2","flows":{"clientCredentials":{"tokenUrl":"https://x/token","scopes":{"read":"Read"}}}}}}}`

// properties makes additionalProperties with both endpoints.
func properties(name, context string) string {
	return `{"name":"` + name + `","version":"1.0","context":"` + context + `","policies":["Gold","Unlimited"],
		"endpointConfig":{"endpoint_type":"http","production_endpoints":{"url":"http://backend.example.com"},"sandbox_endpoints":{"url":"http://sandbox.example.com"}}}`
}

// form makes a multipart body of parts: names and contents.
func form(boundary string, parts ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(parts); i += 2 {
		b.WriteString("--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + parts[i] + "\"\r\n\r\n" + parts[i+1] + "\r\n")
	}
	return b.String() + "--" + boundary + "--\r\n"
}

const importPath = "POST /api/am/publisher/v4/apis/import-openapi"

// importAPI sends an import with the parts.
func (p *platform) importAPI(t *testing.T, token string, parts ...string) reply {
	t.Helper()
	return p.do(t, token, importPath, form("xyz", parts...), "Content-Type", "multipart/form-data; boundary=xyz")
}

// api makes an API and returns its id.
func (p *platform) api(t *testing.T, token, name string) string {
	t.Helper()
	a := p.importAPI(t, token, "file", weather, "additionalProperties", properties(name, "/"+strings.ToLower(name)))
	return as[apiDocument](t, a, http.StatusCreated).ID
}

// publish moves an API to PUBLISHED.
func (p *platform) publish(t *testing.T, token, id string) {
	t.Helper()
	as[workflowAnswer](t, p.do(t, token, "POST /api/am/publisher/v4/apis/change-lifecycle?apiId="+id+"&action=Publish", "", "Content-Type", "application/json"), http.StatusOK)
}
