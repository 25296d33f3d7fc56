package policy

import (
	"slices"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

// authenticate finds out who calls. Where a token and an API key are sent and
// the API takes both, the token alone counts: a key never makes good a token
// that is refused.
func authenticate(x *Exchange) *Fault {
	tokens, keys := len(x.API.Schemes) == 0, false
	for _, s := range x.API.Schemes {
		tokens, keys = tokens || s == sluice.OAuth2, keys || s == sluice.APIKeys
	}
	if tokens {
		if token := bearer(x.Request.Fields, x.API.TokenHeader); token != nil {
			return authenticateByToken(x, token)
		}
	}
	if keys {
		if key := apiKeyOf(x); key != nil {
			return authenticateByKey(x, key, false)
		}
	}
	if key, _ := x.Request.Fields.Value(testKeyHeader); len(key) > 0 {
		return authenticateByKey(x, key, true)
	}
	if keys {
		return MissingAPIKey
	}
	return MissingCredentials
}

// takesKeys reports whether an API takes API keys.
func takesKeys(a *artifact.API) bool { return slices.Contains(a.Schemes, sluice.APIKeys) }

// IsCredential reports whether a field shows a gateway who calls the API (nil:
// none), beside Authorization, so that no backend gets to see it.
func IsCredential(a *artifact.API, name []byte) bool {
	switch {
	case EqualFold(name, testKeyHeader):
		return true
	case a == nil:
		return false
	case a.TokenHeader != "" && EqualFold(name, a.TokenHeader):
		return true
	}
	return takesKeys(a) && EqualFold(name, apiKeyHeader(a))
}
