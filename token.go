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
	CallbackURL  string // kept as text, never a redirect URI
	Grants       []string
	SecretHashes []string // newest first
	CreatedAt    time.Time
}

// Revocation ends tokens before they expire. It is kept until no token it
// speaks of could still be valid.
type Revocation struct {
	ID        string
	Kind      RevocationKind
	Subject   string    // token id (jti), consumer key or user name, by Kind
	Before    time.Time // tokens issued later are not meant; of tokens: zero
	CreatedAt time.Time
	ExpiresAt time.Time
}

// RevocationKind says what a Revocation's Subject is.
type RevocationKind string

// Kinds of revocation.
const (
	RevokedToken       RevocationKind = "token"
	RevokedConsumerKey RevocationKind = "consumer_key"
	RevokedUser        RevocationKind = "user"
)
