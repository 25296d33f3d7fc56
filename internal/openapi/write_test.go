package openapi

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sluice-api/sluice"
)

// TestApplyIsRead draws APIs, with a definition of their own or without: what
// Apply writes is what Read reads.
func TestApplyIsRead(t *testing.T) {
	d, err := Read(t.Context(), []byte(bicycles))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		a := sluice.API{Name: "A", Version: "1"}
		if rapid.Bool().Draw(t, "definition") {
			a.Definition = d.JSON
		}
		names := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"admin", "read", "write"}), rapid.ID).Draw(t, "scopes")
		slices.Sort(names)
		for _, name := range names {
			s := sluice.Scope{Name: name, DisplayName: name, Description: rapid.SampledFrom([]string{"", "Text."}).Draw(t, "description")}
			s.Roles = rapid.SampledFrom([][]string{nil, {"a"}, {"a", "b"}}).Draw(t, "roles")
			a.Scopes = append(a.Scopes, s)
		}
		keys := rapid.SliceOfDistinct(rapid.SampledFrom([]string{
			"GET /stations", "POST /stations", "DELETE /stations/{id}", "GET /status", "HEAD /status", "OPTIONS /info", "PUT /same", "GET /new/{a}/{b}", "PATCH /*",
		}), rapid.ID).Draw(t, "operations")
		for _, key := range keys {
			o := sluice.Operation{Auth: rapid.SampledFrom([]sluice.AuthType{sluice.AuthAny, sluice.AuthUser, sluice.AuthApplication, sluice.AuthNone}).Draw(t, "auth")}
			o.Verb, o.Target, _ = strings.Cut(key, " ")
			o.Tier = rapid.SampledFrom([]string{"", "Gold", "Silver"}).Draw(t, "tier")
			if len(names) > 0 && o.Auth != sluice.AuthNone {
				o.Scopes = rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(t, "needed")
			}
			a.Operations = append(a.Operations, o)
		}
		a.Definition, err = Apply(&a)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Read(context.Background(), a.Definition)
		if err != nil {
			t.Fatalf("%q\n%s", listed(err), a.Definition)
		}
		order := cmpopts.SortSlices(func(x, y sluice.Operation) bool { return x.Target+x.Verb < y.Target+y.Verb })
		if diff := cmp.Diff(a.Operations, got.Operations, order, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("operations:\n%s\n%s", diff, a.Definition)
		}
		if diff := cmp.Diff(a.Scopes, got.Scopes, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("scopes:\n%s\n%s", diff, a.Definition)
		}
		again, err := Apply(&a)
		if err != nil || string(again) != string(a.Definition) {
			t.Errorf("applied again: %v\n%s\n%s", err, a.Definition, again)
		}
	})
}

// What the definition says beside operations and scopes stays.
func TestApplyKeepsTheRest(t *testing.T) {
	const definition = `{"openapi":"3.1.0","info":{"title":"Old","version":"0","license":{"name":"MIT"}},"x-a":[1e400,null],` +
		`"paths":{"x-p":1,"/a":{"summary":"A","get":{"summary":"G","responses":{}},"put":{"responses":{}}},"/b":{"get":{"responses":{}}},"/c":{"description":"none"}}}`
	a := sluice.API{Name: "New", Version: "1", Definition: []byte(definition), Operations: []sluice.Operation{
		{Verb: "GET", Target: "/a", Auth: sluice.AuthAny}, {Verb: "POST", Target: "/d/{id}", Auth: sluice.AuthUser, Tier: "Gold"},
	}}
	got, err := Apply(&a)
	const want = `{"openapi":"3.1.0","info":{"title":"Old","version":"0","license":{"name":"MIT"}},"x-a":[1e400,null],` +
		`"paths":{"x-p":1,"/a":{"summary":"A","get":{"summary":"G","responses":{}}},"/c":{"description":"none"},"/d/{id}":{"post":{"responses":{"200":{"description":"OK"}},` +
		`"parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}],"x-auth-type":"Application User","x-throttling-tier":"Gold"}}}}`
	if err != nil || string(got) != want {
		t.Errorf("%v\n got %s\nwant %s", err, got, want)
	}
}

// A new document keeps what it does not speak of.
func TestOver(t *testing.T) {
	had := []sluice.Operation{
		{Verb: "GET", Target: "/a", Auth: sluice.AuthUser, Tier: "Gold", Scopes: []string{"s", "t"}},
		{Verb: "PUT", Target: "/a", Auth: sluice.AuthUser, Tier: "Gold", Scopes: []string{"s"}},
		{Verb: "GET", Target: "/gone", Auth: sluice.AuthUser},
	}
	scopes := []sluice.Scope{{Name: "s", DisplayName: "Shown", Roles: []string{"r"}}, {Name: "t"}, {Name: "u"}}
	d, err := Read(t.Context(), []byte(head+`paths:
  /a:
    get: {responses: {}}
    put: {x-auth-type: None, x-throttling-tier: Unlimited, security: [{o: [s]}], responses: {}}
    post: {security: [{o: [s]}], responses: {}}
components: {securitySchemes: {o: {type: oauth2, flows: {implicit: {scopes: {s: Said.}}}}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	operations, defined := d.Over(had, scopes)
	want := []sluice.Operation{
		had[0], {Verb: "PUT", Target: "/a", Auth: sluice.AuthNone}, {Verb: "POST", Target: "/a", Auth: sluice.AuthAny, Scopes: []string{"s"}},
	}
	if diff := cmp.Diff(want, operations); diff != "" {
		t.Errorf("operations:\n%s", diff)
	}
	if diff := cmp.Diff([]sluice.Scope{{Name: "s", DisplayName: "Shown", Description: "Said.", Roles: []string{"r"}}, {Name: "t"}}, defined); diff != "" {
		t.Errorf("scopes:\n%s", diff)
	}
}

func FuzzRead(f *testing.F) {
	for _, c := range hostile {
		if len(c.document) < 4096 {
			f.Add([]byte(c.document))
		}
	}
	f.Add([]byte(bicycles))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Read(t.Context(), b)
		if err != nil {
			if kind := sluice.KindOf(err); kind != sluice.Invalid {
				t.Errorf("error = %v, of kind %v", err, kind)
			}
			for _, p := range listed(err) {
				if !strings.HasPrefix(p, "line ") {
					t.Errorf("problem %q", p)
				}
			}
			return
		}
		again, err := Read(t.Context(), d.JSON) // what is stored means the same
		if err != nil {
			t.Fatalf("%q: %s", listed(err), d.JSON)
		}
		again.OpenAPI = d.OpenAPI
		if diff := diff(d, again); diff != "" {
			t.Error(diff)
		}
		a := sluice.API{Definition: d.JSON, Operations: d.Operations, Scopes: d.Scopes}
		if a.Definition, err = Apply(&a); err != nil {
			t.Fatal(err)
		}
		applied, err := Read(t.Context(), a.Definition)
		applied.OpenAPI = d.OpenAPI
		if diff := diff(d, applied); err != nil || diff != "" {
			t.Error(fmt.Sprint(err), diff)
		}
	})
}
