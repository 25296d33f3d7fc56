package rest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/web"
)

// route is one operation.
type route struct {
	method string
	path   string // below the face's base
	scopes string // without their prefix: any one is enough; or one of the words below
	handle web.HandlerFunc
}

// What stands in place of scopes.
const (
	open   = "open"   // anonymous callers too; a token that is sent must be good
	anyone = "anyone" // any good token, whatever its scopes
	self   = "self"   // the handler finds out who calls
)

// face is one base path and what its operations share.
type face struct {
	base         string
	routes       []route
	scopePrefix  string
	scopeMissing sluice.Kind // of a token without an accepted scope
	write        web.ErrorWriter
	unserved     route // takes what no other route takes
}

// call is what route.go knows of a request, for its handler.
type call struct {
	base    string   // of the face
	granted []string // scopes of the token, with their prefix
}

type callKey struct{}

// callOf returns the call that r belongs to.
func callOf(r *http.Request) call {
	c, _ := r.Context().Value(callKey{}).(call)
	return c
}

// mount adds the routes of a face. The mux is asked for paths alone, so that a
// path with another method answers in the face's own way.
func (s *Server) mount(f face) {
	byPath := map[string]map[string]route{}
	for _, r := range f.routes {
		if byPath[r.path] == nil {
			byPath[r.path] = map[string]route{}
		}
		byPath[r.path][r.method] = r
	}
	also := publishedBelow(f.base)
	for p, methods := range byPath {
		s.mux.Handle(f.base+p, web.Handler(s.dispatch(f, methods, also[shape(p)]), f.write, s.log))
		delete(also, shape(p))
	}
	for _, p := range also {
		s.mux.Handle(f.base+p.path, web.Handler(s.dispatch(f, nil, p), f.write, s.log))
	}
	nothing := web.Handler(s.dispatch(f, nil, publishedPath{}), f.write, s.log)
	s.mux.Handle(f.base, nothing)
	s.mux.Handle(f.base+"/", nothing)
}

// serve refuses what could be understood in two ways, or not be stored, before
// anything looks at it.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if err := checkURL(r.URL); err != nil {
		write := writeWSO2
		if strings.HasPrefix(r.URL.Path, sluiceBase) {
			write = writeProblem
		}
		web.Handler(func(http.ResponseWriter, *http.Request) error { return err }, write, s.log).ServeHTTP(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

func checkURL(u *url.URL) error {
	clean := path.Clean(u.Path)
	if strings.HasSuffix(u.Path, "/") && clean != "/" {
		clean += "/"
	}
	if clean != u.Path || unprintable(u.Path) {
		return sluice.Errorf(sluice.Invalid, "path", "The path has empty or dot segments, or characters that cannot be printed.")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return sluice.Errorf(sluice.Invalid, "query", "The query string is malformed.")
	}
	for name, values := range query {
		if len(values) > 1 {
			return sluice.Errorf(sluice.Invalid, "query", "A parameter is given more than once.").At(name)
		}
		if unprintable(name) || unprintable(values[0]) {
			return sluice.Errorf(sluice.Invalid, "query", "The query string has characters that cannot be printed.")
		}
	}
	return nil
}

func unprintable(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl)
}

// dispatch serves one path: it finds the route of the method, who calls, and
// whether the token has a scope for it. also is what is published of the path.
func (s *Server) dispatch(f face, methods map[string]route, also publishedPath) web.HandlerFunc {
	allow := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
	return func(w http.ResponseWriter, r *http.Request) error {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		op, ok := methods[method]
		if !ok {
			op = also.unserved(f, r.Method)
		}
		r, err := s.identify(w, r, f, op)
		if err != nil {
			return err
		}
		if !ok && len(methods) > 0 {
			w.Header().Set("Allow", allow) // for notThere
		}
		if ok && f.base == sluiceBase && method == http.MethodPost && r.Header.Get("Idempotency-Key") != "" {
			if op.scopes == self {
				return sluice.Errorf(sluice.Invalid, "idempotency.unsupported", "Answers are not kept here; send the request without Idempotency-Key.").At("Idempotency-Key")
			}
			return s.once(w, r, op.handle)
		}
		return op.handle(w, r)
	}
}

