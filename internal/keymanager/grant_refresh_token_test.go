package keymanager

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// pair is what a login or a refresh gives.
type pair struct{ access, refresh, scope string }

// pairOf reads a successful answer, which must have both tokens.
func (f *fixture) pairOf(a answer) pair {
	f.t.Helper()
	p := pair{a.text("access_token"), a.text("refresh_token"), a.text("scope")}
	if a.status != http.StatusOK || p.access == "" || len(p.refresh) != 64 || a.header.Get("Cache-Control") != "no-store" {
		f.t.Fatalf("got %d %s, want an access token and a refresh token", a.status, a.body)
	}
	return p
}

// renew is the refresh_token grant.
func renew(refresh string, scopes ...string) string {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}
	if len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, " "))
	}
	return form.Encode()
}

// logIn is a user's login through the client for these scopes.
func (f *fixture) logIn(c client, user string, scopes ...string) pair {
	f.t.Helper()
	return f.pairOf(f.post(pathToken, c, as(user)+"&scope="+strings.Join(scopes, "+")))
}

// family returns the stored tokens of the family that a refresh token is of.
func (f *fixture) family(refresh string) (list []sluice.RefreshToken) {
	f.t.Helper()
	f.view(func(tx *database.Tx) error {
		token, err := tx.RefreshTokenByHash(sluice.Secret(refresh).Hash())
		if sluice.IsNotFound(err) {
			return nil
		}
		if err == nil {
			list, err = tx.RefreshFamily(token.Family)
		}
		return err
	})
	return list
}

func TestRefreshRotates(t *testing.T) {
	for name, c := range map[string]struct {
		client func(f *fixture) client
		scope  string
		ttl    float64
	}{
		"for an application": {func(f *fixture) client { return f.production }, "read", 600},
		"for the management": {func(f *fixture) client { return f.manager }, "apim:api_view", 3600},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, nil)
			who := c.client(f)
			first := f.logIn(who, "ann", c.scope)
			f.clock.Add(60)
			a := f.post(pathToken, who, renew(first.refresh))
			second := f.pairOf(a)
			if second.access == first.access || second.refresh == first.refresh || second.scope != c.scope {
				t.Errorf("second pair = %+v after %+v", second, first)
			}
			if a.json["expires_in"] != c.ttl || a.text("token_type") != "Bearer" || a.header.Get("Content-Type") != "application/json" {
				t.Errorf("answer = %s", a.body)
			}
			if !f.active(who, first.access) || !f.active(who, second.access) {
				t.Error("an access token is not active")
			}
			if f.active(who, first.refresh) || !f.active(who, second.refresh) {
				t.Error("not the second refresh token alone is active")
			}
			if got := f.audited(); !strings.HasPrefix(got[len(got)-1], "token.refresh ann "+who.id+" ") {
				t.Errorf("audit = %q, want token.refresh last", got)
			}
			third := f.pairOf(f.post(pathToken, who, renew(second.refresh)))
			for _, stored := range f.family(third.refresh) {
				if stored.ClientID != who.id || stored.UserID != "user-ann" || !slices.Equal(stored.Scopes, []string{c.scope}) {
					t.Errorf("stored = %+v", stored)
				}
				for _, p := range []pair{first, second, third} {
					if stored.Hash == p.refresh || bytes.Contains(stored.Answer, []byte(p.refresh)) || bytes.Contains(stored.Answer, []byte(p.access)) {
						t.Error("a token is stored in clear")
					}
				}
			}
		})
	}
}

func TestRefreshTokenIsForThoseWhoMayUseIt(t *testing.T) {
	f := start(t, nil)
	for name, a := range map[string]answer{
		"client_credentials": f.post(pathToken, f.production, "grant_type=client_credentials"),
		"grant not ticked":   f.post(pathToken, f.other, as("bob")),
	} {
		if _, has := a.json["refresh_token"]; has || a.status != http.StatusOK {
			t.Errorf("%s: %d %s, want no refresh token", name, a.status, a.body)
		}
	}
}

