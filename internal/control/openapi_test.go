package control

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/openapi"
)

const bicycles = `openapi: 3.0.3
info: {title: City Bikes, version: "1.0", description: Bikes.}
security:
  - oauth: []
paths:
  /stations:
    get: {x-auth-type: Application User, responses: {"200": {description: ok}}}
    post:
      security: [{oauth: [write, admin]}, {key: [x]}]
      responses: {"201": {description: ok}}
  /stations/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    delete: {x-auth-type: Application, security: [{other: [admin]}], responses: {"204": {description: ok}}}
  /status:
    get: {security: [], responses: {"200": {description: ok}}}
    head: {x-auth-type: None, security: [{oauth: [write]}], responses: {"200": {description: ok}}}
  /info:
    get: {security: [{}], responses: {"200": {description: ok}}}
    options: {security: [{}, {oauth: [write]}], responses: {"200": {description: ok}}}
    patch: {x-auth-type: Something else, responses: {"200": {description: ok}}}
components:
  securitySchemes:
    oauth:
      type: oauth2
      flows:
        clientCredentials:
          tokenUrl: https://example.com/token
          scopes: {write: Change things., admin: Everything.}
          x-scopes-bindings: {write: "editor, admin", admin: admin}
    other:
      type: oauth2
      flows:
        implicit: {authorizationUrl: https://example.com/, scopes: {admin: Everything else.}, x-scopes-bindings: [none]}
    key: {type: apiKey, in: header, name: X-Key}
`

func TestImportOverridesTheDocument(t *testing.T) {
	w := newWorld(t)
	carla := w.as("carla", sluice.Creator)
	a, err := w.plane.ImportOpenAPI(carla, []byte(bicycles), sluice.API{
		ID: "mine", Organization: "acme", Owner: "root", State: sluice.Published, RowVersion: 7, // not the caller's to say
	})
	if err != nil {
		t.Fatal(err)
	}
	if a.ID == "mine" || a.Organization != sluice.DefaultOrganization || a.Owner != "carla" || a.State != sluice.Created || a.RowVersion != 1 {
		t.Errorf("API = %+v", a)
	}
	if a.Name != "CityBikes" || a.Context != "/citybikes" || len(a.Operations) != 8 || len(a.Scopes) != 2 {
		t.Errorf("from the document: %s %s with %d operations", a.Name, a.Context, len(a.Operations))
	}
	with := sluice.API{
		Name: "Other", Version: "2.0", Context: "other/", Description: "Mine.", Visibility: sluice.Private, Transports: []string{"https"},
		Tags: []string{"t"}, Tiers: []string{"Gold"}, Production: []sluice.Endpoint{{URL: "https://p.example.com"}}, Default: true,
		Operations: []sluice.Operation{{Verb: "GET", Target: "/x", Auth: sluice.AuthAny}}, Scopes: []sluice.Scope{{Name: "s"}},
	}
	b, err := w.plane.ImportOpenAPI(carla, []byte(bicycles), with)
	if err != nil {
		t.Fatal(err)
	}
	with.Context, with.ID, with.Organization, with.Owner, with.State = "/other", b.ID, b.Organization, b.Owner, b.State
	with.Definition, with.RowVersion, with.CreatedAt, with.UpdatedAt = b.Definition, b.RowVersion, b.CreatedAt, b.UpdatedAt
	if diff := cmp.Diff(with, b); diff != "" {
		t.Errorf("API differs from what was asked for:\n%s", diff)
	}
	stored, _, err := w.plane.API(carla, b.ID)
	if err != nil || string(stored.Definition) != string(b.Definition) || stored.Name != "Other" {
		t.Errorf("stored: %+v, %v", stored, err)
	}

	before := w.counts()
	for name, c := range map[string]struct {
		document string
		with     sluice.API
		kind     sluice.Kind
		code     string
	}{
		"a name and version that are taken": {bicycles, sluice.API{Context: "/free"}, sluice.Conflict, "api.exists"},
		"a context that is taken":           {bicycles, sluice.API{Name: "Free", Context: "/CityBikes/"}, sluice.Conflict, "api.context_taken"},
		"a context of the platform":         {bicycles, sluice.API{Name: "Free", Context: "/oauth2/x"}, sluice.Invalid, "api.context"},
		"a scope nobody defines":            {strings.Replace(bicycles, "[write, admin]", "[delete]", 1), sluice.API{Name: "Free"}, sluice.Invalid, "api.operation"},
		"a title that is no name":           {strings.Replace(bicycles, "City Bikes", "'<b>'", 1), sluice.API{Context: "/free"}, sluice.Invalid, "api.name"},
	} {
		_, err := w.plane.ImportOpenAPI(carla, []byte(c.document), c.with)
		wantCode(t, name, err, c.kind, c.code)
	}
	if after := w.counts(); after != before {
		t.Errorf("refused imports left publications, audit entries, events %v, before %v", after, before)
	}
}

