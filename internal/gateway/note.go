package gateway

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/policy"
)

// notesKept is how many calls one part of a Usage holds before they are counted.
const notesKept = 256

// Usage notes every call for its API's and its application's usage. A call
// writes one note of fixed size and waits for nobody: of several parts it takes
// one that is free. Notes are counted by whoever takes the counts, or by the
// call that finds its part full, one in 256. It may be used by many goroutines.
type Usage struct {
	parts []notes

	mu     sync.Mutex // guards counts; taken after that of a part
	counts map[noteKey]*noteCount
}

// notes is one part of a Usage.
type notes struct {
	mu    sync.Mutex // guards what follows
	n     int
	notes [notesKept]note
	_     [64]byte // so that two parts share no cache line
}

// note is one call. What it points to is immutable.
type note struct {
	noteKey
	in, out          int64
	latency, backend time.Duration // backend is 0 where it was not called
}

// noteKey is what calls are counted by, in the form that is compared fast.
type noteKey struct {
	api         *artifact.API
	operation   *sluice.Operation
	application *artifact.Application
	fault       *policy.Fault
	minute      int64
	status      uint8
	keyType     uint8
}

// keyTypes are the key types by noteKey.keyType.
var keyTypes = [...]sluice.KeyType{"", sluice.ProductionKey, sluice.SandboxKey}

// noteCount is what was counted of one key.
type noteCount struct {
	requests, in, out int64
	latency, backend  sluice.Histogram
}

// NewUsage returns a Usage that has noted nothing.
func NewUsage() *Usage {
	return &Usage{parts: make([]notes, 4*runtime.GOMAXPROCS(0)), counts: map[noteKey]*noteCount{}}
}

// note notes the call x, whose answer was written at end.
func (u *Usage) note(x *policy.Exchange, end time.Time) {
	n := note{
		noteKey: noteKey{
			api: x.API, operation: x.Operation, application: x.Caller.Application, fault: x.Fault,
			minute: minuteOf(end), status: uint8(max(0, min(x.Response.Status/100, 5))),
		},
		in: max(0, x.Request.Length), out: x.Response.Sent, latency: end.Sub(x.Start), backend: x.Backend.Time,
	}
	switch x.Caller.KeyType {
	case sluice.ProductionKey:
		n.keyType = 1
	case sluice.SandboxKey:
		n.keyType = 2
	}
	p := u.free()
	if p.n == len(p.notes) {
		u.count(p)
	}
	p.notes[p.n] = n
	p.n++
	p.mu.Unlock()
}

// minuteOf returns the minute of a time, since 1970.
func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// free returns a part that nobody uses, locked.
func (u *Usage) free() *notes {
	at := int(rand.Uint32() % uint32(len(u.parts)))
	for i := range u.parts {
		if p := &u.parts[(at+i)%len(u.parts)]; p.mu.TryLock() {
			return p
		}
	}
	p := &u.parts[at]
	p.mu.Lock()
	return p
}

// count counts the notes of a part, which is locked, and empties it.
func (u *Usage) count(p *notes) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range p.notes[:p.n] {
		n := &p.notes[i]
		c := u.counts[n.noteKey]
		if c == nil {
			c = new(noteCount)
			u.counts[n.noteKey] = c
		}
		c.requests++
		c.in += n.in
		c.out += n.out
		c.latency.Add(n.latency)
		if n.backend > 0 {
			c.backend.Add(n.backend)
		}
	}
	clear(p.notes[:p.n]) // APIs that are gone are not held
	p.n = 0
}

// Take returns what was counted since it was called last. A key may be in it
// more than once: of an API that was deployed anew meanwhile, for one.
func (u *Usage) Take() []sluice.UsageCount {
	for i := range u.parts {
		p := &u.parts[i]
		p.mu.Lock()
		u.count(p)
		p.mu.Unlock()
	}
	u.mu.Lock()
	counts := u.counts
	if len(counts) > 0 {
		u.counts = make(map[noteKey]*noteCount, len(counts))
	}
	u.mu.Unlock()
	if len(counts) == 0 {
		return nil
	}
	list := make([]sluice.UsageCount, 0, len(counts))
	for k, c := range counts {
		list = append(list, sluice.UsageCount{
			UsageKey: k.key(), Requests: c.requests, BytesIn: c.in, BytesOut: c.out, Latency: c.latency, Backend: c.backend,
		})
	}
	return list
}

// otherRefusal is the refusal of a fault that no check gives: the gateway's own
// failure.
const otherRefusal = "gateway"

func (k *noteKey) key() sluice.UsageKey {
	u := sluice.UsageKey{Minute: k.minute, Status: int(k.status), KeyType: keyTypes[k.keyType]}
	if k.api != nil {
		u.Organization, u.APIID, u.APIName, u.APIVersion, u.Revision = k.api.Organization, k.api.ID, k.api.Name, k.api.Version, k.api.Revision
	}
	if k.operation != nil {
		u.Operation = k.operation.Verb + " " + k.operation.Target
	}
	if k.application != nil {
		u.ApplicationID = k.application.ID
	}
	if k.fault != nil {
		if u.Refusal = k.fault.Check(); u.Refusal == "" {
			u.Refusal = otherRefusal
		}
	}
	return u
}
