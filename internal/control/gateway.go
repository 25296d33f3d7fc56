package control

import (
	"context"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// GatewayInfo is a gateway, what it says of itself, and what it should be.
type GatewayInfo struct {
	Gateway            sluice.Gateway
	Environment        string // name
	Report             sluice.Report
	State              string // "connected", "stale"
	IntendedGeneration int64
	IntendedRoot       string // digest of everything it should serve; empty: not known yet
	Drift              bool   // it is connected and serves something else, and no publication is running
	Intended           int    // APIs it should serve
	Live               int
	Failed             int
	Skipped            int
}

// Gateways returns the gateways of an environment, of all for "".
func (p *Plane) Gateways(ctx context.Context, environmentID string) (list []GatewayInfo, err error) {
	if _, err := allowHere(ctx, operators...); err != nil {
		return nil, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if environmentID != "" {
			if _, err := tx.Environment(environmentID); err != nil {
				return err
			}
		}
		gateways, err := tx.Gateways(environmentID)
		if err != nil {
			return err
		}
		for _, g := range gateways {
			info, err := p.gatewayInfo(tx, g)
			if err != nil {
				return err
			}
			list = append(list, info)
		}
		return nil
	})
	return list, err
}

// Gateway returns one gateway.
func (p *Plane) Gateway(ctx context.Context, id string) (info GatewayInfo, err error) {
	if _, err := allowHere(ctx, operators...); err != nil {
		return info, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		g, err := tx.Gateway(id)
		if err != nil {
			return err
		}
		info, err = p.gatewayInfo(tx, g)
		return err
	})
	return info, err
}

func (p *Plane) gatewayInfo(tx *database.Tx, g sluice.Gateway) (GatewayInfo, error) {
	info := GatewayInfo{Gateway: g, Report: p.status.report(g.ID), State: "stale"}
	if p.status.connected(g.ID) {
		info.State = "connected"
	}
	e, err := tx.Environment(g.EnvironmentID)
	if err != nil {
		return info, err
	}
	info.Environment, info.IntendedGeneration, info.IntendedRoot = e.Name, e.Generation, p.bus.Root(e.ID)
	if info.State == "connected" && info.IntendedRoot != "" && info.IntendedRoot != info.Report.Root {
		running, err := tx.UnfinishedPublications()
		if err != nil {
			return info, err
		}
		info.Drift = len(running) == 0
	}
	deployments, err := tx.EnvironmentDeployments(g.EnvironmentID)
	if err != nil {
		return info, err
	}
	said := make(map[string]sluice.DeploymentReport, len(info.Report.Deployments))
	for _, d := range info.Report.Deployments {
		said[d.APIID] = d
	}
	for _, d := range deployments {
		if d.Skipped != "" {
			info.Skipped++
			continue
		}
		info.Intended++
		switch r := said[d.APIID]; {
		case r.Digest != d.Digest:
		case r.State == sluice.Live:
			info.Live++
		case r.State == sluice.Failed:
			info.Failed++
		}
	}
	return info, nil
}

// RenameGateway changes what a gateway is shown as; "" is its own name. version is
// the row version the caller knows; 0: any.
func (p *Plane) RenameGateway(ctx context.Context, id, displayName string, version int64) (info GatewayInfo, err error) {
	if _, err := allowHere(ctx); err != nil {
		return info, err
	}
	var problems sluice.Problems
	if displayName != "" {
		checkDisplayName(&problems, displayName)
	}
	if err := problems.Err(); err != nil {
		return info, err
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		g, err := tx.Gateway(id)
		if err != nil {
			return err
		}
		if err := sameVersion(version, g.RowVersion); err != nil {
			return err
		}
		before := g.DisplayName
		g.DisplayName = displayName
		if err := tx.PutGateway(&g); err != nil {
			return err
		}
		if info, err = p.gatewayInfo(tx, g); err != nil {
			return err
		}
		return audit(ctx, tx, "gateway.update", "gateway", id, g.Name, before, displayName)
	})
	return info, err
}

// ResyncGateway makes a gateway compare everything it has with what it should
// have: its connection is cut, and it does so whenever it connects.
func (p *Plane) ResyncGateway(ctx context.Context, id string) error {
	if _, err := allowHere(ctx); err != nil {
		return err
	}
	err := p.db.Update(ctx, func(tx *database.Tx) error {
		g, err := tx.Gateway(id)
		if err != nil {
			return err
		}
		return audit(ctx, tx, "gateway.resync", "gateway", id, g.Name, nil, nil)
	})
	if err == nil {
		p.bus.Disconnect(id)
	}
	return err
}

// GatewayDeployment is what a gateway shall serve of an API, and its state there.
type GatewayDeployment struct {
	Deployment sluice.Deployment
	GatewayStatus
}

// GatewayDeployments returns what runs on a gateway, or should, of all
// organizations, in the order of the APIs' ids.
func (p *Plane) GatewayDeployments(ctx context.Context, id string) (list []GatewayDeployment, err error) {
	if _, err := allowHere(ctx, operators...); err != nil {
		return nil, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		g, err := tx.Gateway(id)
		if err != nil {
			return err
		}
		deployments, err := tx.EnvironmentDeployments(g.EnvironmentID)
		for _, d := range deployments {
			list = append(list, GatewayDeployment{d, p.status.of(g, d.APIID, &d)})
		}
		return err
	})
	slices.SortFunc(list, func(a, b GatewayDeployment) int { return strings.Compare(a.Deployment.APIID, b.Deployment.APIID) })
	return list, err
}

// RemoveGateway ends a gateway's enrolment: its key is refused from now on and
// its connection is cut. version is the row version the caller knows; 0: any.
func (p *Plane) RemoveGateway(ctx context.Context, id string, version int64) error {
	if _, err := allowHere(ctx); err != nil {
		return err
	}
	err := p.db.Update(ctx, func(tx *database.Tx) error {
		g, err := tx.Gateway(id)
		if err != nil {
			return err
		}
		if err := sameVersion(version, g.RowVersion); err != nil {
			return err
		}
		if err := tx.DeleteGateway(id); err != nil {
			return err
		}
		return audit(ctx, tx, "gateway.remove", "gateway", id, g.Name, g, nil)
	})
	if err != nil {
		return err
	}
	p.bus.Disconnect(id)
	p.status.forget(id)
	p.revocations.forget(id)
	return nil
}

// gatewayByKey returns the enrolled gateway with this public key.
func (p *Plane) gatewayByKey(ctx context.Context, publicKey string) (sluice.Gateway, bool) {
	var g sluice.Gateway
	err := p.db.View(ctx, func(tx *database.Tx) (err error) {
		g, err = tx.GatewayByKey(publicKey)
		return err
	})
	if err != nil && !sluice.IsNotFound(err) {
		p.log.Error("gateway was not looked up", "err", err)
	}
	return g, err == nil
}
