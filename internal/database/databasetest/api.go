package databasetest

import (
	"errors"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// newAPI returns an API with a value in every field.
func newAPI(id, name string) *sluice.API {
	return &sluice.API{
		ID: id, Organization: org, Name: name, Version: "1.0", Context: "/" + name, Description: "Says what the weather is like.",
		Owner: "anna", State: sluice.Published, Default: true,
		Transports: []string{"http", "https"}, Tiers: []string{"Gold"}, Tags: []string{"weather", "Public Data"}, Visibility: sluice.Public,
		Production: []sluice.Endpoint{{URL: "https://backend.example.com/v1"}}, Sandbox: []sluice.Endpoint{{URL: "http://sandbox.example.com"}},
		Operations: []sluice.Operation{{Verb: "GET", Target: "/stations/{id}", Auth: sluice.AuthAny, Scopes: []string{"read"}, Tier: "Unlimited"}},
		Scopes:     []sluice.Scope{{Name: "read", DisplayName: "Read", Roles: []string{"reader"}}},
		CORS:       &sluice.CORS{Enabled: true, Origins: []string{"*"}, Credentials: true},
		Definition: []byte(`{"openapi":"3.0.3"}`), Opaque: []byte(`{"thumbnail":"x"}`),
		CreatedAt: start(), UpdatedAt: start().Add(time.Minute),
	}
}

func addAPI(id, name string) func(tx *database.Tx) error {
	return func(tx *database.Tx) error { return tx.AddAPI(newAPI(id, name)) }
}

func testAPIs(t *testing.T, db *database.DB) {
	get := func(id string) sluice.API {
		t.Helper()
		return read(t, db, func(tx *database.Tx) (sluice.API, error) { return tx.API(org, id) })
	}
	full, bare := newAPI("a1", "weather"), &sluice.API{ID: "a2", Organization: org, Name: "bare", Version: "1", Context: "/bare"}
	update(t, db, func(tx *database.Tx) error { return errors.Join(tx.AddAPI(full), tx.AddAPI(bare)) })
	same(t, "RowVersion after Add", full.RowVersion, int64(1))
	same(t, "API", get("a1"), *full)
	same(t, "API with nothing in it", get("a2"), *bare)

	full.State, full.Tags, full.CORS, full.Definition = sluice.Deprecated, nil, nil, []byte(`{}`)
	update(t, db, func(tx *database.Tx) error { return tx.PutAPI(full) })
	same(t, "RowVersion after Put", full.RowVersion, int64(2))
	same(t, "API after Put", get("a1"), *full)

	list, total := find(t, db, database.APIFilter{Organization: org, Query: []database.Term{{Attribute: "name", Value: "weather"}}})
	listed := *full
	listed.Definition = nil
	same(t, "total of FindAPIs", total, 1)
	same(t, "FindAPIs", list, []sluice.API{listed})

	refused(t, db, sluice.NotFound, "api.unknown", func(tx *database.Tx) error { _, err := tx.API("o2", "a1"); return err })
	refused(t, db, sluice.NotFound, "api.unknown", func(tx *database.Tx) error { return tx.DeleteAPI("o2", "a1") })
}

func testAPIConflicts(t *testing.T, db *database.DB) {
	update(t, db, func(tx *database.Tx) error {
		acme := sluice.Organization{ID: "o2", Name: "acme"}
		return errors.Join(tx.AddOrganization(&acme), tx.AddAPI(newAPI("a1", "weather")))
	})
	for name, test := range map[string]struct {
		change func(a *sluice.API)
		code   string // empty: it is taken
	}{
		"the same name and version":                 {func(a *sluice.API) { a.Context = "/elsewhere" }, "api.exists"},
		"the same path":                             {func(a *sluice.API) { a.Name = "other" }, "api.context_taken"},
		"the same path in capitals":                 {func(a *sluice.API) { a.Name, a.Context = "other", "/WEATHER" }, "api.context_taken"},
		"the same path, encoded":                    {func(a *sluice.API) { a.Name, a.Context = "other", "/w%65ather" }, "api.context_taken"},
		"the same path by a template":               {func(a *sluice.API) { a.Name, a.Context = "other", "/weather/{version}" }, "api.context_taken"},
		"the same path through another version":     {func(a *sluice.API) { a.Name, a.Version, a.Context = "other", "2", "/weather/1.0/{version}/" }, ""},
		"the same path, written out":                {func(a *sluice.API) { a.Name, a.Version, a.Context = "other", "1.0", "/weather/{version}/" }, "api.context_taken"},
		"another version":                           {func(a *sluice.API) { a.Version = "2.0" }, ""},
		"the same in another organization":          {func(a *sluice.API) { a.Organization = "o2" }, ""},
		"its path, written out by somebody else":    {func(a *sluice.API) { a.Name, a.Context = "other", "/t/acme/unused" }, ""},
		"the same name in a different organization": {func(a *sluice.API) { a.Organization, a.Context = "o2", "/else" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI("a2", "weather")
			test.change(a)
			err := db.Update(t.Context(), func(tx *database.Tx) error {
				if err := tx.AddAPI(a); err != nil {
					return err
				}
				return tx.DeleteAPI(a.Organization, a.ID)
			})
			if test.code != "" {
				wantError(t, err, sluice.Conflict, test.code)
			} else if err != nil {
				t.Errorf("AddAPI: %v", err)
			}
		})
	}
	other := newAPI("a3", "other")
	update(t, db, func(tx *database.Tx) error { return tx.AddAPI(other) })
	other.Context = "/weather"
	refused(t, db, sluice.Conflict, "api.context_taken", func(tx *database.Tx) error { return tx.PutAPI(other) })
	other.Name, other.Context = "weather", "/other"
	refused(t, db, sluice.Conflict, "api.exists", func(tx *database.Tx) error { return tx.PutAPI(other) })
	other.Name, other.Organization = "other", "o3"
	refused(t, db, sluice.NotFound, "organization.unknown", func(tx *database.Tx) error { return tx.AddAPI(other) })
}

func find(t testing.TB, db *database.DB, f database.APIFilter) (list []sluice.API, total int) {
	t.Helper()
	list = read(t, db, func(tx *database.Tx) (list []sluice.API, err error) {
		list, total, err = tx.FindAPIs(f)
		return list, err
	})
	return list, total
}

func apiIDs(list []sluice.API) []string {
	return names(list, func(a sluice.API) string { return a.ID })
}

func testFindAPIs(t *testing.T, db *database.DB) {
	weather := newAPI("a1", "Weather")
	pizza := newAPI("a2", "Pizza_100%")
	pizza.Version, pizza.Context, pizza.Owner, pizza.State = "v2", "/Pizza/Shack", "bert", sluice.Created
	pizza.Tags, pizza.Description = []string{"food"}, `Delivers "everything" \o/`
	umlaut := newAPI("a3", "Übersicht")
	umlaut.State, umlaut.Tags = sluice.Prototyped, nil
	umlaut.Visibility = sluice.Private
	foreign := newAPI("a4", "Weather")
	foreign.Organization = "o2"
	update(t, db, func(tx *database.Tx) error {
		return errors.Join(tx.AddOrganization(&sluice.Organization{ID: "o2", Name: "acme"}),
			tx.AddAPI(weather), tx.AddAPI(pizza), tx.AddAPI(umlaut), tx.AddAPI(foreign))
	})
	term := func(attribute, value string, m database.Match) []database.Term {
		return []database.Term{{Attribute: attribute, Value: value, Match: m}}
	}
	for name, test := range map[string]struct {
		query  []database.Term
		states []sluice.Lifecycle
		want   []string
	}{
		"everything":                  {nil, nil, []string{"a2", "a1", "a3"}},
		"part of a name":              {term("name", "EATH", ""), nil, []string{"a1"}},
		"part of a name, said so":     {term("name", "eath", database.Contains), nil, []string{"a1"}},
		"no part of a name":           {term("name", "eath", database.Exact), nil, nil},
		"a whole name":                {term("name", "weather", database.Exact), nil, []string{"a1"}},
		"the beginning of a name":     {term("name", "we", database.Prefix), nil, []string{"a1"}},
		"not the beginning of a name": {term("name", "eath", database.Prefix), nil, nil},
		"beyond ASCII":                {term("name", "übers", database.Prefix), nil, []string{"a3"}},
		"a percent sign is itself":    {term("name", "0%", ""), nil, []string{"a2"}},
		"an underscore is itself":     {term("name", "pizza_1", ""), nil, []string{"a2"}},
		"an underscore is no joker":   {term("name", "w_ather", ""), nil, nil},
		"a backslash is itself":       {term("description", `\o/`, ""), nil, []string{"a2"}},
		"a version":                   {term("version", "V2", database.Exact), nil, []string{"a2"}},
		"a context":                   {term("context", "/pizza/shack", database.Exact), nil, []string{"a2"}},
		"a provider":                  {term("provider", "bert", ""), nil, []string{"a2"}},
		"a status":                    {term("status", "published", database.Exact), nil, []string{"a1"}},
		"part of a status":            {term("status", "prot", database.Prefix), nil, []string{"a3"}},
		"a description":               {term("description", "EVERYTHING", ""), nil, []string{"a2"}},
		"a tag":                       {term("tag", "public data", database.Exact), nil, []string{"a1"}},
		"not half a tag":              {term("tag", "public", database.Exact), nil, nil},
		"the beginning of a tag":      {term("tag", "public", database.Prefix), nil, []string{"a1"}},
		"not the beginning of a tag":  {term("tag", "data", database.Prefix), nil, nil},
		"the end of a tag":            {term("tag", "data", ""), nil, []string{"a1"}},
		"all of several":              {append(term("name", "a", ""), term("provider", "anna", "")...), nil, []string{"a1"}},
		"not some of several":         {append(term("name", "a", ""), term("provider", "carl", "")...), nil, nil},
		"states":                      {nil, []sluice.Lifecycle{sluice.Created, sluice.Prototyped}, []string{"a2", "a3"}},
		"states and a name":           {term("name", "pizza", ""), []sluice.Lifecycle{sluice.Published}, nil},
		"quotes do no harm":           {term("name", "' or 1=1 --", ""), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			list, total := find(t, db, database.APIFilter{Organization: org, Query: test.query, States: test.states})
			same(t, "ids", apiIDs(list), test.want)
			same(t, "total", total, len(test.want))
		})
	}
	list, total := find(t, db, database.APIFilter{Organization: org, Visibility: sluice.Private})
	same(t, "private APIs", apiIDs(list), []string{"a3"})
	same(t, "number of private APIs", total, 1)
	for code, f := range map[string]database.APIFilter{
		"search.attribute": {Organization: org, Query: term("colour", "red", "")},
		"search.match":     {Organization: org, Query: term("name", "red", "sounds like")},
		"search.sort":      {Organization: org, Sort: "colour"},
	} {
		refused(t, db, sluice.Invalid, code, func(tx *database.Tx) error { _, _, err := tx.FindAPIs(f); return err })
	}
}

