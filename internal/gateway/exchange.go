package gateway

import (
	"context"

	"github.com/sluice-api/sluice/internal/policy"
)

// serve leads x through all checks and to the backend, in the order that the
// contract gives. Of two faults the one that is met first answers.
func (g *Gateway) serve(ctx context.Context, s *state, x *policy.Exchange) *policy.Fault {
	probe, fault := g.receive(x)
	if fault != nil {
		return fault
	}
	h, ok := s.table.find(x.Request.Authority)
	if !ok || !validQuery(x.Request.Query) {
		return policy.BadRequest
	}
	path, ok := policy.CanonicalPath(x.Alloc(len(x.Request.Path)), x.Request.Path)
	if !ok {
		return policy.BadRequest
	}
	x.Request.Path = path
	if h == nil {
		return policy.UnknownAPI
	}
	path = h.below(path)
	if o := oauthPathOf(path); o != nil {
		if fault := g.serveOAuth(ctx, x, o); fault != nil {
			refuseIn(x, fault, policy.JSON) // as OAuth's own errors are
		}
		return nil
	}
	r, rest := h.route(path)
	if h.ambiguous(x, path) {
		return policy.BadRequest
	}
	if r == nil {
		return policy.UnknownAPI
	}
	x.API, x.CORS = r.api, r.cors
	if fault := policy.CheckTransport(x); fault != nil {
		return fault
	}
	res := r.resource(rest)
	if probe && len(r.api.Operations) == 0 {
		answerProbe(x, r)
		return nil
	}
	if res == nil {
		return policy.UnknownResource
	}
	x.CORS = res.cors
	o := res.operation(x.Request.Method)
	if res.answersOptions(x, o) {
		x.AddField(&x.Response.Fields, "Allow", res.allow)
		x.Answer(200, nil)
		return nil
	}
	if o == nil {
		x.AddField(&x.Response.Fields, "Allow", res.allow)
		return policy.MethodNotAllowed
	}
	x.Operation = o.Operation
	if probe {
		answerProbe(x, r)
		return nil
	}
	for _, step := range o.steps {
		if fault := step(x); fault != nil {
			return fault
		}
	}
	return g.forward(ctx, x, r.endpoints(x.Caller.KeyType), &r.turn, rest)
}

// answersOptions reports whether the gateway itself answers a call of OPTIONS,
// which o is the operation of, if it is declared. So it does where CORS is on, a
// preflight always: browsers send it without a token.
func (r *resource) answersOptions(x *policy.Exchange, o *operation) bool {
	return r.cors != nil && string(x.Request.Method) == "OPTIONS" && (o == nil || policy.IsPreflight(&x.Request))
}

// validQuery reports whether a query holds only octets that a request target
// may have, so that no backend sees where it ends in another place.
func validQuery(q []byte) bool {
	for _, c := range q {
		if c <= ' ' || c >= 0x7f || c == '#' || c == '\\' {
			return false
		}
	}
	return true
}
