package databasetest

import (
	"errors"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

func testAPIKeys(t *testing.T, db *database.DB) {
	key := func(id, applicationID, apiID string, ttl time.Duration) *sluice.APIKey {
		k := &sluice.APIKey{
			ID: id, Organization: org, ApplicationID: applicationID, APIID: apiID, Type: sluice.SandboxKey, Name: "of " + id, Hash: "hash " + id, Prefix: "pre",
			Addresses: []string{"192.0.2.0/24"}, Referers: []string{"https://example.com/"}, CreatedAt: start(),
		}
		if ttl > 0 {
			k.ExpiresAt = start().Add(ttl)
		}
		return k
	}
	one, two, three := key("k1", "p1", "", 0), key("k2", "p1", "", time.Hour), key("k3", "", "a1", time.Minute)
	two.Addresses, two.Referers = nil, nil
	update(t, db, func(tx *database.Tx) error {
		return errors.Join(tx.AddAPIKey(one), tx.AddAPIKey(two), tx.AddAPIKey(three))
	})
	of := func(applicationID, apiID string) []sluice.APIKey {
		return read(t, db, func(tx *database.Tx) ([]sluice.APIKey, error) { return tx.APIKeys(applicationID, apiID) })
	}
	expired := func(after time.Duration) []sluice.APIKey {
		return read(t, db, func(tx *database.Tx) ([]sluice.APIKey, error) { return tx.ExpiredAPIKeys(start().Add(after)) })
	}
	same(t, "APIKeys of an application", of("p1", ""), []sluice.APIKey{*one, *two})
	same(t, "APIKeys of an API", of("", "a1"), []sluice.APIKey{*three})
	same(t, "AllAPIKeys", read(t, db, (*database.Tx).AllAPIKeys), []sluice.APIKey{*one, *two, *three})
	same(t, "ExpiredAPIKeys at once", len(expired(0)), 0)
	same(t, "ExpiredAPIKeys later", expired(time.Hour), []sluice.APIKey{*two, *three})
	update(t, db, func(tx *database.Tx) error { return tx.DeleteAPIKey("k1") })
	same(t, "APIKeys after Delete", of("p1", ""), []sluice.APIKey{*two})
}
