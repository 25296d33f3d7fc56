package openapi

import (
	"net/url"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode"
)

// version returns the version of OpenAPI that a document is written in, or says
// what it is instead.
func (r *reader) version(root *node) string {
	if root.kind != object {
		r.refuse(root, "The definition is %s, not an OpenAPI document.", root.kind)
		return ""
	}
	if r.size(root, maxJSON) < 0 {
		r.problem(1, 1, "The definition has too many aliases, or is too large: as JSON it has more than %d MB.", maxJSON>>20)
		return ""
	}
	for _, other := range []struct{ key, name string }{
		{"asyncapi", "AsyncAPI"}, {"swaggerVersion", "Swagger"}, {"arazzo", "Arazzo"}, {"overlay", "OpenAPI Overlay"}, {"graphql", "GraphQL"},
	} {
		if v := root.get(other.key); v != nil && root.get("openapi") == nil {
			r.refuse(v, "This is %s %s, not OpenAPI 2.0, 3.0 or 3.1.", other.name, strings.Trim(brief(v.scalar()), `"`))
			return ""
		}
	}
	v := root.get("openapi")
	if old := root.get("swagger"); v == nil && old != nil {
		if old.scalar() != "2.0" {
			r.refuse(old, "Swagger %s is not taken; OpenAPI 2.0, 3.0 and 3.1 are.", brief(old.scalar()))
		}
		return "2.0"
	}
	switch {
	case v == nil:
		r.refuse(root, "This is no OpenAPI document: it has no key openapi.")
	case !taken.MatchString(v.scalar()):
		r.refuse(v, "OpenAPI %s is not taken; 2.0, 3.0 and 3.1 are.", brief(v.scalar()))
	}
	if v != nil && v.kind == number {
		root.set("openapi", newText(v.text))
	}
	return v.scalar()
}

var taken = regexp.MustCompile(`^3\.[01](\.[0-9]+)?(-[0-9A-Za-z.]+)?$`)

// size returns about how long n is as JSON; -1: longer than most.
func (r *reader) size(n *node, most int) int {
	left := most - len(n.text) - 3
	for _, k := range n.kids {
		if left < 0 {
			return -1
		}
		s := r.size(k, left)
		if s < 0 {
			return -1
		}
		left -= s
	}
	if left < 0 {
		return -1
	}
	return most - left
}

// checker looks through a whole document.
type checker struct {
	*reader
	root     *node
	patterns map[string]error           // that were looked at
	pointers map[string]bool            // references that lead somewhere
	indexes  map[*node]map[string]*node // of large objects on the way
	anchors  map[string]bool
	based    bool // an $id makes references relative to another place
}

// check looks for what leads out of the document or nowhere, what is hidden in
// names, and patterns that cannot be tested.
func (r *reader) check(root *node) {
	c := checker{
		reader: r, root: root, patterns: map[string]error{}, pointers: map[string]bool{}, indexes: map[*node]map[string]*node{}, anchors: map[string]bool{},
	}
	seen := 0
	c.anchored(root)
	c.walk(root, names{}, &seen)
}

// names says what the keys of an object are.
type names struct {
	given bool // names that the author gave, not words of OpenAPI
	data  bool // anything: an example, a default, an extension
}

// below returns what the keys of the value of a member are.
func (in names) below(key string, value *node) names {
	switch {
	case in.data:
		return in
	case in.given:
		return names{}
	case strings.HasPrefix(key, "x-"), key == "example", key == "default", key == "const", key == "enum", key == "value",
		key == "examples" && value.kind == list:
		return names{data: true}
	case value.kind != object:
		return names{}
	}
	switch key {
	case "properties", "patternProperties", "definitions", "$defs", "dependentSchemas", "paths", "webhooks", "responses", "schemas", "parameters", "headers",
		"requestBodies", "securitySchemes", "securityDefinitions", "links", "callbacks", "pathItems", "examples", "content", "encoding", "variables", "mapping", "scopes":
		return names{given: true}
	}
	return names{}
}

// anchored finds the names that references without a path lead to.
func (c *checker) anchored(n *node) {
	for k, v := range n.members() {
		switch k.text {
		case "$anchor", "$dynamicAnchor":
			c.anchors[v.str()] = true
		case "$id":
			c.based = c.based || v.kind == text
		}
		c.anchored(v)
	}
	for _, v := range n.values() {
		c.anchored(v)
	}
}

