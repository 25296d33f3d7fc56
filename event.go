package sluice

import "time"

// Event tells the gateways of one environment of a change. It is written to the
// outbox in the transaction of that change and carries the new state of the
// thing, so that hearing it twice, or only the newest, does no harm.
type Event struct {
	Sequence      int64 // order of the outbox
	EnvironmentID string
	Generation    int64 // of the environment, after this change
	Kind          EventKind
	Subject       string // id of the thing
	Body          []byte // JSON of the thing; empty: it is gone
	CreatedAt     time.Time
}

// EventKind says what an Event's Subject and Body are.
type EventKind string

// Kinds of events, with the type of their Body.
const (
	DeploymentChanged   EventKind = "deployment"   // Deployment; Subject is the API's id
	SubscriptionChanged EventKind = "subscription" // Subscription
	KeyChanged          EventKind = "key"          // ConsumerKey without its secrets; Subject is the consumer key
	ApplicationChanged  EventKind = "application"  // Application
	TierChanged         EventKind = "tier"         // Tier; Subject is organization, level and name: "default/api/10KPerMin"
	EnvironmentChanged  EventKind = "environment"  // Environment; never gone
	RevocationAdded     EventKind = "revocation"   // Revocation; gone when expired
	APIKeyChanged       EventKind = "api_key"      // APIKey; Subject is its id
	BackendJWTChanged   EventKind = "backend_jwt"  // no Body, since it would hold a private key; Subject is "backend-jwt"
	TokenTrustChanged   EventKind = "token_trust"  // TokenTrust; Subject is "tokens"
)

// SigningKey is a public key that access tokens may be signed with.
type SigningKey struct {
	ID        string    `json:"id"`        // kid
	Algorithm string    `json:"algorithm"` // "ES256"
	Public    []byte    `json:"public"`    // PKIX, DER
	NotAfter  time.Time `json:"not_after"` // zero: in use
}

// TokenTrust is what a gateway needs to judge access tokens.
type TokenTrust struct {
	Issuer string       `json:"issuer"`
	Keys   []SigningKey `json:"keys"`
}
