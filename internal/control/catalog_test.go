package control

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/sluice-api/sluice"
)

// What the Store finds is what the reader sees.
func TestStoreSearchAndTags(t *testing.T) {
	w := newWorld(t)
	a, hidden := w.published("Weather"), w.api("Music", "production")
	for _, b := range []*sluice.API{&a, &hidden} {
		b.Tags = []string{"air", b.Name}
		if _, err := w.plane.UpdateAPI(w.admin(), b.ID, 0, *b); err != nil {
			t.Fatal(err)
		}
		w.document(b.ID, "Guide of "+b.Name, sluice.DocumentInline)
	}
	if _, err := w.plane.AddDocument(w.admin(), sluice.Document{
		APIID: a.ID, Name: "Guide for members", Type: sluice.DocumentHowTo, Source: sluice.DocumentInline, Visibility: sluice.DocumentOfMembers,
	}, ""); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		ctx             context.Context
		documents, tags int
	}{
		"an anonymous reader":                  {t.Context(), 1, 2},
		"a subscriber":                         {w.as("sam", sluice.Subscriber), 2, 2},
		"an administrator":                     {w.admin(), 2, 2},
		"another organization's administrator": {w.of("acme", "root", sluice.Administrator), 0, 0},
	} {
		list, total, err := w.plane.StoreSearch(c.ctx, APIFilter{Query: []Term{{Attribute: "document", Value: "guide"}}})
		if err != nil || total != c.documents || len(list) != c.documents {
			t.Errorf("%s finds %d of %d documents, %v; want %d", name, len(list), total, err, c.documents)
		}
		if slices.ContainsFunc(list, func(r SearchResult) bool { return r.API.ID != a.ID || r.Document == nil }) {
			t.Errorf("%s finds %+v", name, list)
		}
		if tags, err := w.plane.Tags(c.ctx); err != nil || len(tags) != c.tags || len(tags) > 0 && tags[1] != (sluice.Tag{Name: "air", Count: 1}) {
			t.Errorf("%s sees the tags %v, %v", name, tags, err)
		}
	}
}

func TestStoreDefinition(t *testing.T) {
	w := newWorld(t)
	a := w.published("Weather")
	g := w.gateway(production, "g")
	r := w.revision(a.ID)
	servers := func(environment string) (urls []string) {
		t.Helper()
		b, err := w.plane.StoreDefinition(t.Context(), a.ID, environment)
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			OpenAPI string
			Servers []struct{ URL string }
			Paths   map[string]any
		}
		if err := json.Unmarshal(b, &d); err != nil || d.OpenAPI == "" || len(d.Paths) == 0 {
			t.Fatalf("%s, %v", b, err)
		}
		for _, s := range d.Servers {
			urls = append(urls, s.URL)
		}
		return urls
	}
	w.deploy(a.ID, r.ID, production)
	if got := servers(""); len(got) != 0 {
		t.Errorf("live nowhere: %v", got)
	}
	_, err := w.plane.StoreDefinition(t.Context(), a.ID, production)
	wantCode(t, "an environment where it is not live", err, sluice.NotFound, "environment.not_live")
	live(w, g)
	if got := servers(production); len(got) != 2 || got[0][:8] != "https://" || got[1][:7] != "http://" || !slices.Equal(got, servers("")) {
		t.Errorf("live in %s: %v, and by itself %v", production, got, servers(""))
	}
	_, err = w.plane.StoreDefinition(t.Context(), a.ID, "Nowhere")
	wantCode(t, "an unknown environment", err, sluice.NotFound, "environment.not_live")
	_, err = w.plane.StoreDefinition(w.of("acme", "root", sluice.Administrator), a.ID, "")
	wantCode(t, "another organization", err, sluice.NotFound, "api.unknown")
	own, err := withServers([]byte(`{"paths":{"/a":{"servers":[{"url":"http://b"}],"parameters":[],"get":{"servers":[{"url":"http://b"}],"x":1}}},"servers":[{"url":"http://b"}]}`), []string{"https://g"})
	if want := `{"paths":{"/a":{"get":{"x":1},"parameters":[]}},"servers":[{"url":"https://g"}]}`; err != nil || string(own) != want {
		t.Errorf("servers of the document itself: %s, %v; want %s", own, err, want)
	}
}
