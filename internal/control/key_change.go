package control

import (
	"context"
	"crypto/subtle"
	"slices"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

const (
	maxSecrets     = 10 // of a consumer key, at one time
	secretIDLength = 16
)

// SecretID returns the name of a secret of a consumer key, made of its hash.
func SecretID(hash string) string { return hash[:min(len(hash), secretIDLength)] }

// Key returns one consumer key of an application of the actor.
func (p *Plane) Key(ctx context.Context, applicationID, keyID string) (out IssuedKey, err error) {
	list, err := p.Keys(ctx, applicationID)
	if err != nil {
		return out, err
	}
	for _, k := range list {
		if k.Key.ID == keyID {
			return k, nil
		}
	}
	return out, unknownKey()
}

func unknownKey() *sluice.Error {
	return sluice.Errorf(sluice.NotFound, "key.unknown", "There is no such key.")
}

// changeKey changes a consumer key of an application of the actor and notes it
// in the audit log; ifMatch 0 is any row version.
func (p *Plane) changeKey(ctx context.Context, applicationID, keyID, action string, ifMatch int64, change func(tx *database.Tx, k *sluice.ConsumerKey) error) (k sluice.ConsumerKey, err error) {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return k, err
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := ownApplication(tx, actor, applicationID)
		if err != nil {
			return err
		}
		if k, err = keyOf(tx, applicationID, keyID); err != nil {
			return err
		}
		if ifMatch != 0 {
			k.RowVersion = ifMatch // the write finds out
		}
		before := k
		if err := change(tx, &k); err != nil {
			return err
		}
		if err := tx.PutConsumerKey(&k); err != nil {
			return err
		}
		if err := emit(tx, "", sluice.KeyChanged, k.Key, k); err != nil {
			return err
		}
		return audit(ctx, tx, action, "consumer_key", k.ID, a.Name+" "+string(k.Type), before, k)
	})
	return k, err
}

// keyOf returns a consumer key of an application by the id of its mapping.
func keyOf(tx *database.Tx, applicationID, keyID string) (sluice.ConsumerKey, error) {
	keys, err := tx.ConsumerKeys(applicationID)
	if err != nil {
		return sluice.ConsumerKey{}, err
	}
	if i := slices.IndexFunc(keys, func(k sluice.ConsumerKey) bool { return k.ID == keyID }); i >= 0 {
		return keys[i], nil
	}
	return sluice.ConsumerKey{}, unknownKey()
}

// UpdateKey changes the grants, callback URL, scopes and validity of a consumer
// key; its type stays, and a TTL of 0 leaves the validity as it is. What it got
// before stays valid. ifMatch 0 is any row version.
func (p *Plane) UpdateKey(ctx context.Context, applicationID, keyID string, r KeyRequest, ifMatch int64) (out IssuedKey, err error) {
	out.Key, err = p.changeKey(ctx, applicationID, keyID, "key.update", ifMatch, func(_ *database.Tx, k *sluice.ConsumerKey) error {
		if r.TTL == 0 {
			r.TTL = k.TokenTTL
		}
		if r.Type != "" && r.Type != k.Type {
			return sluice.Errorf(sluice.Invalid, "key.type", "The type of a key stays; make one of the other type.").At("keyType")
		}
		r.Type = k.Type
		if err := p.checkKeyRequest(&r); err != nil {
			return err
		}
		k.Grants, k.CallbackURL, k.Scopes, k.TokenTTL = r.Grants, r.CallbackURL, r.Scopes, r.TTL
		return nil
	})
	if err != nil {
		return out, err
	}
	out.Secret, err = p.reveal(&out.Key)
	return out, err
}

