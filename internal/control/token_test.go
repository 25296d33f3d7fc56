package control

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// user stores a user and returns it with the context in which it acts.
func (w *world) user(name string, roles ...sluice.Role) (sluice.User, context.Context) {
	w.t.Helper()
	ctx := w.as(name, roles...)
	u := sluice.User{ID: sluice.ActorFrom(ctx).UserID, Organization: sluice.DefaultOrganization, Name: name, Roles: roles}
	w.update(func(tx *database.Tx) error { return tx.AddUser(&u) })
	return u, ctx
}

func TestAccessTokens(t *testing.T) {
	w := newWorld(t)
	u, uma := w.user("uma", sluice.Publisher, sluice.Observer)
	publish, observe := "scope:"+string(sluice.Publisher), "scope:"+string(sluice.Observer)
	for name, c := range map[string]struct {
		name   string
		scopes []string
		ttl    time.Duration
		code   string
	}{
		"no name":                  {"", []string{publish}, time.Hour, "token.name"},
		"a long name":              {strings.Repeat("x", 101), []string{publish}, time.Hour, "token.name"},
		"no scope":                 {"ci", nil, time.Hour, "token.scope"},
		"a scope it has not":       {"ci", []string{publish, "scope:" + string(sluice.Creator)}, time.Hour, "token.scope"},
		"no validity":              {"ci", []string{publish}, 0, "token.validity"},
		"a validity that was":      {"ci", []string{publish}, -time.Hour, "token.validity"},
		"a validity that is long":  {"ci", []string{publish}, 90*24*time.Hour + 1, "token.validity"},
		"everything wrong at once": {"", nil, 0, "invalid"},
	} {
		_, _, err := w.plane.CreateAccessToken(uma, c.name, c.scopes, c.ttl)
		wantCode(t, name, err, sluice.Invalid, c.code)
	}
	token, secret, err := w.plane.CreateAccessToken(uma, "ci", []string{publish, observe}, 90*24*time.Hour)
	if err != nil || token.Hash != secret.Hash() || strings.Contains(token.ID+token.Name, secret.Reveal()) {
		t.Fatalf("token = %+v, %v", token, err)
	}
	a, scopes, err := w.plane.Authenticate(t.Context(), secret)
	if err != nil || a.Name != "uma" || a.Organization != u.Organization || !slices.Equal(a.Roles, u.Roles) || !slices.Equal(scopes, []string{publish, observe}) || a.Address != "" {
		t.Errorf("actor = %+v with %q, %v", a, scopes, err)
	}
	_, _, err = w.plane.Authenticate(t.Context(), secret+"x")
	wantCode(t, "another token", err, sluice.Unauthenticated, "token")

	// Scopes go with the role that gave them.
	w.update(func(tx *database.Tx) error {
		u.Roles = []sluice.Role{sluice.Observer}
		return tx.PutUser(&u)
	})
	if a, scopes, err := w.plane.Authenticate(t.Context(), secret); err != nil || !slices.Equal(scopes, []string{observe}) || a.Has(sluice.Publisher) {
		t.Errorf("after a role is gone: %+v with %q, %v", a, scopes, err)
	}

	w.clock.advance(90*24*time.Hour - time.Second)
	if _, _, err := w.plane.Authenticate(t.Context(), secret); err != nil {
		t.Errorf("a second before it expires: %v", err)
	}
	w.clock.advance(time.Second)
	_, _, err = w.plane.Authenticate(t.Context(), secret)
	wantCode(t, "an expired token", err, sluice.Unauthenticated, "token")
	w.update(w.plane.removeExpired)
	if list, err := w.plane.AccessTokens(uma); err != nil || len(list) != 0 {
		t.Errorf("expired tokens are kept: %v, %v", list, err)
	}
}

