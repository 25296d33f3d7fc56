package policy

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

const (
	audience = "urn:sluice:apis"

	// maxToken is the longest access token that is looked at, in bytes.
	maxToken = 8 << 10

	// maxLifetime is the longest time between a token's iat and exp, in
	// seconds: what says more was not made by the Key Manager.
	maxLifetime = 10 * 366 * 24 * 60 * 60
)

// Trust is what access tokens are judged by: the issuer and its signing keys.
// Key and algorithm of a token come from here by its kid, never from the token
// (RFC 8725 §3.1). It remembers tokens it has verified, so that the next call
// with one needs no signature check. It may be used by many goroutines.
type Trust struct {
	tokens   artifact.Tokens
	keys     map[string]signingKey // by kid
	leeway   int64                 // seconds
	verified tokenCache
}

type signingKey struct {
	method   jwt.SigningMethod
	public   any
	notAfter int64 // Unix seconds; 0: in use
}

// accessToken is what a verified access token says. It is immutable.
type accessToken struct {
	id, subject, client string
	keyType             sluice.KeyType
	user                bool // a person stands behind it
	scopes              []string
	issued              int64 // Unix milliseconds
	expires             int64 // Unix seconds
	keyUntil            int64 // when the signing key ends, Unix seconds; 0: in use
}

// NewTrust returns the Trust that t describes. It refuses unknown algorithms,
// keys that do not fit theirs, and a kid that is there twice.
func NewTrust(t *artifact.Tokens, leeway time.Duration) (*Trust, error) {
	trust := &Trust{tokens: *t, keys: make(map[string]signingKey, len(t.Keys)), leeway: int64(leeway / time.Second)}
	for _, k := range t.Keys {
		if _, twice := trust.keys[k.ID]; twice || k.ID == "" {
			return nil, fmt.Errorf("signing key id %q is empty or there twice", k.ID)
		}
		public, err := x509.ParsePKIXPublicKey(k.Public)
		if err != nil {
			return nil, fmt.Errorf("parse signing key %q: %w", k.ID, err)
		}
		key := signingKey{public: public}
		switch k.Algorithm {
		case "ES256":
			ec, ok := public.(*ecdsa.PublicKey)
			if !ok || ec.Curve != elliptic.P256() {
				return nil, fmt.Errorf("signing key %q is not of the curve P-256, as ES256 needs", k.ID)
			}
			key.method = jwt.SigningMethodES256
		default:
			return nil, fmt.Errorf("signing key %q has the unsupported algorithm %q", k.ID, k.Algorithm)
		}
		if !k.NotAfter.IsZero() {
			key.notAfter = k.NotAfter.Unix()
		}
		trust.keys[k.ID] = key
	}
	return trust, nil
}

// same reports whether o judges as t does.
func (t *Trust) same(o *Trust) bool {
	return t.leeway == o.leeway && reflect.DeepEqual(t.tokens, o.tokens)
}

// judge returns what a token says, or the fault that it earns. It knows nothing
// of revocations.
func (t *Trust) judge(token []byte, now time.Time) (*accessToken, *Fault) {
	if len(token) > maxToken {
		return nil, InvalidCredentials
	}
	digest, seconds := sha256.Sum256(token), now.Unix()
	a := t.verified.get(&digest)
	if a == nil || a.keyUntil != 0 && seconds > a.keyUntil {
		var err error
		if a, err = t.verify(token, seconds); err != nil {
			return nil, InvalidCredentials
		}
		if seconds < a.expires+t.leeway {
			t.verified.put(&digest, a, seconds-t.leeway)
		}
	}
	if seconds >= a.expires+t.leeway {
		return nil, TokenExpired
	}
	return a, nil
}

var errToken = errors.New("not an access token of this issuer")

// verify checks everything about a token that does not change with time, and
// that it is not from the future.
func (t *Trust) verify(token []byte, now int64) (*accessToken, error) {
	header, rest, _ := bytes.Cut(token, []byte{'.'})
	payload, signature, _ := bytes.Cut(rest, []byte{'.'})
	sig, err := decodeSegment(signature)
	if err != nil {
		return nil, err
	}
	key, err := t.keyOf(header, now)
	if err != nil {
		return nil, err
	}
	if err := key.method.Verify(string(token[:len(header)+1+len(payload)]), sig, key.public); err != nil {
		return nil, fmt.Errorf("verify signature: %w", err)
	}
	claims, err := decodeObject(payload)
	if err != nil {
		return nil, err
	}
	a, err := t.read(claims, now)
	if err != nil {
		return nil, err
	}
	a.keyUntil = key.notAfter
	return a, nil
}

// keyOf returns the configured key that a JOSE header names. A header may hold
// typ, alg and kid and nothing else: no embedded or linked key, no extension
// that would have to be understood (RFC 7515 §4.1.11).
func (t *Trust) keyOf(segment []byte, now int64) (signingKey, error) {
	header, err := decodeObject(segment)
	if err != nil {
		return signingKey{}, err
	}
	typ, alg, kid := header.text("typ"), header.text("alg"), header.text("kid")
	key, known := t.keys[kid]
	if header.bad || len(header.members) != 3 || !known ||
		typ != "at+jwt" || alg != key.method.Alg() || key.notAfter != 0 && now > key.notAfter {
		return signingKey{}, errToken
	}
	return key, nil
}

// read returns what the claims say (RFC 9068 §2.2), if they are those of an
// access token for APIs.
func (t *Trust) read(c *object, now int64) (*accessToken, error) {
	a := &accessToken{
		id: c.text("jti"), subject: c.text("sub"), client: c.text("client_id"),
		keyType: sluice.KeyType(c.text("keytype")),
		expires: c.seconds("exp"),
	}
	issued := c.seconds("iat")
	notBefore := issued
	if c.has("nbf") {
		notBefore = c.seconds("nbf")
	}
	issuer, kind := c.text("iss"), c.text("aut")
	if c.has("scope") {
		a.scopes = c.words("scope")
	}
	a.user = kind == "APPLICATION_USER"
	switch {
	case c.bad, issuer != t.tokens.Issuer, !c.audience(),
		c.has("cnf"), // only for who proves to hold a key, which a bearer does not
		!a.user && kind != "APPLICATION",
		a.keyType != sluice.ProductionKey && a.keyType != sluice.SandboxKey,
		a.expires <= issued, a.expires-issued > maxLifetime,
		issued > now+t.leeway, notBefore > now+t.leeway:
		return nil, errToken
	}
	a.issued = issuedAt(a.id, issued)
	return a, nil
}

// issuedAt returns when a token was issued, in Unix milliseconds: the time in
// its id, where that is a UUID of version 7 (RFC 9562 §5.7) of the second iat,
// else that second's start.
func issuedAt(id string, iat int64) int64 {
	if at, ok := sluice.IDTime(id); ok && at.Unix() == iat {
		return at.UnixMilli()
	}
	return iat * 1000
}
