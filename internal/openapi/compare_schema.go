package openapi

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// view is what a schema comes to: the schemas that a value must meet all of.
type view struct {
	parts []part
	key   string
}

// part is one schema of a view.
type part struct {
	*node
	null bool // null meets it in any case
}

// pairKey names two views that are compared, and in which direction.
type pairKey struct {
	before, after string
	received      bool // callers receive it; they send it otherwise
}

// pair is two views of schemas that are compared.
type pair struct {
	pairKey
	b, a    view
	breaks  []broken
	edges   []edge
	parents []*pair
	dirty   bool // it or what it leads to has breaking changes
}

// broken is a breaking change inside of a pair.
type broken struct{ path, change string }

// edge leads from a pair to that of what it holds.
type edge struct {
	path string
	to   *pair
}

// listing is what was listed of an operation: the same schemas of two media types
// are listed once.
type listing struct {
	place string
	pair  *pair
}

// viewOf returns what schemas come to together; none: anything.
func (c *comparer) viewOf(s *side, schemas ...*node) view {
	f := flattener{c: c, s: s}
	for _, n := range schemas {
		f.add(n, false)
	}
	var key strings.Builder
	for _, p := range f.v.parts {
		id, known := c.ids[p.node]
		if !known {
			id = len(c.ids)
			c.ids[p.node] = id
		}
		fmt.Fprintf(&key, "%d %t,", id, p.null)
	}
	f.v.key = key.String()
	return f.v
}

// flattener collects the parts of a view.
type flattener struct {
	c    *comparer
	s    *side
	v    view
	seen []*node
}

// add adds a schema and what it takes in.
func (f *flattener) add(n *node, null bool) {
	if n == nil || slices.Contains(f.seen, n) || !f.c.spend(4) {
		return
	}
	if f.seen = append(f.seen, n); len(f.seen) > maxParts {
		f.c.cut = true
		return
	}
	null = null || isTrue(n.get("nullable"))
	ref := n.get("$ref").str()
	if ref == "" || len(n.kids) > 2 {
		f.v.parts = append(f.v.parts, part{n, null})
	}
	if ref != "" {
		f.add(f.s.reach(ref), null)
	}
	for _, one := range n.get("allOf").values() {
		f.add(one, null)
	}
	for _, key := range [...]string{"anyOf", "oneOf"} {
		if one, or := sole(n.get(key)); one != nil {
			f.add(one, null || or)
		}
	}
}

// sole returns the one alternative there is, and whether null is another.
func sole(alternatives *node) (one *node, null bool) {
	for _, a := range alternatives.values() {
		switch {
		case a.get("type").str() == "null":
			null = true
		case one != nil:
			return nil, false
		default:
			one = a
		}
	}
	return one, null
}

// schema compares two schemas and lists what breaks at a place of the operation;
// in.place is that without its media type.
func (c *comparer) schema(in listing, place string, before, after *node, received bool) {
	var b, a []*node
	if before != nil {
		b = []*node{before}
	}
	if after != nil {
		a = []*node{after}
	}
	root := c.pair(c.viewOf(&c.before, b...), c.viewOf(&c.after, a...), received)
	for len(c.todo) > 0 {
		p := c.todo[len(c.todo)-1]
		c.todo = c.todo[:len(c.todo)-1]
		c.look(p)
	}
	if in.pair = root; !root.dirty || c.listed[in] {
		return
	}
	c.listed[in] = true
	c.list(root, place)
}

// list lists what breaks in a pair and in what it leads to, by the shortest way.
func (c *comparer) list(root *pair, place string) {
	seen := map[*pair]bool{root: true}
	for queue := []edge{{"", root}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, b := range at.to.breaks {
			where := place
			if path := joined(at.path, b.path); path != "" {
				where += ", " + path
			}
			if c.breaks("%s: %s.", where, b.change); len(c.out.Breaking) > MaxBreaking {
				return
			}
		}
		for _, e := range at.to.edges {
			if e.to.dirty && !seen[e.to] && c.spend(1) {
				seen[e.to] = true
				queue = append(queue, edge{joined(at.path, e.path), e.to})
			}
		}
	}
}

// joined joins two places of properties.
func joined(path, next string) string {
	switch {
	case len(path)+len(next) > maxPlace:
		return strings.TrimSuffix(path, "…") + "…"
	case path == "":
		return strings.TrimPrefix(next, ".")
	}
	return path + next
}

// pair returns the pair of two views, which may be looked into later.
func (c *comparer) pair(b, a view, received bool) *pair {
	key := pairKey{b.key, a.key, received}
	p := c.pairs[key]
	if p == nil {
		p = &pair{pairKey: key, b: b, a: a}
		if len(c.pairs) >= maxPairs {
			c.cut = true
			return p
		}
		c.pairs[key] = p
		c.todo = append(c.todo, p)
	}
	return p
}

// lead makes one pair lead to another.
func (c *comparer) lead(p *pair, path string, b, a []*node) {
	to := c.pair(c.viewOf(&c.before, b...), c.viewOf(&c.after, a...), p.received)
	p.edges = append(p.edges, edge{path, to})
	to.parents = append(to.parents, p)
	if to.dirty {
		p.taint()
	}
}

// taint marks a pair, and all that lead to it, as one with breaking changes.
func (p *pair) taint() {
	for stack := []*pair{p}; len(stack) > 0; {
		top := stack[len(stack)-1]
		if stack = stack[:len(stack)-1]; !top.dirty {
			top.dirty = true
			stack = append(stack, top.parents...)
		}
	}
}