func TestDeletedAccessTokenEndsAtOnce(t *testing.T) {
	w := newWorld(t)
	_, uma := w.user("uma", sluice.Publisher)
	_, vic := w.user("vic", sluice.Publisher)
	token, secret, err := w.plane.CreateAccessToken(uma, "ci", roleScopes([]sluice.Role{sluice.Publisher}), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	login := sluice.AccessToken{ID: "login", Hash: sluice.Secret("login").Hash(), UserID: token.UserID, ClientID: "c", ExpiresAt: w.clock.now().Add(time.Hour)}
	w.update(func(tx *database.Tx) error { return tx.AddAccessToken(&login) })
	if list, err := w.plane.AccessTokens(uma); err != nil || len(list) != 1 || list[0].ID != token.ID {
		t.Errorf("tokens = %+v, %v, want the personal one alone", list, err)
	}
	if list, err := w.plane.AccessTokens(vic); err != nil || len(list) != 0 {
		t.Errorf("tokens of another user = %+v, %v", list, err)
	}
	if err := w.plane.DeleteAccessToken(vic, token.ID); !sluice.IsNotFound(err) {
		t.Errorf("another user deletes it: %v, want not found", err)
	}
	if err := w.plane.DeleteAccessToken(uma, token.ID); err != nil {
		t.Fatal(err)
	}
	_, _, err = w.plane.Authenticate(t.Context(), secret)
	wantCode(t, "a deleted token", err, sluice.Unauthenticated, "token")
}

func TestCommandLineToken(t *testing.T) {
	w := newWorld(t)
	w.user("uma", sluice.Publisher, sluice.Observer)
	token, secret, err := w.plane.CreateAccessTokenFor(t.Context(), "uma", "cli", nil, time.Hour)
	if err != nil || !slices.Equal(token.Scopes, roleScopes([]sluice.Role{sluice.Publisher, sluice.Observer})) {
		t.Errorf("token = %+v, %v, want all scopes of the roles", token, err)
	}
	if a, _, err := w.plane.Authenticate(t.Context(), secret); err != nil || a.Name != "uma" {
		t.Errorf("actor = %+v, %v", a, err)
	}
	_, _, err = w.plane.CreateAccessTokenFor(t.Context(), "uma", "cli", []string{"scope:admin"}, time.Hour)
	wantCode(t, "a scope the user has not", err, sluice.Invalid, "token.scope")
	if _, _, err = w.plane.CreateAccessTokenFor(t.Context(), "nobody", "cli", nil, time.Hour); !sluice.IsNotFound(err) {
		t.Errorf("token of nobody: %v", err)
	}
}

func TestManagementClients(t *testing.T) {
	for name, legacy := range map[string]bool{"password grant on": true, "password grant off": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *Options) { o.LegacyLogin = legacy })
			_, uma := w.user("uma", sluice.Publisher)
			_, vic := w.user("vic", sluice.Publisher)
			grants := []string{sluice.GrantPassword, sluice.GrantRefreshToken, sluice.GrantClientCredentials}
			first, secret, err := w.plane.RegisterClient(uma, "apictl", "www.example.com", grants)
			if err != nil {
				t.Fatal(err)
			}
			want := []string{sluice.GrantRefreshToken}
			if legacy {
				want = []string{sluice.GrantPassword, sluice.GrantRefreshToken}
			}
			if !slices.Equal(first.Grants, want) || !slices.Equal(first.SecretHashes, []string{secret.Hash()}) {
				t.Errorf("client = %+v, want the grants %q", first, want)
			}
			other, _, err := w.plane.RegisterClient(vic, "apictl", "", grants)
			if err != nil || other.ID == first.ID {
				t.Errorf("of another user: %+v, %v", other, err)
			}
			var last sluice.ManagementClient
			for range maxClientSecrets {
				if last, _, err = w.plane.RegisterClient(uma, "apictl", "", grants); err != nil || last.ID != first.ID {
					t.Fatalf("again: %+v, %v, want the same client", last, err)
				}
			}
			if len(last.SecretHashes) != maxClientSecrets || slices.Contains(last.SecretHashes, secret.Hash()) {
				t.Errorf("%d secrets are valid, the first among them: %t", len(last.SecretHashes), slices.Contains(last.SecretHashes, secret.Hash()))
			}
			_, _, err = w.plane.RegisterClient(uma, strings.Repeat("x", 201), "", grants)
			wantCode(t, "a long name", err, sluice.Invalid, "client.name")
		})
	}
}
