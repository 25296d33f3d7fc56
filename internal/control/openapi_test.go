package control

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice"
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

func TestReadOpenAPI(t *testing.T) {
	want := sluice.API{
		Name: "CityBikes", Version: "1.0", Description: "Bikes.", Visibility: sluice.Public, Transports: []string{"http", "https"},
		Operations: []sluice.Operation{
			{Verb: "GET", Target: "/stations", Auth: sluice.AuthUser},
			{Verb: "POST", Target: "/stations", Auth: sluice.AuthAny, Scopes: []string{"write", "admin"}},
			{Verb: "DELETE", Target: "/stations/{id}", Auth: sluice.AuthApplication, Scopes: []string{"admin"}},
			{Verb: "GET", Target: "/status", Auth: sluice.AuthNone},
			{Verb: "HEAD", Target: "/status", Auth: sluice.AuthNone},
			{Verb: "GET", Target: "/info", Auth: sluice.AuthNone},
			{Verb: "OPTIONS", Target: "/info", Auth: sluice.AuthAny, Scopes: []string{"write"}},
			{Verb: "PATCH", Target: "/info", Auth: sluice.AuthAny},
		},
		Scopes: []sluice.Scope{
			{Name: "admin", DisplayName: "admin", Description: "Everything else."},
			{Name: "write", DisplayName: "write", Description: "Change things.", Roles: []string{"editor", "admin"}},
		},
	}
	fromYAML, err := readOpenAPI([]byte(bicycles))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(fromYAML.Definition) {
		t.Errorf("the definition is stored as %s", fromYAML.Definition)
	}
	for name, document := range map[string][]byte{
		"YAML": []byte(bicycles), "YAML with CRLF": []byte(strings.ReplaceAll(bicycles, "\n", "\r\n")), "YAML with a BOM": []byte("\ufeff" + bicycles),
		"OpenAPI 3.1": []byte(strings.Replace(bicycles, "3.0.3", "3.1.0", 1)),
	} {
		got, err := readOpenAPI(document)
		got.Definition = nil
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
	fromJSON, err := readOpenAPI(fromYAML.Definition) // what was made of it means the same
	slices.SortFunc(fromJSON.Operations, func(a, b sluice.Operation) int { return strings.Compare(a.Target+a.Verb, b.Target+b.Verb) })
	slices.SortFunc(want.Operations, func(a, b sluice.Operation) int { return strings.Compare(a.Target+a.Verb, b.Target+b.Verb) })
	fromJSON.Definition = nil
	if diff := cmp.Diff(want, fromJSON); err != nil || diff != "" {
		t.Errorf("JSON: %v\n%s", err, diff)
	}
}

const head = "openapi: 3.0.3\ninfo: {title: A, version: '1'}\n"

// aliases is a document whose aliases multiply.
func aliases() string {
	var doc strings.Builder
	doc.WriteString(head + "paths: {}\nx-0: &a0 [a,a,a,a,a,a,a,a,a]\n")
	for i := 1; i < 10; i++ {
		doc.WriteString(fmt.Sprintf("x-%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ",")))
	}
	return doc.String()
}

func TestReadOpenAPIRefuses(t *testing.T) {
	var operations strings.Builder
	for i := range sluice.MaxOperations + 1 {
		fmt.Fprintf(&operations, "  /p%d: {get: {responses: {'200': {description: ok}}}}\n", i)
	}
	for name, c := range map[string]struct{ document, want string }{
		"nothing":                      {"", "empty"},
		"binary":                       {"\x00\x01\x02", "cannot be read"},
		"prose":                        {"Dear Sir or Madam,", "cannot be read"},
		"a list":                       {"[]", "cannot be read"},
		"null":                         {"null", "no OpenAPI document"},
		"Swagger 2.0":                  {`{"swagger":"2.0","info":{"title":"A","version":"1"},"paths":{}}`, "OpenAPI 2.0 is not taken"},
		"OpenAPI 3.2":                  {`{"openapi":"3.2.0","info":{"title":"A","version":"1"},"paths":{}}`, "OpenAPI 3.2.0 is not taken"},
		"no paths":                     {head, "no paths"},
		"TRACE":                        {head + "paths: {/a: {trace: {responses: {'200': {description: ok}}}}}", "verb TRACE at /a"},
		"too many operations":          {head + "paths:\n" + operations.String(), "more than 2000 operations"},
		"more than 10 MB":              {strings.Repeat(" ", maxDefinition+1), "more than 10485760 bytes"},
		"multiplying aliases":          {aliases(), "too many aliases"},
		"an alias of itself":           {head + "x-a: &a [*a]\npaths: {}\n", "cannot be read"},
		"JSON that is deep":            {`{"openapi":"3.0.3","info":{"title":"A","version":"1"},"paths":{},"x-a":` + strings.Repeat("[", 200000) + strings.Repeat("]", 200000) + `}`, "depth"},
		"YAML that is deep":            {head + "paths: {}\nx-a: " + strings.Repeat("[", 50000) + strings.Repeat("]", 50000), "depth"},
		"what is a little too deep":    {head + "paths: {}\nx-a: " + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), "deeper than 1000"},
		"a key twice, in YAML":         {head + "paths:\n  /a: {get: {responses: {}}}\n  /a: {put: {responses: {}}}\n", "already defined"},
		"a key twice, in JSON":         {`{"openapi":"3.0.3","info":{"title":"A","version":"1"},"paths":{"/a":{"get":{"responses":{}},"g\u0065t":{"security":[],"responses":{}}}}}`, `key "get" twice`},
		"a reference to a file":        {head + "paths: {/a: {$ref: 'file:///etc/passwd'}}", "file:///etc/passwd"},
		"one among parameters":         {head + "paths: {/a: {get: {parameters: [{$ref: '../p.yaml'}], responses: {'200': {description: ok}}}}}", `"../p.yaml" leads out`},
		"one among schemas":            {head + "paths: {}\ncomponents: {schemas: {A: {$ref: 'schemas.json#/A'}}}", "schemas.json"},
		"a path that refers to itself": {head + "paths: {/a: {$ref: '#/paths/~1a'}}", "circular"},
	} {
		start := time.Now()
		a, err := readOpenAPI([]byte(c.document))
		wantCode(t, name, err, sluice.Invalid, "openapi.unreadable")
		if err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %q, want one line with %q", name, err, c.want)
		}
		if took := time.Since(start); took > 2*time.Second || len(a.Operations) > sluice.MaxOperations {
			t.Errorf("%s: %d operations, after %s", name, len(a.Operations), took)
		}
	}
}

// Nothing that a document names is fetched.
func TestReadOpenAPIFetchesNothing(t *testing.T) {
	var calls atomic.Int32
	trap := httptest.NewUnstartedServer(http.NotFoundHandler())
	trap.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			calls.Add(1)
		}
	}
	trap.Start()
	defer trap.Close()
	for _, document := range []string{
		head + "paths: {/a: {$ref: '" + trap.URL + "'}}",
		head + "paths: {}\ncomponents: {schemas: {A: {$ref: '" + trap.URL + "/a.yaml#/A'}}}",
		head + "servers: [{url: '" + trap.URL + "'}]\npaths: {/a: {get: {responses: {'200': {description: ok, content: {a/b: {examples: {x: {externalValue: '" + trap.URL + "'}}}}}}}}}",
	} {
		_, _ = readOpenAPI([]byte(document)) // whether it is taken says another test
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

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

func FuzzReadOpenAPI(f *testing.F) {
	for _, seed := range []string{document, bicycles, head, aliases(), head + "paths: {/a: {$ref: '#/paths/~1a'}}", "[]", "null", "\xff\xfe\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := readOpenAPI(b)
		if err != nil {
			if kind := sluice.KindOf(err); kind != sluice.Invalid {
				t.Errorf("error = %v, of kind %v", err, kind)
			}
			return
		}
		if !json.Valid(a.Definition) {
			t.Errorf("definition is no JSON: %q", a.Definition)
		}
		for _, o := range a.Operations {
			if o.Auth == sluice.AuthNone && len(o.Scopes) > 0 || o.Auth == "" || o.Verb != strings.ToUpper(o.Verb) {
				t.Errorf("operation %+v", o)
			}
		}
	})
}
