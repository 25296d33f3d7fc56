package database

import (
	"time"

	"github.com/sluice-api/sluice"
)

const codeColumns = `hash, client_id, user_id, password_digest, redirect_uri, challenge, scopes, nonce, created_at, expires_at, used_at, access_token_id, access_until, family`

func codeFields(c *sluice.AuthorizationCode) []any {
	return []any{
		&c.Hash, &c.ClientID, &c.UserID, &c.PasswordDigest, &c.RedirectURI, &c.Challenge, asJSON(&c.Scopes), &c.Nonce,
		(*instant)(&c.CreatedAt), (*instant)(&c.ExpiresAt), (*instant)(&c.UsedAt), &c.AccessTokenID, (*instant)(&c.AccessUntil), &c.Family,
	}
}

// AddCode stores a new code of an existing user.
func (tx *Tx) AddCode(c *sluice.AuthorizationCode) error {
	return tx.add(`insert into authorization_codes (`+codeColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`, codeFields(c)...)
}

// Code returns the code with the hash, also where it was used or has expired.
func (tx *Tx) Code(hash string) (sluice.AuthorizationCode, error) {
	return one(tx, "code", codeFields, `select `+codeColumns+` from authorization_codes where hash = $1`, hash)
}

// UseCode marks a code as used by storing its UsedAt and what it gave; it is
// NotFound where it was used before.
func (tx *Tx) UseCode(c *sluice.AuthorizationCode) error {
	return tx.change("code", `update authorization_codes set used_at = $1, access_token_id = $2, access_until = $3, family = $4 where hash = $5 and used_at = 0`,
		instant(c.UsedAt), c.AccessTokenID, instant(c.AccessUntil), c.Family, c.Hash)
}

// DeleteCode deletes a code.
func (tx *Tx) DeleteCode(hash string) error {
	return tx.change("code", `delete from authorization_codes where hash = $1`, hash)
}

// deleteExpiredCodes deletes the codes that have expired at now, but the used
// ones whose access token has not: a second use shall end it.
func (tx *Tx) deleteExpiredCodes(now time.Time) error {
	_, err := tx.exec(`delete from authorization_codes where expires_at <= $1 and access_until <= $1`, instant(now))
	return err
}

func applicationTokenFields(t *sluice.ApplicationToken) []any {
	return []any{&t.ConsumerKey, &t.TokenID, (*instant)(&t.ExpiresAt)}
}

// PutApplicationToken stores the newest application token of a consumer key, in
// place of the one before.
func (tx *Tx) PutApplicationToken(t *sluice.ApplicationToken) error {
	return tx.add(`insert into application_tokens (consumer_key, token_id, expires_at) values ($1, $2, $3)
		on conflict (consumer_key) do update set token_id = excluded.token_id, expires_at = excluded.expires_at`, applicationTokenFields(t)...)
}

// ApplicationToken returns the newest application token of a consumer key, also
// where it has expired.
func (tx *Tx) ApplicationToken(consumerKey string) (sluice.ApplicationToken, error) {
	return one(tx, "token", applicationTokenFields, `select consumer_key, token_id, expires_at from application_tokens where consumer_key = $1`, consumerKey)
}
