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

// sealedTokenTrust is where the Key Manager keeps what gateways judge tokens by
// (package keymanager writes it under the same name).
const sealedTokenTrust = "keymanager/trust"

// snapshot returns everything the gateways of an environment must have, from
// one view of the database: the same items, byte for byte, that the events of
// the outbox add up to.
func (p *Plane) snapshot(ctx context.Context, environmentID string) (s distribution.Snapshot, err error) {
	s = distribution.Snapshot{EnvironmentID: environmentID, Items: map[string][]byte{}}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		e, err := tx.Environment(environmentID)
		if err != nil {
			return err
		}
		s.Epoch, s.Generation = e.Epoch, e.Generation
		items, err := commonItems(tx)
		if err != nil {
			return err
		}
		for _, item := range append(items, environmentItem(e)) {
			if s.Items[item.ItemID()], err = artifact.Encode(item); err != nil {
				return err
			}
		}
		deployments, err := tx.EnvironmentDeployments(environmentID)
		if err != nil {
			return err
		}
		for _, d := range deployments {
			if d.Digest == "" {
				continue
			}
			if s.Items[artifact.APIItem(d.APIID)], err = tx.Artifact(d.Digest); err != nil {
				return fmt.Errorf("artifact of API %s: %w", d.APIID, err)
			}
		}
		return nil
	})
	if err != nil {
		return s, fmt.Errorf("snapshot of environment %s: %w", environmentID, err)
	}
	return s, nil
}

// commonItems returns what the gateways of every environment have.
func commonItems(tx *database.Tx) (items []artifact.Item, err error) {
	applications, err := tx.AllApplications()
	if err != nil {
		return nil, err
	}
	for _, a := range applications {
		items = append(items, applicationItem(a))
	}
	keys, err := tx.AllConsumerKeys()
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		items = append(items, keyItem(k))
	}
	apiKeys, err := tx.AllAPIKeys()
	if err != nil {
		return nil, err
	}
	for _, k := range apiKeys {
		items = append(items, apiKeyItem(k))
	}
	how, enabled, err := backendJWTItem(tx)
	if err != nil {
		return nil, err
	}
	if enabled {
		items = append(items, how)
	}
	subscriptions, err := tx.AllSubscriptions()
	if err != nil {
		return nil, err
	}
	for _, s := range subscriptions {
		items = append(items, subscriptionItem(s))
	}
	revocations, err := tx.Revocations(time.Time{}) // an expired one leaves the state by an event, not by the clock
	if err != nil {
		return nil, err
	}
	for _, r := range revocations {
		items = append(items, revocationItem(r))
	}
	organizations, err := tx.Organizations()
	if err != nil {
		return nil, err
	}
	for _, o := range organizations {
		tiers, err := tx.Tiers(o.ID, "")
		if err != nil {
			return nil, err
		}
		for _, t := range tiers {
			items = append(items, tierItem(t))
		}
	}
	body, err := tx.Sealed(sealedTokenTrust)
	if sluice.IsNotFound(err) {
		return items, nil // the Key Manager has not started yet
	}
	if err != nil {
		return nil, err
	}
	var trust sluice.TokenTrust
	if err := json.Unmarshal(body, &trust); err != nil {
		return nil, fmt.Errorf("read what tokens are judged by: %w", err)
	}
	return append(items, &artifact.Tokens{Issuer: trust.Issuer, Keys: trust.Keys}), nil
}

func environmentItem(e sluice.Environment) *artifact.Environment {
	return &artifact.Environment{ID: e.ID, Name: e.Name, Type: e.Type, Vhosts: e.Vhosts}
}

func applicationItem(a sluice.Application) *artifact.Application {
	return &artifact.Application{ID: a.ID, Organization: a.Organization, Name: a.Name, Owner: a.Owner, Tier: a.Tier}
}

func keyItem(k sluice.ConsumerKey) *artifact.Key {
	return &artifact.Key{Key: k.Key, ApplicationID: k.ApplicationID, Type: k.Type}
}

func subscriptionItem(s sluice.Subscription) *artifact.Subscription {
	return &artifact.Subscription{ID: s.ID, ApplicationID: s.ApplicationID, APIID: s.APIID, Tier: s.Tier, State: s.State}
}

// revocationItem cuts times to what the database keeps of them, so that the item
// of an event is that of the snapshot.
func revocationItem(r sluice.Revocation) *artifact.Revocation {
	return &artifact.Revocation{
		ID: r.ID, Kind: r.Kind, Subject: r.Subject, Organization: r.Organization,
		Before: r.Before.UTC().Truncate(time.Microsecond), ExpiresAt: r.ExpiresAt.UTC().Truncate(time.Microsecond),
	}
}
