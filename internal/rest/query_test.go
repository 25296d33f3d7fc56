package rest

import (
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice/internal/control"
)

func TestSearchOf(t *testing.T) {
	type terms = []control.Term
	for query, c := range map[string]struct {
		terms   terms
		nothing bool
		bad     bool
	}{
		"":                            {},
		"   ":                         {},
		"weather":                     {terms: terms{{Attribute: "name", Value: "weather", Match: "contains"}}},
		"weather*":                    {terms: terms{{Attribute: "name", Value: "weather", Match: "prefix"}}},
		`"The Weather"`:               {terms: terms{{Attribute: "name", Value: "The Weather", Match: "exact"}}},
		`name:"N" version:"1.0"`:      {terms: terms{{Attribute: "name", Value: "N", Match: "exact"}, {Attribute: "version", Value: "1.0", Match: "exact"}}},
		"status:pub  tag:public":      {terms: terms{{Attribute: "status", Value: "pub", Match: "contains"}, {Attribute: "tag", Value: "public", Match: "contains"}}},
		"context:/weather*":           {terms: terms{{Attribute: "context", Value: "/weather", Match: "prefix"}}},
		"provider:ann description:it": {terms: terms{{Attribute: "provider", Value: "ann", Match: "contains"}, {Attribute: "description", Value: "it", Match: "contains"}}},
		"name:":                       {},
		`type:"APIProduct"`:           {nothing: true},
		`type:"MCP" weather`:          {terms: terms{{Attribute: "name", Value: "weather", Match: "contains"}}, nothing: true},
		"type:HTTP":                   {},
		"api-category:x":              {terms: terms{{Attribute: "category", Value: "x", Match: "contains"}}},
		"doc:guide":                   {terms: terms{{Attribute: "document", Value: "guide", Match: "contains"}}},
		"secret:x":                    {bad: true},
		`name:"open`:                  {bad: true},
		"a b c d e f g h i j k":       {bad: true},
		"row_version:1":               {bad: true},
		`name:"a"version:"b"`:         {terms: terms{{Attribute: "name", Value: "a", Match: "exact"}, {Attribute: "version", Value: "b", Match: "exact"}}},
		"http://x":                    {bad: true},
		"name:a:b":                    {terms: terms{{Attribute: "name", Value: "a:b", Match: "contains"}}},
		"weather name:x":              {terms: terms{{Attribute: "name", Value: "weather", Match: "contains"}, {Attribute: "name", Value: "x", Match: "contains"}}},
		`weather "a b"`:               {terms: terms{{Attribute: "name", Value: "weather", Match: "contains"}, {Attribute: "name", Value: "a b", Match: "exact"}}},
	} {
		got, nothing, err := searchOf(httptest.NewRequest("GET", "/apis?query="+url.QueryEscape(query), nil))
		if diff := cmp.Diff(c.terms, got); diff != "" && !c.bad || nothing != c.nothing && !c.bad || (err != nil) != c.bad {
			t.Errorf("searchOf(%s) = %v, %t, %v, want %v, %t, bad: %t", query, got, nothing, err, c.terms, c.nothing, c.bad)
		}
	}
}

func FuzzSearchOf(f *testing.F) {
	for _, s := range []string{`name:"N" version:1*`, `"`, `:`, ` : "" `, `type:"MCP"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		terms, _, err := searchOf(httptest.NewRequest("GET", "/apis?query="+url.QueryEscape(query), nil))
		if err == nil && len(terms) > maxTerms {
			t.Errorf("%d terms", len(terms))
		}
	})
}

func TestPages(t *testing.T) {
	for query, c := range map[string]struct {
		page           control.Page
		next, previous string
		bad            bool
	}{
		"":                           {page: control.Page{Limit: 25}, next: "/apis?limit=25&offset=25"},
		"limit=10&offset=20":         {page: control.Page{Offset: 20, Limit: 10}, next: "/apis?limit=10&offset=30", previous: "/apis?limit=10&offset=10"},
		"limit=10&offset=5":          {page: control.Page{Offset: 5, Limit: 10}, next: "/apis?limit=10&offset=15", previous: "/apis?limit=10&offset=0"},
		"limit=41":                   {page: control.Page{Limit: 41}},
		"limit=0":                    {page: control.Page{Limit: 25}, next: "/apis?limit=25&offset=25"},
		"offset=41":                  {page: control.Page{Offset: 41, Limit: 25}, previous: "/apis?limit=25&offset=16"},
		"limit=1000000000":           {page: control.Page{Limit: 1000}},
		"query=a+b&limit=40":         {page: control.Page{Limit: 40}, next: "/apis?limit=40&offset=40&query=a+b"},
		"limit=-1":                   {bad: true},
		"offset=-1":                  {bad: true},
		"limit=ten":                  {bad: true},
		"offset=1e3":                 {bad: true},
		"limit=99999999999999999999": {bad: true},
	} {
		r := httptest.NewRequest("GET", "/apis?"+query, nil)
		page, err := pageOf(r)
		if (err != nil) != c.bad || err == nil && page != c.page {
			t.Errorf("pageOf(%s) = %v, %v, want %v, bad: %t", query, page, err, c.page, c.bad)
			continue
		}
		if c.bad {
			continue
		}
		got := paginate(r, page, 41)
		want := pagination{Offset: c.page.Offset, Limit: c.page.Limit, Total: 41, Next: c.next, Previous: c.previous}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("paginate(%s):\n%s", query, diff)
		}
	}
}