func testSortAPIs(t *testing.T, db *database.DB) {
	update(t, db, func(tx *database.Tx) error {
		for i, name := range []string{"bee", "ant", "Cat"} {
			a := newAPI(string(rune('1'+i)), name)
			a.Version = []string{"1", "2", "1"}[i]
			a.CreatedAt = start().Add(time.Duration(i) * time.Microsecond)
			a.UpdatedAt = start().Add(-time.Duration(i) * time.Second)
			a.State = []sluice.Lifecycle{sluice.Created, sluice.Published, sluice.Blocked}[i]
			if err := tx.AddAPI(a); err != nil {
				return err
			}
		}
		return nil
	})
	for _, test := range []struct {
		sort, order   string
		offset, limit int
		want          []string
	}{
		{"", "", 0, 0, []string{"2", "1", "3"}},
		{"name", "asc", 0, 0, []string{"2", "1", "3"}},
		{"name", "desc", 0, 0, []string{"3", "1", "2"}},
		{"context", "", 0, 0, []string{"2", "1", "3"}},
		{"version", "", 0, 0, []string{"1", "3", "2"}},
		{"version", "desc", 0, 0, []string{"2", "3", "1"}},
		{"provider", "", 0, 0, []string{"2", "1", "3"}},
		{"status", "", 0, 0, []string{"3", "1", "2"}},
		{"created", "desc", 0, 0, []string{"3", "2", "1"}},
		{"updated", "", 0, 0, []string{"3", "2", "1"}},
		{"name", "", 1, 1, []string{"1"}},
		{"name", "", 2, 5, []string{"3"}},
		{"name", "", 3, 5, nil},
	} {
		list, total := find(t, db, database.APIFilter{Organization: org, Sort: test.sort, Order: test.order, Offset: test.offset, Limit: test.limit})
		same(t, "sorted by "+test.sort+" "+test.order, apiIDs(list), test.want)
		same(t, "total", total, 3)
	}
}

