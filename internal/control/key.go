package control

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// KeyRequest is what a new consumer key shall be.
type KeyRequest struct {
	Type        sluice.KeyType
	Grants      []string
	CallbackURL string
	Scopes      []string
	TTL         time.Duration // of its access tokens; 0: the installation's default
}

// IssuedKey is a consumer key as its owner sees it.
type IssuedKey struct {
	Key         sluice.ConsumerKey
	Secret      sluice.Secret // "" where it is not shown again
	Token       sluice.Secret // a first access token, only with a new key
	TokenTTL    time.Duration
	TokenScopes []string
}

// newConsumerKey returns a new OAuth client id of 128 random bits.
func newConsumerKey() string { return strings.ToLower(rand.Text()) }

// GenerateKey makes the consumer key of one type for an application of the
// actor, with a secret and a first access token. The secret is returned once,
// unless the installation keeps secrets to show them again.
func (p *Plane) GenerateKey(ctx context.Context, applicationID string, r KeyRequest) (out IssuedKey, err error) {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return out, err
	}
	if r.TTL == 0 {
		r.TTL = p.o.AccessTokenTTL
	}
	if err := p.checkKeyRequest(&r); err != nil {
		return out, err
	}
	secret := sluice.NewSecret()
	k := sluice.ConsumerKey{
		ID: sluice.NewID(p.now()), Organization: actor.Organization, ApplicationID: applicationID, Key: newConsumerKey(),
		Type: r.Type, Grants: r.Grants, CallbackURL: r.CallbackURL, TokenTTL: r.TTL, Scopes: r.Scopes,
		SecretHashes: []string{secret.Hash()}, CreatedAt: p.now(),
	}
	p.keepSecret(&k, secret)
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := ownApplication(tx, actor, applicationID)
		if err != nil {
			return err
		}
		if err := tx.AddConsumerKey(&k); err != nil {
			return err
		}
		if err := emit(tx, "", sluice.KeyChanged, k.Key, k); err != nil {
			return err
		}
		return audit(ctx, tx, "key.create", "consumer_key", k.ID, a.Name+" "+string(k.Type), nil, k)
	})
	if err != nil {
		return out, err
	}
	out = IssuedKey{Key: k, Secret: secret}
	if slices.Contains(k.Grants, sluice.GrantClientCredentials) {
		out.Token, out.TokenTTL, out.TokenScopes, err = p.o.IssueToken(ctx, k.Key, r.Scopes, 0)
		if err != nil { // the key is made, and its secret is shown now or never
			p.log.Warn("no first token was issued with a new key", "consumer_key", k.Key, "err", err)
			return out, nil
		}
		if err := p.db.Update(ctx, func(tx *database.Tx) error { return p.rememberToken(tx, &out) }); err != nil {
			p.log.Warn("the first token of a new key was not noted", "consumer_key", k.Key, "err", err)
		}
	}
	return out, nil
}

// checkKeyRequest reports everything that is wrong with r.
func (p *Plane) checkKeyRequest(r *KeyRequest) error {
	var problems sluice.Problems
	if r.Type != sluice.ProductionKey && r.Type != sluice.SandboxKey {
		problems.Add("keyType", "key.type", "The key type is PRODUCTION or SANDBOX.")
	}
	if len(r.Grants) == 0 {
		problems.Add("grantTypesToBeSupported", "key.grants", "Choose at least one grant type.")
	}
	for _, g := range r.Grants {
		switch {
		case g == sluice.GrantPassword && !p.o.PasswordGrant:
			problems.Add("grantTypesToBeSupported", "key.grants", "The password grant is off in this installation.")
		case g == sluice.GrantClientCredentials, g == sluice.GrantPassword:
		case g == sluice.GrantRefreshToken, g == sluice.GrantAuthorizationCode: // the Key Manager says which of them work
		default:
			problems.Add("grantTypesToBeSupported", "key.grants", "The grant type %q is not offered.", g)
		}
	}
	if slices.Contains(r.Grants, sluice.GrantAuthorizationCode) && !sluice.IsRedirectURI(r.CallbackURL) {
		problems.Add("callbackUrl", "key.callback", "The code grant needs a callback URL: absolute, with https, or http on this machine alone, or a scheme of the application's own such as com.example.app, without fragment, user and wildcards.")
	}
	if r.TTL < time.Second || r.TTL > p.o.MaxAccessTokenTTL || r.TTL%time.Second != 0 {
		problems.Add("validityTime", "key.validity", "The validity is 1 to %d whole seconds.", int(p.o.MaxAccessTokenTTL/time.Second))
	}
	if len(r.Scopes) > 100 || len(r.CallbackURL) > 2000 {
		problems.Add("scopes", "key.size", "At most 100 scopes and 2000 characters of callback URL are taken.")
	}
	if !slices.Equal(r.Scopes, strings.Fields(strings.Join(r.Scopes, " "))) || strings.ContainsFunc(strings.Join(r.Scopes, ""), notInScope) {
		problems.Add("scopes", "key.scope", "A scope has no blanks, quotes, backslashes, control characters or letters beyond ASCII.")
	}
	return problems.Err()
}

// notInScope reports whether a scope cannot hold a character (RFC 6749 §3.3).
func notInScope(r rune) bool { return r < '!' || r > '~' || r == '"' || r == '\\' }

// Keys returns the consumer keys of an application of the actor, with their
// secrets where the installation keeps them.
func (p *Plane) Keys(ctx context.Context, applicationID string) (list []IssuedKey, err error) {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return nil, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if _, err := ownApplication(tx, actor, applicationID); err != nil {
			return err
		}
		keys, err := tx.ConsumerKeys(applicationID)
		if err != nil {
			return err
		}
		for _, k := range keys {
			secret, err := p.reveal(&k)
			if err != nil {
				return err
			}
			list = append(list, IssuedKey{Key: k, Secret: secret})
		}
		return nil
	})
	return list, err
}
