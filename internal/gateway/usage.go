package gateway

import (
	"sync/atomic"

	"github.com/sluice-api/sluice/internal/policy"
)

// Count is how many calls were made since the gateway started. Every call is
// counted once, under its status.
type Count struct {
	Calls   int64 // all of them
	Refused int64 // ended in the gateway, by whatever fault
	Failed  int64 // of all, those with a status of 500 or more
}

// counter is a Count that calls add to.
type counter struct{ calls, refused, failed atomic.Int64 }

func (c *counter) count() Count {
	return Count{c.calls.Load(), c.refused.Load(), c.failed.Load()}
}

// Done notes that the response of x was written, or cut. It is to be called
// once for every exchange that was served, before the exchange is used again.
func (g *Gateway) Done(x *policy.Exchange) {
	c := &g.unmatched
	if x.API != nil {
		r := g.state.Load().routes[x.API.ID]
		if r == nil { // undeployed meanwhile
			return
		}
		c = r.counter
	}
	c.calls.Add(1)
	if x.Fault != nil {
		c.refused.Add(1)
	}
	if x.Response.Status >= 500 {
		c.failed.Add(1)
	}
}

// Counts returns how often each API that is served was called, by its id, and
// under "" what no API answered.
func (g *Gateway) Counts() map[string]Count {
	s := g.state.Load()
	counts := make(map[string]Count, len(s.routes)+1)
	counts[""] = g.unmatched.count()
	for id, r := range s.routes {
		counts[id] = r.counter.count()
	}
	return counts
}
