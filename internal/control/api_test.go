package control

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// create makes an API as carla, a creator.
func (w *world) create(a sluice.API) (sluice.API, error) {
	return w.plane.CreateAPI(w.as("carla", sluice.Creator), a)
}

func TestCreateAPI(t *testing.T) {
	w := newWorld(t)
	a, err := w.create(sluice.API{
		ID: "mine", Organization: "acme", Owner: "mallory", State: sluice.Published, RowVersion: 7,
		Name: "Weather", Version: "1.0", Context: "weather/", Tags: []string{"sky"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if a.ID == "mine" || a.Organization != sluice.DefaultOrganization || a.Owner != "carla" || a.State != sluice.Created || a.RowVersion != 1 {
		t.Errorf("made as %+v", a)
	}
	if a.Context != "/weather" || a.Visibility != sluice.Public || len(a.Transports) != 2 || len(a.Operations) != 5 || a.Operations[0].Target != "/*" {
		t.Errorf("completed to %+v", a)
	}
	history, err := w.plane.LifecycleHistory(w.admin(), a.ID)
	if err != nil || len(history) != 1 || history[0].From != "" || history[0].To != sluice.Created || history[0].Actor != "carla" {
		t.Errorf("history = %+v, %v", history, err)
	}
}

// Names, versions and contexts that are refused, and those that are not (A13, A14).
func TestNamesAndContexts(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		name, version, context string
		field                  string // "" where it is taken
	}{
		"a plain one":                 {"Plain", "1.0", "/plain", ""},
		"two segments":                {"Two", "v1.2-beta", "/two/segments", ""},
		"a template":                  {"Template", "1", "/foo/{version}/bar", ""},
		"an emoji":                    {"Sun☀", "1", "/sun", ""},
		"the root":                    {"A", "1", "/", "context"},
		"two slashes":                 {"A", "1", "//", "context"},
		"dot segments":                {"A", "1", "/..", "context"},
		"encoded dot segments":        {"A", "1", "/%2e%2e", "context"},
		"a wildcard":                  {"A", "1", "/a/*/b", "context"},
		"an empty segment":            {"A", "1", "/a//b", "context"},
		"an empty template":           {"A", "1", "/a/{}", "context"},
		"another template":            {"A", "1", "/a/{id}", "context"},
		"the token endpoint":          {"A", "1", "/token", "context"},
		"below the token endpoint":    {"A", "1", "/TOKEN/x", "context"},
		"revoke":                      {"A", "1", "/revoke", "context"},
		"authorize":                   {"A", "1", "/authorize", "context"},
		"userinfo":                    {"A", "1", "/userinfo", "context"},
		"oauth2":                      {"A", "1", "/oauth2", "context"},
		"services":                    {"A", "1", "/services", "context"},
		"the management API":          {"A", "1", "/api/am", "context"},
		"below the management API":    {"A", "1", "/api/am/x", "context"},
		"a script":                    {"<script>", "1", "/a", "name"},
		"a line break in a name":      {"A\r\nB", "1", "/a", "name"},
		"a NUL in a name":             {"A\x00", "1", "/a", "name"},
		"a blank in a name":           {"A B", "1", "/a", "name"},
		"a name with a final slash":   {"A/", "1", "/a", "name"},
		"10 KB of name":               {strings.Repeat("a", 10<<10), "1", "/a", "name"},
		"no name":                     {"", "1", "/a", "name"},
		"a version with a slash":      {"A", "1/2", "/a", "version"},
		"a version with a line break": {"A", "1\n2", "/a", "version"},
		"10 KB of version":            {"A", strings.Repeat("1", 10<<10), "/a", "version"},
		"a version of dots":           {"A", "..", "/a", "version"},
		"not UTF-8":                   {"A\xff", "1", "/a", "name"},
	} {
		_, err := w.create(sluice.API{Name: c.name, Version: c.version, Context: c.context})
		if c.field == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		e, ok := errors.AsType[*sluice.Error](err)
		if !ok || e.Kind != sluice.Invalid || e.Field != c.field && !slices.ContainsFunc(e.Problems, func(p *sluice.Error) bool { return p.Field == c.field }) {
			t.Errorf("%s: %v, want it refused at %s", name, err, c.field)
		}
	}
}

// What is taken is refused, naming the API that has it to those who may see it (A12).
func TestNamesAndContextsAreUnique(t *testing.T) {
	w := newWorld(t)
	w.api("Weather")
	secret, err := w.plane.CreateAPI(w.admin(), sluice.API{Name: "Secret", Version: "1.0", Context: "/secret", AccessControl: []sluice.Role{sluice.Administrator}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		name, version, context string
		code                   string
		words                  string
	}{
		"name and version":              {"Weather", "1.0", "/other", "api.exists", "exists already"},
		"the name in another case":      {"WEATHER", "2.0", "/other", "api.name_taken", "The name belongs to the API Weather"},
		"the name in another context":   {"Weather", "2.0", "/other", "api.name_taken", "The name belongs to the API Weather"},
		"the context":                   {"Other", "1.0", "/weather", "api.context_taken", "Weather 1.0 already answers at /weather/1.0"},
		"the context in another case":   {"Other", "1.0", "/WEATHER", "api.context_taken", "Weather 1.0"},
		"the context with a slash":      {"Other", "1.0", "/weather/", "api.context_taken", "Weather 1.0"},
		"the context as a template":     {"Other", "1.0", "/weather/{version}", "api.context_taken", "Weather 1.0"},
		"a context that is not theirs":  {"Other", "1.0", "/secret", "api.context_taken", "Another API already answers"},
		"a name that is not theirs":     {"secret", "2.0", "/other", "api.name_taken", "Another API has this name"},
		"another version of it":         {"Weather", "3.0", "/weather", "", ""},
		"another version of the secret": {"Third", "9", "/secret", "", ""},
	} {
		_, err := w.create(sluice.API{Name: c.name, Version: c.version, Context: c.context})
		if c.code == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		wantCode(t, name, err, sluice.Conflict, c.code)
		if err == nil || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), secret.ID) {
			t.Errorf("%s: %v, want %q in it", name, err, c.words)
		}
	}
	if _, err := w.plane.CreateAPI(w.of("acme", "ann", sluice.Creator), sluice.API{Name: "Weather", Version: "1.0", Context: "/weather"}); !sluice.IsNotFound(err) {
		t.Errorf("an organization that is not there: %v", err)
	}
}

func TestUpdateAPI(t *testing.T) {
	w := newWorld(t)
	made := w.api("Weather", "production")
	r := w.revision(made.ID)
	w.deploy(made.ID, r.ID, production)
	next := made
	next.Description, next.Tags, next.Opaque = "Better.", []string{"sky"}, []byte(`{"b":2}`)
	next.ID, next.Owner, next.State, next.Organization = "x", "mallory", sluice.Published, "acme"
	next.Definition, next.Overrides = nil, []sluice.EndpointOverride{{}}
	var changed sluice.API
	events := w.emitted(func() {
		var err error
		if changed, err = w.plane.UpdateAPI(w.as("carla", sluice.Creator), made.ID, made.RowVersion, next); err != nil {
			t.Fatal(err)
		}
	})
	wantLines(t, "a change of the working copy", events) // 5-3: gateways serve on
	stored, _, err := w.plane.API(w.admin(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if stored.Description != "Better." || string(stored.Opaque) != `{"b":2}` || stored.RowVersion != made.RowVersion+1 || changed.RowVersion != stored.RowVersion {
		t.Errorf("stored %+v", stored)
	}
	if stored.Owner != "carla" || stored.State != sluice.Created || string(stored.Definition) != string(made.Definition) || stored.Overrides != nil {
		t.Errorf("what is not the publisher's to write was written: %+v", stored)
	}

	// Somebody who saw the state before learns what differs (A16, 5-10).
	late := made
	late.Tags = []string{"sky"}
	_, err = w.plane.UpdateAPI(w.admin(), made.ID, made.RowVersion, late)
	e, ok := errors.AsType[*sluice.Error](err)
	if !ok || e.Kind != sluice.Changed || len(e.Problems) != 1 || e.Problems[0].Field != "description" {
		t.Errorf("an old row version: %+v, want that the description differs", err)
	}
	if _, err := w.plane.UpdateAPI(w.admin(), made.ID, 0, late); err != nil {
		t.Errorf("without a row version: %v", err)
	}
	var states []string
	w.view(func(tx *database.Tx) error {
		entries, err := tx.AuditEntries(sluice.DefaultOrganization, 0, 0)
		for _, e := range entries {
			if e.ObjectID == made.ID && e.Action == "api.change" {
				states = append(states, e.Before, e.After)
			}
		}
		return err
	})
	slices.Sort(states)
	if len(states) != 4 || len(slices.Compact(states)) != 3 {
		t.Errorf("states in the audit log: %q, want before and after of two changes that follow each other", states)
	}
}

func TestUpdateAPIRefuses(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production")
	published := w.published("Published")
	before := w.counts()
	for name, c := range map[string]struct {
		id     string
		change func(a *sluice.API)
		kind   sluice.Kind
		code   string
	}{
		"another name":       {a.ID, func(a *sluice.API) { a.Name = "Other" }, sluice.Invalid, "api.identity"},
		"another version":    {a.ID, func(a *sluice.API) { a.Version = "2" }, sluice.Invalid, "api.identity"},
		"another context":    {a.ID, func(a *sluice.API) { a.Context = "/other" }, sluice.Invalid, "api.identity"},
		"an unknown tier":    {a.ID, func(a *sluice.API) { a.Tiers = []string{"Huge"} }, sluice.Invalid, "tier.unknown"},
		"an unknown role":    {a.ID, func(a *sluice.API) { a.Visibility, a.VisibleRoles = sluice.Restricted, []sluice.Role{"nobody"} }, sluice.Invalid, "role.unknown"},
		"no role":            {a.ID, func(a *sluice.API) { a.Visibility = sluice.Restricted }, sluice.Invalid, "api.visibility"},
		"their own lockout":  {a.ID, func(a *sluice.API) { a.AccessControl = []sluice.Role{sluice.Publisher} }, sluice.Invalid, "api.access_control"},
		"a property twice":   {a.ID, func(a *sluice.API) { a.Properties = []sluice.Property{{Name: "a"}, {Name: "a"}} }, sluice.Invalid, "api.property"},
		"a tag of two lines": {a.ID, func(a *sluice.API) { a.Tags = []string{"a\nb"} }, sluice.Invalid, "api.tag"},
		"a published API":    {published.ID, func(*sluice.API) {}, sluice.Forbidden, "api.state_forbids"},
		"the id of nothing":  {"nope", func(*sluice.API) {}, sluice.NotFound, "api.unknown"},
	} {
		next := a
		c.change(&next)
		_, err := w.plane.UpdateAPI(w.as("carla", sluice.Creator), c.id, 0, next)
		wantCode(t, name, err, c.kind, c.code)
	}
	if after := w.counts(); after != before {
		t.Errorf("refused changes left publications, audit entries, events %v, before %v", after, before)
	}
	next := published
	next.Description = "by a publisher"
	if _, err := w.plane.UpdateAPI(w.as("paul", sluice.Publisher), published.ID, 0, next); err != nil {
		t.Errorf("a publisher changes a published API: %v", err)
	}
}

// An API whose access is restricted is there in the Publisher for those with one
// of its roles alone, by its id and by that of a revision.
func TestAccessControl(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production")
	r := w.revision(a.ID)
	p := w.deploy(a.ID, r.ID, production)
	w.update(func(tx *database.Tx) error {
		return tx.AddUser(&sluice.User{ID: "u1", Organization: sluice.DefaultOrganization, Name: "tim", Roles: []sluice.Role{"team"}})
	})
	a.AccessControl = []sluice.Role{"team"}
	a, err := w.plane.UpdateAPI(w.admin(), a.ID, 0, a)
	if err != nil {
		t.Fatal(err)
	}
	before := w.counts()
	other := w.as("otto", sluice.Creator, sluice.Publisher, sluice.Devops)
	for _, name := range ofAPI {
		if err := methods[name].call(w, other, a.ID); !sluice.IsNotFound(err) {
			t.Errorf("%s for somebody without the role: %v, want not found", name, err)
		}
	}
	_, _, err = w.plane.API(other, r.ID)
	wantCode(t, "the id of a revision", err, sluice.NotFound, "api.unknown")
	_, err = w.plane.Publication(other, p.ID, 0)
	wantCode(t, "a publication", err, sluice.NotFound, "publication.unknown")
	if list, total, err := w.plane.APIs(other, APIFilter{}); err != nil || total != 0 || len(list) != 0 {
		t.Errorf("the list for somebody without the role: %v, %d, %v", list, total, err)
	}
	if after := w.counts(); after != before {
		t.Errorf("refused calls left publications, audit entries, events %v, before %v", after, before)
	}
	for name, ctx := range map[string]func() (int, error){
		"with the role": func() (int, error) {
			_, n, err := w.plane.APIs(w.as("tim", sluice.Creator, "team"), APIFilter{})
			return n, err
		},
		"an administrator": func() (int, error) { _, n, err := w.plane.APIs(w.admin(), APIFilter{}); return n, err },
	} {
		if n, err := ctx(); n != 1 || err != nil {
			t.Errorf("the list for somebody %s: %d, %v", name, n, err)
		}
	}
	if _, _, err := w.plane.API(w.as("tim", sluice.Creator, "team"), r.ID); err != nil {
		t.Errorf("a revision for somebody with the role: %v", err)
	}
}

// ofAPI are the methods that are given the id of an API in the Publisher.
var ofAPI = []string{
	"API", "UpdateAPI", "DeleteAPI", "Revisions", "Revision", "CreateRevision", "DeleteRevision", "Status", "Deploy", "Undeploy",
	"ChangeLifecycle", "LifecycleHistory", "Lifecycle", "CopyAPI", "RestoreRevision", "ShowDeployment", "Documents", "Document",
	"AddDocument", "ChangeDocument", "PutDocumentContent", "DeleteDocument", "Thumbnail", "PutThumbnail", "PublisherSubscriptions",
}

// A restricted API is in the Store for those with one of its roles alone.
func TestVisibilityByRole(t *testing.T) {
	w := newWorld(t)
	w.update(func(tx *database.Tx) error {
		return tx.AddUser(&sluice.User{ID: "u1", Organization: sluice.DefaultOrganization, Name: "pia", Roles: []sluice.Role{"partner", sluice.Subscriber}})
	})
	a := w.published("Weather")
	a.Visibility, a.VisibleRoles = sluice.Restricted, []sluice.Role{"partner"}
	if _, err := w.plane.UpdateAPI(w.admin(), a.ID, 0, a); err != nil {
		t.Fatal(err)
	}
	app := w.application("sam", "App")
	for name, c := range map[string]struct {
		roles []sluice.Role
		sees  bool
	}{
		"anonymous":        {nil, false},
		"another role":     {[]sluice.Role{sluice.Subscriber}, false},
		"the role":         {[]sluice.Role{sluice.Subscriber, "partner"}, true},
		"an administrator": {[]sluice.Role{sluice.Administrator}, true},
	} {
		ctx := w.t.Context()
		if c.roles != nil {
			ctx = w.as("sam", c.roles...)
		}
		_, err := w.plane.StoreAPI(ctx, a.ID)
		_, n, listErr := w.plane.StoreAPIs(ctx, APIFilter{})
		if (err == nil) != c.sees || (n == 1) != c.sees || listErr != nil || err != nil && !sluice.IsNotFound(err) {
			t.Errorf("%s: %v, listed %d, %v; want it seen: %t", name, err, n, listErr, c.sees)
		}
		if c.roles == nil {
			continue
		}
		s, err := w.plane.Subscribe(ctx, app.ID, a.ID, "Gold")
		if (err == nil) != c.sees || err != nil && !sluice.IsNotFound(err) {
			t.Errorf("%s subscribes: %v, want it allowed: %t", name, err, c.sees)
		}
		if err == nil {
			w.update(func(tx *database.Tx) error { return tx.DeleteSubscription(s.Organization, s.ID) })
		}
	}
}
