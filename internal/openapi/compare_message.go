package openapi

import (
	"fmt"
	"slices"
	"strings"
)

// parameter is one parameter of an operation.
type parameter struct {
	id   string // by which requests tell it from others
	in   string
	name string
	node *node
}

// called names a parameter as a reader knows it.
func (p *parameter) called() string { return "The " + p.in + " parameter " + brief(p.name) }

// parametersOf returns the parameters of an operation; its own go before those of
// the path item. That of the path is known by its place in the path.
func (c *comparer) parametersOf(s *side, o *operation) (list []parameter) {
	at := map[string]int{}
	for _, n := range o.parameters {
		if n = s.resolved(n); n == nil || !c.spend(8) {
			continue
		}
		p := parameter{in: n.get("in").str(), name: n.get("name").str(), node: n}
		p.id = p.in + " " + p.name
		switch p.in {
		case "path":
			if i := slices.Index(o.variables, p.name); i >= 0 {
				p.id = fmt.Sprintf("path %d", i)
			}
		case "header":
			p.id = strings.ToLower(p.id)
			if slices.Contains([]string{"header accept", "header content-type", "header authorization"}, p.id) {
				continue // OpenAPI 3 §4.7.12.2: ignored
			}
		}
		if i, known := at[p.id]; known {
			list[i] = p
			continue
		}
		at[p.id] = len(list)
		list = append(list, p)
	}
	return list
}

// parameters compares the parameters of an operation.
func (c *comparer) parameters(b, a *operation) {
	before, after := c.parametersOf(&c.before, b), c.parametersOf(&c.after, a)
	had, has := map[string]*parameter{}, map[string]*parameter{}
	for i := range before {
		had[before[i].id] = &before[i]
	}
	byName := map[string]*parameter{} // those that are new
	for i := range after {
		has[after[i].id] = &after[i]
		if had[after[i].id] == nil && byName[after[i].name] == nil {
			byName[after[i].name] = &after[i]
		}
	}
	moved := map[string]bool{}
	for i := range before {
		p := &before[i]
		if next := has[p.id]; next != nil {
			c.parameter(p, next)
			continue
		}
		c.differs(p.node, nil, "parameter", true)
		if next := byName[p.name]; next != nil {
			moved[next.id] = true
			c.breaks("%s is in the %s now.", p.called(), next.in)
		} else {
			c.breaks("%s was removed.", p.called())
		}
	}
	for i := range after {
		p := &after[i]
		if had[p.id] != nil || moved[p.id] {
			continue
		}
		needed := isTrue(p.node.get("required"))
		c.differs(nil, p.node, "parameter", needed)
		if needed {
			c.breaks("%s is new and required.", p.called())
		}
	}
}

// isTrue reports whether a value is true.
func isTrue(n *node) bool { return n != nil && n.kind == word && n.text == "true" }

// parameter compares one parameter.
func (c *comparer) parameter(b, a *parameter) {
	was, is := isTrue(b.node.get("required")), isTrue(a.node.get("required"))
	if was != is && b.in != "path" {
		c.differs(b.node, a.node, "required", is)
		if is {
			c.breaks("%s is required now.", b.called())
		}
	}
	if old, next := written(b), written(a); old != next {
		c.differs(b.node, a.node, "style", true)
		c.breaks("%s is written in another way: %s; it was %s.", b.called(), next, old)
	}
	c.remarks(b.node, a.node, "name", "in", "required", "style", "explode", "allowReserved", "content", "schema")
	if b.node.get("content") != nil && a.node.get("content") != nil {
		c.content(b.called(), b.node, a.node, false)
		return
	}
	c.schema(listing{b.called(), nil}, b.called(), b.node.get("schema"), a.node.get("schema"), false)
}

// written says how a parameter is written into a request (OpenAPI 3 §4.7.12.2).
func written(p *parameter) string {
	if p.node.get("content") != nil {
		return "as a document"
	}
	style := short(p.node.get("style").str())
	if style == "" {
		style = "simple"
		if p.in == "query" || p.in == "cookie" {
			style = "form"
		}
	}
	if e := p.node.get("explode"); isTrue(e) || e == nil && style == "form" {
		style += " exploded"
	}
	if isTrue(p.node.get("allowReserved")) {
		style += " with reserved characters"
	}
	return style
}

