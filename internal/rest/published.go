package rest

import (
	_ "embed" // for the list
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-api/sluice/internal/web"
)

// publishedText lists what the definitions have that WSO2 publishes of its
// Publisher, Store and administrators' APIs: on each line the template of a path,
// and its methods.
//
//go:embed published.txt
var publishedText string

// publishedPath is a line of publishedText, its path below a face's base.
type publishedPath struct {
	path    string
	methods []string
}

// publishedBelow returns what is published below a base, by the shape of its path.
func publishedBelow(base string) map[string]publishedPath {
	found := map[string]publishedPath{}
	for line := range strings.Lines(publishedText) {
		fields := strings.Fields(line)
		if p, ok := strings.CutPrefix(fields[0], base); ok {
			found[shape(p)] = publishedPath{path: p, methods: fields[1:]}
		}
	}
	return found
}

// shape is a path's template without the names of its parameters.
func shape(template string) string {
	segments := strings.Split(template, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "{") {
			segments[i] = "{}"
		}
	}
	return strings.Join(segments, "/")
}

// unserved returns the route of a method that no route of the path takes. An
// operation that WSO2 publishes and Sluice has not gets a clear 501 instead of a
// guess or an empty success.
func (p publishedPath) unserved(f face, method string) route {
	op := f.unserved
	if method == http.MethodHead && !slices.Contains(p.methods, method) {
		method = http.MethodGet
	}
	if slices.Contains(p.methods, method) {
		op.handle = func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Del("Allow")
			return web.Refuse(http.StatusNotImplemented, "operation.unsupported", "Sluice does not offer %s %s.", method, p.path)
		}
	}
	return op
}
