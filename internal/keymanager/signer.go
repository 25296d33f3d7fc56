package keymanager

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// TrustName is the sealed item that holds the sluice.TokenTrust in force, as
// JSON. The control plane puts it into the state of every environment, so that
// gateways that come later have it too; it writes the name out as well, since it
// does not import this package.
const TrustName = "keymanager/trust"

// signingPrefix and a key's id name the sealed item with the private key, PKCS #8.
const signingPrefix = "keymanager/signing/"

// What every access token says of itself.
const (
	tokenType     = "at+jwt" // RFC 9068 §2.1
	tokenAudience = "urn:sluice:apis"
)

// Kinds of access tokens, in the claim "aut".
const (
	applicationToken = "APPLICATION"
	userToken        = "APPLICATION_USER"
)

// claims are the payload of an access token (RFC 9068 §2.2, and what gateways
// need beside it). Times are in seconds since 1970.
type claims struct {
	Issuer    string         `json:"iss"`
	Subject   string         `json:"sub"` // user name, or the consumer key where there is no user
	Audience  string         `json:"aud"`
	Expires   int64          `json:"exp"`
	IssuedAt  int64          `json:"iat"`
	NotBefore int64          `json:"nbf"`
	ID        string         `json:"jti"`
	ClientID  string         `json:"client_id"` // consumer key
	Scope     string         `json:"scope"`
	KeyType   sluice.KeyType `json:"keytype"`
	Kind      string         `json:"aut"`
}

// idClaims are the payload of an id_token. Times are in seconds since 1970.
type idClaims struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"` // consumer key
	Expires   int64  `json:"exp"`
	IssuedAt  int64  `json:"iat"`
	AuthTime  int64  `json:"auth_time"`
	Nonce     string `json:"nonce,omitempty"`
	TokenHash string `json:"at_hash"`
}

// signer signs access tokens and recognizes them. It does not change; many
// goroutines may use it.
type signer struct {
	trust  sluice.TokenTrust
	signer jose.Signer
	ids    jose.Signer                 // of id_tokens, which are of another type
	public map[string]*ecdsa.PublicKey // all keys of trust, by id
}

// openSigner loads the signing key, or makes it. Where the issuer has another
// name than before, gateways are told, unless the name before is to be kept.
func openSigner(ctx context.Context, db *database.DB, issuer string, keep bool) (*signer, error) {
	var trust sluice.TokenTrust
	var private []byte
	load := func(tx *database.Tx) (err error) {
		trust, private, err = loadKey(tx)
		return err
	}
	if err := db.View(ctx, load); err != nil {
		return nil, err
	}
	if private == nil || trust.Issuer != issuer && !keep {
		err := db.Update(ctx, func(tx *database.Tx) error {
			if err := load(tx); err != nil { // another process may have been faster
				return err
			}
			if private == nil {
				var err error
				if trust, private, err = makeKey(tx); err != nil {
					return err
				}
			}
			if keep && trust.Issuer != "" {
				return nil
			}
			trust.Issuer = issuer
			return announce(tx, trust)
		})
		if err != nil {
			return nil, err
		}
	}
	return newSigner(trust, private)
}

// loadKey returns the trust and the private key in use, nil where none was made.
func loadKey(tx *database.Tx) (trust sluice.TokenTrust, private []byte, err error) {
	body, err := tx.Sealed(TrustName)
	if sluice.IsNotFound(err) {
		return trust, nil, nil
	}
	if err != nil {
		return trust, nil, err
	}
	if err := json.Unmarshal(body, &trust); err != nil {
		return trust, nil, fmt.Errorf("read %s: %w", TrustName, err)
	}
	for _, key := range trust.Keys {
		if key.NotAfter.IsZero() {
			private, err = tx.Sealed(signingPrefix + key.ID)
			return trust, private, err
		}
	}
	return trust, nil, fmt.Errorf("read %s: no key is in use", TrustName)
}

