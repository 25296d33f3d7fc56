package openapi

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
)

// defaultScheme is the security scheme that Apply writes scopes into, as WSO2
// names it.
const defaultScheme = "default"

// Over returns the operations and scopes that a document gives to an API that
// has had some: what the document does not say of an operation (auth type,
// tier, scopes) or of a scope (display name, roles) stays as it was.
func (d *Definition) Over(operations []sluice.Operation, scopes []sluice.Scope) ([]sluice.Operation, []sluice.Scope) {
	had := make(map[string]sluice.Operation, len(operations))
	for _, o := range operations {
		had[o.Verb+" "+o.Target] = o
	}
	result := slices.Clone(d.Scopes)
	for _, old := range scopes {
		i := slices.IndexFunc(result, func(s sluice.Scope) bool { return s.Name == old.Name })
		if i < 0 {
			continue
		}
		result[i].DisplayName = old.DisplayName
		if len(result[i].Roles) == 0 {
			result[i].Roles = old.Roles
		}
	}
	merged := make([]sluice.Operation, len(d.Operations))
	for i, o := range d.Operations {
		key := o.Verb + " " + o.Target
		old, known := had[key]
		said := d.said[key]
		if known && !said.auth {
			o.Auth = old.Auth
		}
		if known && !said.tier {
			o.Tier = old.Tier
		}
		if known && !said.scopes {
			o.Scopes = old.Scopes
			result = defined(result, o.Scopes, scopes)
		}
		if o.Auth == sluice.AuthNone {
			o.Scopes = nil
		}
		merged[i] = o
	}
	return merged, result
}

// defined returns scopes with those that are needed added from what there was.
func defined(scopes []sluice.Scope, needed []string, from []sluice.Scope) []sluice.Scope {
	for _, name := range needed {
		is := func(s sluice.Scope) bool { return s.Name == name }
		if i := slices.IndexFunc(from, is); i >= 0 && !slices.ContainsFunc(scopes, is) {
			scopes = append(scopes, from[i])
		}
	}
	return scopes
}

// Apply returns the definition of an API with the API's operations and scopes
// in it, and none else; without a definition a new one. What the definition
// says beside them stays. Read of it gives those operations and scopes.
func Apply(a *sluice.API) ([]byte, error) {
	r := &reader{ctx: context.Background()} // a stored definition was read before: it is short enough
	root := newObject("openapi", "3.0.3", "info", newObject("title", a.Name, "version", a.Version), "paths", newObject())
	if a.Description != "" {
		root.get("info").set("description", newText(a.Description))
	}
	if len(a.Definition) > 0 {
		if root = r.parse(a.Definition); root == nil {
			return nil, r.err()
		}
	}
	applyScopes(root, a.Scopes)
	w := writer{root: root, paths: root.sub("paths"), items: map[string]*node{}, oauth: oauthSchemes(root), security: root.get("security")}
	w.operations(a.Operations)
	return root.json(), nil
}

// applyScopes makes the scopes of all OAuth flows those of the API.
func applyScopes(root *node, scopes []sluice.Scope) {
	wanted := make(map[string]sluice.Scope, len(scopes))
	for _, s := range scopes {
		wanted[s.Name] = s
	}
	missing := maps.Clone(wanted)
	for _, flow := range flows(root) {
		names := flow.sub("scopes")
		names.remove(func(name string, _ *node) bool { _, keep := wanted[name]; return !keep })
		for name := range names.members() {
			describe(flow, wanted[name.text])
			delete(missing, name.text)
		}
	}
	if len(missing) == 0 {
		return
	}
	schemes := root.sub("components").sub("securitySchemes")
	scheme := schemes.get(defaultScheme)
	if scheme == nil || scheme.get("type").str() != "oauth2" {
		scheme = newObject("type", "oauth2", "flows", newObject("implicit", newObject("authorizationUrl", "https://localhost/authorize", "scopes", newObject())))
		name := defaultScheme
		for schemes.get(name) != nil {
			name += "_oauth2"
		}
		schemes.set(name, scheme)
	}
	flow := scheme.sub("flows")
	if len(flow.kids) == 0 {
		flow.set("implicit", newObject("authorizationUrl", "https://localhost/authorize"))
	}
	flow = flow.sub(flow.kids[0].text)
	for _, s := range scopes {
		if _, add := missing[s.Name]; add {
			describe(flow, s)
		}
	}
}

