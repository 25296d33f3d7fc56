package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

// DefaultCORS returns what holds for APIs that say nothing of CORS: pages of
// every origin may call them, without cookies or other credentials of the
// browser's own.
func DefaultCORS() *sluice.CORS {
	return &sluice.CORS{
		Enabled: true,
		Origins: []string{"*"},
		Methods: []string{"GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"},
		Headers: []string{"authorization", "Access-Control-Allow-Origin", "Content-Type", "SOAPAction"},
	}
}

// CORS is what browsers are told of calls from pages of other origins (Fetch,
// §3.2), by an API or one of its resources. It is immutable; nil tells nothing.
type CORS struct {
	everybody   bool     // the origins have "*"
	origins     []string // that may call, as browsers write them
	verbs       []string // that may be called at all; empty: all
	methods     string   // that may be called at the resource; empty: it is not known
	headers     string
	credentials bool
}

// NewCORS returns what an API tells browsers, nil where it leaves that to its
// backend. The error is for the pages: one sentence about what is wrong.
func NewCORS(a *artifact.API) (*CORS, error) {
	from := a.CORS
	if from == nil {
		from = DefaultCORS()
	}
	if !from.Enabled {
		return nil, nil
	}
	for _, name := range from.Headers {
		if !isToken([]byte(name)) {
			return nil, fmt.Errorf("CORS header %q is not the name of a field", name)
		}
	}
	c := &CORS{
		everybody: slices.Contains(from.Origins, "*"),
		verbs:     from.Methods,
		headers:   strings.Join(from.Headers, ","),
	}
	c.credentials = from.Credentials && !c.everybody // every page could act as the user
	for _, o := range from.Origins {
		if o != "" && o != "null" { // null stands for any page that hides its origin
			c.origins = append(c.origins, o)
		}
	}
	return c, nil
}

// Resource returns what a resource with the given verbs tells: of them, those
// that the API's list of methods has.
func (c *CORS) Resource(verbs []string) *CORS {
	if c == nil {
		return nil
	}
	var methods []string
	for _, v := range verbs {
		if len(c.verbs) == 0 || slices.Contains(c.verbs, v) {
			methods = append(methods, v)
		}
	}
	of := *c
	of.methods = strings.Join(methods, ",")
	return &of
}

// IsPreflight reports whether a request is a browser's question whether a page
// may call.
func IsPreflight(q *Request) bool {
	if string(q.Method) != "OPTIONS" {
		return false
	}
	_, origin := q.Fields.Value("Origin")
	_, method := q.Fields.Value("Access-Control-Request-Method")
	return origin && method
}

// AddFields adds the fields of CORS to the response of x, whatever it is. Where
// the backend has named an origin itself, its word stands alone; of other fields
// those that it has set stay.
func (c *CORS) AddFields(x *Exchange) {
	if c == nil {
		return
	}
	if _, set := x.Response.Fields.Value("Access-Control-Allow-Origin"); set {
		return
	}
	origin, sent := x.Request.Fields.Value("Origin")
	allowed := c.allowed(origin)
	if !c.everybody { // also where this one is refused: a cache must keep them apart
		x.AddField(&x.Response.Fields, "Vary", "Origin")
	}
	if allowed == "" {
		return
	}
	x.AddField(&x.Response.Fields, "Access-Control-Allow-Origin", allowed)
	if c.credentials {
		c.add(x, "Access-Control-Allow-Credentials", "true")
	}
	if sent { // caches need the origin, nobody but browsers the rest
		c.add(x, "Access-Control-Allow-Methods", c.methods)
		c.add(x, "Access-Control-Allow-Headers", c.headers)
	}
}

// allowed returns the value of Access-Control-Allow-Origin for an origin, empty
// where pages of it may not call. Origins compare exactly.
func (c *CORS) allowed(origin []byte) string {
	if c.everybody && string(origin) != "null" {
		return "*"
	}
	for _, o := range c.origins {
		if o == string(origin) {
			return o
		}
	}
	return ""
}

// add adds a field unless it is empty or there already.
func (*CORS) add(x *Exchange, name, value string) {
	if _, set := x.Response.Fields.Value(name); !set && value != "" {
		x.AddField(&x.Response.Fields, name, value)
	}
}