// makeKey makes and stores a new key.
func makeKey(tx *database.Tx) (trust sluice.TokenTrust, private []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return trust, nil, err
	}
	if private, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return trust, nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return trust, nil, err
	}
	thumbprint, err := (&jose.JSONWebKey{Key: &key.PublicKey}).Thumbprint(crypto.SHA256) // RFC 7638
	if err != nil {
		return trust, nil, err
	}
	id := base64.RawURLEncoding.EncodeToString(thumbprint)
	if err := tx.PutSealed(signingPrefix+id, private); err != nil {
		return trust, nil, err
	}
	trust.Keys = []sluice.SigningKey{{ID: id, Algorithm: string(jose.ES256), Public: public}}
	return trust, private, tx.Audit(sluice.AuditEntry{
		Organization: sluice.DefaultOrganization, Actor: sluice.System().Name, Client: sluice.System().Client,
		Action: "signing_key.create", ObjectType: "signing_key", ObjectID: id, Result: "ok",
	})
}

// announce stores the trust and tells the gateways of all environments.
func announce(tx *database.Tx, trust sluice.TokenTrust) error {
	body, err := json.Marshal(trust)
	if err != nil {
		return err
	}
	if err := tx.PutSealed(TrustName, body); err != nil {
		return err
	}
	return tx.Emit(sluice.Event{Kind: sluice.TokenTrustChanged, Subject: "tokens", Body: body})
}

// newSigner returns the signer of a stored key.
func newSigner(trust sluice.TokenTrust, private []byte) (*signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign %s", parsed, jose.ES256)
	}
	s := &signer{trust: trust, public: make(map[string]*ecdsa.PublicKey, len(trust.Keys))}
	var inUse string
	for _, k := range trust.Keys {
		parsed, err := x509.ParsePKIXPublicKey(k.Public)
		if err != nil {
			return nil, fmt.Errorf("public key %s: %w", k.ID, err)
		}
		public, ok := parsed.(*ecdsa.PublicKey)
		if !ok || k.Algorithm != string(jose.ES256) {
			return nil, fmt.Errorf("public key %s is not for %s", k.ID, jose.ES256)
		}
		s.public[k.ID] = public
		if public.Equal(&key.PublicKey) {
			inUse = k.ID
		}
	}
	if inUse == "" {
		return nil, errors.New("the private key belongs to none of the public keys")
	}
	by := jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: inUse}}
	if s.signer, err = jose.NewSigner(by, (&jose.SignerOptions{}).WithType(tokenType)); err != nil {
		return nil, err
	}
	s.ids, err = jose.NewSigner(by, (&jose.SignerOptions{}).WithType("JWT"))
	return s, err
}

// sign returns the access token with these claims.
func (s *signer) sign(c claims) (sluice.Secret, error) { return signWith(s.signer, c) }

// signID returns the id_token with these claims.
func (s *signer) signID(c idClaims) (sluice.Secret, error) { return signWith(s.ids, c) }

func signWith(by jose.Signer, claims any) (sluice.Secret, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := by.Sign(payload)
	if err != nil {
		return "", err
	}
	token, err := signed.CompactSerialize()
	return sluice.Secret(token), err
}

// verify returns the claims of an access token that this installation signed,
// expired or not. Key and algorithm are looked up by kid, never taken from the
// token (RFC 8725 §3.1).
func (s *signer) verify(token string) (claims, bool) {
	var c claims
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || len(signed.Signatures) != 1 {
		return c, false
	}
	header := signed.Signatures[0].Protected
	public, known := s.public[header.KeyID]
	if !known || header.ExtraHeaders[jose.HeaderType] != tokenType {
		return c, false
	}
	payload, err := signed.Verify(public)
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return c, false
	}
	return c, c.Issuer == s.trust.Issuer && c.Audience == tokenAudience && c.ID != ""
}
