package control

import (
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// revoked is a world with what can be revoked: sam's application with a key, a
// subscription, and tokens of the user ann.
type revoked struct {
	*world
	app  sluice.Application
	key  IssuedKey
	sub  sluice.Subscription
	user sluice.User
}

func newRevoked(t *testing.T) *revoked {
	w := &revoked{world: newWorld(t, func(o *Options) {
		o.InspectToken = func(token sluice.Secret) (SignedToken, bool) {
			return SignedToken{ID: token.Reveal(), ConsumerKey: "gone", Expires: time.Now()}, token == "signed of a key that is gone"
		}
	})}
	w.app = w.application("sam", "App")
	sam := w.as("sam", sluice.Subscriber)
	var err error
	if w.key, err = w.plane.GenerateKey(sam, w.app.ID, KeyRequest{Type: sluice.ProductionKey, Grants: clientCredentials}); err != nil {
		t.Fatal(err)
	}
	if w.sub, err = w.plane.Subscribe(sam, w.app.ID, w.published("Weather").ID, "Gold"); err != nil {
		t.Fatal(err)
	}
	w.user = sluice.User{ID: "u-ann", Organization: sluice.DefaultOrganization, Name: "ann", CreatedAt: w.o.Now()}
	w.update(func(tx *database.Tx) error { return tx.AddUser(&w.user) })
	return w
}

// hold gives ann a management token, and the key a refresh token and a code of
// hers.
func (w *revoked) hold() {
	w.t.Helper()
	now := w.o.Now()
	w.update(func(tx *database.Tx) error {
		if err := tx.AddAccessToken(&sluice.AccessToken{ID: "a1", Hash: sluice.Secret("opaque").Hash(), UserID: w.user.ID, ExpiresAt: now.Add(time.Hour)}); err != nil {
			return err
		}
		if err := tx.AddRefreshToken(&sluice.RefreshToken{
			ID: "r1", Hash: sluice.Secret("refresh").Hash(), Family: "r1", ClientID: w.key.Key.Key, UserID: w.user.ID,
			AccessTokenID: "jti-of-r1", AccessUntil: now.Add(time.Hour), ExpiresAt: now.Add(time.Hour),
		}); err != nil {
			return err
		}
		return tx.AddCode(&sluice.AuthorizationCode{Hash: "code", ClientID: w.key.Key.Key, UserID: w.user.ID, ExpiresAt: now.Add(time.Minute)})
	})
}

// held returns which of the things that hold made are left.
func (w *revoked) held() (list string) {
	w.t.Helper()
	w.view(func(tx *database.Tx) error {
		if _, err := tx.AccessTokenByHash(sluice.Secret("opaque").Hash()); err == nil {
			list += "opaque "
		}
		if _, err := tx.RefreshTokenByHash(sluice.Secret("refresh").Hash()); err == nil {
			list += "refresh "
		}
		if _, err := tx.Code("code"); err == nil {
			list += "code "
		}
		return nil
	})
	return list
}

func TestRevoke(t *testing.T) {
	for name, c := range map[string]struct {
		request func(w *revoked) RevocationRequest
		kind    string // of the event; empty: gateways need not know
		left    string
		revoked string // kind and subject of the revocation that is in force
	}{
		"a token by its id":  {func(*revoked) RevocationRequest { return RevocationRequest{Kind: "token", ID: "j1"} }, "+revocation", "opaque refresh code ", "token j1"},
		"a management token": {func(*revoked) RevocationRequest { return RevocationRequest{Kind: "token", Token: "opaque"} }, "", "refresh code ", ""},
		"a refresh token":    {func(*revoked) RevocationRequest { return RevocationRequest{Kind: "token", Token: "refresh"} }, "+revocation", "opaque code ", "token jti-of-r1"},
		"a consumer key": {
			func(w *revoked) RevocationRequest { return RevocationRequest{Kind: "consumerKey", ID: w.key.Key.Key} },
			"+revocation", "opaque ", "consumer_key ",
		},
		"an application": {
			func(w *revoked) RevocationRequest { return RevocationRequest{Kind: "application", ID: w.app.ID} },
			"+revocation", "opaque ", "consumer_key ",
		},
		"a subscription": {
			func(w *revoked) RevocationRequest { return RevocationRequest{Kind: "subscription", ID: w.sub.ID} },
			"+subscription", "opaque refresh code ", "",
		},
		"a user": {
			func(w *revoked) RevocationRequest { return RevocationRequest{Kind: "user", ID: w.user.ID} },
			"+revocation", "", "user ann",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newRevoked(t)
			w.hold()
			var act sluice.RevocationAct
			got := w.emitted(func() {
				var err error
				if act, err = w.plane.Revoke(w.admin(), c.request(w)); err != nil {
					t.Fatal(err)
				}
			})
			want := []string{}
			for _, e := range []string{production, sandbox, both} {
				if c.kind != "" {
					want = append(want, c.kind+" @ "+e)
				}
			}
			wantLines(t, "events", got, want...)
			if left := w.held(); left != c.left {
				t.Errorf("left: %q, want %q", left, c.left)
			}
			if (len(act.Environments) == 3) != (c.kind != "") || act.EverywhereAt.IsZero() {
				t.Errorf("act %+v, want it over, since there is no gateway", act)
			}
			w.view(func(tx *database.Tx) error {
				list, err := tx.Revocations(w.o.Now())
				said := ""
				for _, r := range list {
					said = string(r.Kind) + " " + r.Subject
					if r.Kind == sluice.RevokedConsumerKey {
						said = string(r.Kind) + " "
					}
					if r.Kind == sluice.RevokedUser && r.Organization != sluice.DefaultOrganization {
						t.Errorf("revocation of a user of %q", r.Organization)
					}
				}
				if said != c.revoked {
					t.Errorf("in force: %q, want %q", said, c.revoked)
				}
				return err
			})
		})
	}
}

