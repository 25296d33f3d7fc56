package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/distribution"
	"github.com/sluice-api/sluice/internal/policy"
)

// route is one API as it is served. Nothing in it changes but its counters and
// later.
type route struct {
	api            *artifact.API
	digest         string       // of the artifact, hexadecimal
	context        string       // canonical
	defaultContext string       // canonical; empty: none
	cors           *policy.CORS // where no resource is matched; nil: none
	root           node
	production     []*Endpoint
	sandbox        []*Endpoint
	open           []*Endpoint   // of calls without a key
	turn           atomic.Uint32 // which endpoint is next
	counter        *counter      // the same for all builds of the API
	later          *laterBuild   // nil: this is all of it
}

// laterBuild is what the rest of a route is made of when it is asked for first.
type laterBuild struct {
	once  sync.Once
	item  distribution.Item // without its body once that was read
	whole *route
	err   error
}

// outline makes a route that can be found, of which the rest is built with its
// first call or probe: at a start the calls of one API do not wait until ten
// thousand are built. It returns false where the route must be built at once.
func outline(item distribution.Item) (*route, bool) {
	a, ok := artifact.Outline(item.ID, item.Body)
	if !ok {
		return nil, false
	}
	r := &route{api: a, digest: item.Digest.String(), later: &laterBuild{item: item}}
	return r, r.addContexts() == nil
}

// whole returns r with all that calls need, nil and the reason where it cannot
// be built. It may be called by many goroutines.
func (r *route) whole() (*route, error) {
	l := r.later
	if l == nil {
		return r, nil
	}
	l.once.Do(func() {
		item, err := artifact.Decode(l.item.ID, l.item.Body)
		l.item.Body = nil
		if err == nil {
			l.whole, err = build(item.(*artifact.API), r.digest) // the codec sees to the kind
		}
		if l.err = err; err == nil {
			l.whole.counter = r.counter
		}
	})
	return l.whole, l.err
}

// resource returns the resource of what follows the context in a path, nil
// where there is none.
func (r *route) resource(rest []byte) *resource {
	if len(rest) > 0 {
		rest = rest[1:]
	}
	if res := r.root.find(rest); res != undeclared {
		return res
	}
	return nil
}

// build makes the route of an API. The error is for the pages: one sentence
// about what the API needs.
func build(a *artifact.API, digest string) (*route, error) {
	r := &route{api: a, digest: digest}
	if !a.State.Deployable() {
		return nil, fmt.Errorf("an API in state %s is not served", a.State)
	}
	for _, t := range a.Transports {
		if t != "http" && t != "https" {
			return nil, fmt.Errorf("transport %q is not known", t)
		}
	}
	for _, s := range a.Schemes {
		if s != sluice.OAuth2 && s != sluice.APIKeys {
			return nil, fmt.Errorf("the security scheme %q is not known", s)
		}
	}
	err := r.addContexts()
	if err != nil {
		return nil, err
	}
	if r.cors, err = policy.NewCORS(a); err != nil {
		return nil, err
	}
	if err := r.addEndpoints(); err != nil {
		return nil, err
	}
	if err := r.addOperations(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *route) addContexts() (err error) {
	if r.context, err = parseContext(r.api.Context); err != nil || r.api.DefaultContext == "" {
		return err
	}
	r.defaultContext, err = parseContext(r.api.DefaultContext)
	return err
}

// parseContext returns the canonical form of a context.
func parseContext(s string) (string, error) {
	if !strings.HasPrefix(s, "/") || len(s) == 1 || strings.HasSuffix(s, "/") {
		return "", fmt.Errorf("context %q is not a path like /weather/1.0", s)
	}
	context, err := canonicalText("", s)
	if err != nil {
		return "", fmt.Errorf("context: %w", err)
	}
	if strings.Count(context, "/") > maxContextSegments {
		return "", fmt.Errorf("a context has at most %d segments, the version included", maxContextSegments)
	}
	return context, nil
}

// addEndpoints parses the endpoints and decides where calls without a key go:
// to that of the gateway's type, on a hybrid one to production before sandbox.
// A prototype takes the other one rather than none.
func (r *route) addEndpoints() error {
	var err error
	if r.production, err = parseEndpoints(r.api.Production, r.api.ProductionSecurity); err != nil {
		return fmt.Errorf("production endpoint: %w", err)
	}
	if r.sandbox, err = parseEndpoints(r.api.Sandbox, r.api.SandboxSecurity); err != nil {
		return fmt.Errorf("sandbox endpoint: %w", err)
	}
	first, second := r.production, r.sandbox
	switch r.api.Environment {
	case sluice.ProductionEnvironment, sluice.HybridEnvironment:
	case sluice.SandboxEnvironment:
		first, second = second, first
	default:
		return fmt.Errorf("gateway environment type %q is not known", r.api.Environment)
	}
	if r.open = first; len(first) == 0 {
		if r.open = second; r.api.Environment != sluice.HybridEnvironment && r.api.State != sluice.Prototyped {
			return fmt.Errorf("no %s endpoint", r.api.Environment)
		}
	}
	if len(r.open) == 0 {
		return errors.New("no endpoint")
	}
	return nil
}

func parseEndpoints(list []sluice.Endpoint, c *artifact.Credentials) ([]*Endpoint, error) {
	parsed := make([]*Endpoint, len(list))
	for i, e := range list {
		var err error
		if parsed[i], err = NewEndpoint(e.URL); err != nil {
			return nil, err
		}
		parsed[i].Authorization = basic(c)
	}
	return parsed, nil
}

func (r *route) addOperations() error {
	var resources []*resource
	for i := range r.api.Operations {
		o := &r.api.Operations[i]
		switch o.Auth {
		case sluice.AuthAny, sluice.AuthApplication, sluice.AuthUser, sluice.AuthNone:
		default:
			return fmt.Errorf("%s %s has the unknown auth type %q", o.Verb, o.Target, o.Auth)
		}
		res, err := r.root.add(o.Target)
		if err != nil {
			return err
		}
		for j := range res.operations {
			if other := res.operations[j]; other.Verb == o.Verb {
				return fmt.Errorf("%s %s and %s are the same resource", o.Verb, other.Target, o.Target)
			}
		}
		if len(res.operations) == 0 {
			resources = append(resources, res)
		}
		res.operations = append(res.operations, operation{o, policy.Bind(r.api, o)})
	}
	for _, res := range resources {
		res.operations = slices.Clip(res.operations)
		res.allow = allow(res.operations)
		verbs := make([]string, len(res.operations))
		for i, o := range res.operations {
			verbs[i] = o.Verb
		}
		res.cors = r.cors.Resource(verbs)
	}
	return nil
}

// allow returns the value of Allow for a resource: its verbs in alphabetical
// order, and HEAD where GET brings it along.
func allow(operations []operation) string {
	var verbs []string
	for _, o := range operations {
		verbs = append(verbs, o.Verb)
		if o.Verb == "GET" {
			verbs = append(verbs, "HEAD")
		}
	}
	slices.Sort(verbs)
	return strings.Join(slices.Compact(verbs), ", ")
}
