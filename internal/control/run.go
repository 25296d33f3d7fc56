package control

import (
	"context"
	"slices"
	"sync"

	"github.com/sluice-api/sluice"
)

// run is a publication that this control plane carries out.
type run struct {
	done   chan struct{}   // closed when it is final, or left to settle
	asking context.Context // ended by cancel: no answer of a gateway is waited for any more
	cancel context.CancelFunc

	mu  sync.Mutex // guards pub
	pub sluice.Publication
}

func newRun(pub sluice.Publication) *run {
	r := &run{pub: pub, done: make(chan struct{})}
	r.asking, r.cancel = context.WithCancel(context.Background())
	return r
}

// now returns the publication as it is now, which is the caller's.
func (r *run) now() sluice.Publication {
	r.mu.Lock()
	defer r.mu.Unlock()
	return clonePublication(r.pub)
}

func clonePublication(pub sluice.Publication) sluice.Publication {
	pub.Targets = slices.Clone(pub.Targets)
	for i := range pub.Targets {
		pub.Targets[i].Gateways = slices.Clone(pub.Targets[i].Gateways)
	}
	return pub
}

// runs are the publications under way, by id.
type runs struct {
	mu   sync.Mutex // guards byID
	byID map[string]*run
}

func (rs *runs) add(pub sluice.Publication) *run {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.byID == nil {
		rs.byID = map[string]*run{}
	}
	r := newRun(pub)
	rs.byID[pub.ID] = r
	return r
}

// of returns the run of a publication, nil where it is not under way here.
func (rs *runs) of(id string) *run {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.byID[id]
}

func (rs *runs) remove(id string) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	delete(rs.byID, id)
}

// change changes what is known of a publication under way, and tells who waits.
func (p *Plane) change(r *run, f func(pub *sluice.Publication)) {
	r.mu.Lock()
	f(&r.pub)
	r.mu.Unlock()
	p.status.tell()
}
