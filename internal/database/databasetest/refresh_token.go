package databasetest

import (
	"errors"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

func newRefreshToken(id, family string) *sluice.RefreshToken {
	return &sluice.RefreshToken{
		ID: id, Hash: "hash of " + id, Family: family, ClientID: "c1", UserID: "u1", PasswordDigest: "digest", Scopes: []string{"read", "write"},
		AccessTokenID: "access of " + id, AccessUntil: start().Add(time.Hour), CreatedAt: start(), ExpiresAt: start().Add(2 * time.Hour),
	}
}

func refreshToken(t *testing.T, db *database.DB, id string) sluice.RefreshToken {
	t.Helper()
	return read(t, db, func(tx *database.Tx) (sluice.RefreshToken, error) { return tx.RefreshTokenByHash("hash of " + id) })
}

func testRefreshTokens(t *testing.T, db *database.DB) {
	first, second, foreign := newRefreshToken("r1", "r1"), newRefreshToken("r2", "r1"), newRefreshToken("r3", "r3")
	second.CreatedAt = start().Add(time.Second)
	all(t, db, addUser("u1", "anna"), func(tx *database.Tx) error {
		return errors.Join(tx.AddRefreshToken(second), tx.AddRefreshToken(first), tx.AddRefreshToken(foreign))
	})
	family := func() []sluice.RefreshToken {
		return read(t, db, func(tx *database.Tx) ([]sluice.RefreshToken, error) { return tx.RefreshFamily("r1") })
	}
	same(t, "RefreshTokenByHash", refreshToken(t, db, "r1"), *first)
	same(t, "RefreshFamily", family(), []sluice.RefreshToken{*first, *second})

	use := func(r *sluice.RefreshToken) func(tx *database.Tx) error {
		return func(tx *database.Tx) error { return tx.UseRefreshToken(r) }
	}
	first.RepeatUntil, first.Answer = start().Add(5*time.Second), []byte{0, 1}
	foreign.RepeatUntil, foreign.Answer = first.RepeatUntil, []byte{2}
	all(t, db, use(foreign), use(first))
	same(t, "RefreshTokenByHash after Use", refreshToken(t, db, "r1"), *first)
	refused(t, db, sluice.NotFound, "token.unknown", use(first))
	same(t, "RefreshTokenByHash after a refused Use", refreshToken(t, db, "r1"), *first)
	second.RepeatUntil, second.Answer = start().Add(9*time.Second), []byte{3}
	update(t, db, use(second))
	first.Answer = nil
	same(t, "RefreshFamily after Use of the next", family(), []sluice.RefreshToken{*first, *second})
	same(t, "another family after Use", refreshToken(t, db, "r3"), *foreign)

	update(t, db, func(tx *database.Tx) error { return tx.DeleteRefreshFamily("r1") })
	same(t, "RefreshFamily after Delete", len(family()), 0)
	same(t, "another family after Delete", refreshToken(t, db, "r3"), *foreign)
	update(t, db, func(tx *database.Tx) error { return tx.DeleteClientTokens("c2") })
	same(t, "another client's after DeleteClientTokens", refreshToken(t, db, "r3"), *foreign)
	other := newRefreshToken("r4", "r4")
	all(t, db, func(tx *database.Tx) error { return tx.AddRefreshToken(other) }, func(tx *database.Tx) error { return tx.DeleteClientTokens("c1") })
	refused(t, db, sluice.NotFound, "token.unknown", func(tx *database.Tx) error { _, err := tx.RefreshTokenByHash(other.Hash); return err })
	all(t, db, func(tx *database.Tx) error { return tx.AddRefreshToken(foreign) })
	update(t, db, func(tx *database.Tx) error { return tx.DeleteUser(org, "u1") })
	refused(t, db, sluice.NotFound, "token.unknown", func(tx *database.Tx) error { _, err := tx.RefreshTokenByHash(foreign.Hash); return err })
}

func testExpiredRefreshTokens(t *testing.T, db *database.DB) {
	used, unused, late := newRefreshToken("r1", "r1"), newRefreshToken("r2", "r1"), newRefreshToken("r3", "r3")
	used.RepeatUntil, used.Answer = start().Add(5*time.Second), []byte{1}
	late.AccessUntil = late.ExpiresAt.Add(time.Minute)
	all(t, db, addUser("u1", "anna"), func(tx *database.Tx) error {
		return errors.Join(tx.AddRefreshToken(used), tx.AddRefreshToken(unused), tx.AddRefreshToken(late))
	})
	left := func(now time.Time) (ids []string) {
		update(t, db, func(tx *database.Tx) error { return tx.DeleteExpiredTokens(now) })
		for _, family := range []string{"r1", "r3"} {
			ids = append(ids, names(read(t, db, func(tx *database.Tx) ([]sluice.RefreshToken, error) { return tx.RefreshFamily(family) }),
				func(r sluice.RefreshToken) string { return r.ID })...)
		}
		return ids
	}
	same(t, "tokens while the answer counts", left(used.RepeatUntil.Add(-time.Microsecond)), []string{"r1", "r2", "r3"})
	same(t, "the used token", refreshToken(t, db, "r1"), *used)
	same(t, "tokens afterwards", left(used.RepeatUntil), []string{"r1", "r2", "r3"})
	used.Answer = nil
	same(t, "the used token afterwards", refreshToken(t, db, "r1"), *used)
	same(t, "tokens at their end", left(used.ExpiresAt), []string{"r3"})
	same(t, "tokens when no access token is left", len(left(late.AccessUntil)), 0)
}