// change notes that what is taken has become narrower, wider or both.
func (c *comparer) change(p *pair, path, what string, narrower, wider bool, format string, args ...any) {
	if !narrower && !wider {
		return
	}
	breaks := narrower && !p.received || wider && p.received
	c.differs(p.b.first(), p.a.first(), path+" "+what, breaks)
	if breaks {
		p.breaks = append(p.breaks, broken{path, fmt.Sprintf(format, args...)})
		p.taint()
	}
}

// first returns the first schema of a view.
func (v *view) first() *node {
	if len(v.parts) == 0 {
		return nil
	}
	return v.parts[0].node
}

// all returns what the schemas of a view say to a keyword.
func (v *view) all(key string) (list []*node) {
	for _, p := range v.parts {
		if n := p.get(key); n != nil {
			list = append(list, n)
		}
	}
	return list
}

// look compares the two views of a pair.
func (c *comparer) look(p *pair) {
	for _, part := range slices.Concat(p.b.parts, p.a.parts) {
		if !c.spend(16 + len(part.kids)) {
			return
		}
	}
	if !c.types(p) {
		return
	}
	c.values(p)
	c.rules(p)
	c.properties(p)
	if b, a := p.b.all("items"), p.a.all("items"); len(b)+len(a) > 0 {
		c.lead(p, "[]", b, a)
	}
	c.further(p)
	c.alternatives(p)
	c.notes(p)
}

// typeNames are the types of JSON Schema; a bit stands for each.
var typeNames = []string{"string", "number", "integer", "boolean", "array", "object", "null"}

// The types that are spoken of.
const (
	typeNumber  = 1 << 1
	typeInteger = 1 << 2
	typeNull    = 1 << 6
	typeAny     = 1<<7 - 1
)

// types compares the types; false: they have nothing in common.
func (c *comparer) types(p *pair) bool {
	b, a := p.b.types(), p.a.types()
	c.change(p, "", "type", b&^a != 0, a&^b != 0, "the type is %s now; it was %s", typesOf(a), typesOf(b))
	return b&a != 0
}

// types returns the types that values may have.
func (v *view) types() int {
	all := typeAny
	for _, p := range v.parts {
		own := 0
		switch t := p.get("type"); {
		case p.kind == word && p.text == "false":
		case t == nil:
			own = typeAny
			if list, limited := p.values(); limited {
				own = 0
				for _, value := range list {
					own |= typeOf(value)
				}
			}
		case t.kind == list:
			for _, one := range t.kids {
				own |= typeNamed(one.str())
			}
		default:
			own = typeNamed(t.str())
		}
		if p.null {
			own |= typeNull
		}
		all &= own
	}
	return all
}

// typeNamed returns the type of a name; one that there is not is a text, as a
// file is.
func typeNamed(name string) int {
	i := slices.Index(typeNames, name)
	if name == "number" {
		return typeNumber | typeInteger
	}
	return 1 << max(i, 0)
}

// typeOf returns the type of a value.
func typeOf(n *node) int {
	switch {
	case n.kind == number && strings.ContainsAny(n.text, ".eE"):
		return typeNumber
	case n.kind == number:
		return typeInteger
	case n.kind == list:
		return typeNamed("array")
	case n.kind == object:
		return typeNamed("object")
	case n.kind == word && n.text == "null":
		return typeNull
	case n.kind == word:
		return typeNamed("boolean")
	}
	return typeNamed("string")
}

// typesOf names types.
func typesOf(set int) string {
	switch {
	case set == typeAny:
		return "any"
	case set == 0:
		return "none"
	case set&typeNumber != 0:
		set &^= typeInteger
	}
	names := make([]string, 0, bits.OnesCount(uint(set)))
	for i, name := range typeNames {
		if set>>i&1 != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " or ")
}

// values returns the values that enum and const allow.
func (p *part) values() (list []*node, limited bool) {
	if v := p.get("const"); v != nil {
		return []*node{v}, true
	}
	v := p.get("enum")
	return v.values(), v != nil && len(v.kids) > 0
}

// values returns the values that all schemas of a view allow, as JSON, in the
// order of the first; nil: they do not say.
func (c *comparer) allowed(v *view) (order []string) {
	for _, p := range v.parts {
		list, limited := p.values()
		if !limited {
			continue
		}
		var own []string
		in := map[string]bool{}
		for _, n := range list {
			if value := string(n.json()); !in[value] && c.spend(len(value)) {
				in[value] = true
				own = append(own, value)
			}
		}
		if p.null && !in["null"] {
			in["null"] = true
			own = append(own, "null")
		}
		if order == nil {
			order = own
		} else {
			order = slices.DeleteFunc(order, func(s string) bool { return !in[s] })
		}
	}
	return order
}

// values compares the values of enum and const.
func (c *comparer) values(p *pair) {
	b, a := c.allowed(&p.b), c.allowed(&p.a)
	switch {
	case b == nil && a == nil:
	case b == nil:
		c.change(p, "", "enum", true, false, "the only values are now %s", listedValues(a))
	case a == nil:
		c.change(p, "", "enum", false, true, "the values are no longer limited to %s", listedValues(b))
	default:
		gone, added := without(b, a), without(a, b)
		c.change(p, "", "enum less", len(gone) > 0, false, "values were removed: %s", listedValues(gone))
		c.change(p, "", "enum more", false, len(added) > 0, "values were added: %s", listedValues(added))
	}
}

// without returns what of a list is not in another.
func without(list, other []string) (left []string) {
	in := make(map[string]bool, len(other))
	for _, s := range other {
		in[s] = true
	}
	for _, s := range list {
		if !in[s] {
			left = append(left, s)
		}
	}
	return left
}

// listedValues lists values for a message, at most ten.
func listedValues(list []string) string {
	var b []string
	for i, s := range list {
		if i == 10 {
			b = append(b, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		b = append(b, short(s))
	}
	return strings.Join(b, ", ")
}
