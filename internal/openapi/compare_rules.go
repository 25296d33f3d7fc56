package openapi

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// judged are the keywords of a schema that are compared one by one; others only
// count as different.
var judged = slices.Concat([]string{
	"$ref", "allOf", "anyOf", "oneOf", "type", "nullable", "enum", "const", "properties", "required", "items", "additionalProperties", "format",
	"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "readOnly", "writeOnly", "$defs", "definitions",
}, counts, opaque)

// counts are the keywords that bound a number of things.
var counts = []string{"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}

// opaque are the keywords of which can be said only that they changed.
var opaque = []string{
	"pattern", "multipleOf", "uniqueItems", "not", "if", "then", "else", "dependentSchemas", "dependentRequired", "patternProperties", "prefixItems",
	"contains", "minContains", "maxContains", "propertyNames", "unevaluatedProperties", "unevaluatedItems", "contentEncoding", "contentMediaType", "xml",
}

// rules compares formats, bounds and what else limits a value.
func (c *comparer) rules(p *pair) {
	for _, key := range counts {
		c.bound(p, key, p.b.bound(key, ""), p.a.bound(key, ""))
	}
	c.bound(p, "minimum", p.b.bound("minimum", "exclusiveMinimum"), p.a.bound("minimum", "exclusiveMinimum"))
	c.bound(p, "maximum", p.b.bound("maximum", "exclusiveMaximum"), p.a.bound("maximum", "exclusiveMaximum"))
	c.format(p)
	for _, key := range opaque {
		b, a := c.text(&p.b, key), c.text(&p.a, key)
		switch {
		case b == a:
		case b == "":
			c.change(p, "", key, true, false, "%s is new: %s", key, short(a))
		case a == "":
			c.change(p, "", key, false, true, "%s was removed: %s", key, short(b))
		default:
			c.change(p, "", key, true, true, "%s is now %s; it was %s", key, short(a), short(b))
		}
	}
}

// text returns what a view says to a keyword, as JSON.
func (c *comparer) text(v *view, key string) string {
	var all []string
	for _, n := range v.all(key) {
		if n.kind == word && n.text == "false" && key == "uniqueItems" {
			continue
		}
		if text := string(n.json()); c.spend(len(text)) {
			all = append(all, text)
		}
	}
	return strings.Join(all, ", ")
}

// bound is one end of what a value, or a number of things, may be.
type bound struct {
	value     float64
	exclusive bool
	text      string // as the document writes it; empty: there is none
}

// String says what a bound is.
func (b bound) String() string {
	switch {
	case b.text == "":
		return "none"
	case b.exclusive:
		return short(b.text) + " (excluded)"
	}
	return short(b.text)
}

// bound returns the strictest bound of a view. exclusive is a keyword too: in
// OpenAPI 3.0 true makes the other exclude its value, in 3.1 it has a value.
func (v *view) bound(key, exclusive string) (strictest bound) {
	try := func(n *node, excluded bool) {
		if n == nil || n.kind != number {
			return
		}
		value, _ := strconv.ParseFloat(n.text, 64)
		next := bound{value, excluded, n.text}
		if narrower, _ := shifted(key, strictest, next); narrower {
			strictest = next
		}
	}
	for _, p := range v.parts {
		n := p.get(key)
		if n.scalar() == "0" && slices.Contains(counts, key) && strings.HasPrefix(key, "min") {
			continue // says nothing
		}
		try(n, exclusive != "" && isTrue(p.get(exclusive)))
		if exclusive != "" {
			try(p.get(exclusive), true)
		}
	}
	return strictest
}

// shifted reports whether a bound has become narrower or wider.
func shifted(key string, b, a bound) (narrower, wider bool) {
	switch {
	case b.text == "" || a.text == "":
		return b.text == "" && a.text != "", b.text != "" && a.text == ""
	case b.value == a.value:
		return a.exclusive && !b.exclusive, b.exclusive && !a.exclusive
	}
	up := a.value > b.value
	return up == strings.HasPrefix(key, "min"), up == strings.HasPrefix(key, "max")
}

// bound compares one bound.
func (c *comparer) bound(p *pair, key string, b, a bound) {
	narrower, wider := shifted(key, b, a)
	c.change(p, "", key, narrower, wider, "%s is %s now; it was %s", key, a, b)
}

// format compares formats.
func (c *comparer) format(p *pair) {
	of := func(v *view) string {
		if all := v.all("format"); len(all) > 0 {
			return all[0].str()
		}
		return ""
	}
	within := func(one, other string) bool {
		return other == "" || one == "int32" && other == "int64" || one == "float" && other == "double"
	}
	name := func(format string) string {
		if format == "" {
			return "free"
		}
		return short(format)
	}
	if b, a := of(&p.b), of(&p.a); b != a {
		c.change(p, "", "format", !within(b, a), !within(a, b), "the format is %s now; it was %s", name(a), name(b))
	}
}

// members are the properties of a view that go the way of a pair.
type members struct {
	order    []string
	schemas  map[string][]*node
	required map[string]bool
}

// members collects the properties of a view: who sends has none that are readOnly,
// who receives none that are writeOnly.
func (c *comparer) members(s *side, v *view, received bool) members {
	m := members{schemas: map[string][]*node{}, required: map[string]bool{}}
	away := "readOnly"
	if received {
		away = "writeOnly"
	}
	hidden := map[string]bool{}
	for _, all := range v.all("properties") {
		for k, n := range all.members() {
			if !c.spend(8 + len(k.text)) {
				return m
			}
			own := c.viewOf(s, n)
			if slices.ContainsFunc(own.all(away), isTrue) {
				hidden[k.text] = true
				continue
			}
			if m.schemas[k.text] == nil {
				m.order = append(m.order, k.text)
			}
			m.schemas[k.text] = append(m.schemas[k.text], n)
		}
	}
	for _, all := range v.all("required") {
		for _, n := range all.values() {
			if name := n.str(); !hidden[name] && c.spend(8+len(name)) {
				m.required[name] = true
				if m.schemas[name] == nil && !slices.Contains(m.order, name) {
					m.order = append(m.order, name)
				}
			}
		}
	}
	return m
}

// properties compares the properties of objects.
func (c *comparer) properties(p *pair) {
	b, a := c.members(&c.before, &p.b, p.received), c.members(&c.after, &p.a, p.received)
	for _, name := range b.order {
		path := "." + short(name)
		was, is := b.required[name], a.required[name]
		switch {
		case b.schemas[name] != nil && a.schemas[name] == nil && !is:
			c.change(p, path, "removed", true, true, "it was removed")
			continue
		case was && !is:
			c.change(p, path, "required", false, true, "it is no longer always there")
		case is && !was:
			c.change(p, path, "required", true, false, "it is required now")
		}
		if len(b.schemas[name])+len(a.schemas[name]) > 0 {
			c.lead(p, path, b.schemas[name], a.schemas[name])
		}
	}
	for _, name := range a.order {
		if b.schemas[name] != nil || b.required[name] {
			continue
		}
		if path := "." + short(name); a.required[name] && !p.received {
			c.change(p, path, "added", true, false, "it is new and required")
		} else {
			c.differs(p.b.first(), p.a.first(), path+" added", false)
		}
	}
}

// further compares what is said of properties that are not named.
func (c *comparer) further(p *pair) {
	of := func(v *view) (schemas []*node, closed bool) {
		for _, n := range v.all("additionalProperties") {
			if n.kind == word && n.text == "false" {
				closed = true
			} else if n.kind == object {
				schemas = append(schemas, n)
			}
		}
		return schemas, closed
	}
	b, was := of(&p.b)
	a, is := of(&p.a)
	switch {
	case is && !was:
		c.change(p, "", "additionalProperties", true, false, "no further properties are taken")
	case was && !is:
		c.differs(p.b.first(), p.a.first(), "additionalProperties", false)
	case !is && len(b)+len(a) > 0:
		c.lead(p, "{}", b, a)
	}
}

// choices returns the alternatives of a view, but for those that are no choice.
func (v *view) choices() (list []*node) {
	for _, key := range [...]string{"oneOf", "anyOf"} {
		for _, n := range v.all(key) {
			if one, _ := sole(n); one == nil {
				list = append(list, n.values()...)
			}
		}
	}
	return list
}

// alternatives compares what oneOf and anyOf offer. Alternatives are the same that
// have the same reference, title or text; as many others are taken in their order.
func (c *comparer) alternatives(p *pair) {
	b, a := p.b.choices(), p.a.choices()
	if len(b) == 0 || len(a) == 0 {
		c.change(p, "", "alternatives", len(a) > 0, len(b) > 0, "there are %d alternatives now; there were %d", len(a), len(b))
		return
	}
	known := map[string]*node{}
	for _, n := range a {
		known[c.identity(n)] = n
	}
	var gone, added []*node
	met := map[*node]bool{}
	for _, n := range b {
		if other := known[c.identity(n)]; other != nil && !met[other] {
			met[other] = true
			c.lead(p, "", []*node{n}, []*node{other})
			continue
		}
		gone = append(gone, n)
	}
	for _, n := range a {
		if !met[n] {
			added = append(added, n)
		}
	}
	if len(gone) == len(added) {
		for i := range gone {
			c.lead(p, "", gone[i:i+1], added[i:i+1])
		}
		return
	}
	for _, n := range gone {
		c.change(p, "", "without "+c.identity(n), true, false, "the alternative %s was removed", short(c.identity(n)))
	}
	for _, n := range added {
		c.change(p, "", "with "+c.identity(n), false, true, "the alternative %s was added", short(c.identity(n)))
	}
}

// identity returns what an alternative is known by.
func (c *comparer) identity(n *node) string {
	for _, key := range [...]string{"$ref", "title"} {
		if name := n.get(key).str(); name != "" {
			return name[strings.LastIndexByte(name, '/')+1:]
		}
	}
	text := string(n.json())
	c.spend(len(text))
	return text
}

// notes counts what else differs: descriptions, examples, defaults, extensions.
func (c *comparer) notes(p *pair) {
	seen := map[string]bool{}
	for _, part := range slices.Concat(p.b.parts, p.a.parts) {
		for k := range part.members() {
			if seen[k.text] || slices.Contains(judged, k.text) {
				continue
			}
			seen[k.text] = true
			if c.text(&p.b, k.text) != c.text(&p.a, k.text) {
				c.differs(p.b.first(), p.a.first(), fmt.Sprintf("note %s", k.text), false)
			}
		}
	}
}
