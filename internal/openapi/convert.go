package openapi

import (
	"slices"
	"strings"
)

// converter makes OpenAPI 3.0 of a document of OpenAPI 2.0. It changes no node
// of the document, of which aliases may have made parts appear twice.
type converter struct {
	*reader
	parameters         *node // that the document shares
	consumes, produces *node
}

// convert returns a document of OpenAPI 2.0 as one of OpenAPI 3.0.
func (r *reader) convert(root *node) *node {
	c := converter{reader: r, parameters: root.get("parameters"), consumes: root.get("consumes"), produces: root.get("produces")}
	out := newObject("openapi", "3.0.3")
	components := newObject()
	for k, v := range root.members() {
		switch k.text {
		case "swagger", "host", "basePath", "schemes", "consumes", "produces":
		case "paths":
			out.kids = append(out.kids, k, each(v, func(_ string, item *node) *node { return c.pathItem(item) }))
		case "definitions":
			components.set("schemas", each(v, func(_ string, s *node) *node { return c.schema(s) }))
		case "parameters":
			shared := each(v, func(_ string, p *node) *node { return c.parameter(p) })
			shared.remove(func(name string, _ *node) bool { return isBody(v.get(name)) })
			components.set("parameters", shared)
		case "responses":
			components.set("responses", each(v, func(_ string, s *node) *node { return c.response(s, c.produces) }))
		case "securityDefinitions":
			components.set("securitySchemes", each(v, func(_ string, s *node) *node { return securityScheme(s) }))
		default:
			out.kids = append(out.kids, k, v)
		}
	}
	if servers := serversOf(root); len(servers.kids) > 0 {
		out.set("servers", servers)
	}
	if len(components.kids) > 0 {
		out.set("components", components)
	}
	return out
}

// each returns a copy of an object with f applied to its values; what is no
// object stays as it is, to be refused later.
func each(n *node, f func(key string, value *node) *node) *node {
	if n.kind != object {
		return n
	}
	out := &node{kind: object, line: n.line, at: n.at, kids: make([]*node, 0, len(n.kids))}
	for k, v := range n.members() {
		out.kids = append(out.kids, k, f(k.text, v))
	}
	return out
}

// eachOf is each for lists.
func eachOf(n *node, f func(*node) *node) *node {
	if n.kind != list {
		return n
	}
	out := &node{kind: list, line: n.line, at: n.at, kids: make([]*node, 0, len(n.kids))}
	for _, v := range n.kids {
		out.kids = append(out.kids, f(v))
	}
	return out
}

// serversOf returns the addresses that host, basePath and schemes make.
func serversOf(root *node) *node {
	host, base := root.get("host").str(), root.get("basePath").str()
	servers := newList()
	if host == "" {
		if base != "" {
			servers.kids = append(servers.kids, newObject("url", base))
		}
		return servers
	}
	schemes := root.get("schemes").values()
	if len(schemes) == 0 {
		schemes = []*node{newText("https")}
	}
	for _, s := range schemes {
		servers.kids = append(servers.kids, newObject("url", s.str()+"://"+host+base))
	}
	return servers
}

// reference returns where a reference leads after the conversion.
func (c *converter) reference(v *node) *node {
	for _, place := range []struct{ from, to string }{
		{"#/definitions/", "#/components/schemas/"}, {"#/parameters/", "#/components/parameters/"}, {"#/responses/", "#/components/responses/"},
	} {
		if rest, ok := strings.CutPrefix(v.text, place.from); ok {
			return &node{text: place.to + rest, line: v.line, at: v.at}
		}
	}
	if rest, ok := strings.CutPrefix(v.text, "#/paths/"); ok && strings.Contains(rest, "/") {
		c.refuse(v, "The reference %s leads into an operation, which is converted from OpenAPI 2.0; name what it leads to in definitions.", brief(v.text))
	}
	return v
}

func (c *converter) pathItem(item *node) *node {
	shared := item.get("parameters")
	out := each(item, func(key string, v *node) *node {
		switch {
		case key == "$ref":
			return c.reference(v)
		case key == "parameters":
			return c.plain(v)
		case slices.Contains(verbs, key):
			return c.operation(v, shared)
		}
		return v
	})
	return out
}

