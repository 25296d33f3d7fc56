package database

import (
	"time"

	"github.com/sluice-api/sluice"
)

const refreshTokenColumns = `id, hash, family, client_id, user_id, password_digest, scopes, access_token_id, access_until, created_at, expires_at, repeat_until, answer`

func refreshTokenFields(t *sluice.RefreshToken) []any {
	return []any{
		&t.ID, &t.Hash, &t.Family, &t.ClientID, &t.UserID, &t.PasswordDigest, asJSON(&t.Scopes), &t.AccessTokenID,
		(*instant)(&t.AccessUntil), (*instant)(&t.CreatedAt), (*instant)(&t.ExpiresAt), (*instant)(&t.RepeatUntil), &t.Answer,
	}
}

// AddRefreshToken stores a new refresh token of an existing user.
func (tx *Tx) AddRefreshToken(t *sluice.RefreshToken) error {
	return tx.add(`insert into refresh_tokens (`+refreshTokenColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`, refreshTokenFields(t)...)
}

// RefreshTokenByHash returns the refresh token with the hash, also where it was
// used or has expired.
func (tx *Tx) RefreshTokenByHash(hash string) (sluice.RefreshToken, error) {
	return one(tx, "token", refreshTokenFields, `select `+refreshTokenColumns+` from refresh_tokens where hash = $1`, hash)
}

// RefreshFamily returns the refresh tokens of a family, the oldest first.
func (tx *Tx) RefreshFamily(family string) ([]sluice.RefreshToken, error) {
	return query(tx, refreshTokenFields, `select `+refreshTokenColumns+` from refresh_tokens where family = $1 order by created_at, id`, family)
}

// UseRefreshToken marks a token as used by storing its RepeatUntil and Answer; it
// is NotFound where it was used before. The answers of the others in its family
// are dropped: whoever holds this token has received them.
func (tx *Tx) UseRefreshToken(t *sluice.RefreshToken) error {
	if _, err := tx.exec(`update refresh_tokens set answer = null where family = $1 and answer is not null`, t.Family); err != nil {
		return err
	}
	return tx.change("token", `update refresh_tokens set repeat_until = $1, answer = $2 where id = $3 and repeat_until = 0`,
		instant(t.RepeatUntil), t.Answer, t.ID)
}

// DeleteRefreshFamily deletes the refresh tokens of a family.
func (tx *Tx) DeleteRefreshFamily(family string) error {
	_, err := tx.exec(`delete from refresh_tokens where family = $1`, family)
	return err
}

// DeleteClientTokens deletes the refresh tokens and codes of a client.
func (tx *Tx) DeleteClientTokens(clientID string) error {
	if _, err := tx.exec(`delete from authorization_codes where client_id = $1`, clientID); err != nil {
		return err
	}
	_, err := tx.exec(`delete from refresh_tokens where client_id = $1`, clientID)
	return err
}

// DeleteUserTokens deletes the access tokens for the management API, the refresh
// tokens and the codes of a user.
func (tx *Tx) DeleteUserTokens(userID string) error {
	for _, table := range []string{"access_tokens", "refresh_tokens", "authorization_codes"} {
		if _, err := tx.exec(`delete from `+table+` where user_id = $1`, userID); err != nil {
			return err
		}
	}
	return nil
}

// deleteExpiredRefreshTokens deletes the refresh tokens that have expired at now,
// but those whose access token has not: it can only be found through them. It
// also drops the answers that are not repeated any more.
func (tx *Tx) deleteExpiredRefreshTokens(now time.Time) error {
	if _, err := tx.exec(`delete from refresh_tokens where expires_at <= $1 and access_until <= $1`, instant(now)); err != nil {
		return err
	}
	_, err := tx.exec(`update refresh_tokens set answer = null where repeat_until > 0 and repeat_until <= $1 and answer is not null`, instant(now))
	return err
}