// An API whose operations were given with the document has them in its
// definition, too.
func TestImportKeepsDefinitionAndOperationsEqual(t *testing.T) {
	w := newWorld(t)
	a, err := w.plane.ImportOpenAPI(w.as("carla", sluice.Creator), []byte(bicycles), sluice.API{
		Operations: []sluice.Operation{{Verb: "PUT", Target: "/x/{id}", Auth: sluice.AuthUser, Scopes: []string{"s"}}}, Scopes: []sluice.Scope{{Name: "s"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := openapi.Read(t.Context(), a.Definition)
	if diff := cmp.Diff(a.Operations, d.Operations); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestPutDefinition(t *testing.T) {
	w := newWorld(t)
	carla := w.as("carla", sluice.Creator)
	a, err := w.plane.ImportOpenAPI(carla, []byte(bicycles), sluice.API{
		Tiers: []string{"Gold"}, Production: []sluice.Endpoint{{URL: "https://p.example.com"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	document := strings.Replace(bicycles, "x-auth-type: Application User, ", "", 1)
	document = strings.Replace(document, "    post:\n", "    put:\n", 1)
	b, err := w.plane.PutDefinition(carla, a.ID, []byte(document), a.RowVersion)
	if err != nil {
		t.Fatal(err)
	}
	want := append([]sluice.Operation(nil), a.Operations...)
	want[1].Verb = "PUT" // and GET /stations still asks for a user
	if diff := cmp.Diff(want, b.Operations); diff != "" || b.RowVersion != a.RowVersion+1 || b.Name != a.Name {
		t.Errorf("row version %d, name %s, operations:\n%s", b.RowVersion, b.Name, diff)
	}
	stored, _, err := w.plane.API(carla, a.ID)
	if err != nil || string(stored.Definition) != string(b.Definition) || cmp.Diff(stored.Operations, b.Operations) != "" {
		t.Errorf("stored: %+v, %v", stored, err)
	}
	d, err := openapi.Read(t.Context(), b.Definition)
	if diff := cmp.Diff(b.Operations, d.Operations); err != nil || diff != "" {
		t.Errorf("the definition says %v\n%s", err, diff)
	}

	before := w.counts()
	for name, c := range map[string]struct {
		document string
		version  int64
		kind     sluice.Kind
		code     string
	}{
		"somebody else was first":  {bicycles, a.RowVersion, sluice.Changed, "changed"},
		"what is no definition":    {"[]", 0, sluice.Invalid, "openapi.unreadable"},
		"what is too large":        {strings.Repeat(" ", openapi.MaxSize+1), 0, sluice.Invalid, "openapi.too_large"},
		"a tier that is not there": {strings.Replace(bicycles, "x-auth-type: Application User", "x-throttling-tier: Nine", 1), 0, sluice.Invalid, "tier.unknown"},
		"a scope nobody defines":   {strings.Replace(bicycles, "[write, admin]", "[delete]", 1), 0, sluice.Invalid, "api.operation"},
	} {
		_, err := w.plane.PutDefinition(carla, a.ID, []byte(c.document), c.version)
		wantCode(t, name, err, c.kind, c.code)
	}
	w.move(a.ID, "Publish")
	_, err = w.plane.PutDefinition(carla, a.ID, []byte(bicycles), 0)
	wantCode(t, "a creator changes what is published", err, sluice.Forbidden, "api.state_forbids")
	if after := w.counts(); after[0] != before[0] {
		t.Errorf("refused changes left publications %v, before %v", after, before)
	}
}

// A15: an endpoint that leads back to the platform is refused.
func TestA15EndpointsThatLeadBack(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.OwnAddresses = []string{"localhost:9763"}
		o.LocalHost = func(host string) bool { return host == "localhost" || host == "127.0.0.1" }
	})
	v := w.environment(production).Vhosts[0]
	for name, endpoint := range map[string]string{
		"a gateway":                    "https://" + v.Host + ":8243/x",
		"the operations port":          "http://localhost:9763/",
		"the same by another name":     "http://127.0.0.1:9763/metrics",
		"the management port":          w.plane.o.ManagementURL + "/api",
		"javascript":                   "javascript:alert(1)",
		"a file":                       "file:///etc/passwd",
		"gopher":                       "gopher://example.com/",
		"a user name":                  "https://u:p@example.com/",
		"what does not say which port": "https://" + v.Host + ":443/a b?c",
	} {
		_, err := w.plane.ImportOpenAPI(w.as("carla", sluice.Creator), []byte(bicycles), sluice.API{Production: []sluice.Endpoint{{URL: endpoint}}})
		wantCode(t, name+" "+endpoint, err, sluice.Invalid, "api.endpoint")
	}
	if _, err := w.plane.ImportOpenAPI(w.as("carla", sluice.Creator), []byte(bicycles), sluice.API{Production: []sluice.Endpoint{{URL: "http://localhost:9999/"}}}); err != nil {
		t.Errorf("another port of this machine: %v", err)
	}
}