// RegenerateSecret gives a consumer key a new secret, which becomes the only
// one. The tokens that were got with the old ones end at all gateways, with
// their refresh tokens and codes.
func (p *Plane) RegenerateSecret(ctx context.Context, applicationID, keyID string) (out IssuedKey, err error) {
	out.Secret = sluice.NewSecret()
	out.Key, err = p.changeKey(ctx, applicationID, keyID, "key.regenerate_secret", 0, func(tx *database.Tx, k *sluice.ConsumerKey) error {
		k.SecretHashes = []string{out.Secret.Hash()}
		p.keepSecret(k, out.Secret)
		return p.endKeyTokens(tx, k.Key)
	})
	return out, err
}

// AddSecret gives a consumer key a further secret, at most ten. The others stay
// valid until DeleteSecret, so that a secret can be replaced with no refused call.
func (p *Plane) AddSecret(ctx context.Context, applicationID, keyID string) (out IssuedKey, err error) {
	out.Secret = sluice.NewSecret()
	out.Key, err = p.changeKey(ctx, applicationID, keyID, "key.add_secret", 0, func(_ *database.Tx, k *sluice.ConsumerKey) error {
		if len(k.SecretHashes) >= maxSecrets {
			return sluice.Errorf(sluice.Conflict, "key.secrets", "A consumer key has at most %d secrets; delete one first.", maxSecrets)
		}
		k.SecretHashes = append([]string{out.Secret.Hash()}, k.SecretHashes...)
		p.keepSecret(k, out.Secret)
		return nil
	})
	return out, err
}

// DeleteSecret ends a secret of a consumer key, by its SecretID; the last one
// cannot be deleted. It is not known which tokens were got with it, so all that
// the key has end.
func (p *Plane) DeleteSecret(ctx context.Context, applicationID, keyID, secretID string) error {
	_, err := p.changeKey(ctx, applicationID, keyID, "key.delete_secret", 0, func(tx *database.Tx, k *sluice.ConsumerKey) error {
		i := slices.IndexFunc(k.SecretHashes, func(hash string) bool { return SecretID(hash) == secretID })
		switch {
		case i < 0:
			return sluice.Errorf(sluice.NotFound, "secret.unknown", "There is no such secret.")
		case len(k.SecretHashes) == 1:
			return sluice.Errorf(sluice.Conflict, "key.last_secret", "A consumer key needs a secret; add another one first.")
		case i == 0:
			k.SealedSecret = nil // it was the one that is shown
		}
		k.SecretHashes = slices.Delete(slices.Clone(k.SecretHashes), i, i+1)
		return p.endKeyTokens(tx, k.Key)
	})
	return err
}

// keepSecret keeps the newest secret to be shown again, where that is on.
func (p *Plane) keepSecret(k *sluice.ConsumerKey, secret sluice.Secret) {
	k.SealedSecret = nil
	if p.o.RevealSecrets {
		k.SealedSecret = p.db.Seal("consumer-secret/"+k.Key, []byte(secret.Reveal()))
	}
}

// reveal returns the secret of a key where the installation keeps it.
func (p *Plane) reveal(k *sluice.ConsumerKey) (sluice.Secret, error) {
	if len(k.SealedSecret) == 0 || !p.o.RevealSecrets {
		return "", nil
	}
	secret, err := p.db.Unseal("consumer-secret/"+k.Key, k.SealedSecret)
	return sluice.Secret(secret), err
}

// DeleteKey deletes a consumer key of an application of the actor, with whatever
// it got: gateways refuse its tokens from then on. A new one of its type may be
// made afterwards.
func (p *Plane) DeleteKey(ctx context.Context, applicationID, keyID string) error {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := ownApplication(tx, actor, applicationID)
		if err != nil {
			return err
		}
		k, err := keyOf(tx, applicationID, keyID)
		if err != nil {
			return err
		}
		if err := deleteKey(tx, k); err != nil {
			return err
		}
		return audit(ctx, tx, "key.delete", "consumer_key", k.ID, a.Name+" "+string(k.Type), k, nil)
	})
}