// plain returns the parameters of a list that OpenAPI 3 calls parameters, too.
func (c *converter) plain(parameters *node) *node {
	out := eachOf(parameters, c.parameter)
	if parameters.kind == list {
		kept := out.kids[:0]
		for i, p := range parameters.kids {
			if !isBody(c.resolved(p)) {
				kept = append(kept, out.kids[i])
			}
		}
		out.kids = kept
	}
	return out
}

// resolved returns the parameter that a reference leads to.
func (c *converter) resolved(p *node) *node {
	if name, ok := strings.CutPrefix(p.get("$ref").str(), "#/parameters/"); ok {
		return c.parameters.get(strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~"))
	}
	return p
}

func isBody(p *node) bool {
	in := p.get("in").str()
	return in == "body" || in == "formData"
}

func (c *converter) operation(o, shared *node) *node {
	if o.kind != object {
		return o
	}
	consumes, produces := c.consumes, c.produces
	if v := o.get("consumes"); v != nil {
		consumes = v
	}
	if v := o.get("produces"); v != nil {
		produces = v
	}
	out := each(o, func(key string, v *node) *node {
		switch key {
		case "parameters":
			return c.plain(v)
		case "responses":
			return each(v, func(_ string, s *node) *node { return c.response(s, produces) })
		}
		return v
	})
	out.remove(func(key string, _ *node) bool { return key == "consumes" || key == "produces" || key == "schemes" })
	var body []*node
	for _, p := range slices.Concat(o.get("parameters").values(), shared.values()) {
		if p = c.resolved(p); isBody(p) {
			body = append(body, p)
		}
	}
	if len(body) > 0 {
		out.set("requestBody", c.requestBody(body, consumes))
	}
	return out
}

// requestBody makes one body of a parameter in body, or of those in formData.
func (c *converter) requestBody(parameters []*node, consumes *node) *node {
	first := parameters[0]
	if first.get("in").str() == "body" {
		out := newObject()
		if d := first.get("description"); d != nil {
			out.set("description", d)
		}
		schema := newObject()
		if s := first.get("schema"); s != nil {
			schema = c.schema(s)
		}
		out.set("content", content(consumes, []string{"application/json"}, newObject("schema", schema)))
		if r := first.get("required"); r != nil {
			out.set("required", r)
		}
		return out
	}
	properties, required, media := newObject(), newList(), "application/x-www-form-urlencoded"
	for _, p := range parameters {
		name := p.get("name").str()
		if p.get("in").str() != "formData" || name == "" || properties.get(name) != nil {
			continue
		}
		schema := c.parameterSchema(p)
		if d := p.get("description"); d != nil {
			schema.set("description", d)
		}
		if p.get("type").str() == "file" {
			media = "multipart/form-data"
		}
		if p.get("required").scalar() == "true" {
			required.kids = append(required.kids, newText(name))
		}
		properties.set(name, schema)
	}
	schema := newObject("type", "object", "properties", properties)
	if len(required.kids) > 0 {
		schema.set("required", required)
	}
	return newObject("content", content(consumes, []string{media}, newObject("schema", schema)))
}

// content returns an object with a value for each media type.
func content(types *node, unset []string, value *node) *node {
	out := newObject()
	for _, t := range types.values() {
		if t.str() != "" {
			out.set(t.text, value)
		}
	}
	if len(out.kids) == 0 {
		for _, t := range unset {
			out.set(t, value)
		}
	}
	return out
}

// parameterKeys are the members of a parameter that are not its schema's.
var parameterKeys = []string{"name", "in", "description", "required", "allowEmptyValue"}

func (c *converter) parameter(p *node) *node {
	if p.kind != object {
		return p
	}
	if ref := p.get("$ref"); ref.str() != "" {
		return newObject("$ref", c.reference(ref))
	}
	out := &node{kind: object, line: p.line, at: p.at}
	for k, v := range p.members() {
		if slices.Contains(parameterKeys, k.text) || strings.HasPrefix(k.text, "x-") {
			out.kids = append(out.kids, k, v)
		}
	}
	if p.get("type") != nil {
		out.set("schema", c.parameterSchema(p))
	}
	in := p.get("in").str()
	explode := func(is string) { out.set("explode", &node{kind: word, text: is}) }
	switch p.get("collectionFormat").str() {
	case "multi":
		explode("true")
	case "ssv":
		out.set("style", newText("spaceDelimited"))
	case "pipes":
		out.set("style", newText("pipeDelimited"))
	case "csv", "":
		if p.get("type").str() == "array" && in == "query" {
			explode("false")
		}
	}
	return out
}

// parameterSchema returns what a parameter, or a header, says of its value.
func (c *converter) parameterSchema(p *node) *node {
	out := c.schema(p)
	out.remove(func(key string, _ *node) bool {
		return slices.Contains(parameterKeys, key) || key == "collectionFormat" || strings.HasPrefix(key, "x-") && key != "x-nullable"
	})
	return out
}

func (c *converter) response(s, produces *node) *node {
	if s.kind != object {
		return s
	}
	if ref := s.get("$ref"); ref.str() != "" {
		return newObject("$ref", c.reference(ref))
	}
	out := &node{kind: object, line: s.line, at: s.at}
	for k, v := range s.members() {
		switch k.text {
		case "headers":
			out.kids = append(out.kids, k, each(v, func(_ string, h *node) *node { return c.header(h) }))
		case "schema":
			out.set("content", content(produces, []string{"application/json"}, newObject("schema", c.schema(v))))
		case "examples":
		default:
			out.kids = append(out.kids, k, v)
		}
	}
	for media, example := range s.get("examples").members() {
		all := out.sub("content")
		is := newObject()
		for k, v := range all.get(media.text).members() { // which content shares among media types
			is.kids = append(is.kids, k, v)
		}
		is.set("example", example)
		all.set(media.text, is)
	}
	if out.get("description") == nil {
		out.set("description", newText(""))
	}
	return out
}

func (c *converter) header(h *node) *node {
	if h.kind != object {
		return h
	}
	out := newObject()
	if d := h.get("description"); d != nil {
		out.set("description", d)
	}
	out.set("schema", c.parameterSchema(h))
	return out
}

// schema converts a schema and those inside of it.
func (c *converter) schema(n *node) *node {
	out := each(n, func(key string, v *node) *node {
		switch key {
		case "$ref":
			if v.kind == text {
				return c.reference(v)
			}
		case "properties", "patternProperties":
			return each(v, func(_ string, s *node) *node { return c.schema(s) })
		case "items", "additionalProperties", "not":
			return c.schema(v)
		case "allOf", "anyOf", "oneOf":
			return eachOf(v, c.schema)
		case "discriminator":
			if v.kind == text {
				return newObject("propertyName", v)
			}
		case "type":
			if v.str() == "file" {
				return newText("string")
			}
		}
		return v
	})
	if n.kind == object && n.get("type").str() == "file" {
		out.set("format", newText("binary"))
	}
	if v := n.get("x-nullable"); v.scalar() == "true" {
		out.set("nullable", v)
	}
	return out
}

// securityScheme converts one of securityDefinitions.
func securityScheme(s *node) *node {
	kind := s.get("type").str()
	if s.kind != object || kind != "basic" && kind != "oauth2" {
		return s
	}
	out := newObject("type", "http", "scheme", "basic")
	if kind == "oauth2" {
		flow := newObject()
		for _, key := range []string{"authorizationUrl", "tokenUrl", "scopes", bindingsKey} {
			if v := s.get(key); v != nil {
				flow.set(key, v)
			}
		}
		if flow.get("scopes") == nil {
			flow.set("scopes", newObject())
		}
		name := s.get("flow").str()
		switch name {
		case "application":
			name = "clientCredentials"
		case "accessCode":
			name = "authorizationCode"
		}
		out = newObject("type", "oauth2", "flows", newObject(name, flow))
	}
	for k, v := range s.members() {
		if k.text == "description" || strings.HasPrefix(k.text, "x-") && k.text != bindingsKey {
			out.set(k.text, v)
		}
	}
	return out
}
