package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/policy"
)

// Probe says where the gateway reaches its own listeners.
type Probe struct {
	HTTP, HTTPS string        // "host:port"; empty: not open
	Transport   Transport     // nil: nothing is probed, and deployments stay active
	Timeout     time.Duration // of one probe; 0: 2 s
}

const (
	// probeField carries the nonce of a probe, and in its answer the digest of
	// the artifact that the matched route was built of.
	probeField = "X-Sluice-Probe"

	// probesAtOnce bounds what proving ten thousand APIs after a start costs
	// those that are served.
	probesAtOnce = 4
)

// newNonce returns what only this process knows.
func newNonce() []byte {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.AppendEncode(nil, b[:])
}

// isProbe reports whether a value of probeField is this process's own.
func (g *Gateway) isProbe(value []byte) bool {
	return subtle.ConstantTimeCompare(value, g.nonce) == 1
}

// Run proves deployments until ctx ends: each new build is called through the
// gateway's own listeners, and is live when it answered itself. The backend is
// not called.
func (g *Gateway) Run(ctx context.Context) error {
	if g.o.Probe.Transport == nil || g.o.Probe.HTTP == "" && g.o.Probe.HTTPS == "" {
		<-ctx.Done()
		return nil
	}
	work := make(chan *route) // closed by this function
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(work)
	for range probesAtOnce {
		wg.Go(func() {
			x := new(policy.Exchange)
			for r := range work {
				g.prove(ctx, x, r)
			}
		})
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		r, wait := g.deployments.next()
		if r != nil {
			select {
			case work <- r:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		if wait == 0 {
			timer.Stop()
		} else {
			timer.Reset(wait)
		}
		select {
		case <-g.deployments.wake:
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// prove probes r over every transport that it offers and that is open, and
// notes the outcome.
func (g *Gateway) prove(ctx context.Context, x *policy.Exchange, r *route) {
	whole, err := r.whole()
	if err != nil {
		g.noteOutcome(ctx, r, outcome{sluice.Failed, err.Error()})
		return
	}
	o := outcome{state: sluice.Failed, reason: "none of the API's transports is open on this gateway"}
	for _, l := range []struct {
		name, address string
		secure        bool
	}{{"http", g.o.Probe.HTTP, false}, {"https", g.o.Probe.HTTPS, true}} {
		if l.address == "" || !slices.Contains(whole.api.Transports, l.name) {
			continue
		}
		if o = g.probe(ctx, x, r, l.address, l.secure); o.state != sluice.Live {
			break
		}
	}
	if ctx.Err() == nil {
		g.noteOutcome(ctx, r, o)
	}
}

// noteOutcome notes what a probe found, and tells of it where it is news.
func (g *Gateway) noteOutcome(ctx context.Context, r *route, o outcome) {
	if !g.deployments.note(r, o) {
		return
	}
	level := slog.LevelInfo
	if o.state == sluice.Failed {
		level = slog.LevelError
	}
	g.log.Log(ctx, level, "deployment probed", slog.String("api_id", r.api.ID), slog.Int("revision", r.api.Revision),
		slog.String("state", string(o.state)), slog.String("reason", o.reason))
	if g.o.Changed != nil {
		g.o.Changed()
	}
}

// probe calls r once through one listener.
func (g *Gateway) probe(ctx context.Context, x *policy.Exchange, r *route, address string, secure bool) outcome {
	ctx, cancel := context.WithTimeout(ctx, g.o.Probe.Timeout)
	defer cancel()
	x.Reset()
	h := g.state.Load().table.hostOfServed(r)
	if h == nil {
		return outcome{sluice.Failed, "no vhost of this gateway serves the API"}
	}
	whole, err := r.whole()
	if err != nil {
		return outcome{sluice.Failed, err.Error()}
	}
	verb, path := whole.sample()
	x.Request.Method = x.Copy(verb)
	x.Request.Target = x.Copy(h.context + r.context + path)
	x.AddField(&x.Request.Fields, probeField, string(g.nonce))
	name := h.name
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	err = g.o.Probe.Transport.Send(ctx, &Endpoint{Secure: secure, Address: address, Authority: name}, x)
	defer x.Response.Close()
	if x.Response.Body != nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(x.Response.Body, 4<<10)) // so that the connection is used again
	}
	listener := "HTTP"
	if secure {
		listener = "HTTPS"
	}
	digest, _ := x.Response.Fields.Value(probeField)
	switch {
	case errors.Is(err, ErrConnect), errors.Is(err, ErrTimeout):
		return outcome{sluice.Active, fmt.Sprintf("the %s listener cannot be reached yet", listener)}
	case err != nil:
		return outcome{sluice.Failed, fmt.Sprintf("the %s listener did not answer: %v", listener, err)}
	case len(digest) == 0:
		return outcome{sluice.Failed, fmt.Sprintf("the %s listener answered with status %d", listener, x.Response.Status)}
	case !bytes.Equal(digest, []byte(r.digest)):
		return outcome{sluice.Failed, fmt.Sprintf("the %s listener answered for another revision", listener)}
	}
	return outcome{state: sluice.Live}
}

// answerProbe answers with the digest of the route that a probe matched.
func answerProbe(x *policy.Exchange, r *route) {
	x.Probe = true
	x.Answer(204, nil)
	x.AddField(&x.Response.Fields, probeField, r.digest)
}

// hostOfServed returns the host that r is served on, nil where it is not.
func (t *table) hostOfServed(r *route) *host {
	for _, h := range t.hosts {
		if h.routes[r.context] == r {
			return h
		}
	}
	return nil
}

// sample returns a verb and a path below the context that lead to an operation
// of r. An API without operations is asked at its context.
func (r *route) sample() (verb, path string) {
	for i := range r.api.Operations {
		o := &r.api.Operations[i]
		path := fill(o.Target)
		if res := r.resource([]byte(path)); res != nil && res.operation([]byte(o.Verb)) != nil {
			return o.Verb, path
		}
	}
	return "GET", ""
}

// fill puts a neutral text in the place of the variable parts of a target, and
// none in that of a final wildcard.
func fill(target string) string {
	if strings.HasSuffix(target, "/*") {
		target = target[:len(target)-1]
	}
	var b strings.Builder
	for target != "" {
		before, after, found, err := cutVariable(target)
		if err != nil {
			return "" // never: the target was built
		}
		b.WriteString(before)
		if found {
			b.WriteString("probe")
		}
		target = after
	}
	path, err := canonicalText("", b.String())
	if err != nil {
		return ""
	}
	return path
}
