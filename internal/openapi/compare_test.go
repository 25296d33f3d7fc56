package openapi

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// comparable is a definition of one operation whose parts are given as YAML.
func comparable(parameters, request, response string) string {
	return fmt.Sprintf(`openapi: 3.0.3
info: {title: A, version: "1"}
paths:
  /bikes/{id}:
    post:
      operationId: change
      parameters: [%s]
      requestBody: {content: {application/json: {schema: %s}}}
      responses: {"200": {description: ok, content: {application/json: {schema: %s}}}}
components:
  schemas:
    Node: {type: object, properties: {next: {$ref: '#/components/schemas/Node'}, size: %s}}
`, parameters, request, response, "{type: integer, maximum: 9}")
}

func TestCompareSchemas(t *testing.T) {
	for name, c := range map[string]struct {
		before, after string // a schema
		sent          string // what breaks where callers send it
		received      string // and where they receive it
	}{
		"the same":                      {before: "{type: string}", after: "{type: string}"},
		"a narrower type":               {before: "{type: number}", after: "{type: integer}", sent: ": the type is integer now; it was number."},
		"a wider type":                  {before: "{type: integer}", after: "{type: number}", received: ": the type is number now; it was integer."},
		"another type":                  {before: "{type: string}", after: "{type: array}", sent: ": the type is array now; it was string.", received: ": the type is array now; it was string."},
		"null was added":                {before: "{type: string}", after: "{type: string, nullable: true}", received: ": the type is string or null now; it was string."},
		"a value was removed":           {before: "{type: string, enum: [a, b]}", after: "{type: string, enum: [b]}", sent: `: values were removed: "a".`},
		"a value was added":             {before: "{type: string, enum: [a]}", after: "{type: string, enum: [a, b]}", received: `: values were added: "b".`},
		"values in another order":       {before: "{type: string, enum: [a, b]}", after: "{type: string, enum: [b, a]}"},
		"a lower maximum":               {before: "{type: integer, maximum: 9}", after: "{type: integer, maximum: 5}", sent: ": maximum is 5 now; it was 9."},
		"a higher maximum":              {before: "{type: integer, maximum: 5}", after: "{type: integer, maximum: 9}", received: ": maximum is 9 now; it was 5."},
		"a higher minimum":              {before: "{type: integer, minimum: 1}", after: "{type: integer, minimum: 2}", sent: ": minimum is 2 now; it was 1."},
		"a minimum that is excluded":    {before: "{type: integer, minimum: 1}", after: "{type: integer, minimum: 1, exclusiveMinimum: true}", sent: ": minimum is 1 (excluded) now; it was 1."},
		"a least length of zero":        {before: "{type: string}", after: "{type: string, minLength: 0}"},
		"a new pattern":                 {before: "{type: string}", after: "{type: string, pattern: 'a'}", sent: `: pattern is new: "a".`},
		"another pattern":               {before: "{type: string, pattern: 'b'}", after: "{type: string, pattern: 'a'}", sent: `: pattern is now "a"; it was "b".`, received: `: pattern is now "a"; it was "b".`},
		"a new format":                  {before: "{type: string}", after: "{type: string, format: date}", sent: ": the format is date now; it was free."},
		"a wider format":                {before: "{type: integer, format: int32}", after: "{type: integer, format: int64}", received: ": the format is int64 now; it was int32."},
		"a property was removed":        {before: "{type: object, properties: {a: {}, b: {}}}", after: "{type: object, properties: {a: {}}}", sent: ", b: it was removed.", received: ", b: it was removed."},
		"a property was added":          {before: "{type: object, properties: {a: {}}}", after: "{type: object, properties: {a: {}, b: {}}}"},
		"a required one was added":      {before: "{type: object}", after: "{type: object, properties: {b: {}}, required: [b]}", sent: ", b: it is new and required."},
		"a property became required":    {before: "{type: object, properties: {b: {}}}", after: "{type: object, properties: {b: {}}, required: [b]}", sent: ", b: it is required now."},
		"a property is required less":   {before: "{type: object, properties: {b: {}}, required: [b]}", after: "{type: object, properties: {b: {}}}", received: ", b: it is no longer always there."},
		"a property that is read only":  {before: "{type: object}", after: "{type: object, properties: {b: {readOnly: true}}, required: [b]}"},
		"a narrower item of a property": {before: "{type: object, properties: {b: {type: array, items: {type: string}}}}", after: "{type: object, properties: {b: {type: array, items: {type: string, maxLength: 3}}}}", sent: ", b[]: maxLength is 3 now; it was none."},
		"no further properties":         {before: "{type: object}", after: "{type: object, additionalProperties: false}", sent: ": no further properties are taken."},
		"put together by allOf":         {before: "{type: object, properties: {a: {}, b: {}}, required: [a]}", after: "{allOf: [{type: object, properties: {a: {}}}, {properties: {b: {}}, required: [a]}]}"},
		"behind a reference":            {before: "{type: object, properties: {next: {$ref: '#/components/schemas/Node'}, size: {type: integer, maximum: 9}}}", after: "{$ref: '#/components/schemas/Node'}"},
		"an alternative was removed":    {before: "{oneOf: [{type: string, title: A}, {type: integer, title: B}, {type: boolean, title: C}]}", after: "{oneOf: [{type: string, title: A}, {type: boolean, title: C}]}", sent: ": the alternative B was removed."},
		"an alternative was added":      {before: "{oneOf: [{type: string, title: A}, {type: boolean, title: C}]}", after: "{oneOf: [{type: string, title: A}, {type: integer, title: B}, {type: boolean, title: C}]}", received: ": the alternative B was added."},
		"another description":           {before: "{type: string, description: A}", after: "{type: string, description: B}"},
	} {
		t.Run(name, func(t *testing.T) {
			var want []Breaking
			if c.sent != "" {
				want = append(want, Breaking{"POST /bikes/{id}", "Request body" + c.sent})
			}
			if c.received != "" {
				want = append(want, Breaking{"POST /bikes/{id}", "Response 200" + c.received})
			}
			const p = "{name: id, in: path, required: true, schema: {type: string}}"
			got, err := Compare([]byte(comparable(p, c.before, c.before)), []byte(comparable(p, c.after, c.after)))
			if diff := cmp.Diff(want, got.Breaking); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestCompareOperations(t *testing.T) {
	const before = `openapi: 3.0.3
info: {title: A, version: "1"}
paths:
  /bikes/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: read
      parameters: [{name: full, in: query, schema: {type: boolean}}]
      responses: {"200": {description: ok, headers: {ETag: {required: true, schema: {type: string}}}, content: {application/json: {}, text/plain: {}}}, "404": {description: none}}
    put:
      security: [{key: []}]
      requestBody: {content: {application/json: {}}}
      responses: {"204": {description: ok}}
  /status:
    get: {x-auth-type: None, responses: {"200": {description: ok}}}
components:
  securitySchemes:
    key: {type: apiKey, in: header, name: X-Key}
    oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: "https://example.com/", scopes: {write: Change.}}}}
`
	for name, c := range map[string]struct {
		replace []string // in turn: what, by what
		want    []Breaking
		other   int
	}{
		"nothing":                  {},
		"an operation was removed": {replace: []string{"  /status:\n    get:", "  /status:\n    head:"}, want: []Breaking{{"GET /status", "It was removed."}}, other: 1},
		"a path was renamed":       {replace: []string{"/bikes/{id}:", "/cycles/{id}:", "security: [{key: []}]", "operationId: x"}, want: []Breaking{{"GET /bikes/{id}", "It is now GET /cycles/{id}."}, {"PUT /bikes/{id}", "It was removed."}}, other: 2},
		"a variable was renamed":   {replace: []string{"{id}", "{bike}", "name: id", "name: bike"}},
		"a parameter moved":        {replace: []string{"name: full, in: query", "name: full, in: header"}, want: []Breaking{{"GET /bikes/{id}", `The query parameter "full" is in the header now.`}}},
		"a parameter was removed":  {replace: []string{"[{name: full, in: query, schema: {type: boolean}}]", "[]"}, want: []Breaking{{"GET /bikes/{id}", `The query parameter "full" was removed.`}}},
		"a parameter is required":  {replace: []string{"in: query,", "in: query, required: true,"}, want: []Breaking{{"GET /bikes/{id}", `The query parameter "full" is required now.`}}},
		"a new one is required":    {replace: []string{"[{name: full", "[{name: n, in: query, required: true}, {name: full"}, want: []Breaking{{"GET /bikes/{id}", `The query parameter "n" is new and required.`}}},
		"a new one is not":         {replace: []string{"[{name: full", "[{name: n, in: query}, {name: full"}, other: 1},
		"a body is required":       {replace: []string{"requestBody: {", "requestBody: {required: true, "}, want: []Breaking{{"PUT /bikes/{id}", "The request body is required now."}}},
		"no body is taken":         {replace: []string{"requestBody: {content: {application/json: {}}}", "summary: A"}, want: []Breaking{{"PUT /bikes/{id}", "It takes no request body any more."}}, other: 1},
		"a media type was removed": {replace: []string{", text/plain: {}", ""}, want: []Breaking{{"GET /bikes/{id}", "Response 200: the media type text/plain was removed."}}},
		"a status was removed":     {replace: []string{`, "404": {description: none}`, ""}, want: []Breaking{{"GET /bikes/{id}", "Response 404 was removed."}}},
		"a status became a range":  {replace: []string{`"404"`, `"4XX"`}, other: 1},
		"a header was removed":     {replace: []string{"headers: {ETag: {required: true, schema: {type: string}}}, ", ""}, want: []Breaking{{"GET /bikes/{id}", "Response 200, header ETag: it was removed."}}},
		"a token is needed":        {replace: []string{"x-auth-type: None", "x-auth-type: Any"}, want: []Breaking{{"GET /status", "It needs a token of the kind any now; it was none."}}},
		"a scope is needed":        {replace: []string{"operationId: read", "security: [{oauth: [write]}]"}, want: []Breaking{{"GET /bikes/{id}", `It needs one of the scopes "write" now.`}}, other: 1},
		"the key is elsewhere":     {replace: []string{"in: header, name: X-Key", "in: query, name: key"}, want: []Breaking{{"PUT /bikes/{id}", "It needs other credentials now: apiKey query key; apiKey header X-Key did."}}},
		"the scheme was renamed":   {replace: []string{"key:", "lock:"}},
	} {
		t.Run(name, func(t *testing.T) {
			after := before
			for i := 0; i < len(c.replace); i += 2 {
				after = strings.ReplaceAll(after, c.replace[i], c.replace[i+1])
			}
			got, err := Compare([]byte(before), []byte(after))
			if diff := cmp.Diff(Comparison{c.want, c.other}, got); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

// A recursive schema is compared to its end, and what changes in it is told once.
func TestCompareRecursive(t *testing.T) {
	const node = "{$ref: '#/components/schemas/Node'}"
	before := comparable("", node, node)
	after := strings.ReplaceAll(before, "maximum: 9", "maximum: 5")
	want := Comparison{Breaking: []Breaking{{"POST /bikes/{id}", "Request body, size: maximum is 5 now; it was 9."}}}
	if got, err := Compare([]byte(before), []byte(after)); err != nil || !cmp.Equal(want, got) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

// What breaks too often is cut off, and so is what would take too long; both say so.
func TestCompareIsBounded(t *testing.T) {
	got, err := Compare([]byte(manyPaths(300)), []byte(manyPaths(1)))
	if n := len(got.Breaking); err != nil || n != MaxBreaking+1 || !strings.HasPrefix(got.Breaking[n-1].Change, "More than 100") {
		t.Errorf("%d changes, %v", len(got.Breaking), err)
	}
	ring := func(n int) string { // cycles of different lengths meet in every pair of their schemas
		return strings.Replace(schemas(n, func(i int) string {
			return fmt.Sprintf("{properties: {n: {$ref: '#/components/schemas/S%d'}}, description: '%d'}", (i+1)%n, n)
		}), "paths: {}", "paths: {/a: {get: {responses: {'200': {description: ok, content: {a/b: {schema: {$ref: '#/components/schemas/S0'}}}}}}}}", 1)
	}
	got, err = Compare([]byte(ring(601)), []byte(ring(607)))
	if n := len(got.Breaking); err != nil || n != 1 || !strings.HasPrefix(got.Breaking[0].Change, "The definitions are too large") {
		t.Errorf("%+v, %v", got.Breaking, err)
	}
}

// Any two documents that are read are compared; a document changes nothing
// against itself, and the answer is always the same.
func FuzzCompare(f *testing.F) {
	f.Add([]byte(bicycles), []byte(manyPaths(3)))
	f.Add([]byte(comparable("", "{}", "{type: string}")), []byte(comparable("", "{$ref: '#/components/schemas/Node'}", "{anyOf: [{}, {type: 'null'}]}")))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		got, err := Compare(before, after)
		if err != nil {
			return
		}
		if again, _ := Compare(before, after); !cmp.Equal(got, again) {
			t.Errorf("%+v, then %+v", got, again)
		}
		if same, err := Compare(before, before); err != nil || len(same.Breaking) > 0 || same.Other > 0 {
			t.Errorf("against itself: %+v, %v", same, err)
		}
	})
}
