// Package gateway is the data plane: it matches calls to deployed APIs, runs
// the policies of package policy on them and sends them to backends. It is of
// no HTTP version: servers and transports, in the packages below it, translate
// between theirs and a policy.Exchange.
//
// A [Gateway] is given the state of its environment by Apply, an update at a
// time, builds tables from it beside those that serve, and swaps one pointer. A
// call sees one table from start to end. An API that cannot be built keeps its
// last good build and hurts no other. Every new build is probed through the
// gateway's own listeners, and only then reported as live.
//
// While a call is served nothing is asked of the control plane or a database.
// The order of checks and their answers are those of the contract: what is of
// HTTP or of matching is here, what is of callers in package policy.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/policy"
)

// Options are what a Gateway needs; all but Transport may be left out.
type Options struct {
	Transport           Transport        // to backends
	KeyManager          func() *Endpoint // where /token, /revoke, /authorize and /userinfo go, asked at each call; nil, or where it returns nil: answered 503
	KeyManagerTransport Transport        // nil: Transport
	PlainOAuth          bool             // loopback peers may use those paths over plain HTTP
	Leeway              time.Duration    // clock difference allowed where times in tokens are judged, whole seconds
	RemoveAuthorization bool             // drop Authorization before the backend
	Probe               Probe
	AccessLog           *AccessLog       // nil: none is written
	Usage               *Usage           // notes every call; nil: nobody asks
	Changed             func()           // Reports has news; must not block
	Log                 *slog.Logger     // nil: nothing is logged
	Now                 func() time.Time // nil: time.Now
}

// Gateway serves the APIs of one environment. Its methods may be used by many
// goroutines.
type Gateway struct {
	o           Options
	log         *slog.Logger
	nonce       []byte // of probes
	via         string // pseudonym in Via; tells this process's own requests
	deployments *deployments
	applying    sync.Mutex // one Apply at a time
	state       atomic.Pointer[state]
	unmatched   counter // calls that no API answers
	calls       Histogram
	backend     Histogram
	faults      faultCounts
	traces      traces
}

// New returns a Gateway that knows no API.
func New(o Options) (*Gateway, error) {
	if o.Transport == nil {
		return nil, errors.New("a gateway needs a transport to backends")
	}
	if o.KeyManagerTransport == nil {
		o.KeyManagerTransport = o.Transport
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = func() time.Time { return time.Now().UTC() }
	}
	if o.Probe.Timeout == 0 {
		o.Probe.Timeout = 2 * time.Second
	}
	g := &Gateway{
		o: o, log: o.Log, nonce: newNonce(), via: "sluice-" + string(newNonce()[:16]),
		deployments: newDeployments(o.Now),
	}
	t, err := newTable(nil)
	if err != nil {
		return nil, err
	}
	g.state.Store(&state{routes: make(map[string]*route), table: t, directory: policy.NewDirectory(o.Leeway)})
	return g, nil
}

// Reports returns the state of every API that this gateway was given, in order
// of their ids. What was removed is not in it.
func (g *Gateway) Reports() []sluice.DeploymentReport { return g.deployments.reports() }

// Serve answers x: when it returns, x.Response is filled in, by a backend or by
// the gateway. The server then writes it and closes its body; what it cannot
// write to the end it cuts, so that a client never takes it for whole. ctx ends
// when the client goes.
func (g *Gateway) Serve(ctx context.Context, x *policy.Exchange) {
	x.Start = g.o.Now()
	x.TraceID = newTraceID()
	defer g.recover(ctx, x)
	s := g.state.Load()
	x.Directory = s.directory
	if f := g.serve(ctx, s, x); f != nil {
		refuse(x, f)
	}
	complete(x)
}

// Refuse answers x with a fault that a server found before there was a request
// to serve.
func (g *Gateway) Refuse(x *policy.Exchange, f *policy.Fault) {
	x.Start = g.o.Now()
	x.TraceID = newTraceID()
	refuse(x, f)
	complete(x)
}
