package keymanager

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// The OAuth library reports every refusal through the default logger.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

const (
	issuer   = "https://localhost:9443/oauth2/token"
	password = "right password"
	callback = "https://app.example.com/back?from=sluice"
)

// fixture is a Key Manager over HTTP with one organization: the API weather, the
// application shop of the user ann with a key of each type, and clients.
type fixture struct {
	t      testing.TB
	db     *database.DB
	server *Server
	url    string
	clock  *atomic.Int64 // seconds since 1970

	production, sandbox client // grants: all; client_credentials only
	other               client // of another application
	manager             client // management client
	bare                client // management client without the password grant
	loginErr            error  // what Login returns, if set
}

// client is what an OAuth client knows of itself.
type client struct{ id, secret string }

func (f *fixture) now() time.Time { return time.Unix(f.clock.Load(), 0) }

// start runs a Key Manager; change may alter its options.
func start(t testing.TB, change func(*Options)) *fixture {
	t.Helper()
	f := &fixture{t: t, clock: new(atomic.Int64)}
	f.clock.Store(1_800_000_000)
	db, err := database.Open(t.Context(), database.Options{URL: filepath.Join(t.TempDir(), "sluice.db"), Now: f.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	f.db = db
	f.populate()
	f.restart(change)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.server.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	f.url = web.URL
	return f
}

// restart makes the Server anew, over the same database.
func (f *fixture) restart(change func(*Options)) {
	f.t.Helper()
	o := Options{
		DB: f.db, Issuer: issuer, Login: f.login, ManagementScopes: managementScopes,
		PasswordGrant: true, LegacyLogin: true, Now: f.now, ApplicationScope: "am_application_scope",
		MaxAccessTokenTTL: 2 * time.Hour, ScopeWhitelist: []string{"device_.*", "openid"},
	}
	if change != nil {
		change(&o)
	}
	server, err := New(context.Background(), o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.server = server
}

func managementScopes(roles []sluice.Role) []string {
	if slices.Contains(roles, sluice.Publisher) {
		return []string{"apim:api_view", "apim:api_publish"}
	}
	return nil
}

// login knows the passwords of the users in the database.
func (f *fixture) login(ctx context.Context, name string, given sluice.Secret) (user sluice.User, err error) {
	if a := sluice.ActorFrom(ctx); a.Known() || a.Client == "" || a.Address != "127.0.0.1" || a.TraceID == "" {
		f.t.Errorf("Login was called by %+v, want an anonymous actor with client, address and trace id", a)
	}
	if f.loginErr != nil {
		return user, f.loginErr
	}
	err = f.db.View(ctx, func(tx *database.Tx) error {
		for _, org := range []string{sluice.DefaultOrganization, "elsewhere"} {
			if user, err = tx.UserByName(org, name); !sluice.IsNotFound(err) {
				return err
			}
		}
		return err
	})
	if sluice.IsNotFound(err) || given != password {
		return sluice.User{}, sluice.Errorf(sluice.Unauthenticated, "login", "Wrong.")
	}
	return user, err
}

func (f *fixture) update(change func(tx *database.Tx) error) {
	f.t.Helper()
	if err := f.db.Update(context.Background(), change); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) view(read func(tx *database.Tx) error) {
	f.t.Helper()
	if err := f.db.View(context.Background(), read); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) populate() {
	f.t.Helper()
	now, org := f.now(), sluice.DefaultOrganization
	user := func(org, name string, temporary bool, roles ...sluice.Role) *sluice.User {
		return &sluice.User{ID: "user-" + name, Organization: org, Name: name, Roles: roles, MustChange: temporary, CreatedAt: now}
	}
	key := func(c *client, id, application string, kind sluice.KeyType, grants ...string) *sluice.ConsumerKey {
		secret := sluice.NewSecret()
		*c = client{"key-" + id, secret.Reveal()}
		return &sluice.ConsumerKey{
			ID: id, Organization: org, ApplicationID: application, Key: c.id, Type: kind, Grants: grants,
			TokenTTL: 600 * time.Second, SecretHashes: []string{sluice.NewSecret().Hash(), secret.Hash()}, CreatedAt: now,
		}
	}
	manager := func(c *client, id string, grants ...string) *sluice.ManagementClient {
		secret := sluice.NewSecret()
		*c = client{id, secret.Reveal()}
		return &sluice.ManagementClient{ID: id, Organization: org, UserID: "user-ann", Name: id, Grants: grants, SecretHashes: []string{secret.Hash()}, CreatedAt: now}
	}
	api := func(name string, scopes ...sluice.Scope) *sluice.API {
		return &sluice.API{
			ID: name, Organization: org, Name: name, Version: "1.0", Context: "/" + name, State: sluice.Published,
			Visibility: sluice.Public, Scopes: scopes, CreatedAt: now, UpdatedAt: now,
		}
	}
	f.update(func(tx *database.Tx) error {
		for _, add := range []func() error{
			func() error { return tx.AddEnvironment(environment("production")) },
			func() error { return tx.AddEnvironment(environment("sandbox")) },
			func() error { return tx.AddUser(user(org, "ann", false, sluice.Subscriber, sluice.Publisher)) },
			func() error { return tx.AddUser(user(org, "bob", false, sluice.Subscriber)) },
			func() error { return tx.AddUser(user(org, "new", true, sluice.Subscriber)) },
			func() error { return tx.AddUser(user("elsewhere", "zoe", false, sluice.Publisher)) },
			func() error {
				return tx.AddAPI(api("weather", sluice.Scope{Name: "read"}, sluice.Scope{Name: "write", Roles: []string{"Internal/publisher"}}))
			},
			func() error { return tx.AddAPI(api("stocks", sluice.Scope{Name: "trade"})) },
			func() error { return tx.AddAPI(api("maps", sluice.Scope{Name: "zoom"})) },
			func() error { return tx.AddAPI(api("trains", sluice.Scope{Name: "ride"})) },
			func() error {
				return tx.AddApplication(&sluice.Application{ID: "shop", Organization: org, Owner: "ann", Name: "shop", CreatedAt: now})
			},
			func() error {
				return tx.AddApplication(&sluice.Application{ID: "spy", Organization: org, Owner: "bob", Name: "spy", CreatedAt: now})
			},
			func() error { return tx.AddSubscription(subscription("weather", sluice.Unblocked)) },
			func() error { return tx.AddSubscription(subscription("maps", sluice.SubscriptionBlocked)) },
			func() error { return tx.AddSubscription(subscription("trains", sluice.ProductionOnlyBlocked)) },
			func() error {
				k := key(&f.production, "production", "shop", sluice.ProductionKey, sluice.GrantClientCredentials, sluice.GrantPassword, sluice.GrantRefreshToken, sluice.GrantAuthorizationCode)
				k.CallbackURL = callback
				return tx.AddConsumerKey(k)
			},
			func() error {
				return tx.AddConsumerKey(key(&f.sandbox, "sandbox", "shop", sluice.SandboxKey, sluice.GrantClientCredentials))
			},
			func() error {
				return tx.AddConsumerKey(key(&f.other, "other", "spy", sluice.ProductionKey, sluice.GrantPassword))
			},
			func() error {
				return tx.PutManagementClient(manager(&f.manager, "apictl", sluice.GrantPassword, sluice.GrantRefreshToken))
			},
			func() error { return tx.PutManagementClient(manager(&f.bare, "bare")) },
		} {
			if err := add(); err != nil {
				return err
			}
		}
		return nil
	})
}

func environment(name string) *sluice.Environment {
	return &sluice.Environment{ID: name, Name: name, Type: sluice.HybridEnvironment, Vhosts: []sluice.Vhost{{Host: "localhost", HTTPSPort: 8243}}}
}

func subscription(api string, state sluice.SubscriptionState) *sluice.Subscription {
	return &sluice.Subscription{ID: "subscription-" + api, Organization: sluice.DefaultOrganization, ApplicationID: "shop", APIID: api, Tier: "Gold", State: state}
}

// answer is an HTTP answer, read.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any // nil where the body is none
}

func (a answer) text(name string) string {
	s, _ := a.json[name].(string)
	return s
}

// do sends a request as it is.
func (f *fixture) do(r *http.Request) answer {
	f.t.Helper()
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, body: string(body)}
	_ = json.Unmarshal(body, &a.json)
	if a.header.Get("X-Trace-Id") == "" {
		f.t.Errorf("%s %s: no X-Trace-Id", r.Method, r.URL)
	}
	return a
}

func (f *fixture) request(method, path, body string) *http.Request {
	f.t.Helper()
	r, err := http.NewRequest(method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

// post sends a form with Basic authentication.
func (f *fixture) post(path string, c client, form string) answer {
	f.t.Helper()
	r := f.request(http.MethodPost, path, form)
	r.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(c.secret))
	return f.do(r)
}

// token returns a new access token.
func (f *fixture) token(c client, form string) string {
	f.t.Helper()
	a := f.post(pathToken, c, form)
	if a.status != http.StatusOK {
		f.t.Fatalf("POST %s %s = %d %s", pathToken, form, a.status, a.body)
	}
	return a.text("access_token")
}

// as is the password grant of a user.
func as(user string) string {
	return url.Values{"grant_type": {"password"}, "username": {user}, "password": {password}}.Encode()
}

// audited returns the actions in the audit log, "action actor client object".
func (f *fixture) audited() (list []string) {
	f.t.Helper()
	f.view(func(tx *database.Tx) error {
		entries, err := tx.AuditEntries(sluice.DefaultOrganization, 0, 0)
		for _, e := range entries {
			list = append(list, strings.Join([]string{e.Action, e.Actor, e.Client, e.ObjectID}, " "))
		}
		return err
	})
	return list
}

func (f *fixture) events() (list []sluice.Event) {
	f.t.Helper()
	f.view(func(tx *database.Tx) (err error) {
		list, err = tx.Events(0, 0)
		return err
	})
	return list
}

func TestNewMakesOneKeyForGood(t *testing.T) {
	f := start(t, nil)
	trust := f.server.Trust()
	if trust.Issuer != issuer || len(trust.Keys) != 1 || trust.Keys[0].Algorithm != "ES256" {
		t.Fatalf("Trust() = %+v, want one ES256 key of %s", trust, issuer)
	}

	f.restart(nil)
	if diff := cmp.Diff(trust, f.server.Trust()); diff != "" {
		t.Errorf("Trust() after a restart (-before +after):\n%s", diff)
	}
	events := f.events()
	if len(events) != 2 {
		t.Fatalf("%d events, want one for each environment", len(events))
	}
	for _, e := range events {
		var told sluice.TokenTrust
		if err := json.Unmarshal(e.Body, &told); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(trust, told); diff != "" || e.Kind != sluice.TokenTrustChanged || e.Subject != "tokens" {
			t.Errorf("event %s %s (-trust +event):\n%s", e.Kind, e.Subject, diff)
		}
	}
	var stored sluice.TokenTrust
	f.view(func(tx *database.Tx) error {
		body, err := tx.Sealed(TrustName)
		if err != nil {
			return err
		}
		return json.Unmarshal(body, &stored)
	})
	if diff := cmp.Diff(trust, stored); diff != "" {
		t.Errorf("%s (-trust +stored):\n%s", TrustName, diff)
	}
	if got, want := f.audited(), []string{"signing_key.create system system " + trust.Keys[0].ID}; !slices.Equal(got, want) {
		t.Errorf("audit = %q, want %q", got, want)
	}
}

func TestNewAnnouncesAnotherIssuer(t *testing.T) {
	f := start(t, nil)
	keys := f.server.Trust().Keys
	const moved = "https://api.example.com/oauth2/token"
	f.restart(func(o *Options) { o.Issuer = moved })
	if got := f.server.Trust(); got.Issuer != moved || !cmp.Equal(got.Keys, keys) {
		t.Errorf("Trust() = %+v, want the same keys and issuer %s", got, moved)
	}
	if n := len(f.events()); n != 4 {
		t.Errorf("%d events, want 4", n)
	}
}

// A key that is lost is a reason to stop, not to make another one in silence.
func TestNewNeedsTheKeyItOnceMade(t *testing.T) {
	f := start(t, nil)
	for name, trust := range map[string]string{
		"no private key": `{"issuer":"` + issuer + `","keys":[{"id":"lost","algorithm":"ES256"}]}`,
		"none in use":    `{"issuer":"` + issuer + `","keys":[]}`,
		"damaged":        `{`,
	} {
		f.update(func(tx *database.Tx) error { return tx.PutSealed(TrustName, []byte(trust)) })
		o := Options{DB: f.db, Issuer: issuer, Login: f.login, ManagementScopes: managementScopes}
		if _, err := New(t.Context(), o); err == nil {
			t.Errorf("%s: New made a Server", name)
		}
	}
}

func TestNewRefusesOptions(t *testing.T) {
	f := start(t, nil)
	for name, change := range map[string]func(*Options){
		"no database":               func(o *Options) { o.DB = nil },
		"issuer in plain HTTP":      func(o *Options) { o.Issuer = "http://localhost/" },
		"issuer without a host":     func(o *Options) { o.Issuer = "https:///oauth2/token" },
		"issuer with a query":       func(o *Options) { o.Issuer += "?a=b" },
		"validity over the limit":   func(o *Options) { o.AccessTokenTTL = 48 * time.Hour },
		"whitelist is no pattern":   func(o *Options) { o.ScopeWhitelist = []string{"("} },
		"validity below one second": func(o *Options) { o.AccessTokenTTL = time.Millisecond },
		"refresh below one second":  func(o *Options) { o.RefreshTokenTTL = time.Millisecond },
	} {
		o := Options{DB: f.db, Issuer: issuer, Login: f.login, ManagementScopes: managementScopes}
		change(&o)
		if _, err := New(t.Context(), o); err == nil {
			t.Errorf("%s: New accepted it", name)
		}
	}
}
