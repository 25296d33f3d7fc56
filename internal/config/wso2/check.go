package wso2

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-api/sluice/internal/config"
)

// checker holds a file's elements against its outline: what is not known is
// refused, what has no effect is said.
type checker struct {
	file     string
	outline  *rule
	problems []config.Problem
	warnings []string

	idle      int      // leaf elements without effect
	idleNames []string // the outermost elements they stand in, in order
}

func (c *checker) problem(line int, format string, args ...any) {
	c.problems = append(c.problems, config.Problem{File: c.file, Line: line, Text: fmt.Sprintf(format, args...)})
}

func (c *checker) warn(line int, format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf("%s:%d: %s", c.file, line, fmt.Sprintf(format, args...)))
}

// check goes through the whole file.
func (c *checker) check(root *element) {
	if root.name != c.outline.name {
		c.problem(root.line, "the file must begin with the element %s, not %s", c.outline.name, root.name)
		return
	}
	c.element(root, c.outline, "", "")
	switch {
	case c.idle == 1:
		c.warnings = append(c.warnings, fmt.Sprintf("%s: 1 other element has no effect in Sluice: %s", c.file, c.idleNames[0]))
	case c.idle > 1:
		c.warnings = append(c.warnings, fmt.Sprintf("%s: %d other elements have no effect in Sluice: %s",
			c.file, c.idle, strings.Join(c.idleNames, ", ")))
	}
}

// element checks e and what is below it. The path is that of e below the root;
// idleIn is the outermost element without effect that e stands in, or "".
func (c *checker) element(e *element, r *rule, path, idleIn string) {
	c.attributes(e, r)
	if idleIn == "" && !r.read {
		idleIn = path
	}
	if len(e.children) > 0 || len(r.children) > 0 && r.read {
		for _, t := range e.texts {
			c.warn(t.line, "text %.40q between elements is ignored", strings.TrimSpace(t.value))
		}
	}
	if len(e.children) == 0 {
		c.leaf(e, r, path, idleIn)
		return
	}
	seen := make(map[string]bool)
	for _, child := range e.children {
		known := r.child(child.name)
		switch {
		case known == nil && r.any:
			known = &rule{name: child.name, any: true}
		case known == nil:
			c.unknown(child, e, r)
			continue
		case seen[child.name] && known.read && !known.many:
			c.problem(child.line, "%s is given twice", child.name)
			continue
		}
		seen[child.name] = true
		c.element(child, known, strings.TrimPrefix(path+"/"+child.name, "/"), idleIn)
	}
}

// leaf counts an element without effect, or warns of one that was changed.
func (c *checker) leaf(e *element, r *rule, path, idleIn string) {
	if idleIn == "" {
		return
	}
	if r.shipped != nil && e.text() != "" && !slices.Contains(r.shipped, e.text()) {
		c.warn(e.line, "%s has no effect: %s", path, r.reason)
		return
	}
	c.idle++
	if !slices.Contains(c.idleNames, idleIn) {
		c.idleNames = append(c.idleNames, idleIn)
	}
}

func (c *checker) unknown(e, in *element, r *rule) {
	hint := ""
	if near := config.Nearest(e.name, r.childNames()); near != "" {
		hint = "; did you mean " + near + "?"
	} else if parents := c.outline.parentsOf(e.name, nil); len(parents) == 1 || len(parents) == 2 {
		hint = "; it belongs in " + strings.Join(parents, " or ")
	}
	c.problem(e.line, "unknown element %s in %s%s", e.name, in.name, hint)
}

func (c *checker) attributes(e *element, r *rule) {
	seen := make(map[string]bool)
	for _, a := range e.attrs {
		name := a.Name.Local
		switch {
		case name == "xmlns", a.Name.Space == "xmlns", name == secretAlias, r.any:
		case !slices.Contains(r.attrs, name):
			hint := ""
			if near := config.Nearest(name, r.attrs); near != "" {
				hint = "; did you mean " + near + "?"
			}
			c.problem(e.line, "unknown attribute %s in %s%s", name, e.name, hint)
		case seen[name]:
			c.problem(e.line, "%s is given twice", name)
		}
		seen[name] = true
	}
}
