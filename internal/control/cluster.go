package control

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// Times of keeping up with other control planes.
const (
	lookForRemoved = 500 * time.Millisecond
	lookForStates  = 5 * time.Second
)

// keepUp does what another control plane's changes ask of this one and no
// message need arrive for, until ctx ends: it cuts gateways that were removed
// there, and reads states anew whose changes were missed.
func (p *Plane) keepUp(ctx context.Context) error {
	removed, states := time.NewTicker(lookForRemoved), time.NewTicker(lookForStates)
	defer removed.Stop()
	defer states.Stop()
	failed := false
	var before []sluice.Environment
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-removed.C:
			err = p.cutRemoved(ctx)
		case <-states.C:
			before, err = p.readMissed(ctx, before)
		}
		if err != nil && !failed && ctx.Err() == nil {
			p.log.Error("what other control planes changed could not be read; trying again", "err", err)
		}
		failed = err != nil
	}
}

// cutRemoved cuts the gateways that were heard here and are enrolled no more.
func (p *Plane) cutRemoved(ctx context.Context) error {
	known := p.status.known() // before the View, so that each of them was enrolled before it
	if len(known) == 0 {
		return nil
	}
	var gateways []sluice.Gateway
	err := p.db.View(ctx, func(tx *database.Tx) (err error) {
		gateways, err = tx.Gateways("")
		return err
	})
	if err != nil {
		return err
	}
	for _, g := range gateways {
		delete(known, g.ID)
	}
	for id := range known {
		p.bus.Disconnect(id)
		p.status.forget(id)
		p.revocations.forget(id)
	}
	return nil
}

// readMissed has the bus read the states that are still older than the
// environments were a while ago, and returns what they are now.
func (p *Plane) readMissed(ctx context.Context, before []sluice.Environment) (now []sluice.Environment, err error) {
	var all error
	if !p.db.Leads() { // who does has published them
		for _, e := range before {
			all = errors.Join(all, p.bus.Refresh(ctx, e.ID, e.Epoch, e.Generation))
		}
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		now, err = tx.Environments()
		return err
	})
	return now, errors.Join(all, err)
}
