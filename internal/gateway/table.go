package gateway

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/policy"
)

// maxContextSegments is how many path segments a context, version included, may
// have.
const maxContextSegments = 16

// table leads from a request to the API that answers it. It is immutable once
// it serves.
type table struct {
	hosts    map[string]*host // by name in lower case
	fallback *host            // answers every other name: the first vhost of the environment; nil: not known
}

// host holds the APIs of one vhost.
type host struct {
	name    string
	context string            // path before the APIs' own; often empty
	routes  map[string]*route // by context
	depth   int               // most segments of a context
}

func newTable(e *artifact.Environment) (*table, error) {
	t := &table{hosts: make(map[string]*host)}
	if e == nil {
		return t, nil
	}
	for i := range e.Vhosts {
		v := &e.Vhosts[i]
		h := t.host(v.Host)
		if trimmed := strings.Trim(v.Context, "/"); trimmed != "" {
			context, err := canonicalText("", "/"+trimmed)
			if err != nil {
				return nil, fmt.Errorf("context of vhost %s: %w", v.Host, err)
			}
			h.context = context
		}
		if i == 0 {
			t.fallback = h
		}
	}
	return t, nil
}

// host returns the host of a name, made where it is missing.
func (t *table) host(name string) *host {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	h := t.hosts[name]
	if h == nil {
		h = &host{name: name, routes: make(map[string]*route)}
		t.hosts[name] = h
	}
	return h
}

// hostOf returns the host that r is served on.
func (t *table) hostOf(r *route) *host {
	if r.api.Vhost == "" && t.fallback != nil {
		return t.fallback
	}
	return t.host(r.api.Vhost)
}

// add makes r answer at its context, unless another API does.
func (t *table) add(r *route) error {
	h := t.hostOf(r)
	if other := h.routes[r.context]; other != nil {
		return fmt.Errorf("%s %s answers at %s already", other.api.Name, other.api.Version, r.context)
	}
	h.put(r.context, r)
	return nil
}

// addDefaults makes routes answer without their version too, where no API has
// that context for its own. Of two that want the same the younger gets it: while
// a default moves from one version to the next, both may have it.
func (t *table) addDefaults(routes map[string]*route) {
	var defaults []*route
	for _, r := range routes {
		if r.defaultContext != "" {
			defaults = append(defaults, r)
		}
	}
	slices.SortFunc(defaults, func(a, b *route) int { return strings.Compare(a.api.ID, b.api.ID) })
	for _, r := range defaults {
		h := t.hostOf(r)
		if other := h.routes[r.defaultContext]; other == nil || other.context != r.defaultContext {
			h.put(r.defaultContext, r)
		}
	}
}

// without returns a table that may be changed, in which none of the routes
// answers.
func (t *table) without(routes []*route) *table {
	c := &table{hosts: make(map[string]*host, len(t.hosts))}
	for name, h := range t.hosts {
		copied := *h
		copied.routes = maps.Clone(h.routes)
		c.hosts[name] = &copied
		if t.fallback == h {
			c.fallback = &copied
		}
	}
	for _, r := range routes {
		h := c.hostOf(r)
		for _, context := range []string{r.context, r.defaultContext} {
			if h.routes[context] == r {
				delete(h.routes, context)
			}
		}
	}
	return c
}

func (h *host) put(context string, r *route) {
	h.routes[context] = r
	h.depth = max(h.depth, strings.Count(context, "/"))
}

// find returns the host for an authority, nil where none answers. The second
// result is false where the authority is not a host with an optional port.
func (t *table) find(authority []byte) (*host, bool) {
	var buffer [255]byte
	name, ok := hostName(buffer[:0], authority)
	if !ok {
		return nil, false
	}
	if h := t.hosts[string(name)]; h != nil {
		return h, true
	}
	return t.fallback, true
}

// hostName appends the name of an authority to b, in lower case, without port,
// brackets and the final dot.
func hostName(b, authority []byte) ([]byte, bool) {
	name, port := authority, []byte(nil)
	if len(name) > 0 && name[0] == '[' {
		end := bytes.IndexByte(name, ']')
		if end < 0 {
			return nil, false
		}
		name, port = name[1:end], name[end+1:]
		for _, c := range name {
			if !isHexDigit(c) && c != ':' && c != '.' {
				return nil, false
			}
		}
	} else if i := bytes.IndexByte(name, ':'); i >= 0 {
		name, port = name[:i], name[i:]
	}
	if len(port) > 0 {
		if port[0] != ':' || len(port) > 6 {
			return nil, false
		}
		for _, c := range port[1:] {
			if c < '0' || c > '9' {
				return nil, false
			}
		}
	}
	if len(name) > 1 && name[len(name)-1] == '.' {
		name = name[:len(name)-1]
	}
	if len(name) == 0 || len(name) > 253 {
		return nil, false
	}
	for _, c := range name {
		switch {
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == ':':
		default:
			return nil, false
		}
		b = append(b, c)
	}
	return b, true
}

func isHexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// below returns what follows the host's own context in a path, nil where the
// path is outside it.
func (h *host) below(path []byte) []byte {
	rest, ok := bytes.CutPrefix(path, []byte(h.context))
	if !ok || len(rest) == 0 || rest[0] != '/' {
		return nil
	}
	return rest
}

// route returns the API with the longest context that path begins with, and
// what follows that context: nothing, or a path with its slash. An API that
// cannot be built is none.
func (h *host) route(path []byte) (r *route, rest []byte) {
	var ends [maxContextSegments]int
	n := 0
	for i := 1; i <= len(path) && n < h.depth; i++ {
		if i == len(path) || path[i] == '/' {
			ends[n] = i
			n++
		}
	}
	for n--; n >= 0; n-- {
		if r := h.routes[string(path[:ends[n]])]; r != nil {
			r, _ = r.whole() // its probe reports why not
			return r, path[ends[n]:]
		}
	}
	return nil, nil
}

// resource returns the resource that a path below the host leads to.
func (h *host) resource(path []byte) *resource {
	r, rest := h.route(path)
	if r == nil {
		return nil
	}
	return r.resource(rest)
}

// ambiguous reports whether a path leads to one resource here, and to another
// for a backend that drops path parameters (";a=b").
func (h *host) ambiguous(x *policy.Exchange, path []byte) bool {
	if bytes.IndexByte(path, ';') < 0 {
		return false
	}
	plain := policy.WithoutParameters(x.Alloc(len(path)), path)
	return h.resource(path) != h.resource(plain)
}
