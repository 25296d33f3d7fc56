package control

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/database"
)

const (
	// maxAPIKeys is how many API keys an application has at most.
	maxAPIKeys = 100

	// testKeyTTL is how long a publisher may try an API out with one key.
	testKeyTTL = 15 * time.Minute
)

// APIKeyRequest is what a new API key shall be.
type APIKeyRequest struct {
	Type      sluice.KeyType
	Name      string        // at most 100 characters
	TTL       time.Duration // whole seconds; 0: it never expires
	Addresses []string      // IP addresses and CIDR networks it may be used from; none: any
	Referers  []string      // prefixes of the Referer it may be used with; none: any
}

// CreateAPIKey makes an API key for an application of the actor. The key itself
// is returned once.
func (p *Plane) CreateAPIKey(ctx context.Context, applicationID string, r APIKeyRequest) (k sluice.APIKey, secret sluice.Secret, err error) {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return k, "", err
	}
	if err := r.check(); err != nil {
		return k, "", err
	}
	k, secret = p.newAPIKey(actor, r)
	k.ApplicationID = applicationID
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := ownApplication(tx, actor, applicationID)
		if err != nil {
			return err
		}
		others, err := tx.APIKeys(applicationID, "")
		if err != nil {
			return err
		}
		if len(others) >= maxAPIKeys {
			return sluice.Errorf(sluice.Conflict, "api_key.limit", "An application has at most %d API keys; revoke one first.", maxAPIKeys)
		}
		return addAPIKey(ctx, tx, &k, a.Name)
	})
	return k, secret, err
}

// CreateTestKey makes an API key with which the actor tries an API out for a
// quarter of an hour, on every gateway that serves it: without an application,
// a subscription and scopes, whatever the API takes from others.
func (p *Plane) CreateTestKey(ctx context.Context, apiID string) (k sluice.APIKey, secret sluice.Secret, err error) {
	actor, err := allow(ctx, makers...)
	if err != nil {
		return k, "", err
	}
	k, secret = p.newAPIKey(actor, APIKeyRequest{Type: sluice.ProductionKey, Name: actor.Name, TTL: testKeyTTL})
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := readable(tx, actor, apiID)
		if err != nil {
			return err
		}
		k.APIID = a.ID
		return addAPIKey(ctx, tx, &k, a.Name+" "+a.Version)
	})
	return k, secret, err
}

func (p *Plane) newAPIKey(actor sluice.Actor, r APIKeyRequest) (sluice.APIKey, sluice.Secret) {
	secret := sluice.NewSecret()
	k := sluice.APIKey{
		ID: sluice.NewID(p.now()), Organization: actor.Organization, Type: r.Type, Name: r.Name, Hash: secret.Hash(),
		Prefix: secret.Reveal()[:8], Addresses: r.Addresses, Referers: r.Referers, CreatedAt: p.now(),
	}
	if r.TTL > 0 {
		k.ExpiresAt = k.CreatedAt.Add(r.TTL).UTC().Truncate(time.Microsecond)
	}
	return k, secret
}

func addAPIKey(ctx context.Context, tx *database.Tx, k *sluice.APIKey, name string) error {
	if err := tx.AddAPIKey(k); err != nil {
		return err
	}
	if err := emit(tx, "", sluice.APIKeyChanged, k.ID, k); err != nil {
		return err
	}
	return audit(ctx, tx, "api_key.create", "api_key", k.ID, name+" "+string(k.Type), nil, k)
}

// check reports everything that is wrong with r.
func (r *APIKeyRequest) check() error {
	var p sluice.Problems
	if r.Type != sluice.ProductionKey && r.Type != sluice.SandboxKey {
		p.Add("keyType", "key.type", "The key type is PRODUCTION or SANDBOX.")
	}
	if utf8.RuneCountInString(r.Name) > 100 {
		p.Add("keyName", "api_key.name", "The name of an API key has at most 100 characters.")
	}
	if r.TTL < 0 || r.TTL%time.Second != 0 {
		p.Add("validityPeriod", "key.validity", "The validity is a whole number of seconds, or none for a key that never expires.")
	}
	if len(r.Addresses) > 100 || len(r.Referers) > 100 {
		p.Add("additionalProperties", "api_key.size", "At most 100 addresses and 100 referers are taken.")
	}
	for _, a := range r.Addresses {
		_, notAddress := netip.ParseAddr(a)
		_, notNetwork := netip.ParsePrefix(a)
		if notAddress != nil && notNetwork != nil {
			p.Add("permittedIP", "api_key.address", "%q is neither an IP address nor a network like 192.0.2.0/24.", a)
		}
	}
	for _, s := range r.Referers {
		if s == "" || len(s) > 1000 || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == '*' }) {
			p.Add("permittedReferer", "api_key.referer", "A referer is the beginning of an address, without blanks and asterisks.")
		}
	}
	return p.Err()
}

// APIKeys returns the API keys of an application of the actor.
func (p *Plane) APIKeys(ctx context.Context, applicationID string) (list []sluice.APIKey, err error) {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return nil, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if _, err := ownApplication(tx, actor, applicationID); err != nil {
			return err
		}
		list, err = tx.APIKeys(applicationID, "")
		return err
	})
	return list, err
}

// RevokeAPIKey ends an API key of an application of the actor at all gateways.
// It is named by its id, or by the key itself.
func (p *Plane) RevokeAPIKey(ctx context.Context, applicationID string, keyType sluice.KeyType, id string, key sluice.Secret) error {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := ownApplication(tx, actor, applicationID)
		if err != nil {
			return err
		}
		list, err := tx.APIKeys(applicationID, "")
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(k sluice.APIKey) bool {
			return k.Type == keyType && (id != "" && k.ID == id || id == "" && key != "" && k.Hash == key.Hash())
		})
		if i < 0 {
			return sluice.Errorf(sluice.NotFound, "api_key.unknown", "The application has no such API key.")
		}
		if err := deleteAPIKeys(tx, list[i:i+1]); err != nil {
			return err
		}
		return audit(ctx, tx, "api_key.revoke", "api_key", list[i].ID, a.Name+" "+string(keyType), list[i], nil)
	})
}

// deleteAPIKeys deletes API keys and tells gateways.
func deleteAPIKeys(tx *database.Tx, list []sluice.APIKey) error {
	for _, k := range list {
		if err := tx.DeleteAPIKey(k.ID); err != nil {
			return err
		}
		if err := emit(tx, "", sluice.APIKeyChanged, k.ID, nil); err != nil {
			return err
		}
	}
	return nil
}

// deleteAPIKeysOf deletes the API keys of an application, or those for tests of
// an API, which is deleted; the other id is "".
func deleteAPIKeysOf(tx *database.Tx, applicationID, apiID string) error {
	list, err := tx.APIKeys(applicationID, apiID)
	if err != nil {
		return err
	}
	return deleteAPIKeys(tx, list)
}

// apiKeyItem cuts times to what the database keeps of them, so that the item of
// an event is that of the snapshot.
func apiKeyItem(k sluice.APIKey) *artifact.APIKey {
	item := &artifact.APIKey{
		ID: k.ID, Hash: k.Hash, ApplicationID: k.ApplicationID, APIID: k.APIID, Type: k.Type, Addresses: k.Addresses, Referers: k.Referers,
	}
	if !k.ExpiresAt.IsZero() {
		item.ExpiresAt = k.ExpiresAt.UTC().Truncate(time.Microsecond)
	}
	return item
}
