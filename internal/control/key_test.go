package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

var clientCredentials = []string{sluice.GrantClientCredentials}

func TestKeyRequestsAreChecked(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.PasswordGrant = false })
	app := w.application("sam", "App")
	before := w.counts()
	for name, c := range map[string]struct {
		change func(r *KeyRequest)
		code   string
	}{
		"no type":                    {func(r *KeyRequest) { r.Type = "" }, "key.type"},
		"an unknown type":            {func(r *KeyRequest) { r.Type = "production" }, "key.type"},
		"no grant":                   {func(r *KeyRequest) { r.Grants = nil }, "key.grants"},
		"an unknown grant":           {func(r *KeyRequest) { r.Grants = []string{"implicit"} }, "key.grants"},
		"the password grant, off":    {func(r *KeyRequest) { r.Grants = []string{sluice.GrantPassword} }, "key.grants"},
		"no validity for ever":       {func(r *KeyRequest) { r.TTL = -1 }, "key.validity"},
		"less than a second":         {func(r *KeyRequest) { r.TTL = time.Millisecond }, "key.validity"},
		"not whole seconds":          {func(r *KeyRequest) { r.TTL = 1500 * time.Millisecond }, "key.validity"},
		"more than the most":         {func(r *KeyRequest) { r.TTL = 24*time.Hour + time.Second }, "key.validity"},
		"too many scopes":            {func(r *KeyRequest) { r.Scopes = slices.Repeat([]string{"s"}, 101) }, "key.size"},
		"a long callback":            {func(r *KeyRequest) { r.CallbackURL = strings.Repeat("x", 2001) }, "key.size"},
		"a scope with a blank":       {func(r *KeyRequest) { r.Scopes = []string{"a b"} }, "key.scope"},
		"a scope with a quote":       {func(r *KeyRequest) { r.Scopes = []string{`a"`} }, "key.scope"},
		"a scope with a line break":  {func(r *KeyRequest) { r.Scopes = []string{"a\r\nb"} }, "key.scope"},
		"an empty scope":             {func(r *KeyRequest) { r.Scopes = []string{""} }, "key.scope"},
		"several things at the same": {func(r *KeyRequest) { r.Type, r.Grants = "", nil }, "invalid"},
	} {
		r := KeyRequest{Type: sluice.ProductionKey, Grants: clientCredentials}
		c.change(&r)
		_, err := w.plane.GenerateKey(w.as("sam", sluice.Subscriber), app.ID, r)
		wantCode(t, name, err, sluice.Invalid, c.code)
	}
	if after := w.counts(); after != before {
		t.Errorf("refused keys left publications, audit entries, events %v, before %v", after, before)
	}
}

func TestGenerateKey(t *testing.T) {
	for name, reveal := range map[string]bool{"secrets are shown once": false, "secrets are shown again": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *Options) { o.RevealSecrets = reveal })
			app := w.application("sam", "App")
			sam := w.as("sam", sluice.Subscriber)
			var k IssuedKey
			got := w.emitted(func() {
				var err error
				k, err = w.plane.GenerateKey(sam, app.ID, KeyRequest{Type: sluice.ProductionKey, Grants: clientCredentials, Scopes: []string{"read"}})
				if err != nil {
					t.Fatal(err)
				}
			})
			wantLines(t, "GenerateKey", got, "+key @ "+production, "+key @ "+sandbox, "+key @ "+both)
			if k.Key.TokenTTL != time.Hour || len(k.Secret) < 43 || k.Token != sluice.Secret("token of "+k.Key.Key) || !slices.Equal(k.TokenScopes, []string{"read"}) {
				t.Errorf("issued %+v", k)
			}
			_, err := w.plane.GenerateKey(sam, app.ID, KeyRequest{Type: sluice.ProductionKey, Grants: clientCredentials})
			wantCode(t, "a second key of the type", err, sluice.Conflict, "key.exists")
			second, err := w.plane.GenerateKey(sam, app.ID, KeyRequest{Type: sluice.SandboxKey, Grants: []string{sluice.GrantPassword}})
			if err != nil || second.Token != "" || second.Key.Key == k.Key.Key {
				t.Errorf("a key of the other type, without client_credentials: %+v, %v", second, err)
			}

			w.view(func(tx *database.Tx) error {
				stored, err := tx.ConsumerKey(k.Key.Key)
				if err != nil {
					return err
				}
				if !slices.Equal(stored.SecretHashes, []string{k.Secret.Hash()}) || (len(stored.SealedSecret) > 0) != reveal || bytes.Contains(stored.SealedSecret, []byte(k.Secret.Reveal())) {
					t.Errorf("stored: hashes %v, %d sealed bytes", stored.SecretHashes, len(stored.SealedSecret))
				}
				return nil
			})
			for _, e := range w.eventsAfter(0) {
				if bytes.Contains(e.Body, []byte(k.Secret.Reveal())) || bytes.Contains(e.Body, []byte(k.Secret.Hash())) {
					t.Errorf("the secret is in an event: %s", e.Body)
				}
			}
			list, err := w.plane.Keys(sam, app.ID)
			if err != nil || len(list) != 2 {
				t.Fatalf("keys = %+v, %v", list, err)
			}
			for _, got := range list {
				want := sluice.Secret("")
				if reveal && got.Key.Key == k.Key.Key {
					want = k.Secret
				}
				if got.Key.Key == k.Key.Key && got.Secret != want || got.Token != "" {
					t.Errorf("shown again: %q, token %q", got.Secret.Reveal(), got.Token.Reveal())
				}
			}
			if b, err := json.Marshal(list); err != nil || bytes.Contains(b, []byte(k.Secret.Reveal())) {
				t.Errorf("as JSON a key shows its secret: %s, %v", b, err)
			}
		})
	}
}

// An installation that no longer shows secrets does not show those it kept.
func TestSecretsAreNotShownOnceThatIsOff(t *testing.T) {
	w := newWorld(t)
	app := w.application("sam", "App")
	sam := w.as("sam", sluice.Subscriber)
	if _, err := w.plane.GenerateKey(sam, app.ID, KeyRequest{Type: sluice.ProductionKey, Grants: clientCredentials}); err != nil {
		t.Fatal(err)
	}
	w.o.RevealSecrets = false
	w.restart()
	if list, err := w.plane.Keys(sam, app.ID); err != nil || len(list) != 1 || list[0].Secret != "" {
		t.Errorf("keys = %+v, %v", list, err)
	}
}

// A secret that is shown once is shown, also where no token could be issued.
func TestKeyIsHandedOutWithoutAToken(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.RevealSecrets = false
		o.IssueToken = func(context.Context, string, []string, time.Duration) (sluice.Secret, time.Duration, []string, error) {
			return "", 0, nil, errors.New("no signer")
		}
	})
	k, err := w.plane.GenerateKey(w.as("sam", sluice.Subscriber), w.application("sam", "App").ID, KeyRequest{Type: sluice.ProductionKey, Grants: clientCredentials})
	if err != nil || k.Secret == "" || k.Token != "" {
		t.Errorf("issued %+v, %v, want the secret and no token", k, err)
	}
}
