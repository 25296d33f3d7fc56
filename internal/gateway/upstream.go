package gateway

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/policy"
)

// Transport sends a request to a backend in one HTTP version: method, Target,
// Query, Fields, Body and Trailer of x.Request, with the authority of the
// endpoint. It fills in the head of x.Response and leaves the body to be read;
// interim answers are its own business. It may go on reading the request's Body
// until the response's is closed.
//
// Its errors wrap one of those below, so that callers can tell them apart, or
// the cause of the end of ctx.
type Transport interface {
	Send(ctx context.Context, to *Endpoint, x *policy.Exchange) error
}

// What can go wrong between a gateway and a backend. Of ErrBody and ErrSlowBody
// the client is the cause. After ErrConnect and ErrTLS nothing of the request
// was read, so that it can go to another backend.
var (
	ErrConnect  = errors.New("no connection to the backend")
	ErrTLS      = errors.New("no secure connection to the backend")
	ErrTimeout  = errors.New("the backend did not answer in time")
	ErrClosed   = errors.New("the backend closed the connection before it had answered")
	ErrProtocol = errors.New("the backend's answer is not valid HTTP")
	ErrBody     = errors.New("the client's body ended early")
	ErrSlowBody = errors.New("the client's body did not arrive in time")
)

// endpoints returns where calls with keys of a type go; those without a key to
// the endpoints of the gateway's own type.
func (r *route) endpoints(k sluice.KeyType) []*Endpoint {
	switch k {
	case sluice.ProductionKey:
		return r.production
	case sluice.SandboxKey:
		return r.sandbox
	}
	return r.open
}

// forward sends x to one of the endpoints, in turn, and to the next where no
// connection can be made. rest is what the request's path has after the
// context.
func (g *Gateway) forward(ctx context.Context, x *policy.Exchange, to []*Endpoint, turn *atomic.Uint32, rest []byte) *policy.Fault {
	authorization := to[0].Authorization // all of a side have the same
	g.prepare(x, g.o.RemoveAuthorization || authorization != "")
	if authorization != "" {
		x.AddField(&x.Request.Fields, "Authorization", authorization.Reveal())
	}
	first := 0
	if len(to) > 1 {
		first = int(turn.Add(1) % uint32(len(to)))
	}
	var err error
	began := g.o.Now()
	for i := range to {
		e := to[(first+i)%len(to)]
		x.Request.Target = e.appendTarget(x.Alloc(len(e.Path)+len(rest)+1), rest)
		if err = g.o.Transport.Send(ctx, e, x); !errors.Is(err, ErrConnect) && !errors.Is(err, ErrTLS) {
			break
		}
	}
	if x.Backend.Time = max(g.o.Now().Sub(began), 1); err == nil {
		x.Backend.Status = x.Response.Status
	}
	return received(x, err)
}

// received checks and cleans what a backend answered, or finds the fault for
// the error.
func received(x *policy.Exchange, err error) *policy.Fault {
	switch {
	case err == nil:
	case errors.Is(err, ErrConnect):
		return policy.BackendUnreachable
	case errors.Is(err, ErrTLS):
		return policy.BackendUntrusted
	case errors.Is(err, ErrTimeout):
		return policy.BackendTimeout
	case errors.Is(err, ErrClosed):
		return policy.BackendClosed
	case errors.Is(err, ErrSlowBody):
		return policy.RequestTimeout
	case errors.Is(err, ErrBody), errors.Is(err, context.Canceled): // the client is gone
		return policy.IncompletePayload
	default:
		return policy.BackendProtocol
	}
	if s := x.Response.Status; s < 200 || s > 599 || !cleanResponse(x) { // an interim answer or a switch that nobody asked for
		x.Response.Close()
		x.Response = policy.Response{Fields: x.Response.Fields[:0]}
		return policy.BackendProtocol
	}
	return nil
}