func newRevision(id string, a *sluice.API) *sluice.Revision {
	return &sluice.Revision{ID: id, APIID: a.ID, Description: "first", Digest: "abc", API: *a, CreatedAt: start(), CreatedBy: "anna"}
}

func testRevisions(t *testing.T, db *database.DB) {
	a := newAPI("a1", "weather")
	one, two := newRevision("r1", a), newRevision("r2", a)
	one.API.RowVersion = 7
	add := func(r *sluice.Revision) func(tx *database.Tx) error {
		return func(tx *database.Tx) error { return tx.AddRevision(r) }
	}
	list := func() []sluice.Revision {
		return read(t, db, func(tx *database.Tx) ([]sluice.Revision, error) { return tx.Revisions("a1") })
	}
	all(t, db, addAPI("a1", "weather"), addAPI("a2", "pizza"), add(one), add(two))
	same(t, "Revision", read(t, db, func(tx *database.Tx) (sluice.Revision, error) { return tx.Revision("a1", "r1") }), *one)
	same(t, "RevisionByID", read(t, db, func(tx *database.Tx) (sluice.Revision, error) { return tx.RevisionByID(org, "r2") }), *two)
	same(t, "Revisions", list(), []sluice.Revision{*one, *two})
	refused(t, db, sluice.NotFound, "revision.unknown", func(tx *database.Tx) error { _, err := tx.Revision("a2", "r1"); return err })
	refused(t, db, sluice.NotFound, "revision.unknown", func(tx *database.Tx) error { _, err := tx.RevisionByID("o2", "r1"); return err })

	update(t, db, func(tx *database.Tx) error { return tx.DeleteRevision("a1", "r2") })
	three := newRevision("r3", a)
	other := newRevision("r4", newAPI("a2", "pizza"))
	all(t, db, add(three), add(other))
	same(t, "numbers", []int{one.Number, two.Number, three.Number, other.Number}, []int{1, 2, 3, 1})

	// Editing the working copy neither renumbers nor touches what is frozen.
	a.RowVersion, a.Description = 1, "edited"
	update(t, db, func(tx *database.Tx) error { return tx.PutAPI(a) })
	same(t, "Revisions after an edit", list(), []sluice.Revision{*one, *three})
	four := newRevision("r5", a)
	all(t, db, add(four))
	same(t, "number after an edit", four.Number, 4)
	refused(t, db, sluice.NotFound, "api.unknown", add(newRevision("r6", newAPI("a9", "none"))))
}