func TestRevokeRefuses(t *testing.T) {
	w := newRevoked(t)
	w.hold()
	before := w.counts()
	for name, c := range map[string]struct {
		org  string
		r    RevocationRequest
		kind sluice.Kind
		code string
	}{
		"no subject":                            {"", RevocationRequest{Kind: "user"}, sluice.Invalid, "revocation.subject"},
		"two subjects":                          {"", RevocationRequest{Kind: "token", ID: "x", Token: "y"}, sluice.Invalid, "revocation.subject"},
		"a token of another kind":               {"", RevocationRequest{Kind: "user", Token: "y"}, sluice.Invalid, "revocation.subject"},
		"an unknown kind":                       {"", RevocationRequest{Kind: "planet", ID: "x"}, sluice.Invalid, "revocation.kind"},
		"an unknown token":                      {"", RevocationRequest{Kind: "token", Token: "x"}, sluice.NotFound, "token.unknown"},
		"a signed token of no key":              {"", RevocationRequest{Kind: "token", Token: "signed of a key that is gone"}, sluice.NotFound, "token.unknown"},
		"an unknown key":                        {"", RevocationRequest{Kind: "consumerKey", ID: "x"}, sluice.NotFound, "key.unknown"},
		"an unknown user":                       {"", RevocationRequest{Kind: "user", ID: "x"}, sluice.NotFound, "user.unknown"},
		"a key of another organization":         {"acme", RevocationRequest{Kind: "consumerKey", ID: w.key.Key.Key}, sluice.NotFound, "key.unknown"},
		"an application of another one":         {"acme", RevocationRequest{Kind: "application", ID: w.app.ID}, sluice.NotFound, "application.unknown"},
		"a subscription of another one":         {"acme", RevocationRequest{Kind: "subscription", ID: w.sub.ID}, sluice.NotFound, "subscription.unknown"},
		"a user of another one":                 {"acme", RevocationRequest{Kind: "user", ID: w.user.ID}, sluice.NotFound, "user.unknown"},
		"a management token of another one":     {"acme", RevocationRequest{Kind: "token", Token: "opaque"}, sluice.NotFound, "token.unknown"},
		"a refresh token of another one":        {"acme", RevocationRequest{Kind: "token", Token: "refresh"}, sluice.NotFound, "token.unknown"},
		"a token's id, which nobody can assign": {"acme", RevocationRequest{Kind: "token", ID: "x"}, sluice.Forbidden, "organization.forbids"},
	} {
		org := c.org
		if org == "" {
			org = sluice.DefaultOrganization
		}
		_, err := w.plane.Revoke(w.of(org, "root", sluice.Administrator), c.r)
		wantCode(t, name, err, c.kind, c.code)
	}
	if after := w.counts(); after != before || w.held() != "opaque refresh code " {
		t.Errorf("refused revocations left %v, before %v, and %q", after, before, w.held())
	}
}

// What each gateway has proved is said of it, and of those that are away too
// once they are back; also by a control plane that was started anew.
func TestRevocationIsProvedByGateways(t *testing.T) {
	w := newRevoked(t)
	near, far := w.gateway(production, "near"), w.gateway(sandbox, "far")
	w.says(near, 1)
	act, err := w.plane.Revoke(w.admin(), RevocationRequest{Kind: "application", ID: w.app.ID})
	if err != nil || !act.EverywhereAt.IsZero() {
		t.Fatalf("act %+v, %v, want it to wait", act, err)
	}
	refused := func() (names string) {
		t.Helper()
		act, err = w.plane.Revocation(w.admin(), act.ID, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range act.Environments {
			for _, g := range e.Gateways {
				if !g.RefusedAt.IsZero() {
					names += g.Name + " "
				}
			}
		}
		return names
	}
	generation := map[string]int64{}
	for _, e := range act.Environments {
		generation[e.EnvironmentID] = e.Generation
	}
	here := generation[w.environment(production).ID]
	w.says(near, here-1)
	if got := refused(); got != "" || !act.EverywhereAt.IsZero() {
		t.Errorf("before its generation: refused by %q, %+v", got, act)
	}
	w.clock.advance(80 * time.Millisecond)
	w.says(near, here)
	if got := refused(); got != "near " || act.EverywhereAt.Sub(act.CreatedAt) != 80*time.Millisecond {
		t.Errorf("refused by %q, everywhere after %v", got, act.EverywhereAt.Sub(act.CreatedAt))
	}
	if err := w.plane.storeRevocations(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if got := refused(); got != "near " {
		t.Errorf("after a restart: refused by %q", got)
	}
	w.says(far, generation[w.environment(sandbox).ID]+3)
	if got := refused(); got != "near far " {
		t.Errorf("when the other is back: refused by %q", got)
	}
	if err := w.plane.RemoveGateway(w.admin(), far, 0); err != nil {
		t.Fatal(err)
	}
	if got := refused(); got != "near " {
		t.Errorf("when the other was removed: refused by %q", got)
	}
	if _, err := w.plane.Revocation(w.of("acme", "root", sluice.Administrator), act.ID, 0); !sluice.IsNotFound(err) {
		t.Errorf("for another organization: %v", err)
	}
}
