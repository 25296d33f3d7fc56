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

// newKeyWorld returns a world whose Key Manager names tokens "jti of KEY N".
func newKeyWorld(t *testing.T) *revoked {
	n := 0
	w := &revoked{world: newWorld(t)}
	w.o.IssueToken = func(_ context.Context, key string, scopes []string, ttl time.Duration) (sluice.Secret, time.Duration, []string, error) {
		n++
		return sluice.Secret("jwt " + key + " " + strings.Repeat("i", n)), max(ttl, time.Second), scopes, nil
	}
	w.o.InspectToken = func(token sluice.Secret) (SignedToken, bool) {
		parts := strings.Split(token.Reveal(), " ")
		if len(parts) != 3 || parts[0] != "jwt" {
			return SignedToken{}, false
		}
		return SignedToken{ID: "jti-" + parts[2], ConsumerKey: parts[1], Expires: w.o.Now().Add(time.Hour)}, true
	}
	w.restart()
	w.app = w.application("sam", "App")
	var err error
	if w.key, err = w.plane.GenerateKey(w.as("sam", sluice.Subscriber), w.app.ID, KeyRequest{Type: sluice.ProductionKey, Grants: clientCredentials}); err != nil {
		t.Fatal(err)
	}
	w.user = sluice.User{ID: "u-ann", Organization: sluice.DefaultOrganization, Name: "ann", CreatedAt: w.o.Now()}
	w.update(func(tx *database.Tx) error { return tx.AddUser(&w.user) })
	return w
}

// inForce returns the revocations, as kind and subject.
func (w *revoked) inForce() (list []string) {
	w.t.Helper()
	w.view(func(tx *database.Tx) error {
		all, err := tx.Revocations(w.o.Now())
		for _, r := range all {
			list = append(list, string(r.Kind)+" "+strings.Replace(r.Subject, w.key.Key.Key, "KEY", 1))
		}
		return err
	})
	return list
}

func TestSecretsOfAKey(t *testing.T) {
	w := newKeyWorld(t)
	sam := w.as("sam", sluice.Subscriber)
	app, id := w.app.ID, w.key.Key.ID
	hashes := func() []string {
		k, err := w.plane.Key(sam, app, id)
		if err != nil {
			t.Fatal(err)
		}
		return k.Key.SecretHashes
	}
	wantCode(t, "deleting the only secret", w.plane.DeleteSecret(sam, app, id, SecretID(w.key.Secret.Hash())), sluice.Conflict, "key.last_secret")
	second, err := w.plane.AddSecret(sam, app, id)
	if err != nil || !slices.Equal(hashes(), []string{second.Secret.Hash(), w.key.Secret.Hash()}) || len(w.inForce()) != 0 {
		t.Errorf("after AddSecret: %v, %v, %v", hashes(), w.inForce(), err)
	}
	wantCode(t, "an unknown secret", w.plane.DeleteSecret(sam, app, id, "x"), sluice.NotFound, "secret.unknown")
	w.hold()
	if err := w.plane.DeleteSecret(sam, app, id, SecretID(w.key.Secret.Hash())); err != nil {
		t.Fatal(err)
	}
	if got := w.inForce(); !slices.Equal(hashes(), []string{second.Secret.Hash()}) || !slices.Equal(got, []string{"consumer_key KEY"}) || w.held() != "opaque " {
		t.Errorf("after DeleteSecret: %v, %v, %q", hashes(), got, w.held())
	}
	third, err := w.plane.RegenerateSecret(sam, app, id)
	if err != nil || !slices.Equal(hashes(), []string{third.Secret.Hash()}) || len(w.inForce()) != 2 {
		t.Errorf("after RegenerateSecret: %v, %v, %v", hashes(), w.inForce(), err)
	}
	if k, err := w.plane.Key(sam, app, id); err != nil || k.Secret != third.Secret {
		t.Errorf("shown again: %+v, %v", k, err)
	}
	for range maxSecrets - 1 {
		if _, err := w.plane.AddSecret(sam, app, id); err != nil {
			t.Fatal(err)
		}
	}
	_, err = w.plane.AddSecret(sam, app, id)
	wantCode(t, "an eleventh secret", err, sluice.Conflict, "key.secrets")
}

