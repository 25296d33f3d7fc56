package sluice

import "time"

// AccessToken is a token of the management API: of a person, or of a
// management client that logged in. It is opaque, and stored as a hash. Tokens
// that applications call APIs with are signed and not stored.
type AccessToken struct {
	ID        string
	Hash      string // Secret.Hash of the token
	Name      string // given by its owner; empty for a login's
	UserID    string
	ClientID  string // management client that got it; empty for a personal one
	Scopes    []string
	CreatedAt time.Time
	ExpiresAt time.Time
}

// RefreshToken gets its client another access token for its user, without the
// password. It is opaque, stored as a hash and used once: every use gives the
// next token of the same family. A second use means that one of the two users
// is a thief, and ends the family.
type RefreshToken struct {
	ID             string
	Hash           string // Secret.Hash of the token
	Family         string // id of its first token, the one that came with the login
	ClientID       string // consumer key or management client
	UserID         string
	PasswordDigest string    // Secret.Hash of the user's PasswordHash at the login; another password ends the token
	Scopes         []string  // the most that its access tokens get
	AccessTokenID  string    // id of the access token that came with it
	AccessUntil    time.Time // when nobody takes that one any more
	CreatedAt      time.Time
	ExpiresAt      time.Time
	RepeatUntil    time.Time // the use is answered once more until then; zero: not used yet
	Answer         []byte    // what the use was answered, sealed with the token itself
}

// ManagementClient is an OAuth client that registered itself to use the
// management API, as apictl does.
type ManagementClient struct {
	ID           string // client_id
	Organization string
	UserID       string
	Name         string // unique for its user
	CallbackURL  string // kept as text; codes go there only where IsRedirectURI
	Grants       []string
	SecretHashes []string // newest first
	CreatedAt    time.Time
}

// AuthorizationCode gets its client tokens for the user who logged in on the
// Key Manager's page. It is stored as a hash and used once, by the client that
// asked for it; a second use ends what the first gave (RFC 6749 §4.1.2).
type AuthorizationCode struct {
	Hash           string // Secret.Hash of the code
	ClientID       string // consumer key or management client
	UserID         string
	PasswordDigest string   // Secret.Hash of the user's PasswordHash at the login
	RedirectURI    string   // as it was asked for
	Challenge      string   // of PKCE, S256 (RFC 7636)
	Scopes         []string // those that were asked for
	Nonce          string   // for the id_token
	CreatedAt      time.Time
	ExpiresAt      time.Time
	UsedAt         time.Time // zero: not yet
	AccessTokenID  string    // what its use gave
	AccessUntil    time.Time // when nobody takes that token any more
	Family         string    // of the refresh token that its use gave; empty: none
}

// ApplicationToken names the newest application token of a consumer key; the
// token itself is not stored.
type ApplicationToken struct {
	ConsumerKey string
	TokenID     string
	ExpiresAt   time.Time
}
