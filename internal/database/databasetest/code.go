package databasetest

import (
	"errors"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

func newCode(id, client string) *sluice.AuthorizationCode {
	return &sluice.AuthorizationCode{
		Hash: id, ClientID: client, UserID: "u1", PasswordDigest: "digest", RedirectURI: "https://app.example.com/back", Challenge: "c",
		Scopes: []string{"read"}, Nonce: "n", CreatedAt: start(), ExpiresAt: start().Add(5 * time.Minute),
	}
}

func testCodes(t *testing.T, db *database.DB) {
	used, unused := newCode("h1", "c1"), newCode("h2", "c1")
	all(t, db, addUser("u1", "anna"), func(tx *database.Tx) error { return errors.Join(tx.AddCode(used), tx.AddCode(unused)) })
	code := func(hash string) sluice.AuthorizationCode {
		return read(t, db, func(tx *database.Tx) (sluice.AuthorizationCode, error) { return tx.Code(hash) })
	}
	same(t, "Code", code("h1"), *used)
	used.UsedAt, used.AccessTokenID, used.AccessUntil, used.Family = start().Add(time.Second), "t1", start().Add(time.Hour), "f1"
	update(t, db, func(tx *database.Tx) error { return tx.UseCode(used) })
	same(t, "Code after Use", code("h1"), *used)
	refused(t, db, sluice.NotFound, "code.unknown", func(tx *database.Tx) error { return tx.UseCode(used) })

	update(t, db, func(tx *database.Tx) error { return tx.DeleteExpiredTokens(used.ExpiresAt) })
	same(t, "a used code whose token lives", code("h1"), *used)
	refused(t, db, sluice.NotFound, "code.unknown", func(tx *database.Tx) error { _, err := tx.Code("h2"); return err })
	update(t, db, func(tx *database.Tx) error { return tx.DeleteExpiredTokens(used.AccessUntil) })
	refused(t, db, sluice.NotFound, "code.unknown", func(tx *database.Tx) error { return tx.DeleteCode("h1") })
}

func testTokensOfOne(t *testing.T, db *database.DB) {
	all(t, db, addUser("u1", "anna"), func(tx *database.Tx) error {
		return errors.Join(tx.AddCode(newCode("h1", "c1")), tx.AddCode(newCode("h2", "c2")),
			tx.AddRefreshToken(newRefreshToken("r1", "r1")), tx.AddAccessToken(&sluice.AccessToken{ID: "a1", Hash: "a1", UserID: "u1"}))
	})
	left := func() (hashes []string) {
		for _, hash := range []string{"h1", "h2"} {
			if db.View(t.Context(), func(tx *database.Tx) error { _, err := tx.Code(hash); return err }) == nil {
				hashes = append(hashes, hash)
			}
		}
		for _, r := range read(t, db, func(tx *database.Tx) ([]sluice.RefreshToken, error) { return tx.RefreshFamily("r1") }) {
			hashes = append(hashes, r.ID)
		}
		for _, a := range read(t, db, func(tx *database.Tx) ([]sluice.AccessToken, error) { return tx.AccessTokens("u1") }) {
			hashes = append(hashes, a.ID)
		}
		return hashes
	}
	same(t, "tokens", left(), []string{"h1", "h2", "r1", "a1"})
	update(t, db, func(tx *database.Tx) error { return tx.DeleteClientTokens("c1") })
	same(t, "tokens after DeleteClientTokens", left(), []string{"h2", "a1"})
	update(t, db, func(tx *database.Tx) error { return tx.DeleteUserTokens("u1") })
	same(t, "tokens after DeleteUserTokens", len(left()), 0)
}

func testApplicationTokens(t *testing.T, db *database.DB) {
	app := &sluice.Application{ID: "p1", Organization: org, Owner: "anna", Name: "shop", CreatedAt: start()}
	key := &sluice.ConsumerKey{ID: "k1", Organization: org, ApplicationID: "p1", Key: "ck1", Type: sluice.SandboxKey, CreatedAt: start()}
	all(t, db, func(tx *database.Tx) error { return tx.AddApplication(app) }, func(tx *database.Tx) error { return tx.AddConsumerKey(key) })
	for _, id := range []string{"t1", "t2"} {
		want := sluice.ApplicationToken{ConsumerKey: "ck1", TokenID: id, ExpiresAt: start()}
		update(t, db, func(tx *database.Tx) error { return tx.PutApplicationToken(&want) })
		same(t, "ApplicationToken", read(t, db, func(tx *database.Tx) (sluice.ApplicationToken, error) { return tx.ApplicationToken("ck1") }), want)
	}
	update(t, db, func(tx *database.Tx) error { return tx.DeleteConsumerKey("ck1") })
	refused(t, db, sluice.NotFound, "token.unknown", func(tx *database.Tx) error { _, err := tx.ApplicationToken("ck1"); return err })
}

func testRevocationActs(t *testing.T, db *database.DB) {
	act := sluice.RevocationAct{
		ID: "a1", Organization: org, Kind: "user", Subject: "u1", Actor: "root", CreatedAt: start(),
		Environments: []sluice.RevokedEnvironment{{EnvironmentID: "e1", Generation: 7, Gateways: []sluice.RevokedGateway{{GatewayID: "g1", Name: "one", Connected: true}}}},
	}
	update(t, db, func(tx *database.Tx) error { return tx.AddRevocationAct(&act) })
	act.Environments[0].Gateways[0].RefusedAt, act.EverywhereAt = start(), start()
	update(t, db, func(tx *database.Tx) error { return tx.PutRevocationAct(&act) })
	same(t, "RevocationAct", read(t, db, func(tx *database.Tx) (sluice.RevocationAct, error) { return tx.RevocationAct(org, "a1") }), act)
	refused(t, db, sluice.NotFound, "revocation.unknown", func(tx *database.Tx) error { _, err := tx.RevocationAct("o2", "a1"); return err })
	acts := func(after time.Time) int {
		return len(read(t, db, func(tx *database.Tx) ([]sluice.RevocationAct, error) { return tx.RevocationActs(after) }))
	}
	same(t, "RevocationActs", []int{acts(start().Add(-time.Second)), acts(start())}, []int{1, 0})
	update(t, db, func(tx *database.Tx) error { return tx.DeleteRevocationActs(start()) })
	refused(t, db, sluice.NotFound, "revocation.unknown", func(tx *database.Tx) error { return tx.PutRevocationAct(&act) })
}
