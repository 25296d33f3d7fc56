package databasetest

import (
	"errors"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

func testLifecycleChanges(t *testing.T, db *database.DB) {
	changes := func(id string) []sluice.LifecycleChange {
		return read(t, db, func(tx *database.Tx) ([]sluice.LifecycleChange, error) { return tx.LifecycleChanges(id) })
	}
	made := sluice.LifecycleChange{APIID: "a1", To: sluice.Created, Actor: "anna", At: start()}
	published := sluice.LifecycleChange{APIID: "a1", From: sluice.Created, To: sluice.Published, Actor: "paul", At: start()}
	demoted := sluice.LifecycleChange{APIID: "a1", From: sluice.Published, To: sluice.Created, Actor: "paul", At: start().Add(-time.Second)}
	all(t, db, addAPI("a1", "weather"), addAPI("a2", "pizza"), func(tx *database.Tx) error {
		other := sluice.LifecycleChange{APIID: "a2", To: sluice.Created, At: start()}
		return errors.Join(tx.AddLifecycleChange(&made), tx.AddLifecycleChange(&published), tx.AddLifecycleChange(&other), tx.AddLifecycleChange(&demoted))
	})
	same(t, "LifecycleChanges", changes("a1"), []sluice.LifecycleChange{made, published, demoted})
	update(t, db, func(tx *database.Tx) error { return tx.DeleteAPI(org, "a1") })
	same(t, "LifecycleChanges of a deleted API", changes("a1"), []sluice.LifecycleChange(nil))
	same(t, "LifecycleChanges of another API", len(changes("a2")), 1)
}

// Who has which of the roles finds what, in the Store and in the Publisher.
func testAPIRoles(t *testing.T, db *database.DB) {
	open, seen, guarded := newAPI("a1", "open"), newAPI("a2", "seen"), newAPI("a3", "guarded")
	seen.Visibility, seen.VisibleRoles = sluice.Restricted, []sluice.Role{"partner", "friend", "friend"}
	guarded.AccessControl = []sluice.Role{"team"}
	update(t, db, func(tx *database.Tx) error { return errors.Join(tx.AddAPI(open), tx.AddAPI(seen), tx.AddAPI(guarded)) })
	ids := func(what string, f database.APIFilter, want ...string) {
		t.Helper()
		f.Organization = org
		list, total := find(t, db, f)
		same(t, what, apiIDs(list), want)
		same(t, what+": total", total, len(want))
	}
	none := []sluice.Role{}
	ids("everything", database.APIFilter{}, "a3", "a1", "a2")
	ids("the Store without a role", database.APIFilter{StoreRoles: none}, "a3", "a1")
	ids("the Store with a role", database.APIFilter{StoreRoles: []sluice.Role{"x", "partner"}}, "a3", "a1", "a2")
	ids("the Store with another's role", database.APIFilter{StoreRoles: []sluice.Role{"team"}}, "a3", "a1")
	ids("the Publisher without a role", database.APIFilter{AccessRoles: none}, "a1", "a2")
	ids("the Publisher with a role", database.APIFilter{AccessRoles: []sluice.Role{"team"}}, "a3", "a1", "a2")
	ids("the Publisher with another's role", database.APIFilter{AccessRoles: []sluice.Role{"partner' or '1'='1"}}, "a1", "a2")

	seen.Visibility, seen.VisibleRoles, guarded.AccessControl = sluice.Restricted, []sluice.Role{"team"}, nil
	update(t, db, func(tx *database.Tx) error { return errors.Join(tx.PutAPI(seen), tx.PutAPI(guarded)) })
	ids("the Store after a change", database.APIFilter{StoreRoles: []sluice.Role{"partner"}}, "a3", "a1")
	ids("the Publisher after a change", database.APIFilter{AccessRoles: none}, "a3", "a1", "a2")
}

func testAPICategories(t *testing.T, db *database.DB) {
	money, travel := newAPI("a1", "money"), newAPI("a2", "travel")
	money.Categories, travel.Categories = []string{"Finance", "Open Data"}, []string{"Open"}
	update(t, db, func(tx *database.Tx) error { return errors.Join(tx.AddAPI(money), tx.AddAPI(travel)) })
	for name, test := range map[string]struct {
		value string
		match database.Match
		want  []string
	}{
		"a category":                    {"finance", database.Exact, []string{"a1"}},
		"not half a category":           {"open", database.Exact, []string{"a2"}},
		"the beginning of a category":   {"open", database.Prefix, []string{"a1", "a2"}},
		"a part of one":                 {"DATA", database.Contains, []string{"a1"}},
		"a category that nothing is in": {"sport", database.Exact, nil},
	} {
		list, _ := find(t, db, database.APIFilter{Organization: org, Query: []database.Term{{Attribute: "category", Value: test.value, Match: test.match}}})
		same(t, name, apiIDs(list), test.want)
	}
}

func testAPINeighbours(t *testing.T, db *database.DB) {
	one, two := newAPI("a1", "Weather"), newAPI("a2", "weather")
	two.Version, two.CreatedAt = "2.0", start().Add(time.Hour)
	foreign := newAPI("a3", "weather")
	foreign.Organization = "o2"
	update(t, db, func(tx *database.Tx) error {
		return errors.Join(tx.AddOrganization(&sluice.Organization{ID: "o2", Name: "acme"}), tx.AddAPI(two), tx.AddAPI(one), tx.AddAPI(foreign))
	})
	versions := read(t, db, func(tx *database.Tx) ([]sluice.API, error) { return tx.APIVersions(org, "WEATHER") })
	same(t, "APIVersions", apiIDs(versions), []string{"a1", "a2"})
	at := read(t, db, func(tx *database.Tx) (sluice.API, error) {
		return tx.APIAt(&sluice.API{ID: "a9", Organization: org, Version: "1.0", Context: "/WEATHER/{version}/"})
	})
	same(t, "APIAt", at.ID, "a1")
	for _, a := range []*sluice.API{one, {Organization: org, Version: "3", Context: "/weather"}} { // itself; nobody
		refused(t, db, sluice.NotFound, "api.unknown", func(tx *database.Tx) error { _, err := tx.APIAt(a); return err })
	}
}