// requestBody compares what an operation takes.
func (c *comparer) requestBody(b, a *operation) {
	before, after := c.before.resolved(b.node.get("requestBody")), c.after.resolved(a.node.get("requestBody"))
	was, is := isTrue(before.get("required")), isTrue(after.get("required"))
	switch {
	case before == nil && after == nil:
		return
	case before == nil:
		c.differs(b.node, after, "requestBody", is)
		if is {
			c.breaks("It has a request body now, which is required.")
		}
		return
	case after == nil:
		c.differs(before, a.node, "requestBody", true)
		c.breaks("It takes no request body any more.")
		return
	case was != is:
		c.differs(before, after, "required", is)
		if is {
			c.breaks("The request body is required now.")
		}
	}
	c.content("Request body", before, after, false)
	c.remarks(before, after, "required", "content")
}

// content compares the media types of a body, and their schemas.
func (c *comparer) content(place string, before, after *node, received bool) {
	types := func(n *node) (order []string, byType map[string]*node) {
		byType = map[string]*node{}
		for k, v := range n.get("content").members() {
			if t := strings.ToLower(strings.Join(strings.Fields(k.text), "")); byType[t] == nil && c.spend(1+len(t)) {
				byType[t] = v
				order = append(order, t)
			}
		}
		return order, byType
	}
	order, had := types(before)
	news, has := types(after)
	for _, t := range order {
		name := t
		if _, ok := has[t]; !ok {
			i := slices.IndexFunc(news, func(o string) bool { return covers(o, t) || received && covers(t, o) })
			if i < 0 {
				c.differs(before, after, t, true)
				c.breaks("%s: the media type %s was removed.", place, short(t))
				continue
			}
			name = news[i]
			c.differs(before, after, t, false)
		}
		at := place
		if len(order) > 1 || strings.HasPrefix(place, "The ") {
			at += " (" + short(t) + ")"
		}
		c.remarks(had[t], has[name], "schema")
		c.schema(listing{place, nil}, at, had[t].get("schema"), has[name].get("schema"), received)
	}
	for _, t := range news {
		if had[t] == nil {
			c.differs(before, after, t, false)
		}
	}
}

// covers reports whether a range of media types has one in it.
func covers(all, one string) bool {
	prefix, open := strings.CutSuffix(all, "*")
	return open && (prefix == "*/" || strings.HasPrefix(one, prefix))
}

// responses compares what an operation answers.
func (c *comparer) responses(b, a *operation) {
	old, next := b.node.get("responses"), a.node.get("responses")
	for k, v := range old.members() {
		if strings.HasPrefix(k.text, "x-") {
			continue
		}
		place := "Response " + short(k.text)
		before := c.before.resolved(v)
		n := c.after.member(next, k.text)
		if n == nil && len(k.text) == 3 {
			if n = c.after.member(next, k.text[:1]+"XX"); n == nil {
				n = c.after.member(next, k.text[:1]+"xx")
			}
		}
		after := c.after.resolved(n)
		if n == nil {
			c.differs(before, next, k.text, true)
			c.breaks("%s was removed.", place)
			continue
		}
		c.content(place, before, after, true)
		c.headers(place, before, after)
		c.remarks(before, after, "content", "headers")
	}
	for k := range next.members() {
		if c.before.member(old, k.text) == nil {
			c.differs(old, next, k.text, false)
		}
	}
}

// headers compares the header fields of a response.
func (c *comparer) headers(place string, before, after *node) {
	has := map[string]*node{}
	for k, v := range after.get("headers").members() {
		has[strings.ToLower(k.text)] = c.after.resolved(v)
	}
	had := map[string]bool{}
	for k, v := range before.get("headers").members() {
		name := strings.ToLower(k.text)
		had[name] = true
		b, a := c.before.resolved(v), has[name]
		if name == "content-type" || b == nil {
			continue // OpenAPI 3 §4.7.17.1: ignored
		}
		at := place + ", header " + short(k.text)
		if a == nil {
			c.differs(before, after, "header "+name, true)
			c.breaks("%s: it was removed.", at)
			continue
		}
		if was, is := isTrue(b.get("required")), isTrue(a.get("required")); was != is {
			c.differs(b, a, "required", was)
			if was {
				c.breaks("%s: it is no longer always there.", at)
			}
		}
		c.remarks(b, a, "required", "schema", "content")
		c.schema(listing{at, nil}, at, b.get("schema"), a.get("schema"), true)
	}
	for name := range has {
		if !had[name] {
			c.differs(before, after, "header "+name, false)
		}
	}
}
