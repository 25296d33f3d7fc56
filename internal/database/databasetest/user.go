package databasetest

import (
	"errors"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

func codeOf(err error) string {
	if e, ok := errors.AsType[*sluice.Error](err); ok {
		return e.Code
	}
	return ""
}

func newUser(id, name string) *sluice.User {
	return &sluice.User{
		ID: id, Organization: org, Name: name, Email: name + "@example.com", Roles: []sluice.Role{sluice.Creator, sluice.Publisher},
		PasswordHash: "$argon2id$…", MustChange: true, RowVersion: 1, CreatedAt: start(),
	}
}

func addUser(id, name string) func(tx *database.Tx) error {
	return func(tx *database.Tx) error { return tx.AddUser(newUser(id, name)) }
}

func testOrganizations(t *testing.T, db *database.DB) {
	acme := sluice.Organization{ID: "o2", Name: "acme", DisplayName: "Acme Inc."}
	main := sluice.Organization{ID: org, Name: org, DisplayName: "Zürich"}
	update(t, db, func(tx *database.Tx) error { return errors.Join(tx.AddOrganization(&main), tx.AddOrganization(&acme)) })
	same(t, "Organization", read(t, db, func(tx *database.Tx) (sluice.Organization, error) { return tx.Organization("o2") }), acme)
	same(t, "Organizations", read(t, db, (*database.Tx).Organizations), []sluice.Organization{acme, main})
	acme.DisplayName = "Acme Ltd."
	update(t, db, func(tx *database.Tx) error { return tx.PutOrganization(&acme) })
	same(t, "Organization after Put", read(t, db, func(tx *database.Tx) (sluice.Organization, error) { return tx.Organization("o2") }), acme)
	refused(t, db, sluice.Conflict, "organization.taken", func(tx *database.Tx) error {
		return tx.AddOrganization(&sluice.Organization{ID: "o3", Name: "acme"})
	})
	refused(t, db, sluice.Conflict, "organization.taken", func(tx *database.Tx) error {
		return tx.AddOrganization(&sluice.Organization{ID: "o2", Name: "other"})
	})

	owns := func() [3]int {
		return read(t, db, func(tx *database.Tx) ([3]int, error) {
			users, apis, applications, err := tx.OrganizationOwns("o2")
			return [3]int{users, apis, applications}, err
		})
	}
	remembered := func() bool {
		return read(t, db, func(tx *database.Tx) (bool, error) { return tx.OrganizationIsRemembered("o2") })
	}
	same(t, "OrganizationOwns", owns(), [3]int{})
	same(t, "OrganizationIsRemembered", remembered(), false)
	user, api, application := newUser("u1", "anna"), newAPI("a1", "weather"), newApplication("p1", "shop")
	user.Organization, api.Organization, application.Organization = "o2", "o2", "o2"
	tier := sluice.Tier{ID: "t1", Organization: "o2", Level: sluice.SubscriptionTier, Name: "Gold"}
	update(t, db, func(tx *database.Tx) error {
		return errors.Join(tx.AddUser(user), tx.AddAPI(api), tx.AddApplication(application), tx.AddTier(&tier), tx.Audit(sluice.AuditEntry{Organization: "o2"}))
	})
	same(t, "OrganizationOwns one of each", owns(), [3]int{1, 1, 1})
	same(t, "OrganizationIsRemembered with an audit entry", remembered(), true)
	update(t, db, func(tx *database.Tx) error {
		return errors.Join(tx.DeleteUser("o2", "u1"), tx.DeleteAPI("o2", "a1"), tx.DeleteApplication("o2", "p1"), tx.DeleteOrganization("o2"))
	})
	same(t, "Organizations after Delete", read(t, db, (*database.Tx).Organizations), []sluice.Organization{main})
	same(t, "Tiers after Delete", len(read(t, db, func(tx *database.Tx) ([]sluice.Tier, error) { return tx.Tiers("o2", "") })), 0)
}

func testUsers(t *testing.T, db *database.DB) {
	anna, bert := newUser("u1", "anna"), newUser("u2", "bert")
	bert.Roles = nil
	elsewhere := newUser("u3", "anna")
	elsewhere.Organization = "o2"
	update(t, db, func(tx *database.Tx) error {
		return errors.Join(tx.AddUser(bert), tx.AddUser(anna), tx.AddUser(elsewhere), tx.AddUser(newUser("u4", "Anna")))
	})
	same(t, "User", read(t, db, func(tx *database.Tx) (sluice.User, error) { return tx.User(org, "u2") }), *bert)
	same(t, "UserByName", read(t, db, func(tx *database.Tx) (sluice.User, error) { return tx.UserByName(org, "anna") }), *anna)
	users := read(t, db, func(tx *database.Tx) ([]sluice.User, error) { return tx.Users(org) })
	same(t, "Users", names(users, func(u sluice.User) string { return u.Name }), []string{"Anna", "anna", "bert"})

	roles := read(t, db, func(tx *database.Tx) ([]sluice.Role, error) { return tx.Roles(org) })
	same(t, "Roles", roles, []sluice.Role{sluice.Creator, sluice.Publisher})

	found := func(text string, offset, limit int) (list []string, total int) {
		t.Helper()
		read(t, db, func(tx *database.Tx) (_ int, err error) {
			var users []sluice.User
			users, total, err = tx.FindUsers(org, text, offset, limit)
			list = names(users, func(u sluice.User) string { return u.ID })
			return 0, err
		})
		return list, total
	}
	for name, test := range map[string]struct {
		text          string
		offset, limit int
		want          []string
		total         int
	}{
		"all":                    {want: []string{"u4", "u1", "u2"}, total: 3},
		"part of a name":         {text: "ANN", want: []string{"u4", "u1"}, total: 2},
		"part of an address":     {text: "bert@ex", want: []string{"u2"}, total: 1},
		"a page":                 {offset: 1, limit: 1, want: []string{"u1"}, total: 3},
		"a wildcard is a letter": {text: "%", want: nil},
	} {
		list, total := found(test.text, test.offset, test.limit)
		same(t, "FindUsers, "+name, list, test.want)
		same(t, "FindUsers, "+name+", total", total, test.total)
	}

	refused(t, db, sluice.Conflict, "user.taken", addUser("u5", "anna"))
	bert.Name, bert.MustChange, bert.Roles = "bertha", false, []sluice.Role{sluice.Administrator}
	update(t, db, func(tx *database.Tx) error { return tx.PutUser(bert) })
	same(t, "User after Put", read(t, db, func(tx *database.Tx) (sluice.User, error) { return tx.User(org, "u2") }), *bert)
	bert.Name = "anna"
	refused(t, db, sluice.Conflict, "user.taken", func(tx *database.Tx) error { return tx.PutUser(bert) })
	elsewhere.Organization = org
	refused(t, db, sluice.NotFound, "user.unknown", func(tx *database.Tx) error { return tx.PutUser(elsewhere) })

	token := newToken("t1", "u2")
	client := newClient("c1", "u2")
	update(t, db, func(tx *database.Tx) error {
		return errors.Join(tx.AddAccessToken(token), tx.PutManagementClient(client))
	})
	refused(t, db, sluice.NotFound, "user.unknown", func(tx *database.Tx) error { return tx.DeleteUser("o2", "u2") })
	update(t, db, func(tx *database.Tx) error { return tx.DeleteUser(org, "u2") })
	refused(t, db, sluice.NotFound, "token.unknown", func(tx *database.Tx) error { _, err := tx.AccessTokenByHash(token.Hash); return err })
	refused(t, db, sluice.NotFound, "client.unknown", func(tx *database.Tx) error { _, err := tx.ManagementClient("c1"); return err })
}

func newToken(id, userID string) *sluice.AccessToken {
	return &sluice.AccessToken{
		ID: id, Hash: "hash of " + id, Name: "laptop", UserID: userID, ClientID: "c1", Scopes: []string{"apim:api_view"},
		CreatedAt: start(), ExpiresAt: start().Add(time.Hour),
	}
}

func testWelcome(t *testing.T, db *database.DB) {
	update(t, db, addUser("u1", "anna"))
	welcomed := func() bool {
		return read(t, db, func(tx *database.Tx) (bool, error) { return tx.Welcomed("u1") })
	}
	same(t, "Welcomed before", welcomed(), false)
	for _, want := range []bool{true, false} {
		update(t, db, func(tx *database.Tx) error {
			first, err := tx.Welcome("u1", start())
			same(t, "Welcome", first, want)
			return err
		})
		same(t, "Welcomed after", welcomed(), true)
	}
	update(t, db, func(tx *database.Tx) error { return tx.DeleteUser(org, "u1") })
	same(t, "Welcomed after DeleteUser", welcomed(), false)
}

func testAccessTokens(t *testing.T, db *database.DB) {
	first, second := newToken("t1", "u1"), newToken("t2", "u1")
	second.CreatedAt, second.ExpiresAt = start().Add(time.Second), start().Add(2*time.Hour)
	all(t, db, addUser("u1", "anna"), func(tx *database.Tx) error {
		return errors.Join(tx.AddAccessToken(first), tx.AddAccessToken(second))
	})
	list := func() []sluice.AccessToken {
		return read(t, db, func(tx *database.Tx) ([]sluice.AccessToken, error) { return tx.AccessTokens("u1") })
	}
	same(t, "AccessTokens", list(), []sluice.AccessToken{*second, *first})
	same(t, "AccessToken", read(t, db, func(tx *database.Tx) (sluice.AccessToken, error) { return tx.AccessToken("t2") }), *second)
	same(t, "AccessTokenByHash", read(t, db, func(tx *database.Tx) (sluice.AccessToken, error) { return tx.AccessTokenByHash(first.Hash) }), *first)

	update(t, db, func(tx *database.Tx) error { return tx.DeleteExpiredTokens(first.ExpiresAt) })
	same(t, "AccessTokens after the first expired", list(), []sluice.AccessToken{*second})
	for _, want := range []bool{true, false} {
		update(t, db, func(tx *database.Tx) error {
			found, err := tx.DeleteAccessTokenByHash(second.Hash)
			same(t, "DeleteAccessTokenByHash", found, want)
			return err
		})
	}
	update(t, db, func(tx *database.Tx) error {
		return errors.Join(tx.AddAccessToken(first), tx.DeleteAccessToken("u1", "t1"))
	})
	same(t, "AccessTokens after Delete", len(list()), 0)
}

func newClient(id, userID string) *sluice.ManagementClient {
	return &sluice.ManagementClient{
		ID: id, Organization: org, UserID: userID, Name: "apictl", CallbackURL: "https://client.example.com/cb",
		Grants: []string{sluice.GrantPassword}, SecretHashes: []string{"new", "old"}, CreatedAt: start(),
	}
}

func testManagementClients(t *testing.T, db *database.DB) {
	client := newClient("c1", "u1")
	put := func(tx *database.Tx) error { return tx.PutManagementClient(client) }
	all(t, db, addUser("u1", "anna"), addUser("u2", "bert"), put, func(tx *database.Tx) error {
		return tx.PutManagementClient(newClient("c2", "u2"))
	})
	same(t, "ManagementClient", read(t, db, func(tx *database.Tx) (sluice.ManagementClient, error) { return tx.ManagementClient("c1") }), *client)
	client.Grants, client.SecretHashes, client.Name = nil, []string{"newer"}, "apictl 4"
	update(t, db, put)
	same(t, "ManagementClientByName", read(t, db, func(tx *database.Tx) (sluice.ManagementClient, error) {
		return tx.ManagementClientByName("u1", "apictl 4")
	}), *client)
	refused(t, db, sluice.Conflict, "client.exists", func(tx *database.Tx) error {
		return tx.PutManagementClient(newClient("c3", "u2"))
	})
}

func testRevocations(t *testing.T, db *database.DB) {
	token := sluice.Revocation{ID: "r1", Kind: sluice.RevokedToken, Subject: "jti", CreatedAt: start(), ExpiresAt: start().Add(time.Hour)}
	key := sluice.Revocation{ID: "r2", Kind: sluice.RevokedConsumerKey, Subject: "key", Organization: org, Before: start(), CreatedAt: start().Add(time.Second), ExpiresAt: start().Add(2 * time.Hour)}
	update(t, db, func(tx *database.Tx) error { return errors.Join(tx.AddRevocation(&key), tx.AddRevocation(&token)) })
	at := func(now time.Time) (valid, expired []sluice.Revocation) {
		valid = read(t, db, func(tx *database.Tx) ([]sluice.Revocation, error) { return tx.Revocations(now) })
		expired = read(t, db, func(tx *database.Tx) ([]sluice.Revocation, error) { return tx.ExpiredRevocations(now) })
		return valid, expired
	}
	same(t, "Revocation", read(t, db, func(tx *database.Tx) (sluice.Revocation, error) { return tx.Revocation("r2") }), key)
	valid, expired := at(start())
	same(t, "Revocations at first", valid, []sluice.Revocation{token, key})
	same(t, "ExpiredRevocations at first", len(expired), 0)
	valid, expired = at(token.ExpiresAt)
	same(t, "Revocations later", valid, []sluice.Revocation{key})
	same(t, "ExpiredRevocations later", expired, []sluice.Revocation{token})
	update(t, db, func(tx *database.Tx) error { return tx.DeleteRevocation("r1") })
	refused(t, db, sluice.NotFound, "revocation.unknown", func(tx *database.Tx) error { return tx.DeleteRevocation("r1") })
}
