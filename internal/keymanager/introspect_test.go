package keymanager

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// active asks for a token; what is not active must show nothing else.
func (f *fixture) active(c client, token string) bool {
	f.t.Helper()
	a := f.post(pathIntrospect, c, "token="+token)
	active, ok := a.json["active"].(bool)
	if a.status != http.StatusOK || !ok || !active && len(a.json) != 1 {
		f.t.Errorf("introspection = %d %s", a.status, a.body)
	}
	return active
}

func TestIntrospect(t *testing.T) {
	f := start(t, nil)
	signed, opaque := f.token(f.production, as("ann")+"&scope=read"), f.token(f.manager, as("ann")+"&scope=apim:api_view")
	now := float64(f.clock.Load())
	for name, c := range map[string]struct {
		client client
		token  string
		want   map[string]any
	}{
		"signed": {f.production, signed, map[string]any{
			"active": true, "token_type": "Bearer", "client_id": f.production.id, "scope": "read", "sub": "ann", "username": "ann",
			"iss": issuer, "aud": []any{"urn:sluice:apis"}, "jti": f.claimsOf(signed)["jti"], "iat": now, "nbf": now, "exp": now + 600,
		}},
		"opaque": {f.manager, opaque, map[string]any{
			"active": true, "token_type": "Bearer", "client_id": f.manager.id, "scope": "apim:api_view", "sub": "ann", "username": "ann",
			"iat": now, "exp": now + 3600,
		}},
	} {
		if diff := cmp.Diff(c.want, f.post(pathIntrospect, c.client, "token="+c.token).json); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, c := range map[string]struct {
		client client
		token  string
	}{
		"unknown":                 {f.production, "unknown"},
		"foreign, signed":         {f.sandbox, signed},
		"foreign, opaque":         {f.bare, opaque},
		"opaque, for application": {f.production, opaque},
		"signed, for manager":     {f.manager, signed},
	} {
		if f.active(c.client, c.token) {
			t.Errorf("%s: active", name)
		}
	}

	f.revoke(f.production, signed)
	f.revoke(f.manager, opaque)
	if f.active(f.production, signed) || f.active(f.manager, opaque) {
		t.Error("a revoked token is active")
	}
	signed, opaque = f.token(f.production, as("ann")), f.token(f.manager, as("ann"))
	f.clock.Add(600)
	if f.active(f.production, signed) || !f.active(f.manager, opaque) {
		t.Error("only the signed token should have expired")
	}
	f.clock.Add(3000)
	if f.active(f.manager, opaque) {
		t.Error("an expired token is active")
	}
}

func TestIntrospectSeesEveryKindOfRevocation(t *testing.T) {
	for name, r := range map[string]struct {
		kind    sluice.RevocationKind
		subject string
		before  time.Duration
		active  bool
	}{
		"its user":                     {sluice.RevokedUser, "ann", 0, false},
		"its user, before it":          {sluice.RevokedUser, "ann", -time.Second, true},
		"another user":                 {sluice.RevokedUser, "bob", 0, true},
		"its consumer key":             {sluice.RevokedConsumerKey, "key-production", 0, false},
		"its consumer key, before it":  {sluice.RevokedConsumerKey, "key-production", -time.Second, true},
		"user with the name of a key?": {sluice.RevokedUser, "key-production", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, nil)
			token := f.token(f.production, as("ann"))
			f.update(func(tx *database.Tx) error {
				return tx.AddRevocation(&sluice.Revocation{
					ID: "r", Kind: r.kind, Subject: r.subject, Before: f.now().Add(r.before), CreatedAt: f.now(), ExpiresAt: f.now().Add(time.Hour),
				})
			})
			if got := f.active(f.production, token); got != r.active {
				t.Errorf("active = %v, want %v", got, r.active)
			}
		})
	}
}