func TestIntrospectRefreshToken(t *testing.T) {
	f := start(t, nil)
	p := f.logIn(f.production, "ann", "read")
	now := float64(f.clock.Load())
	want := map[string]any{
		"active": true, "client_id": f.production.id, "scope": "read", "sub": "ann", "username": "ann", "iat": now, "exp": now + 86400,
	}
	if diff := cmp.Diff(want, f.post(pathIntrospect, f.production, "token="+p.refresh).json); diff != "" {
		t.Errorf("introspection (-want +got):\n%s", diff)
	}
	for _, c := range []client{f.sandbox, f.other, f.manager} {
		if f.active(c, p.refresh) {
			t.Errorf("active for %s", c.id)
		}
	}
	f.clock.Add(86400)
	if f.active(f.production, p.refresh) {
		t.Error("an expired refresh token is active")
	}
}

func TestRefreshRefusals(t *testing.T) {
	user := func(change func(u *sluice.User)) func(f *fixture) {
		return func(f *fixture) {
			f.update(func(tx *database.Tx) error {
				u, err := tx.User(sluice.DefaultOrganization, "user-ann")
				if err != nil {
					return err
				}
				change(&u)
				return tx.PutUser(&u)
			})
		}
	}
	keep := func(*fixture) {}
	for name, c := range map[string]struct {
		before func(f *fixture)
		by     func(f *fixture) client // nil: the key it was issued to
		code   string
		status int
		after  bool // the token can be used afterwards
	}{
		"expired": {func(f *fixture) { f.clock.Add(86400) }, nil, "invalid_grant", 400, false},
		"its user is gone": {func(f *fixture) {
			f.update(func(tx *database.Tx) error { return tx.DeleteUser(sluice.DefaultOrganization, "user-ann") })
		}, nil, "invalid_grant", 400, false},
		"another password":          {user(func(u *sluice.User) { u.PasswordHash = "new" }), nil, "invalid_grant", 400, false},
		"a temporary password":      {user(func(u *sluice.User) { u.MustChange = true }), nil, "invalid_grant", 400, false},
		"by another application":    {keep, func(f *fixture) client { f.tick(f.other.id, sluice.GrantRefreshToken); return f.other }, "invalid_grant", 400, true},
		"by the key of the sandbox": {keep, func(f *fixture) client { f.tick(f.sandbox.id, sluice.GrantRefreshToken); return f.sandbox }, "invalid_grant", 400, true},
		"by a management client":    {keep, func(f *fixture) client { return f.manager }, "invalid_grant", 400, true},
		"by a wrong secret":         {keep, func(f *fixture) client { return client{f.production.id, "wrong"} }, "invalid_client", 401, true},
		"unticked meanwhile":        {func(f *fixture) { f.tick(f.production.id, sluice.GrantPassword) }, nil, "unauthorized_client", 400, false},
		"turned off meanwhile": {func(f *fixture) {
			f.withoutCode()
			f.restart(func(o *Options) { o.PasswordGrant = false })
		}, nil, "unsupported_grant_type", 400, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, nil)
			p := f.logIn(f.production, "ann", "read")
			by := f.production
			if c.by != nil {
				by = c.by(f)
			}
			c.before(f)
			events, audited := len(f.events()), len(f.audited())
			f.refused(f.post(pathToken, by, renew(p.refresh)), c.status, c.code)
			if len(f.events()) != events || len(f.audited()) != audited {
				t.Error("the refusal had an effect")
			}
			if c.after {
				f.pairOf(f.post(pathToken, f.production, renew(p.refresh)))
			}
		})
	}
}