// identify puts the Actor and the call into the request's context.
func (s *Server) identify(w http.ResponseWriter, r *http.Request, f face, op route) (*http.Request, error) {
	c := call{base: f.base}
	actor := sluice.Actor{}
	token, sent, err := bearer(r)
	switch {
	case op.scopes == self:
	case err != nil:
		return nil, err
	case sent:
		if actor, c.granted, err = s.plane.Authenticate(r.Context(), token); err != nil {
			if sluice.KindOf(err) == sluice.Unauthenticated {
				w.Header().Set("WWW-Authenticate", `Bearer realm="sluice", error="invalid_token"`)
			}
			return nil, err
		}
		if err := f.checkScopes(w, op, c.granted); err != nil {
			return nil, err
		}
	case op.scopes != open:
		return nil, sluice.Errorf(sluice.Unauthenticated, "token.missing", "An access token is needed: Authorization: Bearer TOKEN.")
	}
	actor.Address, actor.TraceID = web.ClientAddress(r), web.TraceID(r.Context())
	if actor.Client == "" {
		actor.Client = "rest"
	}
	if actor, err = s.selectTenant(r, f, op, actor); err != nil {
		return nil, err
	}
	return r.WithContext(context.WithValue(sluice.WithActor(r.Context(), actor), callKey{}, c)), nil
}

// bearer returns the token of the Authorization field (RFC 6750 §2.1). Another
// scheme, or more than one field, is an error: who calls would be a guess.
func bearer(r *http.Request) (token sluice.Secret, sent bool, err error) {
	fields := r.Header.Values("Authorization")
	if len(fields) == 0 {
		return "", false, nil
	}
	scheme, value, _ := strings.Cut(fields[0], " ")
	value = strings.TrimSpace(value)
	if len(fields) > 1 || !strings.EqualFold(scheme, "Bearer") || value == "" {
		return "", false, sluice.Errorf(sluice.Unauthenticated, "token.form", "Send one Authorization field, of the form: Bearer TOKEN.")
	}
	return sluice.Secret(value), true, nil
}

// checkScopes compares the scopes of a token with those of a route.
func (f face) checkScopes(w http.ResponseWriter, op route, granted []string) error {
	if op.scopes == open || op.scopes == anyone {
		return nil
	}
	accepted := f.scopesOf(op)
	if slices.ContainsFunc(accepted, func(s string) bool { return slices.Contains(granted, s) }) {
		return nil
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="sluice", error="insufficient_scope", scope="%s"`, strings.Join(accepted, " ")))
	return sluice.Errorf(f.scopeMissing, "scope.missing", "The access token has none of the scopes that are accepted here: %s.", strings.Join(accepted, ", "))
}

// scopesOf returns the scopes of a route, with their prefix.
func (f face) scopesOf(op route) []string {
	if op.scopes == open || op.scopes == anyone || op.scopes == self {
		return nil
	}
	list := strings.Fields(op.scopes)
	for i := range list {
		list[i] = f.scopePrefix + list[i]
	}
	return list
}

// notThere answers for what does not exist, or not with this method.
func notThere(w http.ResponseWriter, _ *http.Request) error {
	if allow := w.Header().Get("Allow"); allow != "" {
		return web.Refuse(http.StatusMethodNotAllowed, "method", "This path takes %s only.", allow)
	}
	return sluice.Errorf(sluice.NotFound, "path.unknown", "There is nothing at this path.")
}

// moved answers as notThere, and names what took the place of an older path.
func moved(w http.ResponseWriter, r *http.Request) error {
	base := callOf(r).base
	if successor := successorOf(base, strings.TrimPrefix(r.URL.Path, base)); successor != "" {
		w.Header().Del("Allow")
		return sluice.Errorf(sluice.NotFound, "path.moved", "This path is no more; use %s.", successor)
	}
	return notThere(w, r)
}
