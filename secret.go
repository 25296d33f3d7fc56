package sluice

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
)

// Secret is a password, a token or a key while it is in memory. Formatting,
// logging and encoding show "[redacted]"; only Reveal gives it away.
type Secret string

const redacted = "[redacted]"

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// Hash returns the SHA-256 of the secret in hexadecimal: the form in which
// random secrets are stored. Passwords that people choose need more than that.
func (s Secret) Hash() string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// String hides the secret.
func (Secret) String() string { return redacted }

// GoString hides the secret in %#v.
func (Secret) GoString() string { return redacted }

// LogValue hides the secret in logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the secret in JSON and every other text encoding.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