// tick sets the grants of a consumer key.
func (f *fixture) tick(key string, grants ...string) {
	f.t.Helper()
	f.update(func(tx *database.Tx) error {
		k, err := tx.ConsumerKey(key)
		if err != nil {
			return err
		}
		k.Grants = grants
		return tx.PutConsumerKey(&k)
	})
}

func TestRefreshNarrowsScopes(t *testing.T) {
	f := start(t, nil)
	p := f.logIn(f.production, "ann", "read", "write", "device_7")
	refresh := func(want string, scopes ...string) {
		t.Helper()
		p = f.pairOf(f.post(pathToken, f.production, renew(p.refresh, scopes...)))
		if p.scope != want || f.claimsOf(p.access)["scope"] != want {
			t.Errorf("scope = %q for %q, want %q", p.scope, scopes, want)
		}
	}
	refresh("read write device_7")
	refresh("read", "read")
	refresh("write", "write", "write")
	refresh("read", "read", "device_8", "am_application_scope") // never had: dropped
	refresh("default", "device_8")
	refresh("read write device_7") // narrowing was for that access token only

	f.update(func(tx *database.Tx) error {
		u, err := tx.User(sluice.DefaultOrganization, "user-ann")
		if err != nil {
			return err
		}
		u.Roles = []sluice.Role{sluice.Subscriber}
		return tx.PutUser(&u)
	})
	refresh("read device_7") // the role that gave "write" is gone
	f.update(func(tx *database.Tx) error {
		return tx.DeleteSubscription(sluice.DefaultOrganization, "subscription-weather")
	})
	refresh("device_7")

	m := f.logIn(f.manager, "ann", "apim:api_view")
	if m.scope != "default" {
		t.Fatalf("management scope = %q, want that of a user without a role", m.scope)
	}
}

func TestRefreshNarrowsManagementScopes(t *testing.T) {
	f := start(t, nil)
	p := f.logIn(f.manager, "ann", "apim:api_view", "apim:api_publish")
	p = f.pairOf(f.post(pathToken, f.manager, renew(p.refresh, "apim:api_view", "apim:admin")))
	if p.scope != "apim:api_view" {
		t.Errorf("scope = %q, want the one that was had", p.scope)
	}
	f.update(func(tx *database.Tx) error {
		u, err := tx.User(sluice.DefaultOrganization, "user-ann")
		if err != nil {
			return err
		}
		u.Roles = nil
		return tx.PutUser(&u)
	})
	if p = f.pairOf(f.post(pathToken, f.manager, renew(p.refresh))); p.scope != "default" {
		t.Errorf("scope = %q without any role, want default", p.scope)
	}
}

func TestReuseEndsTheFamily(t *testing.T) {
	f := start(t, nil)
	first, bystander := f.logIn(f.production, "ann", "read"), f.logIn(f.production, "ann", "read")
	f.clock.Add(1)
	second := f.pairOf(f.post(pathToken, f.production, renew(first.refresh)))
	f.revoke(f.production, first.access) // is revoked once and no more
	f.clock.Add(1)
	third := f.pairOf(f.post(pathToken, f.production, renew(second.refresh)))
	family := f.family(third.refresh)[0].Family
	events := len(f.events())

	f.clock.Add(5)
	a := f.post(pathToken, f.production, renew(first.refresh))
	f.refused(a, 400, "invalid_grant")
	if unknown := f.post(pathToken, f.production, renew("unknown")); unknown.body != a.body {
		t.Errorf("a reused token is told apart from an unknown one: %s", a.body)
	}

	var revoked, told []string
	for _, r := range f.revocations() {
		revoked = append(revoked, r.Subject)
	}
	for _, e := range f.events()[events:] {
		if e.Kind != sluice.RevocationAdded {
			t.Errorf("event %s", e.Kind)
		}
		told = append(told, e.EnvironmentID+" "+e.Subject)
	}
	id := func(p pair) string { return f.claimsOf(p.access)["jti"].(string) }
	want := []string{
		"production " + id(second), "sandbox " + id(second), "production " + id(third), "sandbox " + id(third),
	}
	if !slices.Equal(told, want) {
		t.Errorf("gateways were told of %q, want %q", told, want)
	}
	if want := []string{id(first), id(second), id(third)}; !slices.Equal(revoked, want) {
		t.Errorf("revocations = %q, want %q", revoked, want)
	}
	if audited := f.audited(); audited[len(audited)-1] != "token.reuse ann "+f.production.id+" "+family {
		t.Errorf("audit = %q, want token.reuse of %s last", audited, family)
	}
	for _, p := range []pair{first, second, third} {
		f.refused(f.post(pathToken, f.production, renew(p.refresh)), 400, "invalid_grant")
		if f.active(f.production, p.access) || f.active(f.production, p.refresh) {
			t.Error("a token of the family is active")
		}
	}
	f.pairOf(f.post(pathToken, f.production, renew(bystander.refresh)))
	if !f.active(f.production, bystander.access) {
		t.Error("another login has ended too")
	}
}