func testDeleteAPI(t *testing.T, db *database.DB) {
	a := newAPI("a1", "weather")
	all(t, db, addAPI("a1", "weather"), addEnvironment("e1", "Production"), addApplication("p1", "shop"), func(tx *database.Tx) error {
		return errors.Join(
			tx.AddRevision(newRevision("r1", a)),
			tx.PutDeployment(&sluice.Deployment{APIID: "a1", EnvironmentID: "e1", RevisionID: "r1", Digest: "d"}),
			tx.AddSubscription(&sluice.Subscription{ID: "s1", Organization: org, ApplicationID: "p1", APIID: "a1"}),
			tx.AddPublication(&sluice.Publication{ID: "b1", Organization: org, APIID: "a1", State: sluice.AllLive}),
			tx.Audit(sluice.AuditEntry{Organization: org, Action: "api.create", ObjectID: "a1"}),
			tx.DeleteAPI(org, "a1"),
		)
	})
	err := db.View(t.Context(), func(tx *database.Tx) error {
		revisions, err := tx.Revisions("a1")
		deployments, err2 := tx.EnvironmentDeployments("e1")
		subscriptions, err3 := tx.AllSubscriptions()
		publications, err4 := tx.Publications(org, "a1", "", 0, 0)
		audit, err5 := tx.AuditEntries(org, 0, 0)
		same(t, "gone", []int{len(revisions), len(deployments), len(subscriptions)}, []int{0, 0, 0})
		same(t, "kept", []int{len(publications), len(audit)}, []int{1, 1})
		return errors.Join(err, err2, err3, err4, err5)
	})
	if err != nil {
		t.Error(err)
	}
}
