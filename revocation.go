package sluice

import "time"

// Revocation ends tokens before they expire. It is kept until no token it
// speaks of could still be valid.
type Revocation struct {
	ID           string
	Kind         RevocationKind
	Subject      string    // token id (jti), consumer key or user name, by Kind
	Organization string    // of the user; empty: of any
	Before       time.Time // tokens issued later are not meant; of tokens: zero
	CreatedAt    time.Time
	ExpiresAt    time.Time
}

// RevocationKind says what a Revocation's Subject is.
type RevocationKind string

// Kinds of revocation.
const (
	RevokedToken       RevocationKind = "token"
	RevokedConsumerKey RevocationKind = "consumer_key"
	RevokedUser        RevocationKind = "user"
)

// RevocationAct is a revocation that somebody asked for, with the gateways that
// have proved it. It may consist of several Revocations, and of things deleted.
type RevocationAct struct {
	ID           string
	Organization string
	Kind         string // "token", "consumerKey", "application", "subscription" or "user"
	Subject      string // id of the token, the application, the subscription or the user; consumer key
	Actor        string
	Environments []RevokedEnvironment
	EverywhereAt time.Time // when the last of the gateways that were connected had proved it; zero: not yet
	CreatedAt    time.Time
}

// RevokedEnvironment is the part of a RevocationAct that one environment has.
type RevokedEnvironment struct {
	EnvironmentID string           `json:"environment_id"`
	Generation    int64            `json:"generation"` // from which on its gateways refuse
	Gateways      []RevokedGateway `json:"gateways"`   // all that there were
}

// RevokedGateway is what one gateway said of a RevocationAct.
type RevokedGateway struct {
	GatewayID string    `json:"gateway_id"`
	Name      string    `json:"name"`
	Connected bool      `json:"connected"` // at the time of the act: it is waited for
	RefusedAt time.Time `json:"refused_at,omitzero"`
}
