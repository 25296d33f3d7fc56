package gateway

import (
	"container/heap"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-api/sluice"
)

const (
	// Waits before a probe is repeated, doubled each time up to the second:
	// while a listener does not take connections, and after a wrong answer.
	waitUnreachable, maxWaitUnreachable = 50 * time.Millisecond, 2 * time.Second
	waitFailed, maxWaitFailed           = 250 * time.Millisecond, 30 * time.Second
)

// deployments is the state of every API that this gateway was given, and the
// list of those whose proof is due. It may be used by many goroutines.
type deployments struct {
	now  func() time.Time
	wake chan struct{} // holds one value while there may be news for the prober

	mu   sync.Mutex // guards what follows
	byID map[string]*deployment
	due  probeQueue
	last int64 // how many have been activated
}

type deployment struct {
	report sluice.DeploymentReport
	route  *route        // what is to be proved; nil: nothing
	wait   time.Duration // before the next probe
}

func newDeployments(now func() time.Time) *deployments {
	return &deployments{now: now, wake: make(chan struct{}, 1), byID: make(map[string]*deployment)}
}

// reports returns the state of every API in order of ids.
func (d *deployments) reports() []sluice.DeploymentReport {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]sluice.DeploymentReport, 0, len(d.byID))
	for _, dep := range d.byID {
		list = append(list, dep.report)
	}
	slices.SortFunc(list, func(a, b sluice.DeploymentReport) int { return strings.Compare(a.APIID, b.APIID) })
	return list
}

// each calls f with every API id.
func (d *deployments) each(f func(id string)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.byID {
		f(id)
	}
}

// activate notes that r answers now, and wants a proof of it. Nothing changes
// where the same build was active before.
func (d *deployments) activate(r *route) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if dep := d.byID[r.api.ID]; dep != nil && dep.route == r {
		return
	}
	d.byID[r.api.ID] = &deployment{route: r, report: sluice.DeploymentReport{
		APIID: r.api.ID, Digest: r.digest, Revision: r.api.Revision, State: sluice.Active, Since: d.now(),
	}}
	d.last++
	d.push(probeDue{r, -d.last}) // the newest first: somebody waits for it
}

// fail notes that a form of an API could not be taken, and what is served
// instead; nil: nothing.
func (d *deployments) fail(id, digest string, revision int, reason string, serving *route) {
	d.mu.Lock()
	defer d.mu.Unlock()
	report := sluice.DeploymentReport{APIID: id, Digest: digest, Revision: revision, State: sluice.Failed, Reason: reason, Since: d.now()}
	if serving != nil {
		report.Serving = serving.digest
	}
	if dep := d.byID[id]; dep != nil && dep.report.State == sluice.Failed && dep.report.Digest == digest {
		report.Since = dep.report.Since
	}
	d.byID[id] = &deployment{report: report}
}

// remove forgets APIs that are gone.
func (d *deployments) remove(ids map[string]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range ids {
		delete(d.byID, id)
	}
}

// next returns a build whose proof is due, or how long to wait for one; zero:
// until wake.
func (d *deployments) next() (*route, time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now().UnixNano()
	for len(d.due) > 0 {
		first := d.due[0]
		if first.when > now {
			return nil, time.Duration(first.when - now)
		}
		heap.Pop(&d.due)
		if dep := d.byID[first.route.api.ID]; dep != nil && dep.route == first.route {
			return first.route, 0
		}
	}
	return nil, 0
}

// outcome is what a probe found.
type outcome struct {
	state  sluice.DeploymentState // Live, Failed, or Active where the listener could not be reached
	reason string
}

// note takes the outcome of r's probe and reports whether that is news. What is
// not live is due again later. It ignores a build that was replaced meanwhile.
func (d *deployments) note(r *route, o outcome) (news bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dep := d.byID[r.api.ID]
	if dep == nil || dep.route != r {
		return false
	}
	if dep.report.State != o.state || dep.report.Reason != o.reason {
		news = true
		if dep.report.State != o.state {
			dep.report.Since = d.now()
			dep.wait = 0
		}
		dep.report.State, dep.report.Reason = o.state, o.reason
	}
	switch o.state {
	case sluice.Live:
		return news
	case sluice.Active:
		dep.wait = min(max(2*dep.wait, waitUnreachable), maxWaitUnreachable)
	default:
		dep.wait = min(max(2*dep.wait, waitFailed), maxWaitFailed)
	}
	d.push(probeDue{r, d.now().Add(dep.wait).UnixNano()})
	return news
}

// push is called with mu held.
func (d *deployments) push(p probeDue) {
	heap.Push(&d.due, p)
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// probeDue is a build and when its proof is due: Unix nanoseconds, or negative
// for the first proof, the newest build having the lowest number.
type probeDue struct {
	route *route
	when  int64
}

// probeQueue is a heap of what is due, the earliest first.
type probeQueue []probeDue

// Len implements sort.Interface.
func (q probeQueue) Len() int { return len(q) }

// Less implements sort.Interface.
func (q probeQueue) Less(i, j int) bool { return q[i].when < q[j].when }

// Swap implements sort.Interface.
func (q probeQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *probeQueue) Push(x any) { *q = append(*q, x.(probeDue)) }

// Pop implements heap.Interface.
func (q *probeQueue) Pop() any {
	last := len(*q) - 1
	p := (*q)[last]
	(*q)[last] = probeDue{}
	*q = (*q)[:last]
	return p
}
