package rest

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// TestPublished asks for every operation that WSO2 publishes: those that are not
// served are 501 naming themselves, and the others are not.
func TestPublished(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	served := map[string]bool{}
	for _, f := range p.rest.faces() {
		for _, r := range f.routes {
			served[r.method+" "+f.base+shape(r.path)] = true
		}
	}
	bases := strings.NewReplacer(publisherBase, "", storeBase, "", adminBase, "")
	operations := 0
	for line := range strings.Lines(publishedText) {
		path, methods, _ := strings.Cut(strings.TrimSpace(line), " ")
		for method := range strings.FieldsSeq(methods) {
			operations++
			if served[method+" "+shape(path)] {
				continue
			}
			a := p.do(t, token, method+" "+strings.NewReplacer("{", "", "}", "").Replace(path), "")
			if want := "Sluice does not offer " + method + " " + bases.Replace(path) + "."; a.status != 501 || method != "HEAD" && !strings.Contains(string(a.body), want) {
				t.Errorf("%s %s: %d %s, want 501 and %q", method, path, a.status, a.body, want)
			}
		}
	}
	if operations != 445 {
		t.Errorf("%d operations, want the 445 that are published", operations)
	}
}

// BenchmarkNew is what the list costs, once.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		New(Options{})
	}
}

// BenchmarkRouting is how the handler of a request is found.
func BenchmarkRouting(b *testing.B) {
	s := New(Options{})
	r := httptest.NewRequest("GET", publisherBase+"/apis/x/revisions/y", nil)
	for b.Loop() {
		s.mux.Handler(r)
	}
}
