package database

import (
	"time"

	"github.com/sluice-api/sluice"
)

const apiKeyColumns = `id, organization, application_id, api_id, type, name, hash, prefix, addresses, referers, created_at, expires_at`

func apiKeyFields(k *sluice.APIKey) []any {
	return []any{
		&k.ID, &k.Organization, &k.ApplicationID, &k.APIID, &k.Type, &k.Name, &k.Hash, &k.Prefix, asJSON(&k.Addresses), asJSON(&k.Referers),
		(*instant)(&k.CreatedAt), (*instant)(&k.ExpiresAt),
	}
}

// AddAPIKey stores a new API key.
func (tx *Tx) AddAPIKey(k *sluice.APIKey) error {
	return tx.add(`insert into api_keys (`+apiKeyColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`, apiKeyFields(k)...)
}

// APIKeys returns the API keys of an application, or those for tests of an API,
// by id; the other id is "".
func (tx *Tx) APIKeys(applicationID, apiID string) ([]sluice.APIKey, error) {
	return query(tx, apiKeyFields, `select `+apiKeyColumns+` from api_keys where application_id = $1 and api_id = $2 order by id`, applicationID, apiID)
}

// AllAPIKeys returns the API keys of all organizations by id.
func (tx *Tx) AllAPIKeys() ([]sluice.APIKey, error) {
	return query(tx, apiKeyFields, `select `+apiKeyColumns+` from api_keys order by id`)
}

// ExpiredAPIKeys returns the API keys that have expired by a time, by id.
func (tx *Tx) ExpiredAPIKeys(now time.Time) ([]sluice.APIKey, error) {
	return query(tx, apiKeyFields, `select `+apiKeyColumns+` from api_keys where expires_at > 0 and expires_at <= $1 order by id`, (*instant)(&now))
}

// DeleteAPIKey deletes an API key.
func (tx *Tx) DeleteAPIKey(id string) error {
	return tx.change("api_key", `delete from api_keys where id = $1`, id)
}
