package policy

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/netip"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

const (
	// apiKeyParameter is the query parameter that takes API keys.
	apiKeyParameter = "apikey="

	// testKeyHeader takes the keys with which publishers try an API out, whatever
	// the API takes from others. WSO2's portals use it too.
	testKeyHeader = "Internal-Key"

	// maxAPIKey is the longest API key that is looked at, in bytes.
	maxAPIKey = 512
)

// apiKey is an artifact.APIKey in the form that calls need. It is immutable.
type apiKey struct {
	*artifact.APIKey
	digest   [sha256.Size]byte
	networks []netip.Prefix

	// Of a key that opens one API alone: who is said to call. They are shared by
	// all its calls.
	application  *artifact.Application
	subscription *artifact.Subscription
}

// newAPIKey refuses keys that could open more than was meant.
func newAPIKey(k *artifact.APIKey) (*apiKey, error) {
	key := &apiKey{APIKey: k}
	if n, err := hex.Decode(key.digest[:], []byte(k.Hash)); err != nil || n != len(key.digest) || len(k.Hash) != 2*n {
		return nil, fmt.Errorf("the hash of API key %s is not a SHA-256", k.ID)
	}
	if k.Type != sluice.ProductionKey && k.Type != sluice.SandboxKey || (k.APIID == "") == (k.ApplicationID == "") {
		return nil, fmt.Errorf("API key %s has the unknown type %q, or not just one of application and API", k.ID, k.Type)
	}
	for _, a := range k.Addresses {
		network, err := netip.ParsePrefix(a)
		if err != nil {
			single, err := netip.ParseAddr(a)
			if err != nil {
				return nil, fmt.Errorf("API key %s: %q is neither an address nor a network", k.ID, a)
			}
			network = netip.PrefixFrom(single, single.BitLen())
		}
		key.networks = append(key.networks, network)
	}
	if k.APIID != "" {
		key.application = &artifact.Application{Name: "API Publisher", Tier: sluice.Unlimited}
		key.subscription = &artifact.Subscription{APIID: k.APIID, Tier: sluice.Unlimited, State: sluice.Unblocked}
	}
	return key, nil
}

// apiKeyHeader returns the header that takes the API keys of a.
func apiKeyHeader(a *artifact.API) string {
	if a.APIKeyHeader != "" {
		return a.APIKeyHeader
	}
	return sluice.DefaultAPIKeyHeader
}

// apiKeyOf returns the API key of a call, of its header before its query; nil
// where there is none.
func apiKeyOf(x *Exchange) []byte {
	if v, _ := x.Request.Fields.Value(apiKeyHeader(x.API)); len(v) > 0 {
		return v
	}
	for rest := x.Request.Query; rest != nil; {
		var p []byte
		p, rest = cut(rest, "&")
		if v, ok := bytes.CutPrefix(p, []byte(apiKeyParameter)); ok && len(v) > 0 {
			return v
		}
	}
	return nil
}

// HideAPIKey takes the parameter with an API key out of the query of a call
// whose API takes API keys.
func HideAPIKey(x *Exchange) {
	q := &x.Request
	if x.API == nil || !takesKeys(x.API) || !bytes.Contains(q.Query, []byte(apiKeyParameter)) {
		return
	}
	kept := x.Alloc(len(q.Query))
	for rest := q.Query; rest != nil; {
		var p []byte
		p, rest = cut(rest, "&")
		if bytes.HasPrefix(p, []byte(apiKeyParameter)) {
			continue
		}
		if len(kept) > 0 {
			kept = append(kept, '&')
		}
		kept = append(kept, p...)
	}
	q.Query, q.HasQuery = kept, len(kept) > 0
}

// authenticateByKey finds out whose API key was sent. A key is an application's,
// not a user's, and has no scopes. One for tests opens its API alone, and for
// that one stands for every caller.
func authenticateByKey(x *Exchange, sent []byte, test bool) *Fault {
	if len(sent) > maxAPIKey {
		return InvalidAPIKey
	}
	digest := sha256.Sum256(sent)
	k, known := x.Directory.apiKeys.get(string(digest[:]))
	if !known || subtle.ConstantTimeCompare(digest[:], k.digest[:]) != 1 || test != (k.APIID != "") || test && k.APIID != x.API.ID {
		return InvalidAPIKey
	}
	if !k.ExpiresAt.IsZero() && !x.Start.Before(k.ExpiresAt) {
		return APIKeyExpired
	}
	if !k.allows(x) {
		return APIKeyElsewhere
	}
	c := &x.Caller
	c.KeyType = k.Type
	if test {
		c.Test, c.Application, c.Subscription = true, k.application, k.subscription
		if c.KeyType = sluice.ProductionKey; len(x.API.Production) == 0 {
			c.KeyType = sluice.SandboxKey
		}
		return nil
	}
	if c.Application, _ = x.Directory.applications.get(k.ApplicationID); c.Application != nil {
		c.User = c.Application.Owner
	}
	return nil
}

// allows reports whether a key may be used from where the call comes from.
func (k *apiKey) allows(x *Exchange) bool {
	if len(k.networks) > 0 {
		a, inside := x.Request.Client.Addr().Unmap(), false
		for _, n := range k.networks {
			inside = inside || n.Contains(a)
		}
		if !inside {
			return false
		}
	}
	if len(k.Referers) == 0 {
		return true
	}
	referer, _ := x.Request.Fields.Value("Referer")
	for _, r := range k.Referers {
		if bytes.HasPrefix(referer, []byte(r)) {
			return true
		}
	}
	return false
}