func (c *checker) walk(n *node, in names, seen *int) {
	if *seen++; *seen%4096 == 0 && c.over() || c.found > maxProblems {
		return
	}
	if n.kind == text && strings.IndexByte(n.text, 0) >= 0 {
		c.refuse(n, "This text has a NUL in it.")
	}
	for k, v := range n.members() {
		if strings.ContainsFunc(k.text, unicode.IsControl) && !in.data {
			c.refuse(k, "The key %s has a control character in it.", brief(k.text))
		}
		if v.kind == text && !in.given && !in.data {
			c.member(k.text, v)
		} else if k.text == "$ref" && v.kind == text {
			c.reference(v) // in data it is none, but others may take it for one
		}
		if k.text == "patternProperties" && !in.given && !in.data {
			for pattern := range v.members() {
				c.pattern(pattern)
			}
		}
		c.walk(v, in.below(k.text, v), seen)
	}
	for _, v := range n.values() {
		c.walk(v, in, seen)
	}
}

// member looks at a text that OpenAPI gives a meaning to.
func (c *checker) member(key string, v *node) {
	switch key {
	case "$ref", "$dynamicRef":
		c.reference(v)
	case "pattern":
		c.pattern(v)
	case "operationId", "name", "title", "version", "url", "propertyName", "tokenUrl", "authorizationUrl":
		if strings.ContainsFunc(v.text, unicode.IsControl) {
			c.refuse(v, "The %s has a control character in it.", key)
		}
	}
}

// pattern holds a regular expression to the syntax of Go's regexp, in which no
// pattern takes more than linear time.
func (c *checker) pattern(v *node) {
	if len(v.text) > maxRegexp {
		c.refuse(v, "The pattern has more than %d bytes.", maxRegexp)
		return
	}
	err, known := c.patterns[v.text]
	if !known {
		_, err = syntax.Parse(v.text, syntax.Perl) // what regexp.Compile fails for
		c.patterns[v.text] = err
	}
	if err != nil {
		c.refuse(v, "The pattern %s cannot be tested: %s.", brief(v.text), strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
}

// reference refuses a $ref that leads out of the document, or nowhere.
func (c *checker) reference(v *node) {
	if strings.ContainsFunc(v.text, unicode.IsControl) {
		c.refuse(v, "The reference has a control character in it.")
		return
	}
	pointer, inside := strings.CutPrefix(v.text, "#")
	if !inside {
		c.refuse(v, "The reference %s leads out of the definition, where nothing is fetched from; put what it names into the definition.", brief(v.text))
		return
	}
	known, seen := c.pointers[pointer]
	if !seen {
		known = c.leads(pointer)
		c.pointers[pointer] = known
	}
	if !known && !c.based {
		c.refuse(v, "The reference %s leads nowhere.", brief(v.text))
	}
}

// leads reports whether a JSON pointer (RFC 6901 §6), or an anchor's name, leads
// to something.
func (c *checker) leads(pointer string) bool {
	pointer, err := url.PathUnescape(pointer)
	switch {
	case err != nil:
		return false
	case pointer == "":
		return true
	case pointer[0] != '/':
		return c.anchors[pointer]
	}
	return c.follow(pointer) != nil
}

// follow returns what a JSON pointer leads to.
func (c *checker) follow(pointer string) *node {
	n := c.root
	for name := range strings.SplitSeq(pointer[1:], "/") {
		if strings.IndexByte(name, '~') >= 0 {
			name = strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")
		}
		if n = c.step(n, name); n == nil {
			return nil
		}
	}
	return n
}

// step returns a member of an object or a value of a list.
func (c *checker) step(n *node, name string) *node {
	switch {
	case n.kind == list:
		return element(n, name)
	case len(n.kids) <= 32:
		return n.get(name)
	}
	index := c.indexes[n]
	if index == nil {
		index = make(map[string]*node, len(n.kids)/2)
		for k, v := range n.members() {
			index[k.text] = v
		}
		c.indexes[n] = index
	}
	return index[name]
}

// element returns the value of a list at a position in digits.
func element(n *node, digits string) *node {
	i := 0
	for _, d := range []byte(digits) {
		if d < '0' || d > '9' || i > len(n.kids) {
			return nil
		}
		i = 10*i + int(d-'0')
	}
	if digits == "" || i >= len(n.kids) {
		return nil
	}
	return n.kids[i]
}
