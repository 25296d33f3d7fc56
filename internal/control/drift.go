package control

import (
	"context"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// GatewayDrift is in what a gateway differs from what it should be.
type GatewayDrift struct {
	GatewayInfo
	Last        sluice.Drift // that was found since this control plane has started; zero: none
	Differences []GatewayDifference
}

// GatewayDifference is an API of which a gateway does not serve what it should.
type GatewayDifference struct {
	APIID    string
	Intended int // revision that it should serve; 0: none
	GatewayStatus
}

// GatewayDrift returns in what a gateway differs from what it should be, of all
// organizations. What it serves is what it last said; an API that it has taken
// and not yet proved is no difference. The control plane repairs drift by
// itself, at the next heartbeat.
func (p *Plane) GatewayDrift(ctx context.Context, id string) (drift GatewayDrift, err error) {
	if _, err := allowHere(ctx, operators...); err != nil {
		return drift, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		g, err := tx.Gateway(id)
		if err != nil {
			return err
		}
		if drift.GatewayInfo, err = p.gatewayInfo(tx, g); err != nil {
			return err
		}
		drift.Last = p.status.drift(id)
		deployments, err := tx.EnvironmentDeployments(g.EnvironmentID)
		if err != nil {
			return err
		}
		intended := make(map[string]bool, len(deployments))
		for i := range deployments {
			d := &deployments[i]
			intended[d.APIID] = true
			switch st := p.status.of(g, d.APIID, d); st.State {
			case sluice.Live, sluice.Active, sluice.Skipped, sluice.Stale:
			default:
				drift.Differences = append(drift.Differences, GatewayDifference{d.APIID, d.RevisionNumber, st})
			}
		}
		for _, said := range drift.Report.Deployments {
			if !intended[said.APIID] && drift.State == "connected" {
				drift.Differences = append(drift.Differences, GatewayDifference{said.APIID, 0, p.status.of(g, said.APIID, nil)})
			}
		}
		return nil
	})
	slices.SortFunc(drift.Differences, func(a, b GatewayDifference) int { return strings.Compare(a.APIID, b.APIID) })
	return drift, err
}