func TestReuseEndsManagementTokens(t *testing.T) {
	f := start(t, nil)
	first := f.logIn(f.manager, "ann")
	second := f.pairOf(f.post(pathToken, f.manager, renew(first.refresh)))
	f.revoke(f.manager, first.access)
	other := f.token(f.manager, as("ann"))
	events := len(f.events())
	f.clock.Add(5)
	f.refused(f.post(pathToken, f.manager, renew(first.refresh)), 400, "invalid_grant")
	f.refused(f.post(pathToken, f.manager, renew(second.refresh)), 400, "invalid_grant")
	if f.active(f.manager, second.access) || !f.active(f.manager, other) {
		t.Error("not the family's access tokens alone have ended")
	}
	if len(f.events()) != events {
		t.Error("gateways were told of management tokens")
	}
}

// Access tokens that are over need no revocation.
func TestReuseRevokesWhatIsStillTaken(t *testing.T) {
	f := start(t, nil)
	first := f.logIn(f.production, "ann")
	f.clock.Add(600 + 60 - 5)
	second := f.pairOf(f.post(pathToken, f.production, renew(first.refresh)))
	id := f.claimsOf(second.access)["jti"]
	f.clock.Add(5)
	f.refused(f.post(pathToken, f.production, renew(first.refresh)), 400, "invalid_grant")
	if got := f.revocations(); len(got) != 1 || got[0].Subject != id {
		t.Errorf("revocations = %+v, want that of the second access token", got)
	}
}

func TestLostAnswerIsRepeated(t *testing.T) {
	for name, c := range map[string]struct {
		wait     int64
		scopes   []string
		next     bool // the answer did arrive: the new refresh token is used first
		repeated bool
	}{
		"at once":                     {0, []string{"read"}, false, true},
		"after almost 5 s":            {4, []string{"read"}, false, true},
		"scope written otherwise":     {1, []string{"", "read", "read"}, false, true},
		"after 5 s":                   {5, []string{"read"}, false, false},
		"another scope":               {1, []string{"write"}, false, false},
		"no scope":                    {1, nil, false, false},
		"when the answer did arrive":  {1, []string{"read"}, true, false},
		"when it did, and 5 s passed": {5, []string{"read"}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, nil)
			p := f.logIn(f.production, "ann", "read", "write")
			given := f.post(pathToken, f.production, renew(p.refresh, "read"))
			next := f.pairOf(given)
			if c.next {
				next = f.pairOf(f.post(pathToken, f.production, renew(next.refresh)))
			}
			f.clock.Add(c.wait)
			audited := len(f.audited())
			a := f.post(pathToken, f.production, renew(p.refresh, c.scopes...))
			if !c.repeated {
				f.refused(a, 400, "invalid_grant")
				f.refused(f.post(pathToken, f.production, renew(next.refresh)), 400, "invalid_grant")
				return
			}
			if a.status != http.StatusOK || a.body != given.body || len(f.audited()) != audited {
				t.Errorf("%d %s, want once more %s", a.status, a.body, given.body)
			}
			f.pairOf(f.post(pathToken, f.production, renew(next.refresh)))
		})
	}
}

