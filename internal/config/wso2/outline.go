package wso2

import (
	_ "embed"
	"slices"
	"strings"
)

// The outlines list the elements a file may have, one a line, each indented two
// spaces below the element it stands in:
//
//	+Name           read: import code looks at it, and it may stand there once
//	*Name           the same, and it may be repeated
//	Name            accepted without effect
//	Name(a,b)       with the attributes a and b
//	Name = v | w    without effect; another value than v and w deserves a warning
//	Name ! reason   why it, and what is below it, has no effect
//	...             anything may stand below the element above
var (
	//go:embed carbon.outline
	carbonOutline string
	//go:embed api-manager.outline
	apiManagerOutline string
)

// rule is what an outline says of one element.
type rule struct {
	name     string
	read     bool // looked at, or holds something that is
	many     bool
	any      bool // anything may stand below
	attrs    []string
	shipped  []string // values of the original's files; nil: any
	reason   string
	children []*rule
}

// parseOutline returns the rule of the root element.
func parseOutline(text string) *rule {
	path := []*rule{{}} // from an imaginary parent of the root to the last rule
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		content := strings.TrimLeft(line, " ")
		if content == "" || content[0] == '#' {
			continue
		}
		path = path[:1+(len(line)-len(content))/2]
		parent := path[len(path)-1]
		if content == "..." {
			parent.any = true
			continue
		}
		r := parseRule(content, parent.reason)
		if r.read {
			for _, above := range path {
				above.read = true
			}
		}
		parent.children = append(parent.children, r)
		path = append(path, r)
	}
	return path[0].children[0]
}

func parseRule(content, reason string) *rule {
	r := &rule{reason: reason}
	if before, own, ok := strings.Cut(content, " ! "); ok {
		content, r.reason = before, own
	}
	name, values, ok := strings.Cut(content, " = ")
	if ok {
		r.shipped = strings.Split(values, " | ")
	}
	if mark := name[0]; mark == '+' || mark == '*' {
		r.read, r.many, name = true, mark == '*', name[1:]
	}
	if before, attrs, ok := strings.Cut(name, "("); ok {
		name, r.attrs = before, strings.Split(strings.TrimSuffix(attrs, ")"), ",")
	}
	r.name = name
	return r
}

// child returns the rule of an element below r, or nil.
func (r *rule) child(name string) *rule {
	if i := slices.IndexFunc(r.children, func(c *rule) bool { return c.name == name }); i >= 0 {
		return r.children[i]
	}
	return nil
}

func (r *rule) childNames() []string {
	names := make([]string, len(r.children))
	for i, c := range r.children {
		names[i] = c.name
	}
	return names
}

// has reports whether an element of that name stands anywhere in the outline.
func (r *rule) has(name string) bool {
	return r.name == name || slices.ContainsFunc(r.children, func(c *rule) bool { return c.has(name) })
}

// parentsOf appends the elements that name may stand in to found.
func (r *rule) parentsOf(name string, found []string) []string {
	if r.child(name) != nil {
		found = append(found, r.name)
	}
	for _, c := range r.children {
		found = c.parentsOf(name, found)
	}
	return found
}
