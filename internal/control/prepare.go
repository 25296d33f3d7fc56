package control

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/distribution"
)

// prepareWithin is how long connected gateways may take to say whether they can
// take a publication.
const prepareWithin = 3 * time.Second

// ask asks the connected gateways of the targets whether they can take the changes,
// and returns why not; "": all can.
func (p *Plane) ask(ctx context.Context, r *run, changes map[string]distribution.Change) string {
	pub := r.now()
	if pub.Mode != sluice.AllOrNothing {
		return "" // whoever cannot take it says so when it is there
	}
	ctx, cancel := context.WithTimeout(ctx, prepareWithin)
	defer cancel()
	defer context.AfterFunc(r.asking, cancel)()
	var wg sync.WaitGroup
	for id, change := range changes {
		waiting := map[string]bool{}
		for _, t := range pub.Targets {
			for _, g := range t.Gateways {
				if t.EnvironmentID == id && g.State == sluice.Pending {
					waiting[g.GatewayID] = true
				}
			}
		}
		if len(waiting) == 0 {
			continue
		}
		wg.Go(func() {
			err := p.prepare(ctx, change, func(gatewayID string, refusals []distribution.Refusal) bool {
				if waiting[gatewayID] {
					delete(waiting, gatewayID)
					p.change(r, func(pub *sluice.Publication) { p.prepared(pub, id, gatewayID, refusals) })
				}
				return len(waiting) > 0
			})
			if err != nil && ctx.Err() == nil {
				p.log.Error("gateways could not be asked", "environment_id", id, "err", err)
			}
		})
	}
	wg.Wait()
	p.change(r, func(pub *sluice.Publication) { pub.Reason = p.unprepared(pub, changes) })
	return r.now().Reason
}

// prepared notes what a gateway has answered.
func (p *Plane) prepared(pub *sluice.Publication, environmentID, gatewayID string, refusals []distribution.Refusal) {
	state, reason := sluice.Prepared, ""
	if len(refusals) > 0 {
		state, reason = sluice.Failed, refusals[0].Reason
	}
	for i := range pub.Targets {
		t := &pub.Targets[i]
		for j := range t.Gateways {
			if g := &t.Gateways[j]; t.EnvironmentID == environmentID && g.GatewayID == gatewayID && g.State == sluice.Pending {
				g.State, g.Reason, g.At = state, reason, p.now()
			}
		}
		t.State = targetState(t)
	}
}

// unprepared says which gateways cannot take a publication, and why.
func (p *Plane) unprepared(pub *sluice.Publication, changes map[string]distribution.Change) string {
	var reasons []string
	for i := range pub.Targets {
		t := &pub.Targets[i]
		if _, asked := changes[t.EnvironmentID]; !asked {
			continue
		}
		for j := range t.Gateways {
			g := &t.Gateways[j]
			if g.State == sluice.Pending {
				g.State, g.Reason, g.At = sluice.Failed, "silent for 3 seconds", p.now()
			}
			if reason := g.Name + ": " + g.Reason; g.State == sluice.Failed && !slices.Contains(reasons, reason) {
				reasons = append(reasons, reason)
			}
		}
		t.State = targetState(t)
	}
	return strings.Join(reasons, "; ")
}
