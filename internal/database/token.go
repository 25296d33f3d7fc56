package database

import (
	"time"

	"github.com/sluice-api/sluice"
)

const accessTokenColumns = `id, hash, name, user_id, client_id, scopes, created_at, expires_at`

func accessTokenFields(t *sluice.AccessToken) []any {
	return []any{&t.ID, &t.Hash, &t.Name, &t.UserID, &t.ClientID, asJSON(&t.Scopes), (*instant)(&t.CreatedAt), (*instant)(&t.ExpiresAt)}
}

// AddAccessToken stores a new access token of an existing user.
func (tx *Tx) AddAccessToken(t *sluice.AccessToken) error {
	return tx.add(`insert into access_tokens (`+accessTokenColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8)`, accessTokenFields(t)...)
}

// AccessTokenByHash returns the token with the hash, also where it has expired.
func (tx *Tx) AccessTokenByHash(hash string) (sluice.AccessToken, error) {
	return one(tx, "token", accessTokenFields, `select `+accessTokenColumns+` from access_tokens where hash = $1`, hash)
}

// AccessTokens returns a user's tokens, the newest first, expired ones included.
func (tx *Tx) AccessTokens(userID string) ([]sluice.AccessToken, error) {
	return query(tx, accessTokenFields, `select `+accessTokenColumns+` from access_tokens where user_id = $1 order by created_at desc, id desc`, userID)
}

// DeleteAccessToken deletes a token of a user.
func (tx *Tx) DeleteAccessToken(userID, id string) error {
	return tx.change("token", `delete from access_tokens where user_id = $1 and id = $2`, userID, id)
}

// AccessToken returns the token with the id, of any user.
func (tx *Tx) AccessToken(id string) (sluice.AccessToken, error) {
	return one(tx, "token", accessTokenFields, `select `+accessTokenColumns+` from access_tokens where id = $1`, id)
}

// DeleteAccessTokenByHash deletes the token with the hash and reports whether
// there was one.
func (tx *Tx) DeleteAccessTokenByHash(hash string) (found bool, err error) {
	n, err := tx.exec(`delete from access_tokens where hash = $1`, hash)
	return n > 0, err
}

// DeleteExpiredTokens deletes the access tokens, refresh tokens and codes that
// have expired at now.
func (tx *Tx) DeleteExpiredTokens(now time.Time) error {
	if _, err := tx.exec(`delete from access_tokens where expires_at <= $1`, instant(now)); err != nil {
		return err
	}
	if err := tx.deleteExpiredCodes(now); err != nil {
		return err
	}
	return tx.deleteExpiredRefreshTokens(now)
}

const managementClientColumns = `id, organization, user_id, name, callback_url, grants, secret_hashes, created_at`

func managementClientFields(c *sluice.ManagementClient) []any {
	return []any{
		&c.ID, &c.Organization, &c.UserID, &c.Name, &c.CallbackURL, asJSON(&c.Grants), asJSON(&c.SecretHashes), (*instant)(&c.CreatedAt),
	}
}

// ManagementClient returns the management client with the client id.
func (tx *Tx) ManagementClient(id string) (sluice.ManagementClient, error) {
	return one(tx, "client", managementClientFields, `select `+managementClientColumns+` from management_clients where id = $1`, id)
}

// ManagementClientByName returns the management client of a user with the name.
func (tx *Tx) ManagementClientByName(userID, name string) (sluice.ManagementClient, error) {
	return one(tx, "client", managementClientFields, `select `+managementClientColumns+` from management_clients where user_id = $1 and name = $2`, userID, name)
}

// PutManagementClient stores a management client, in place of the one with its id
// that may be there; Conflict "client.exists" where its user has another one of
// that name.
func (tx *Tx) PutManagementClient(c *sluice.ManagementClient) error {
	return tx.add(`insert into management_clients (`+managementClientColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8)
		on conflict (id) do update set organization = excluded.organization, user_id = excluded.user_id, name = excluded.name,
			callback_url = excluded.callback_url, grants = excluded.grants, secret_hashes = excluded.secret_hashes, created_at = excluded.created_at`,
		managementClientFields(c)...)
}