func TestUpdateKey(t *testing.T) {
	w := newKeyWorld(t)
	sam := w.as("sam", sluice.Subscriber)
	r := KeyRequest{Grants: []string{sluice.GrantAuthorizationCode}, CallbackURL: "https://app.example.com/back"}
	k, err := w.plane.UpdateKey(sam, w.app.ID, w.key.Key.ID, r, w.key.Key.RowVersion)
	if err != nil || !slices.Equal(k.Key.Grants, r.Grants) || k.Key.CallbackURL != r.CallbackURL || k.Key.TokenTTL != time.Hour || k.Secret != w.key.Secret {
		t.Errorf("updated %+v, %v", k, err)
	}
	_, err = w.plane.UpdateKey(sam, w.app.ID, w.key.Key.ID, r, w.key.Key.RowVersion)
	wantCode(t, "an old version", err, sluice.Changed, "changed")
	for callback, code := range map[string]string{"": "key.callback", "www.google.lk": "key.callback", "http://app.example.com/": "key.callback", "javascript:x": "key.callback"} {
		r.CallbackURL = callback
		_, err := w.plane.UpdateKey(sam, w.app.ID, w.key.Key.ID, r, 0)
		wantCode(t, "callback "+callback, err, sluice.Invalid, code)
	}
	_, err = w.plane.UpdateKey(sam, w.app.ID, w.key.Key.ID, KeyRequest{Type: sluice.SandboxKey, Grants: clientCredentials}, 0)
	wantCode(t, "another type", err, sluice.Invalid, "key.type")
	_, err = w.plane.UpdateKey(sam, w.app.ID, "x", r, 0)
	wantCode(t, "an unknown key", err, sluice.NotFound, "key.unknown")
}

func TestDeleteKey(t *testing.T) {
	w := newKeyWorld(t)
	sam := w.as("sam", sluice.Subscriber)
	w.hold()
	wantCode(t, "mapping a key that is mapped", w.plane.MapKey(sam, w.app.ID, w.key.Key.Key), sluice.Conflict, "key.mapped")
	got := w.emitted(func() {
		if err := w.plane.DeleteKey(sam, w.app.ID, w.key.Key.ID); err != nil {
			t.Fatal(err)
		}
	})
	wantLines(t, "DeleteKey", got, "-key @ "+production, "-key @ "+sandbox, "-key @ "+both)
	if w.held() != "opaque " {
		t.Errorf("left: %q", w.held())
	}
	wantCode(t, "deleting it again", w.plane.DeleteKey(sam, w.app.ID, w.key.Key.ID), sluice.NotFound, "key.unknown")
	wantCode(t, "mapping it", w.plane.MapKey(sam, w.app.ID, w.key.Key.Key), sluice.Invalid, "key.client")
	if _, err := w.plane.GenerateKey(sam, w.app.ID, KeyRequest{Type: sluice.ProductionKey, Grants: clientCredentials}); err != nil {
		t.Errorf("making it anew: %v", err)
	}
}

// A regenerated token ends the one before, the first of the key too.
func TestGenerateToken(t *testing.T) {
	w := newKeyWorld(t)
	sam := w.as("sam", sluice.Subscriber)
	k, err := w.plane.GenerateToken(sam, w.app.ID, w.key.Key.ID, TokenRequest{Secret: w.key.Secret, Scopes: []string{"read"}, TTL: time.Minute})
	if got := w.inForce(); err != nil || k.TokenTTL != time.Minute || !slices.Equal(k.TokenScopes, []string{"read"}) || !slices.Equal(got, []string{"token jti-i"}) {
		t.Errorf("token %+v, %v, revoked %v", k, err, got)
	}
	revoke := "jwt " + w.key.Key.Key + " named"
	if _, err := w.plane.GenerateToken(sam, w.app.ID, w.key.Key.ID, TokenRequest{Revoke: sluice.Secret(revoke)}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.plane.GenerateToken(sam, w.app.ID, w.key.Key.ID, TokenRequest{Revoke: "jwt other foreign"}); err != nil {
		t.Fatal(err)
	}
	if got := w.inForce(); len(got) != 4 || !slices.Contains(got, "token jti-named") || slices.Contains(got, "token jti-foreign") {
		t.Errorf("revoked %v", got)
	}
	_, err = w.plane.GenerateToken(sam, w.app.ID, w.key.Key.ID, TokenRequest{Secret: "wrong"})
	wantCode(t, "a wrong secret", err, sluice.Invalid, "key.secret")
	_, err = w.plane.GenerateToken(sam, w.app.ID, w.key.Key.ID, TokenRequest{TTL: 25 * time.Hour})
	wantCode(t, "for too long", err, sluice.Invalid, "key.validity")
}