func TestLostAnswerIsNotForOthers(t *testing.T) {
	f := start(t, nil)
	f.tick(f.sandbox.id, sluice.GrantRefreshToken)
	p := f.logIn(f.production, "ann")
	given := f.post(pathToken, f.production, renew(p.refresh))
	f.refused(f.post(pathToken, f.sandbox, renew(p.refresh)), 400, "invalid_grant")
	f.restart(nil) // and neither is it lost with the process
	if a := f.post(pathToken, f.production, renew(p.refresh)); a.body != given.body {
		t.Errorf("%d %s, want once more %s", a.status, a.body, given.body)
	}
}

func TestRevokeRefreshToken(t *testing.T) {
	f := start(t, nil)
	for name, use := range map[string]func(first, second pair) string{
		"the one in force": func(_, second pair) string { return second.refresh },
		"a used one":       func(first, _ pair) string { return first.refresh },
	} {
		for _, c := range []client{f.production, f.manager} {
			t.Run(name+", "+c.id, func(t *testing.T) {
				first := f.logIn(c, "ann")
				second := f.pairOf(f.post(pathToken, c, renew(first.refresh)))
				token := use(first, second)
				for _, foreign := range []client{f.sandbox, f.other, f.bare} {
					f.revoke(foreign, token)
				}
				if !f.active(c, second.refresh) || !f.active(c, second.access) {
					t.Fatal("another client has revoked it")
				}
				audited := len(f.audited())
				f.revoke(c, token)
				f.revoke(c, token)
				if f.active(c, first.access) || f.active(c, second.access) || len(f.family(second.refresh)) != 0 {
					t.Error("the family goes on")
				}
				f.refused(f.post(pathToken, c, renew(second.refresh)), 400, "invalid_grant")
				if got := f.audited()[audited:]; len(got) != 1 || !strings.HasPrefix(got[0], "token.revoke ann "+c.id+" ") {
					t.Errorf("audit = %q, want one token.revoke", got)
				}
			})
		}
	}
}

// Of many uses at once, one rotates and the others get its answer.
func TestRefreshRace(t *testing.T) {
	f := start(t, nil)
	for _, c := range []client{f.production, f.manager} {
		p := f.logIn(c, "ann")
		audited := len(f.audited())
		answers := make([]answer, 8)
		var group sync.WaitGroup
		for i := range answers {
			group.Go(func() { answers[i] = f.post(pathToken, c, renew(p.refresh)) })
		}
		group.Wait()
		next := f.pairOf(answers[0])
		for _, a := range answers[1:] {
			if a.status != http.StatusOK || a.body != answers[0].body {
				t.Errorf("%s: %d %s, want %s", c.id, a.status, a.body, answers[0].body)
			}
		}
		if got := f.audited()[audited:]; len(got) != 1 || len(f.family(next.refresh)) != 2 {
			t.Errorf("%s: audit = %q and %d tokens, want one rotation", c.id, got, len(f.family(next.refresh)))
		}
		if !f.active(c, next.access) {
			t.Errorf("%s: the new access token is not active", c.id)
		}
		f.pairOf(f.post(pathToken, c, renew(next.refresh)))
	}
}

func TestExpiredRefreshTokensAreDeleted(t *testing.T) {
	f := start(t, func(o *Options) { o.RefreshTokenTTL = time.Minute })
	first := f.logIn(f.manager, "ann")
	f.clock.Add(3600)
	f.logIn(f.manager, "ann")
	if got := f.family(first.refresh); len(got) != 0 {
		t.Errorf("stored = %+v, want nothing of an expired login", got)
	}
}