// describe writes one scope into a flow.
func describe(flow *node, s sluice.Scope) {
	flow.sub("scopes").set(s.Name, newText(s.Description))
	switch bindings := flow.get(bindingsKey); {
	case len(s.Roles) > 0:
		flow.sub(bindingsKey).set(s.Name, newText(strings.Join(s.Roles, ",")))
	case bindings != nil && bindings.kind == object:
		bindings.remove(func(name string, _ *node) bool { return name == s.Name })
	}
}

// writer writes operations into a document.
type writer struct {
	root     *node
	paths    *node
	items    map[string]*node // path items, by path
	oauth    map[string]bool
	security *node
}

// operations makes the operations of the document those of the list.
func (w *writer) operations(operations []sluice.Operation) {
	wanted := make(map[string]bool, len(operations))
	for _, o := range operations {
		wanted[o.Verb+" "+o.Target] = true
	}
	follow := checker{root: w.root, indexes: map[*node]map[string]*node{}}
	for path, item := range w.paths.members() {
		for range maxChain { // what a path refers to becomes its own
			ref := item.get("$ref").str()
			if ref == "" {
				break
			}
			item.remove(func(key string, _ *node) bool { return key == "$ref" })
			for k, v := range follow.reach(ref).members() {
				if item.get(k.text) == nil {
					item.kids = append(item.kids, newText(k.text), v.clone())
				}
			}
		}
		w.items[path.text] = item
	}
	w.paths.remove(func(path string, item *node) bool {
		if strings.HasPrefix(path, "x-") || item.kind != object {
			return false
		}
		had, has := false, false
		item.remove(func(key string, _ *node) bool {
			if !slices.Contains(verbs, key) {
				return false
			}
			keep := wanted[strings.ToUpper(key)+" "+path]
			had, has = true, has || keep
			return !keep
		})
		if had && !has {
			delete(w.items, path)
			return true
		}
		return false
	})
	for _, o := range operations {
		w.operation(&o)
	}
}

// operation writes one operation, where what stands there says something else.
func (w *writer) operation(o *sluice.Operation) {
	item := w.items[o.Target]
	if item == nil {
		item = newObject()
		w.paths.kids = append(w.paths.kids, newText(o.Target), item)
		w.items[o.Target] = item
	}
	verb := strings.ToLower(o.Verb)
	n := item.get(verb)
	if n == nil || n.kind != object {
		n = newObject("responses", newObject("200", newObject("description", "OK")))
		if parameters := variables(o.Target, item); len(parameters.kids) > 0 {
			n.set("parameters", parameters)
		}
		item.set(verb, n)
	}
	security := n.get("security")
	if security == nil {
		security = w.security
	}
	if o.Auth != sluice.AuthNone && !slices.Equal(neededScopes(security, w.oauth), o.Scopes) {
		w.require(n, o.Scopes)
	}
	if auth, _ := authOf(n); auth != o.Auth {
		for _, a := range authNames {
			if a.auth == o.Auth {
				n.set(authKey, newText(a.name))
				break
			}
		}
	}
	if tier := n.get(tierKey).str(); tier != o.Tier && (o.Tier != "" || tier != sluice.Unlimited) {
		if o.Tier == "" {
			n.set(tierKey, newText(sluice.Unlimited))
		} else {
			n.set(tierKey, newText(o.Tier))
		}
	}
}

// require makes an operation ask for scopes.
func (w *writer) require(n *node, scopes []string) {
	name := ""
	for scheme := range w.root.find("components", "securitySchemes").members() {
		if w.oauth[scheme.text] && (name == "" || strings.HasPrefix(scheme.text, defaultScheme)) {
			name = scheme.text
		}
	}
	if name == "" && len(scopes) == 0 {
		n.remove(func(key string, _ *node) bool { return key == "security" })
		return
	}
	needs := newList()
	for _, s := range scopes {
		needs.kids = append(needs.kids, newText(s))
	}
	n.set("security", newList(newObject(name, needs)))
}

// variables returns the parameters that a new operation needs for the variables
// of its path, without those that the path item has.
func variables(target string, item *node) *node {
	list := newList()
	for _, rest := range strings.Split(target, "{")[1:] {
		name, _, closed := strings.Cut(rest, "}")
		known := slices.ContainsFunc(item.get("parameters").values(), func(p *node) bool {
			return p.get("name").str() == name && p.get("in").str() == "path"
		})
		if closed && name != "" && !known {
			list.kids = append(list.kids, newObject("name", name, "in", "path", "required", &node{kind: word, text: "true"}, "schema", newObject("type", "string")))
		}
	}
	return list
}
