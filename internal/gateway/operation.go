package gateway

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/policy"
)

// operation is one verb of a resource, with the steps that its calls pass.
type operation struct {
	*sluice.Operation
	steps []policy.Step
}

// resource is what one path of an API leads to.
type resource struct {
	operations []operation
	allow      string       // value of Allow
	cors       *policy.CORS // nil: OPTIONS is a verb like others
}

// operation returns the operation of a verb. HEAD follows GET where it is not
// declared.
func (r *resource) operation(verb []byte) *operation {
	for i := range r.operations {
		if r.operations[i].Verb == string(verb) {
			return &r.operations[i]
		}
	}
	if string(verb) == "HEAD" {
		return r.operation([]byte("GET"))
	}
	return nil
}

// node is one place in the tree of an API's resources, which has a level for
// each path segment. Of the ways to go on a literal segment comes before a
// template, a template before the wildcard at the end, whatever the order in
// which operations were defined.
type node struct {
	literals  map[string]*node
	templates []template // those with more literal text first
	wildcard  *resource  // "/*" at the end: whatever follows, also nothing
	here      *resource  // the path ends here
	slash     *resource  // the path ends here with a slash
}

// template is a segment with variable parts: what stands between the parts, so
// that "{a}.{b}" is "", "." and "". No part is empty.
type template struct {
	between []string
	node    *node
}

// undeclared is what a path leads to of which only the other form, with or
// without a final slash, was declared. It is not found, and no wildcard takes it:
// a backend that makes no difference would else be reached past the operation
// that was meant.
var undeclared = new(resource)

// ends returns the resource of a path that ends at a node.
func ends(this, other, wildcard *resource) *resource {
	if this == nil && other != nil {
		return undeclared
	}
	return cmp.Or(this, wildcard)
}

// find returns the resource of a path below n, without its leading slash. With
// and without a final slash are two paths.
func (n *node) find(path []byte) *resource {
	if len(path) == 0 {
		return ends(n.here, n.slash, n.wildcard)
	}
	segment, rest, more := bytes.Cut(path, []byte{'/'})
	if next := n.literals[string(segment)]; next != nil {
		if r := next.after(rest, more); r != nil {
			return r
		}
	}
	for i := range n.templates {
		if n.templates[i].matches(segment) {
			if r := n.templates[i].node.after(rest, more); r != nil {
				return r
			}
		}
	}
	return n.wildcard
}

// after goes on behind the segment of n: more says that a slash follows it.
func (n *node) after(rest []byte, more bool) *resource {
	if more && len(rest) == 0 {
		return ends(n.slash, n.here, n.wildcard)
	}
	return n.find(rest)
}

// matches reports whether a segment has the template's form. Variable parts
// take as little as they can.
func (t *template) matches(segment []byte) bool {
	last := len(t.between) - 1
	if !bytes.HasPrefix(segment, []byte(t.between[0])) {
		return false
	}
	segment = segment[len(t.between[0]):]
	for _, text := range t.between[1:last] {
		if len(segment) == 0 {
			return false
		}
		i := bytes.Index(segment[1:], []byte(text))
		if i < 0 {
			return false
		}
		segment = segment[1+i+len(text):]
	}
	return len(segment) > len(t.between[last]) && bytes.HasSuffix(segment, []byte(t.between[last]))
}

// add makes place for a target, "/stations/{id}", and returns its resource.
func (n *node) add(target string) (*resource, error) {
	path, ok := strings.CutPrefix(target, "/")
	if !ok {
		return nil, fmt.Errorf("target %q does not begin with a slash", target)
	}
	if path == "" {
		return made(&n.here), nil
	}
	for {
		segment, rest, more := strings.Cut(path, "/")
		if segment == "*" && !more {
			return made(&n.wildcard), nil
		}
		between, err := parseSegment(segment)
		if err != nil {
			return nil, fmt.Errorf("target %q: %w", target, err)
		}
		n = n.child(between)
		switch {
		case !more:
			return made(&n.here), nil
		case rest == "":
			return made(&n.slash), nil
		}
		path = rest
	}
}

// child returns the node below n for a segment, made where it is missing.
func (n *node) child(between []string) *node {
	if len(between) == 1 {
		if n.literals == nil {
			n.literals = make(map[string]*node)
		}
		next := n.literals[between[0]]
		if next == nil {
			next = new(node)
			n.literals[between[0]] = next
		}
		return next
	}
	i, found := slices.BinarySearchFunc(n.templates, between, func(t template, between []string) int {
		return compareTemplates(t.between, between)
	})
	if !found {
		n.templates = slices.Insert(n.templates, i, template{between, new(node)})
	}
	return n.templates[i].node
}

// compareTemplates puts templates with more literal text first.
func compareTemplates(a, b []string) int {
	text := func(s []string) (n int) {
		for _, t := range s {
			n += len(t)
		}
		return n
	}
	return cmp.Or(cmp.Compare(text(b), text(a)), slices.Compare(a, b))
}

func made(r **resource) *resource {
	if *r == nil {
		*r = new(resource)
	}
	return *r
}

// parseSegment returns the literal text around the variable parts of a
// segment, "{name}" or "*", in the form that paths are matched in.
func parseSegment(segment string) ([]string, error) {
	if !strings.ContainsAny(segment, "{}*") {
		literal, err := canonicalText("/", segment)
		if err == nil && literal == "" {
			err = errors.New("a segment is empty")
		}
		return []string{literal}, err
	}
	var between []string
	for rest, more := segment, true; more; {
		var text string
		var err error
		if text, rest, more, err = cutVariable(rest); err != nil {
			return nil, err
		}
		if text, err = canonicalText("/x", text); err != nil { // a dot is no dot segment here
			return nil, err
		}
		between = append(between, text)
	}
	if slices.Contains(between[1:len(between)-1], "") {
		return nil, fmt.Errorf("two variables of %q follow each other", segment)
	}
	return between, nil
}

// cutVariable returns what stands before the first variable of a segment and
// what stands after it.
func cutVariable(s string) (before, after string, found bool, err error) {
	i := strings.IndexAny(s, "{}*")
	switch {
	case i < 0:
		return s, "", false, nil
	case s[i] == '*':
		return s[:i], s[i+1:], true, nil
	}
	end := strings.IndexByte(s[i:], '}')
	if end < 2 { // not closed, not opened, or without a name
		return "", "", false, fmt.Errorf("braces in %q do not hold a name", s)
	}
	return s[:i], s[i+end+1:], true, nil
}

// canonicalText returns the canonical form of literal text in a target or a
// context, in which characters may stand raw that a request must encode. It is
// judged as if it followed lead in a path.
func canonicalText(lead, s string) (string, error) {
	const upper = "0123456789ABCDEF"
	raw := []byte(lead)
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}[]", c) >= 0 {
			raw = append(raw, '%', upper[c>>4], upper[c&15])
		} else {
			raw = append(raw, c)
		}
	}
	path, ok := policy.CanonicalPath(nil, raw)
	if !ok {
		return "", fmt.Errorf("%q can be read in more than one way", s)
	}
	return string(path[len(lead):]), nil
}
