package gateway

import (
	"sync"
	"sync/atomic"
	"time"

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

// Bounds are the upper ends of a Histogram's buckets, in seconds.
var Bounds = [...]float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}

// Histogram counts how long something took. The zero value is ready to use, by
// many goroutines.
type Histogram struct {
	buckets [len(Bounds) + 1]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
}

func (h *Histogram) add(d time.Duration) {
	seconds, i := d.Seconds(), 0
	for i < len(Bounds) && seconds > Bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

// Read returns how many values there were, their sum in seconds and, by the
// upper end in Bounds, how many were no larger.
func (h *Histogram) Read() (count uint64, sum float64, buckets map[float64]uint64) {
	buckets = make(map[float64]uint64, len(Bounds))
	for i := range h.buckets {
		count += h.buckets[i].Load()
		if i < len(Bounds) {
			buckets[Bounds[i]] = count
		}
	}
	return count, time.Duration(h.sum.Load()).Seconds(), buckets
}

// faultCounts is how often each check ended a call, by the fault's code.
type faultCounts struct{ byFault sync.Map } // *policy.Fault → *atomic.Int64

func (c *faultCounts) add(f *policy.Fault) {
	n, there := c.byFault.Load(f)
	if !there {
		n, _ = c.byFault.LoadOrStore(f, new(atomic.Int64))
	}
	n.(*atomic.Int64).Add(1)
}

// Done notes that the response of x was written, or cut. It is to be called
// once for every exchange that was served, before the exchange is used again.
func (g *Gateway) Done(x *policy.Exchange) {
	if x.Probe {
		return
	}
	end := g.o.Now()
	g.count(x, end)
	if g.o.Usage != nil {
		g.o.Usage.note(x, end)
	}
	if g.o.AccessLog != nil {
		g.o.AccessLog.add(x, end)
	}
	if x.Fault != nil || x.Response.Status >= 500 {
		g.traces.add(x, end)
	}
}

func (g *Gateway) count(x *policy.Exchange, end time.Time) {
	g.calls.add(end.Sub(x.Start))
	if x.Backend.Time > 0 {
		g.backend.add(x.Backend.Time)
	}
	if x.Fault != nil {
		g.faults.add(x.Fault)
	}
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

// APICount is the Count of one API that is served.
type APICount struct {
	ID, Name, Version string // empty: what no API answered
	Count
}

// Counts returns how often each API that is served was called, and what no API
// answered.
func (g *Gateway) Counts() []APICount {
	s := g.state.Load()
	counts := make([]APICount, 0, len(s.routes)+1)
	counts = append(counts, APICount{Count: g.unmatched.count()})
	for id, r := range s.routes {
		counts = append(counts, APICount{id, r.api.Name, r.api.Version, r.counter.count()})
	}
	return counts
}

// Faults returns how often calls were ended by each fault, by the name of the
// check and the fault's code.
func (g *Gateway) Faults() map[[2]string]int64 {
	counts := map[[2]string]int64{}
	g.faults.byFault.Range(func(f, n any) bool {
		fault := f.(*policy.Fault)
		counts[[2]string{fault.Check(), fault.Code}] += n.(*atomic.Int64).Load()
		return true
	})
	return counts
}

// Calls is how long calls took, from the end of the request's head to that of the
// answer.
func (g *Gateway) Calls() *Histogram { return &g.calls }

// Backend is how long backends took to answer.
func (g *Gateway) Backend() *Histogram { return &g.backend }
