package gateway

import (
	"strings"
	"sync"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/policy"
)

const (
	tracesKept = 4096 // the newest; a flood of refused calls pushes the oldest out
	tracedPath = 200  // bytes of a path that are kept
)

// traces remembers calls that were refused or failed, in memory that is taken
// at the first of them.
type traces struct {
	mu   sync.Mutex // guards what follows
	ring []traced
	next int                    // where the next one goes
	at   map[policy.TraceID]int // into ring
}

// traced is a call in the form that costs no allocation to remember.
type traced struct {
	id          policy.TraceID
	start, end  time.Time
	api         *artifact.API
	operation   *sluice.Operation
	application *artifact.Application
	keyType     sluice.KeyType
	fault       *policy.Fault
	status      int
	backend     policy.Backend
	method      [16]byte
	path        [tracedPath]byte
	pathLength  int
}

// add remembers a call whose answer was written at end.
func (t *traces) add(x *policy.Exchange, end time.Time) {
	n := traced{
		id: x.TraceID, start: x.Start, end: end, api: x.API, operation: x.Operation, application: x.Caller.Application,
		keyType: x.Caller.KeyType, fault: x.Fault, status: x.Response.Status, backend: x.Backend,
	}
	copy(n.method[:], x.Request.Method)
	n.pathLength = copy(n.path[:], x.Request.Path)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ring == nil {
		t.ring, t.at = make([]traced, tracesKept), make(map[policy.TraceID]int, tracesKept)
	}
	delete(t.at, t.ring[t.next].id)
	t.ring[t.next], t.at[n.id] = n, t.next
	t.next = (t.next + 1) % tracesKept
}

// Trace returns what is remembered of a call that was refused or failed in the
// last sluice.TraceLife.
func (g *Gateway) Trace(id string) (sluice.Trace, bool) {
	var key policy.TraceID
	if len(id) != len(key) {
		return sluice.Trace{}, false
	}
	copy(key[:], id)
	g.traces.mu.Lock()
	defer g.traces.mu.Unlock()
	i, there := g.traces.at[key]
	if !there {
		return sluice.Trace{}, false
	}
	n := &g.traces.ring[i]
	if g.o.Now().Sub(n.start) > sluice.TraceLife {
		return sluice.Trace{}, false
	}
	return n.trace(), true
}

func (n *traced) trace() sluice.Trace {
	t := sluice.Trace{
		ID: n.id.String(), Time: n.start.UTC(), Method: strings.TrimRight(string(n.method[:]), "\x00"), Path: string(n.path[:n.pathLength]), KeyType: n.keyType,
		Status: n.status, Duration: n.end.Sub(n.start), BackendStatus: n.backend.Status, BackendTime: n.backend.Time,
	}
	if n.api != nil {
		t.APIID, t.Organization, t.APIName, t.APIVersion = n.api.ID, n.api.Organization, n.api.Name, n.api.Version
	}
	if n.operation != nil {
		t.Operation = n.operation.Verb + " " + n.operation.Target
	}
	if n.application != nil {
		t.ApplicationID = n.application.ID
	}
	if n.fault != nil {
		t.Check, t.Code, t.Reason = n.fault.Check(), n.fault.Code, n.fault.Description
	}
	return t
}
