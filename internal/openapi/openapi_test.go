package openapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice"
)

const bicycles = `openapi: 3.0.3
info: {title: City Bikes, version: "1.0", description: Bikes.}
servers: [{url: "https://{region}.example.com/"}, {url: "javascript:alert(1)"}]
security:
  - oauth: []
paths:
  /stations:
    get: {x-auth-type: Application User, x-throttling-tier: Gold, responses: {"200": {description: ok}}}
    post:
      security: [{oauth: [write, admin]}, {key: [x]}]
      responses: {"201": {description: ok}}
  /stations/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    delete: {x-auth-type: Application, security: [{other: [admin]}], responses: {"204": {description: ok}}}
  /status:
    get: {security: [], x-throttling-tier: Unlimited, responses: {"200": {description: ok}}}
    head: {x-auth-type: None, security: [{oauth: [write]}], responses: {"200": {description: ok}}}
  /info:
    get: {security: [{}], responses: {"200": {description: ok}}}
    options: {security: [{}, {oauth: [write]}], responses: {"200": {description: ok}}}
    patch: {x-auth-type: Something else, responses: {"200": {description: ok}}}
  /same:
    $ref: '#/x-items/same'
x-items:
  same: {put: {responses: {"200": {description: ok}}}}
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

// what compares definitions, without the document.
func what(d Definition) Definition {
	d.JSON, d.said = nil, nil
	return d
}

func diff(want, got Definition) string {
	return cmp.Diff(what(want), what(got), cmp.AllowUnexported(Definition{}))
}

func TestRead(t *testing.T) {
	want := Definition{
		OpenAPI: "3.0.3", Title: "City Bikes", Version: "1.0", Description: "Bikes.",
		Servers: []string{"https://{region}.example.com/", "javascript:alert(1)"},
		Operations: []sluice.Operation{
			{Verb: "GET", Target: "/stations", Auth: sluice.AuthUser, Tier: "Gold"},
			{Verb: "POST", Target: "/stations", Auth: sluice.AuthAny, Scopes: []string{"write", "admin"}},
			{Verb: "DELETE", Target: "/stations/{id}", Auth: sluice.AuthApplication, Scopes: []string{"admin"}},
			{Verb: "GET", Target: "/status", Auth: sluice.AuthNone},
			{Verb: "HEAD", Target: "/status", Auth: sluice.AuthNone},
			{Verb: "GET", Target: "/info", Auth: sluice.AuthNone},
			{Verb: "OPTIONS", Target: "/info", Auth: sluice.AuthAny, Scopes: []string{"write"}},
			{Verb: "PATCH", Target: "/info", Auth: sluice.AuthAny},
			{Verb: "PUT", Target: "/same", Auth: sluice.AuthAny},
		},
		Scopes: []sluice.Scope{
			{Name: "admin", DisplayName: "admin", Description: "Everything else."},
			{Name: "write", DisplayName: "write", Description: "Change things.", Roles: []string{"editor", "admin"}},
		},
	}
	fromYAML, err := Read(t.Context(), []byte(bicycles))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(fromYAML.JSON) {
		t.Errorf("the definition is stored as %s", fromYAML.JSON)
	}
	for name, document := range map[string]string{
		"YAML": bicycles, "YAML with CRLF": strings.ReplaceAll(bicycles, "\n", "\r\n"), "YAML with a BOM": "\ufeff" + bicycles,
		"OpenAPI 3.1": strings.Replace(bicycles, "3.0.3", "3.1.0", 1), "JSON": string(fromYAML.JSON), "JSON with a BOM": "\ufeff" + string(fromYAML.JSON),
		"JSON with tabs": strings.ReplaceAll(string(fromYAML.JSON), `,"`, ",\r\n\t\""),
	} {
		if name == "OpenAPI 3.1" {
			want.OpenAPI = "3.1.0"
		} else {
			want.OpenAPI = "3.0.3"
		}
		got, err := Read(t.Context(), []byte(document))
		if diff := diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

// What YAML writes in its own way is stored as JSON writes it.
func TestYAMLBecomesJSON(t *testing.T) {
	d, err := Read(t.Context(), []byte(`openapi: 3.1.0
info: {title: A, version: 1.0}
paths: {}
x-values: [0x1F, 1_000, +.5, 1e400, 012, yes, True, ~, 2020-01-01, "1", "a\"b\\\u0001\u2028<", '', !!str 5]
x-shared: &s {a: [1]}
x-again: [*s, *s]
200: ok
`))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"openapi":"3.1.0","info":{"title":"A","version":"1.0"},"paths":{},` +
		`"x-values":[31,1000,0.5,"1e400",10,"yes",true,null,"2020-01-01","1","a\"b\\\u0001` + "\u2028" + `<","","5"],` +
		`"x-shared":{"a":[1]},"x-again":[{"a":[1]},{"a":[1]}],"200":"ok"}`
	if got := string(d.JSON); got != want {
		t.Errorf("stored as\n%s, want\n%s", got, want)
	}
}
