// Package openapi reads API definitions: OpenAPI 3.0 and 3.1 and, converted,
// OpenAPI 2.0, as JSON or YAML; and writes an API's operations and scopes back
// into its definition. It is functions over bytes: nothing that a document
// names is opened or fetched, and a $ref is never written out.
//
// [Read] makes a [Definition] of a document, or says everything that is wrong
// with it, each problem at its line and column. [Apply] is the other direction.
// [Compare] says what changes for callers from one definition to the next.
// A document is read into nodes that know where they stood (json.go, yaml.go),
// looked through for what could be read in two ways or leads out (check.go),
// converted where it is OpenAPI 2.0 (convert.go), and then understood
// (operations.go, scopes.go), all in time and memory that grow with its size.
//
// The libraries that there are for this either do not keep that promise (a chain
// of 50,000 references takes pb33f/libopenapi half a minute, and it cannot be
// stopped) or say no line. The tests hold what is read here against libopenapi.
package openapi

import (
	"context"

	"github.com/sluice-api/sluice"
)

// Limits of a document.
const (
	MaxSize     = 10 << 20  // bytes
	maxJSON     = 16 << 20  // bytes of the stored form, which for YAML may be longer
	maxDepth    = 1000      // objects and lists inside of each other
	maxNodes    = 2_000_000 // values and keys; in YAML maxYAMLNodes
	maxPath     = 8000      // bytes of a path; a gateway takes no longer request line
	maxRegexp   = 4096      // bytes of a pattern
	maxProblems = 50        // that are reported
)

// Definition is what a document says of an API.
type Definition struct {
	OpenAPI     string // version of OpenAPI the document was written in, "3.0.3"
	Title       string
	Version     string
	Description string
	Servers     []string // addresses as they are written; text, never called
	Operations  []sluice.Operation
	Scopes      []sluice.Scope
	JSON        []byte // the document as OpenAPI 3, the form that is stored

	said map[string]stated // by verb and target
}

// stated says which facts of an operation a document states; others are
// assumed.
type stated struct{ auth, tier, scopes bool }

// Read reads a document. Its error, of kind Invalid, holds every problem that
// was found (at most 50), each with a Field like "line 12, column 3". A document
// that has not been read when ctx ends is refused too.
func Read(ctx context.Context, document []byte) (Definition, error) {
	r := &reader{ctx: ctx}
	root, version := r.load(document)
	d := Definition{OpenAPI: version}
	if !r.failed() {
		r.understand(root, &d)
	}
	if r.failed() || r.over() {
		return Definition{}, r.err()
	}
	d.JSON = root.json()
	return d, nil
}

// load makes OpenAPI 3 of a document, once it has been looked through, and returns
// the version it was written in. Where problems were noted, root may be nil.
func (r *reader) load(document []byte) (root *node, version string) {
	if root = r.parse(document); root == nil || r.failed() {
		return nil, ""
	}
	if version = r.version(root); r.failed() {
		return nil, ""
	}
	r.check(root)
	if version == "2.0" && !r.failed() {
		root = r.convert(root)
	}
	return root, version
}

// understand fills d from a document of OpenAPI 3.
func (r *reader) understand(root *node, d *Definition) {
	info := root.get("info")
	if info == nil || info.kind != object {
		r.refuse(orRoot(info, root), "The definition has no object info, with title and version.")
	} else {
		d.Title = r.needText(info, "title")
		d.Version = r.needText(info, "version")
		d.Description = info.get("description").str()
	}
	for _, s := range root.get("servers").values() {
		if url := s.get("url").str(); url != "" {
			d.Servers = append(d.Servers, url)
		}
	}
	if d.Scopes = scopesOf(root); len(d.Scopes) > maxScopes {
		r.refuse(root, "The definition has more than %d scopes.", maxScopes)
		return
	}
	r.operations(root, d)
}

// needText returns a text that an object must have. A version that somebody
// wrote without quotes is a number in YAML; it is stored as the text it looks
// like.
func (r *reader) needText(n *node, key string) string {
	v := n.get(key)
	if v == nil || v.kind > number || v.text == "" {
		r.refuse(orRoot(v, n), "The %s of the definition must be a text.", key)
		return ""
	}
	if v.kind == number {
		n.set(key, &node{text: v.text, line: v.line, at: v.at})
	}
	return v.text
}

func orRoot(n, root *node) *node {
	if n == nil {
		return root
	}
	return n
}
