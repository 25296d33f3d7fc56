package sluice

import (
	"net/netip"
	"net/url"
	"strings"
	"time"
)

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

// APIKey is a secret with which an Application calls APIs without a token. It
// is shown once and stored as a hash. One with an APIID is of no application: a
// publisher tries that API out with it, and no other.
type APIKey struct {
	ID            string
	Organization  string
	ApplicationID string
	APIID         string // empty: any API that the application subscribes to
	Type          KeyType
	Name          string
	Hash          string   // Secret.Hash of the key
	Prefix        string   // its first characters, to be recognised by
	Addresses     []string // IP addresses and CIDR networks it may be used from; empty: any
	Referers      []string // prefixes of the Referer it may be used with; empty: any
	CreatedAt     time.Time
	ExpiresAt     time.Time // zero: never
}

// OAuth grant types.
const (
	GrantClientCredentials = "client_credentials"
	GrantPassword          = "password"
	GrantRefreshToken      = "refresh_token"
	GrantAuthorizationCode = "authorization_code"
)

// IsRedirectURI reports whether codes may be sent to uri: an absolute URI with
// https, with http on this machine alone, or with a scheme of the application's
// own that holds a dot (RFC 8252 §7.1); without user, fragment, blanks and
// wildcards.
func IsRedirectURI(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || len(uri) > 2000 || u.Fragment != "" || u.User != nil || u.Opaque != "" || strings.ContainsAny(uri, "#*\\<>\"'`{}|^;, ") {
		return false
	}
	for _, c := range uri {
		if c < '!' || c > '~' {
			return false
		}
	}
	switch u.Scheme {
	case "https":
		return u.Hostname() != ""
	case "http":
		ip, err := netip.ParseAddr(u.Hostname())
		return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
	}
	return strings.Contains(u.Scheme, ".")
}
