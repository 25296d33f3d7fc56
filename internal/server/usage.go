package server

import (
	"fmt"

	"github.com/sluice-api/sluice/internal/distribution"
	"github.com/sluice-api/sluice/internal/gateway"
)

// openUsage returns what notes the calls of this gateway, and what keeps the
// counts on the disk until the control plane has stored them. The spool belongs
// to one enrolment: under another one the counts would be another environment's.
func (r *gatewayRole) openUsage() (*gateway.Usage, *distribution.Usage, error) {
	notes := gateway.NewUsage()
	usage, err := distribution.OpenUsage(distribution.UsageOptions{
		Dir: r.s.path("gateway", "usage", r.id().GatewayID), Take: notes.Take, Log: r.s.log, Now: r.s.now,
	})
	if err != nil {
		return nil, nil, err
	}
	r.mu.Lock()
	r.usage = usage
	r.mu.Unlock()
	return notes, usage, nil
}

// watchUsage keeps the health of the spool.
func (r *gatewayRole) watchUsage() {
	r.mu.Lock()
	usage := r.usage
	r.mu.Unlock()
	why := ""
	if err := usage.Err(); err != nil {
		why = "usage waits in memory, for the disk does not take it: " + err.Error()
	}
	r.s.health.degrade("usage spool", why)
	why = ""
	if lost := usage.Lost(); lost > 0 && usage.Waiting() > 0 {
		why = fmt.Sprintf("the usage of %d calls was dropped, for the control plane was away too long", lost)
	}
	r.s.health.degrade("usage", why)
}
