package keymanager

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// revoke asks for a revocation, which must be answered 200 without a body.
func (f *fixture) revoke(c client, token string) {
	f.t.Helper()
	a := f.post(pathRevoke, c, "token="+token+"&token_type_hint=access_token")
	if a.status != http.StatusOK || a.body != "" {
		f.t.Errorf("revocation = %d %s, want 200 without a body", a.status, a.body)
	}
	for _, header := range []string{"RevokedAccessToken", "DeactivatedAccessToken"} {
		if a.header.Get(header) != "" {
			f.t.Errorf("the answer has the header %s", header)
		}
	}
}

func (f *fixture) revocations() (list []sluice.Revocation) {
	f.t.Helper()
	list, err := f.server.revocations(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

func TestRevokeSignedToken(t *testing.T) {
	f := start(t, nil)
	token := f.token(f.production, "grant_type=client_credentials")
	id := f.claimsOf(token)["jti"].(string)
	before := len(f.events())

	f.revoke(f.production, token)
	f.revoke(f.production, token) // once more changes nothing

	want := sluice.Revocation{ID: id, Kind: sluice.RevokedToken, Subject: id, CreatedAt: f.now().UTC(), ExpiresAt: f.now().UTC().Add(600*time.Second + clockLeeway)}
	if diff := cmp.Diff([]sluice.Revocation{want}, f.revocations()); diff != "" {
		t.Errorf("revocations (-want +got):\n%s", diff)
	}
	events := f.events()[before:]
	if len(events) != 2 {
		t.Fatalf("%d events, want one for each environment", len(events))
	}
	for _, e := range events {
		var told sluice.Revocation
		if err := json.Unmarshal(e.Body, &told); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, told); diff != "" || e.Kind != sluice.RevocationAdded || e.Subject != id {
			t.Errorf("event %s %s (-want +got):\n%s", e.Kind, e.Subject, diff)
		}
	}
	if got, want := f.audited()[1:], []string{"token.revoke " + f.production.id + " " + f.production.id + " " + id}; !slices.Equal(got, want) {
		t.Errorf("audit = %q, want %q", got, want)
	}
}

func TestRevokeWithoutEffect(t *testing.T) {
	f := start(t, nil)
	signed, opaque := f.token(f.production, as("ann")), f.token(f.manager, as("ann"))
	parts := strings.Split(signed, ".")
	events, audited := len(f.events()), len(f.audited())
	for name, c := range map[string]struct {
		client client
		token  string
	}{
		"unknown":                         {f.production, "unknown"},
		"another key's":                   {f.sandbox, signed},
		"another application's":           {f.other, signed},
		"an application's, by a manager":  {f.manager, signed},
		"a manager's, by an application":  {f.production, opaque},
		"a manager's, by another manager": {f.bare, opaque},
		"without its signature":           {f.production, parts[0] + "." + parts[1] + "."},
		"with another header":             {f.production, "eyJhbGciOiJub25lIn0." + parts[1] + "." + parts[2]},
	} {
		f.revoke(c.client, c.token)
		if got := f.revocations(); len(got) != 0 || len(f.events()) != events || len(f.audited()) != audited {
			t.Errorf("%s: something was revoked", name)
		}
	}
	if !f.active(f.manager, opaque) || !f.active(f.production, signed) {
		t.Error("a token is not active any more")
	}

	f.clock.Add(600 + 60) // expired, and by more than any gateway's leeway
	f.revoke(f.production, signed)
	if got := f.revocations(); len(got) != 0 {
		t.Errorf("revocations = %v, want none of an expired token", got)
	}
}

func TestRevokeManagementToken(t *testing.T) {
	f := start(t, nil)
	token := f.token(f.manager, as("bob"))
	events := len(f.events())
	f.revoke(f.manager, token)
	f.revoke(f.manager, token)
	err := f.db.View(t.Context(), func(tx *database.Tx) error {
		_, err := tx.AccessTokenByHash(sluice.Secret(token).Hash())
		return err
	})
	if !sluice.IsNotFound(err) {
		t.Errorf("the token is still stored: %v", err)
	}
	audited := f.audited()
	if got := audited[len(audited)-1]; !strings.HasPrefix(got, "token.revoke bob apictl ") || len(audited) != 3 {
		t.Errorf("audit = %q, want one token.revoke of bob by apictl last", audited)
	}
	if len(f.events()) != events {
		t.Error("gateways were told of a management token")
	}
}

func TestRevokeRefusals(t *testing.T) {
	f := start(t, nil)
	for _, path := range []string{pathRevoke, pathIntrospect} {
		f.refused(f.post(path, f.production, "token_type_hint=x"), 400, "invalid_request")
		f.refused(f.post(path, f.production, "token=a&token=b"), 400, "invalid_request")
		f.refused(f.post(path, client{f.production.id, "wrong"}, "token=a"), 401, "invalid_client")
		f.refused(f.do(f.request(http.MethodPost, path, "token=a&client_id="+f.production.id)), 401, "invalid_client")
		f.refused(f.do(f.request(http.MethodGet, path, "")), 405, "invalid_request")
		f.refused(f.post(path+"?token=a", f.production, "x=y"), 400, "invalid_request")
	}
}