// deleteKey deletes a consumer key with its refresh tokens and codes. Gateways
// refuse the tokens of a key that they do not know.
func deleteKey(tx *database.Tx, k sluice.ConsumerKey) error {
	if err := tx.DeleteClientTokens(k.Key); err != nil {
		return err
	}
	if err := tx.DeleteConsumerKey(k.Key); err != nil {
		return err
	}
	return emit(tx, "", sluice.KeyChanged, k.Key, nil)
}

// MapKey is for OAuth clients that exist at a Key Manager and belong to no
// application. The resident one makes each client for an application, so there
// is never one to map, and it says so.
func (p *Plane) MapKey(ctx context.Context, applicationID, consumerKey string) error {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return err
	}
	return p.db.View(ctx, func(tx *database.Tx) error {
		if _, err := ownApplication(tx, actor, applicationID); err != nil {
			return err
		}
		k, err := tx.ConsumerKey(consumerKey)
		if err == nil && k.Organization == actor.Organization {
			return sluice.Errorf(sluice.Conflict, "key.mapped", "This consumer key belongs to an application already.").At("consumerKey")
		}
		if err != nil && !sluice.IsNotFound(err) {
			return err
		}
		return sluice.Errorf(sluice.Invalid, "key.client", "The Key Manager does not know this consumer key. Clients of other Key Managers cannot be mapped; generate keys instead.").At("consumerKey")
	})
}

// TokenRequest says which application token shall be made.
type TokenRequest struct {
	Secret sluice.Secret // of the consumer key; checked where it is given
	Scopes []string
	TTL    time.Duration // 0: as long as the key says
	Revoke sluice.Secret // a token of this key that shall end too; another is left alone
}

// GenerateToken makes an application token for a consumer key. The one that was
// made before it, here or with the key, ends at all gateways.
func (p *Plane) GenerateToken(ctx context.Context, applicationID, keyID string, r TokenRequest) (out IssuedKey, err error) {
	if out, err = p.Key(ctx, applicationID, keyID); err != nil {
		return out, err
	}
	if r.Secret != "" && !slices.ContainsFunc(out.Key.SecretHashes, func(hash string) bool {
		return subtle.ConstantTimeCompare([]byte(hash), []byte(r.Secret.Hash())) == 1
	}) {
		return out, sluice.Errorf(sluice.Invalid, "key.secret", "This is not a secret of the consumer key.").At("consumerSecret")
	}
	if r.TTL < 0 || r.TTL > p.o.MaxAccessTokenTTL {
		return out, sluice.Errorf(sluice.Invalid, "key.validity", "The validity is 1 to %d whole seconds.", int(p.o.MaxAccessTokenTTL/time.Second)).At("validityPeriod")
	}
	if out.Token, out.TokenTTL, out.TokenScopes, err = p.o.IssueToken(ctx, out.Key.Key, r.Scopes, r.TTL); err != nil {
		return out, err
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		if t, ok := p.o.InspectToken(r.Revoke); ok && r.Revoke != "" && t.ConsumerKey == out.Key.Key {
			if err := p.revokeOnce(tx, t.ID, t.Expires); err != nil {
				return err
			}
		}
		old, err := tx.ApplicationToken(out.Key.Key)
		switch {
		case err == nil:
			err = p.revokeOnce(tx, old.TokenID, old.ExpiresAt)
		case sluice.IsNotFound(err):
			err = nil
		}
		if err != nil {
			return err
		}
		if err := p.rememberToken(tx, &out); err != nil {
			return err
		}
		return audit(ctx, tx, "token.generate", "consumer_key", out.Key.ID, string(out.Key.Type), nil, nil)
	})
	return out, err
}

// rememberToken notes a new application token as the key's newest.
func (p *Plane) rememberToken(tx *database.Tx, k *IssuedKey) error {
	t, ok := p.o.InspectToken(k.Token)
	if !ok {
		return nil
	}
	return tx.PutApplicationToken(&sluice.ApplicationToken{ConsumerKey: k.Key.Key, TokenID: t.ID, ExpiresAt: t.Expires})
}
