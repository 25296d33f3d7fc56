package openapi

import (
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
)

// Keys of an operation that say what OpenAPI has no word for. The first two
// are WSO2's.
const (
	authKey = "x-auth-type"
	tierKey = "x-throttling-tier"
)

// verbs are the keys of a path item that a gateway serves.
var verbs = []string{"get", "post", "put", "delete", "patch", "options", "head"}

// authNames are the names of auth types as documents write them, the first that
// Apply writes; in lower case they are compared.
var authNames = []struct {
	name string
	auth sluice.AuthType
}{
	{"Application & Application User", sluice.AuthAny},
	{"Any", sluice.AuthAny},
	{"Application", sluice.AuthApplication},
	{"Application User", sluice.AuthUser},
	{"Application_User", sluice.AuthUser},
	{"None", sluice.AuthNone},
}

// pathReader reads the operations of a document.
type pathReader struct {
	*reader
	follow   checker
	forms    map[string]*node // paths by the requests they stand for
	oauth    map[string]bool
	security *node    // of the whole document
	assumed  []string // the scopes of that
	needed   int      // scopes of all operations together
	d        *Definition
}

// operations lists the operations of the document in its order. An operation
// with an empty security list, or x-auth-type None, needs no token.
func (r *reader) operations(root *node, d *Definition) {
	paths := root.get("paths")
	if paths == nil || paths.kind != object {
		r.refuse(orRoot(paths, root), "The definition has no paths.")
		return
	}
	p := pathReader{
		reader: r, follow: checker{root: root, indexes: map[*node]map[string]*node{}}, forms: map[string]*node{},
		oauth: oauthSchemes(root), security: root.get("security"), d: d,
	}
	p.needList(root, "security")
	p.assumed = neededScopes(p.security, p.oauth)
	d.said = map[string]stated{}
	for k, item := range paths.members() {
		if strings.HasPrefix(k.text, "x-") {
			continue
		}
		p.path(k)
		if p.item(k, item, 0); p.found > maxProblems || len(d.Operations) >= sluice.MaxOperations && p.failed() || p.needed > maxNeeded || p.over() {
			return
		}
	}
}

// path refuses a path that no gateway can serve, and one that stands for the
// same requests as another.
func (p *pathReader) path(k *node) {
	form, problem := canonical(k.text)
	if problem != "" {
		p.refuse(k, "The path %s %s.", brief(k.text), problem)
		return
	}
	if other := p.forms[form]; other != nil {
		p.refuse(k, "The path %s stands for the same requests as %s in line %d.", brief(k.text), brief(other.text), other.line)
		return
	}
	p.forms[form] = k
}

// maxChain is how many references a path item may be away.
const maxChain = 10

// item reads the operations of a path item, and of what it refers to.
func (p *pathReader) item(path, item *node, chain int) {
	if item.kind != object {
		p.refuse(item, "The path %s must hold an object.", brief(path.text))
		return
	}
	p.parameters(item)
	for k, o := range item.members() {
		verb := strings.ToLower(k.text)
		switch known := slices.Contains(verbs, verb); {
		case verb == "trace", verb == "query" && o.kind == object:
			p.refuse(k, "The verb %s at %s cannot be published.", strings.ToUpper(verb), brief(path.text))
		case known && k.text != verb:
			p.refuse(k, "Verbs are written in lower case: %s.", verb)
		case known:
			p.operation(strings.ToUpper(verb), path, k, o)
		}
	}
	ref := item.get("$ref").str()
	if ref == "" {
		return
	}
	to := p.follow.reach(ref)
	if to == nil || to == item || chain >= maxChain {
		p.refuse(item.get("$ref"), "The path %s refers to itself, or over too many others.", brief(path.text))
		return
	}
	p.item(path, to, chain+1)
}

// operation reads one operation.
func (p *pathReader) operation(verb string, path, k, o *node) {
	if o.kind != object {
		p.refuse(o, "%s %s must be an object.", verb, brief(path.text))
		return
	}
	if len(p.d.Operations) == sluice.MaxOperations {
		p.refuse(k, "The definition has more than %d operations.", sluice.MaxOperations)
	}
	p.parameters(o)
	if v := o.get("responses"); v != nil && v.kind != object {
		p.refuse(v, "The responses of %s %s must be an object.", verb, brief(path.text))
	}
	if v := o.get("operationId"); v != nil && v.kind != text {
		p.refuse(v, "The operationId of %s %s must be a text.", verb, brief(path.text))
	}
	p.needList(o, "security")
	said := stated{scopes: o.get("security") != nil || len(p.security.values()) > 0, tier: o.get(tierKey) != nil}
	op := sluice.Operation{Verb: verb, Target: path.text, Tier: o.get(tierKey).str()}
	if op.Tier == sluice.Unlimited {
		op.Tier = ""
	}
	op.Auth, said.auth = authOf(o)
	if op.Auth != sluice.AuthNone {
		if op.Scopes = p.assumed; o.get("security") != nil {
			op.Scopes = neededScopes(o.get("security"), p.oauth)
		}
		if p.needed += len(op.Scopes); p.needed > maxNeeded {
			p.refuse(k, "The operations ask for more than %d scopes together.", maxNeeded)
			return
		}
	}
	key := verb + " " + path.text
	if _, twice := p.d.said[key]; twice {
		p.refuse(k, "%s %s is defined twice: here, and by what the path refers to.", verb, brief(path.text))
		return
	}
	p.d.said[key] = said
	p.d.Operations = append(p.d.Operations, op)
}

// parameters checks the parameters of an operation or a path item.
func (p *pathReader) parameters(n *node) {
	p.needList(n, "parameters")
	for _, v := range n.get("parameters").values() {
		if v.get("$ref").str() != "" {
			continue
		}
		switch v.get("in").str() {
		case "path", "query", "header", "cookie":
		default:
			p.refuse(v, "A parameter is an object that is in path, query, header or cookie.")
			continue
		}
		if v.get("name").str() == "" {
			p.refuse(v, "A parameter needs a name.")
		}
	}
}

// needList refuses a member that is there and no list of objects.
func (p *pathReader) needList(n *node, key string) {
	v := n.get(key)
	if v == nil {
		return
	}
	if v.kind != list {
		p.refuse(v, "%s must be a list.", key)
	}
	for _, e := range v.values() {
		if e.kind != object {
			p.refuse(e, "%s must be a list of objects.", key)
		}
	}
}

// reach returns what a reference within the document leads to.
func (c *checker) reach(ref string) *node {
	pointer, err := url.PathUnescape(strings.TrimPrefix(ref, "#"))
	if err != nil || !strings.HasPrefix(ref, "#") || !strings.HasPrefix(pointer, "/") {
		return nil
	}
	return c.follow(pointer)
}

// authOf says which tokens an operation takes, and whether the document says so.
func authOf(o *node) (auth sluice.AuthType, said bool) {
	name := o.get(authKey).str()
	for _, a := range authNames {
		if strings.EqualFold(a.name, name) {
			return a.auth, true
		}
	}
	security := o.get("security")
	switch list := security.values(); {
	case security == nil:
		return sluice.AuthAny, false
	case len(list) == 0, len(list) == 1 && len(list[0].kids) == 0:
		return sluice.AuthNone, true
	}
	return sluice.AuthAny, false
}
