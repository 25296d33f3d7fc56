package database

import "github.com/sluice-api/sluice"

const consumerKeyColumns = `id, organization, application_id, consumer_key, type, grants, callback_url, token_ttl, scopes, secret_hashes, sealed_secret, created_at, row_version`

func consumerKeyFields(k *sluice.ConsumerKey) []any {
	return []any{
		&k.ID, &k.Organization, &k.ApplicationID, &k.Key, &k.Type, asJSON(&k.Grants), &k.CallbackURL, (*int64)(&k.TokenTTL),
		asJSON(&k.Scopes), asJSON(&k.SecretHashes), &k.SealedSecret, (*instant)(&k.CreatedAt), &k.RowVersion,
	}
}

// AddConsumerKey stores a new consumer key and sets its row version; Conflict
// "key.exists" where the application has one of that type.
func (tx *Tx) AddConsumerKey(k *sluice.ConsumerKey) error {
	k.RowVersion = 1
	return tx.add(`insert into consumer_keys (`+consumerKeyColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`, consumerKeyFields(k)...)
}

// PutConsumerKey stores what of a consumer key may change (all but its ids and
// type), where k.RowVersion is that of the stored one; else it returns Changed.
// It sets the new row version.
func (tx *Tx) PutConsumerKey(k *sluice.ConsumerKey) error {
	err := tx.put(func() error { _, err := tx.ConsumerKey(k.Key); return err },
		`update consumer_keys set grants = $6, callback_url = $7, token_ttl = $8, scopes = $9, secret_hashes = $10, sealed_secret = $11, created_at = $12, row_version = row_version + 1
		where id = $1 and organization = $2 and application_id = $3 and consumer_key = $4 and type = $5 and row_version = $13`, consumerKeyFields(k)...)
	if err == nil {
		k.RowVersion++
	}
	return err
}

// ConsumerKey returns the consumer key by the OAuth client id, of any
// organization.
func (tx *Tx) ConsumerKey(key string) (sluice.ConsumerKey, error) {
	return one(tx, "key", consumerKeyFields, `select `+consumerKeyColumns+` from consumer_keys where consumer_key = $1`, key)
}

// ConsumerKeys returns the consumer keys of an application by type.
func (tx *Tx) ConsumerKeys(applicationID string) ([]sluice.ConsumerKey, error) {
	return query(tx, consumerKeyFields, `select `+consumerKeyColumns+` from consumer_keys where application_id = $1 order by type`, applicationID)
}

// AllConsumerKeys returns the consumer keys of all organizations by id.
func (tx *Tx) AllConsumerKeys() ([]sluice.ConsumerKey, error) {
	return query(tx, consumerKeyFields, `select `+consumerKeyColumns+` from consumer_keys order by id`)
}

// DeleteConsumerKey deletes a consumer key.
func (tx *Tx) DeleteConsumerKey(key string) error {
	return tx.change("key", `delete from consumer_keys where consumer_key = $1`, key)
}
