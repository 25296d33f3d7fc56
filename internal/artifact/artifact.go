// Package artifact is what a gateway needs to serve: APIs compiled for one
// environment, and the keys, applications, subscriptions, tiers and revocations
// that go with them. The control plane makes artifacts, distribution carries
// them as items of an environment's state, gateways build their tables from
// them; it is the one thing these planes share.
//
// Each type is one kind of item and knows its id ([API.ItemID] …). [Encode] and
// [Decode] are the only way to and from bytes: JSON with the format's version
// in front, so that a digest of the bytes names the artifact. [Compile] makes
// the API of a revision and an environment. Artifacts are immutable.
//
// To add a kind: a type here with an ItemID, a prefix below, a case in Decode.
package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/sluice-api/sluice"
)

// Prefixes of item ids, by kind.
const (
	prefixAPI          = "api/"
	prefixKey          = "key/"
	prefixApplication  = "application/"
	prefixSubscription = "subscription/"
	prefixTier         = "tier/"
	prefixRevocation   = "revocation/"
	prefixAPIKey       = "apikey/"
	idTokens           = "tokens"
	idBackendJWT       = "backend-jwt"
	idEnvironment      = "environment"
)

// Digest is the SHA-256 of an artifact's bytes.
type Digest [sha256.Size]byte

// DigestOf returns the digest of an encoded artifact.
func DigestOf(body []byte) Digest { return sha256.Sum256(body) }

// String returns the digest in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Item is any artifact.
type Item interface {
	// ItemID names the item within the state of an environment.
	ItemID() string
}

// Environment says what the gateways of an environment are.
type Environment struct {
	ID     string                 `json:"id"`
	Name   string                 `json:"name"`
	Type   sluice.EnvironmentType `json:"type"`
	Vhosts []sluice.Vhost         `json:"vhosts"` // the first also answers hosts that no other has
}

// API is one API as the gateways of one environment serve it.
type API struct {
	ID             string                 `json:"id"`
	Organization   string                 `json:"organization"`
	Name           string                 `json:"name"`
	Version        string                 `json:"version"`
	Revision       int                    `json:"revision"`
	Environment    sluice.EnvironmentType `json:"environment"`
	Vhost          string                 `json:"vhost"`                     // host of the vhost
	Context        string                 `json:"context"`                   // with the version: "/weather/1.0"
	DefaultContext string                 `json:"default_context,omitempty"` // also answers here; without the version
	Transports     []string               `json:"transports"`                // "http", "https"
	State          sluice.Lifecycle       `json:"state"`                     // BLOCKED refuses calls, PROTOTYPED needs no token
	Production     []sluice.Endpoint      `json:"production,omitempty"`
	Sandbox        []sluice.Endpoint      `json:"sandbox,omitempty"`
	Operations     []sluice.Operation     `json:"operations"`
	CORS           *sluice.CORS           `json:"cors,omitempty"`

	Schemes            []sluice.Scheme    `json:"schemes,omitempty"`        // how callers authenticate; none: OAuth2 alone
	TokenHeader        string             `json:"token_header,omitempty"`   // empty: Authorization
	APIKeyHeader       string             `json:"api_key_header,omitempty"` // empty: sluice.DefaultAPIKeyHeader
	Tier               string             `json:"tier,omitempty"`           // of all operations together, instead of theirs; empty: theirs
	Throughput         *sluice.Throughput `json:"throughput,omitempty"`
	ProductionSecurity *Credentials       `json:"production_security,omitempty"`
	SandboxSecurity    *Credentials       `json:"sandbox_security,omitempty"`
}

// Credentials are a name and a password that backends ask for by Basic
// authentication (RFC 7617). Formatting shows neither.
type Credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// String hides the credentials.
func (Credentials) String() string { return "[redacted]" }

// GoString hides the credentials in %#v.
func (Credentials) GoString() string { return "[redacted]" }

// LogValue hides the credentials in logs.
func (Credentials) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Key is a consumer key, without its secrets.
type Key struct {
	Key           string         `json:"key"`
	ApplicationID string         `json:"application_id"`
	Type          sluice.KeyType `json:"type"`
}

