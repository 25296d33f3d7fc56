package keymanager

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// TestFaults holds one check for each case of tokens and the Key Manager that a
// client can see here; the features' own tests go further.
func TestFaults(t *testing.T) {
	const application = "grant_type=client_credentials"
	for name, check := range map[string]func(f *fixture){
		"D5 a revoked token is over, also after a restart": func(f *fixture) {
			token := f.token(f.production, application)
			f.post(pathRevoke, f.production, "token="+token)
			f.restart(nil)
			if a := f.post(pathIntrospect, f.production, "token="+token); a.json["active"] != false {
				f.t.Errorf("introspection = %s", a.body)
			}
		},
		"D7 a replayed refresh token ends its family": func(f *fixture) {
			first := f.post(pathToken, f.production, as("ann"))
			second := f.post(pathToken, f.production, renew(first.text("refresh_token")))
			f.clock.Add(6)
			f.refused(f.post(pathToken, f.production, renew(first.text("refresh_token"))), 400, "invalid_grant")
			f.refused(f.post(pathToken, f.production, renew(second.text("refresh_token"))), 400, "invalid_grant")
		},
		"D8 a code is used once": func(f *fixture) {
			code := f.code("ann", f.asked())
			f.post(pathToken, f.production, use(code))
			f.refused(f.post(pathToken, f.production, use(code)), 400, "invalid_grant")
		},
		"D9 a redirect URI of more than the registered one": func(f *fixture) {
			a := f.do(f.request(http.MethodGet, pathAuthorize+"?"+f.asked("redirect_uri", callback+"&x=1").Encode(), ""))
			if a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
				f.t.Errorf("authorize = %d %q", a.status, a.header.Get("Location"))
			}
		},
		"D10 a wrong secret": func(f *fixture) {
			f.refused(f.post(pathToken, client{f.production.id, "wrong"}, application), 401, "invalid_client")
		},
		"D12 a malformed scope, and too many": func(f *fixture) {
			f.refused(f.post(pathToken, f.production, application+"&scope=a%22b"), 400, "invalid_scope")
			f.refused(f.post(pathToken, f.production, application+"&scope="+strings.Repeat("s", 300)), 400, "invalid_scope")
		},
		"D13 a foreign token looks like an unknown one": func(f *fixture) {
			token := f.token(f.production, application)
			if foreign, unknown := f.post(pathIntrospect, f.other, "token="+token), f.post(pathIntrospect, f.other, "token=x"); foreign.body != unknown.body {
				f.t.Errorf("introspection = %s and %s", foreign.body, unknown.body)
			}
			f.post(pathRevoke, f.other, "token="+token)
			if a := f.post(pathIntrospect, f.production, "token="+token); a.json["active"] != true {
				f.t.Errorf("after another client's revocation: %s", a.body)
			}
		},
		"D14 a deleted key gets nothing, at once": func(f *fixture) {
			f.token(f.production, application)
			f.update(func(tx *database.Tx) error { return tx.DeleteConsumerKey(f.production.id) })
			f.refused(f.post(pathToken, f.production, application), 401, "invalid_client")
		},
		"D16 signed tokens are not stored": func(f *fixture) {
			before := len(f.events())
			for range 20 {
				f.token(f.production, application)
			}
			if len(f.events()) != before {
				f.t.Error("a token left an event")
			}
		},
		"D17 the password grant, not ticked": func(f *fixture) {
			f.refused(f.post(pathToken, f.sandbox, as("ann")), 400, "unauthorized_client")
		},
		"D18 a parameter twice": func(f *fixture) {
			f.refused(f.post(pathToken, f.production, application+"&"+application), 400, "invalid_request")
		},
		"D19 a redirect URI that is no address": func(f *fixture) {
			for _, uri := range []string{"javascript:alert(1)", "data:text/html,x", "http://evil.example.com/", "//evil.example.com"} {
				if sluice.IsRedirectURI(uri) {
					f.t.Errorf("IsRedirectURI(%q)", uri)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) { check(start(t, nil)) })
	}
}
