package control

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/distribution"
)

const (
	relayBatch = 500
	relayPoll  = 5 * time.Second // the net below the signal
	relayRetry = 200 * time.Millisecond
)

// clearOutbox drops what was left in the outbox before the start, and returns the
// last event of then. Gateways get it from the snapshot, which is not read before
// the bus runs; what is committed from here on is sent. Where other control planes
// may be running it drops nothing: their gateways may not have heard of it.
func (p *Plane) clearOutbox(ctx context.Context) (last int64, err error) {
	if p.o.Cluster != nil {
		return 0, nil
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		if last, err = tx.LastEvent(); err != nil {
			return err
		}
		return tx.DeleteEvents(last)
	})
	if err != nil {
		return 0, fmt.Errorf("clear the outbox: %w", err)
	}
	return last, nil
}

// relay carries the events after the given one from the outbox to the bus, in
// order, until ctx ends. Of several control planes one does so at a time.
func (p *Plane) relay(ctx context.Context, after int64) error {
	select {
	case <-p.bus.Ready():
	case <-ctx.Done():
		return nil
	}
	var err error
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.db.Committed():
		case <-wait.C:
		}
		if !p.db.Leads() {
			after = 0 // whoever does deletes what was sent
			continue
		}
		next := relayPoll
		if after, err = p.relayFrom(ctx, after); err != nil && ctx.Err() == nil {
			p.log.Error("changes were not sent to gateways; trying again", "err", err)
			next = relayRetry
		}
		wait.Reset(next)
	}
}

// relayFrom sends all events after the given one and returns the last that was
// sent.
func (p *Plane) relayFrom(ctx context.Context, after int64) (int64, error) {
	for {
		var changes []distribution.Change
		var last int64
		err := p.db.View(ctx, func(tx *database.Tx) error {
			events, err := tx.Events(after, relayBatch)
			if err != nil {
				return err
			}
			epochs := map[string]int64{}
			for _, e := range events {
				c, err := change(tx, e, epochs)
				if err != nil {
					return fmt.Errorf("event %d: %w", e.Sequence, err)
				}
				changes, last = append(changes, c), e.Sequence
			}
			return nil
		})
		if err != nil || len(changes) == 0 {
			return after, err
		}
		for _, c := range changes {
			if err := p.bus.Publish(ctx, c); err != nil {
				return after, fmt.Errorf("send generation %d: %w", c.Generation, err)
			}
		}
		after = last
		if err := p.db.Update(ctx, func(tx *database.Tx) error { return tx.DeleteEvents(after) }); err != nil {
			return after, fmt.Errorf("clear the outbox: %w", err)
		}
	}
}

// change turns an event into what it changes in its environment's state.
func change(tx *database.Tx, e sluice.Event, epochs map[string]int64) (distribution.Change, error) {
	c := distribution.Change{EnvironmentID: e.EnvironmentID, Generation: e.Generation}
	epoch, known := epochs[e.EnvironmentID]
	if !known {
		env, err := tx.Environment(e.EnvironmentID)
		if err != nil {
			return c, err
		}
		epoch = env.Epoch
		epochs[e.EnvironmentID] = epoch
	}
	c.Epoch = epoch
	item, id, body, err := itemOf(tx, e)
	if err != nil {
		return c, err
	}
	if item != nil {
		if body, err = artifact.Encode(item); err != nil {
			return c, err
		}
	}
	if body == nil {
		c.Remove = []string{id}
		return c, nil
	}
	c.Put = []distribution.Item{{ID: id, Digest: artifact.DigestOf(body), Body: body}}
	return c, nil
}

// itemOf returns the item an event speaks of: as a value, as bytes that are
// already encoded, or neither where it is gone.
func itemOf(tx *database.Tx, e sluice.Event) (item artifact.Item, id string, body []byte, err error) {
	gone := len(e.Body) == 0
	switch e.Kind {
	case sluice.DeploymentChanged:
		id = artifact.APIItem(e.Subject)
		if gone {
			return nil, id, nil, nil
		}
		d, err := decode[sluice.Deployment](e.Body)
		if err != nil {
			return nil, id, nil, err
		}
		body, err = tx.Artifact(d.Digest)
		if sluice.IsNotFound(err) {
			body, err = presentArtifact(tx, e)
		}
		return nil, id, body, err
	case sluice.SubscriptionChanged:
		s, err := decode[sluice.Subscription](e.Body)
		return keep[artifact.Item](subscriptionItem(s), gone), (&artifact.Subscription{ID: e.Subject}).ItemID(), nil, err
	case sluice.KeyChanged:
		k, err := decode[sluice.ConsumerKey](e.Body)
		return keep[artifact.Item](keyItem(k), gone), (&artifact.Key{Key: e.Subject}).ItemID(), nil, err
	case sluice.ApplicationChanged:
		a, err := decode[sluice.Application](e.Body)
		return keep[artifact.Item](applicationItem(a), gone), (&artifact.Application{ID: e.Subject}).ItemID(), nil, err
	case sluice.APIKeyChanged:
		k, err := decode[sluice.APIKey](e.Body)
		return keep[artifact.Item](apiKeyItem(k), gone), (&artifact.APIKey{ID: e.Subject}).ItemID(), nil, err
	case sluice.BackendJWTChanged:
		how, enabled, err := backendJWTItem(tx)
		return keep[artifact.Item](how, !enabled), e.Subject, nil, err
	case sluice.RevocationAdded:
		r, err := decode[sluice.Revocation](e.Body)
		return keep[artifact.Item](revocationItem(r), gone), (&artifact.Revocation{ID: e.Subject}).ItemID(), nil, err
	case sluice.TokenTrustChanged:
		t, err := decode[sluice.TokenTrust](e.Body)
		item := &artifact.Tokens{Issuer: t.Issuer, Keys: t.Keys}
		return item, item.ItemID(), nil, err
	case sluice.EnvironmentChanged:
		env, err := decode[sluice.Environment](e.Body)
		item := environmentItem(env)
		return item, item.ItemID(), nil, err
	case sluice.TierChanged:
		t, err := decode[sluice.Tier](e.Body)
		return keep[artifact.Item](tierItem(t), gone), goneTier(e.Subject).ItemID(), nil, err
	}
	return nil, "", nil, fmt.Errorf("event is of the unknown kind %q", e.Kind)
}

// presentArtifact returns what the environment of an event shall serve of its API
// now, nil for nothing: where what the event speaks of was replaced and deleted
// since, gateways go over to what came of it, and not to nothing in between.
func presentArtifact(tx *database.Tx, e sluice.Event) ([]byte, error) {
	d, err := deployment(tx, e.Subject, e.EnvironmentID)
	if err != nil || d == nil || d.Digest == "" {
		return nil, err
	}
	return tx.Artifact(d.Digest)
}

// keep returns item, or nil where it is gone.
func keep[T any](item T, gone bool) T {
	if gone {
		var none T
		return none
	}
	return item
}

// decode reads an event's body; an empty one gives the zero value.
func decode[T any](body []byte) (v T, err error) {
	if len(body) > 0 {
		err = json.Unmarshal(body, &v)
	}
	return v, err
}