// Application owns keys and subscriptions.
type Application struct {
	ID           string `json:"id"`
	Organization string `json:"organization"`
	Name         string `json:"name"`
	Owner        string `json:"owner"`
	Tier         string `json:"tier"`
}

// Subscription lets an application call an API.
type Subscription struct {
	ID            string                   `json:"id"`
	ApplicationID string                   `json:"application_id"`
	APIID         string                   `json:"api_id"`
	Tier          string                   `json:"tier"`
	State         sluice.SubscriptionState `json:"state"`
}

// Tier is the limit behind a tier's name.
type Tier struct {
	Organization string           `json:"organization"`
	Level        sluice.TierLevel `json:"level"`
	Name         string           `json:"name"`
	Limit        sluice.Limit     `json:"limit"`
}

// Revocation ends tokens before they expire.
type Revocation struct {
	ID           string                `json:"id"`
	Kind         sluice.RevocationKind `json:"kind"`
	Subject      string                `json:"subject"`
	Organization string                `json:"organization,omitempty"` // of a user; empty: of any
	Before       time.Time             `json:"before,omitzero"`
	ExpiresAt    time.Time             `json:"expires_at"`
}

// APIKey lets an application call APIs without a token. One with an APIID opens
// that API alone, and needs neither application nor subscription.
type APIKey struct {
	ID            string         `json:"id"`
	Hash          string         `json:"hash"` // SHA-256 of the key, hexadecimal
	ApplicationID string         `json:"application_id,omitempty"`
	APIID         string         `json:"api_id,omitempty"`
	Type          sluice.KeyType `json:"type"`
	Addresses     []string       `json:"addresses,omitempty"` // IP addresses and CIDR networks; none: any
	Referers      []string       `json:"referers,omitempty"`  // beginnings of the Referer; none: any
	ExpiresAt     time.Time      `json:"expires_at,omitzero"` // zero: never
}

// BackendJWT is how gateways tell backends who calls: a JWT that each of them
// signs with the installation's RSA key. Without the item they tell nothing.
type BackendJWT struct {
	Issuer   string `json:"issuer"`
	Header   string `json:"header"`  // that carries it
	Dialect  string `json:"dialect"` // before the names of claims, without a final slash
	OmitUser bool   `json:"omit_user,omitempty"`
	KeyID    string `json:"key_id"`
	Key      []byte `json:"key"` // PKCS #8, DER
}

// Unknown is an item of a kind that only newer gateways know. It is of no use,
// and no error.
type Unknown struct{ ID string }

// Tokens is what access tokens are judged by.
type Tokens struct {
	Issuer string              `json:"issuer"`
	Keys   []sluice.SigningKey `json:"keys"`
}

// ItemID implements Item.
func (*Environment) ItemID() string { return idEnvironment }

// ItemID implements Item.
func (a *API) ItemID() string { return APIItem(a.ID) }

// ItemID implements Item.
func (k *Key) ItemID() string { return prefixKey + k.Key }

// ItemID implements Item.
func (a *Application) ItemID() string { return prefixApplication + a.ID }

// ItemID implements Item.
func (s *Subscription) ItemID() string { return prefixSubscription + s.ID }

// ItemID implements Item.
func (t *Tier) ItemID() string {
	return prefixTier + t.Organization + "/" + string(t.Level) + "/" + t.Name
}

// ItemID implements Item.
func (r *Revocation) ItemID() string { return prefixRevocation + r.ID }

// ItemID implements Item.
func (k *APIKey) ItemID() string { return prefixAPIKey + k.ID }

// ItemID implements Item.
func (*Tokens) ItemID() string { return idTokens }

// ItemID implements Item.
func (*BackendJWT) ItemID() string { return idBackendJWT }

// ItemID implements Item.
func (u *Unknown) ItemID() string { return u.ID }

// APIItem returns the item id of the API with the given id.
func APIItem(id string) string { return prefixAPI + id }
