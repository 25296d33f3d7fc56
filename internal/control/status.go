package control

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/sluice-api/sluice"
)

// status is what gateways last said of themselves. It may be used by many
// goroutines.
type status struct {
	now func() time.Time

	mu      sync.Mutex // guards reports, drifts and changed
	reports map[string]sluice.Report
	drifts  map[string]sluice.Drift // by gateway, the last one
	changed chan struct{}           // closed at the next report, and replaced
}

func newStatus(now func() time.Time) *status {
	return &status{now: now, reports: map[string]sluice.Report{}, drifts: map[string]sluice.Drift{}, changed: make(chan struct{})}
}

// heard takes a report from the bus.
func (p *Plane) heard(r sluice.Report) {
	p.revocations.heard(r)
	s := p.status
	s.mu.Lock()
	defer s.mu.Unlock()
	if !r.Connected { // it says only that the gateway went
		last, known := s.reports[r.GatewayID]
		if !known {
			return // it was removed
		}
		last.Connected = false
		r = last
	}
	s.reports[r.GatewayID] = r
	if r.Connected {
		p.noteDrift(r)
	}
	s.announce()
}

// noteDrift keeps when a gateway's drift was found and when it was repaired.
// status.mu must be held.
func (p *Plane) noteDrift(r sluice.Report) {
	last := p.status.drifts[r.GatewayID]
	open := !last.FoundAt.IsZero() && last.RepairedAt.IsZero()
	switch reason := cmp.Or(r.Drift, r.Trouble); {
	case reason != "" && (!open || last.Reason != reason):
		if !open {
			last = sluice.Drift{GatewayID: r.GatewayID, FoundAt: r.HeardAt}
		}
		last.Reason = reason
		p.log.Warn("gateway drifts", "gateway_id", r.GatewayID, "reason", reason)
	case reason == "" && open:
		last.RepairedAt = r.HeardAt
		p.log.Info("gateway's drift is repaired", "gateway_id", r.GatewayID, "took", r.HeardAt.Sub(last.FoundAt))
	default:
		return
	}
	p.status.drifts[r.GatewayID] = last
}

// drift returns the last drift of a gateway; zero: none since this control plane
// has started.
func (s *status) drift(gatewayID string) sluice.Drift {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drifts[gatewayID]
}

// announce makes everybody look who waits for next. mu must be held.
func (s *status) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// tell makes everybody look who waits for next: a publication has moved on.
func (s *status) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.announce()
}

// forget drops what a removed gateway said.
func (s *status) forget(gatewayID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.reports, gatewayID)
	delete(s.drifts, gatewayID)
	s.announce()
}

// known returns the ids of all gateways that have said something.
func (s *status) known() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make(map[string]bool, len(s.reports))
	for id := range s.reports {
		ids[id] = true
	}
	return ids
}

// next returns a channel that is closed at the next report, and when a publication
// moves on.
func (s *status) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// report returns what a gateway last said; the zero Report: nothing yet.
func (s *status) report(gatewayID string) sluice.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reports[gatewayID]
}

// connected reports whether a gateway is connected and was heard lately.
func (s *status) connected(gatewayID string) bool {
	return s.current(s.report(gatewayID))
}

func (s *status) current(r sluice.Report) bool {
	return r.Connected && s.now().Sub(r.HeardAt) < sluice.StaleAfter
}

// of returns the state of an API on a gateway that shall serve d; nil: nothing.
func (s *status) of(g sluice.Gateway, apiID string, d *sluice.Deployment) GatewayStatus {
	r := s.report(g.ID)
	out := GatewayStatus{Gateway: g, Connected: s.current(r), State: sluice.Pending}
	var said *sluice.DeploymentReport
	if i := slices.IndexFunc(r.Deployments, func(d sluice.DeploymentReport) bool { return d.APIID == apiID }); i >= 0 {
		said = &r.Deployments[i]
		out.Revision, out.Digest, out.Since, out.Reason = said.Revision, said.Digest, said.Since, said.Reason
	}
	switch {
	case d != nil && d.Skipped != "":
		return GatewayStatus{Gateway: g, Connected: out.Connected, State: sluice.Skipped, Reason: d.Skipped, Since: d.DeployedAt}
	case d == nil && said == nil:
		out.State = sluice.Removed
	case d == nil:
		out.Reason = "still served; the gateway has not heard of the removal"
	case said != nil && said.Digest == d.Digest:
		out.State = said.State
	default: // what it said is of another artifact
		out.Since, out.Reason = d.DeployedAt, ""
	}
	if !out.Connected && out.State != sluice.Removed && said != nil {
		out.State, out.Since = sluice.Stale, r.HeardAt
	}
	return out
}
