package sluice

import "time"

// KeyType says for which side a key was made.
type KeyType string

// Key types.
const (
	ProductionKey KeyType = "PRODUCTION"
	SandboxKey    KeyType = "SANDBOX"
)

// ConsumerKey is an application's OAuth client of one KeyType. Its secret is
// random, stored as a hash and shown once.
type ConsumerKey struct {
	ID            string // of the key mapping
	Organization  string
	ApplicationID string
	Key           string // the OAuth client_id
	Type          KeyType
	Grants        []string // OAuth grant types it may use
	CallbackURL   string
	TokenTTL      time.Duration // validity of its access tokens, whole seconds
	Scopes        []string
	SecretHashes  []string `json:"-"` // Secret.Hash of every secret that is valid, newest first
	SealedSecret  []byte   `json:"-"` // the newest secret, encrypted; empty where secrets are never shown again
	RowVersion    int64
	CreatedAt     time.Time
}

// OAuth grant types.
const (
	GrantClientCredentials = "client_credentials"
	GrantPassword          = "password"
	GrantRefreshToken      = "refresh_token"
	GrantAuthorizationCode = "authorization_code"
)
