package control

import (
	"context"
	"slices"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// Subscribe lets an application of the actor call a published API, within one
// of the tiers the API offers.
func (p *Plane) Subscribe(ctx context.Context, applicationID, apiID, tier string) (s sluice.Subscription, err error) {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return s, err
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		app, err := ownApplication(tx, actor, applicationID)
		if err != nil {
			return err
		}
		a, err := seen(tx, actor, apiID)
		if err != nil {
			return err
		}
		if a.State != sluice.Published {
			return sluice.Errorf(sluice.Forbidden, "subscription.state", "The API is %s; only a published one can be subscribed to.", a.State)
		}
		if err := p.offered(tier); err != nil {
			return err
		}
		if err := offers(tx, &a, actor, tier); err != nil {
			return err
		}
		s = sluice.Subscription{
			ID: sluice.NewID(p.now()), Organization: actor.Organization, ApplicationID: app.ID, APIID: a.ID,
			Tier: tier, State: sluice.Unblocked, CreatedAt: p.now(),
		}
		if err := tx.AddSubscription(&s); err != nil {
			return err
		}
		if err := emit(tx, "", sluice.SubscriptionChanged, s.ID, s); err != nil {
			return err
		}
		return audit(ctx, tx, "subscription.create", "subscription", s.ID, app.Name+" to "+a.Name+" "+a.Version, nil, s)
	})
	return s, err
}

// offers returns Forbidden where the actor cannot subscribe to an API with a tier.
func offers(tx *database.Tx, a *sluice.API, actor sluice.Actor, tier string) error {
	if slices.Contains(a.Tiers, tier) {
		t, err := tx.Tier(a.Organization, sluice.SubscriptionTier, tier)
		if err != nil && !sluice.IsNotFound(err) {
			return err
		}
		if err == nil && t.OpenTo(actor.Roles) {
			return nil
		}
	}
	return sluice.Errorf(sluice.Forbidden, "subscription.tier", "The API does not offer you the tier %q.", tier).At("throttlingPolicy")
}

// ChangeTier gives a subscription of an application of the actor another tier that
// the API offers. ifMatch is the row version the caller saw; 0: whatever it is.
func (p *Plane) ChangeTier(ctx context.Context, id, tier string, ifMatch int64) (s sluice.Subscription, err error) {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return s, err
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		if s, err = ownSubscription(tx, actor, id); err != nil {
			return err
		}
		if ifMatch != 0 && ifMatch != s.RowVersion {
			return sluice.Errorf(sluice.Changed, "changed", "Somebody else changed the subscription in the meantime; read it again.")
		}
		if s.State == sluice.OnHold || s.State == sluice.Rejected {
			return sluice.Errorf(sluice.Forbidden, "subscription.state", "A subscription that is %s cannot change its tier.", s.State)
		}
		a, err := tx.API(actor.Organization, s.APIID)
		if err != nil {
			return err
		}
		if err := offers(tx, &a, actor, tier); err != nil {
			return err
		}
		if tier != s.Tier {
			if err := p.offered(tier); err != nil {
				return err
			}
		}
		before := s
		s.Tier = tier
		if err := tx.PutSubscription(&s); err != nil {
			return err
		}
		if err := emit(tx, "", sluice.SubscriptionChanged, s.ID, s); err != nil {
			return err
		}
		return audit(ctx, tx, "subscription.tier", "subscription", s.ID, a.Name+" "+a.Version, before, s)
	})
	return s, err
}

// Subscriptions returns a page of the subscriptions of one of the actor's
// applications, or of all of them to one API.
func (p *Plane) Subscriptions(ctx context.Context, applicationID, apiID string, page Page) (list []sluice.Subscription, total int, err error) {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return nil, 0, err
	}
	f := database.SubscriptionFilter{
		Organization: actor.Organization, ApplicationID: applicationID, APIID: apiID, Offset: page.Offset, Limit: page.limit(),
	}
	if !actor.Has() {
		f.Owner = actor.Name
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if applicationID != "" {
			if _, err := ownApplication(tx, actor, applicationID); err != nil {
				return err
			}
		}
		list, total, err = tx.FindSubscriptions(f)
		return err
	})
	return list, total, err
}

// Subscription returns one subscription of an application of the actor.
func (p *Plane) Subscription(ctx context.Context, id string) (s sluice.Subscription, err error) {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return s, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		s, err = ownSubscription(tx, actor, id)
		return err
	})
	return s, err
}

func ownSubscription(tx *database.Tx, actor sluice.Actor, id string) (sluice.Subscription, error) {
	s, err := tx.Subscription(actor.Organization, id)
	if err != nil {
		return s, err
	}
	if _, err := ownApplication(tx, actor, s.ApplicationID); sluice.IsNotFound(err) {
		return sluice.Subscription{}, sluice.Errorf(sluice.NotFound, "subscription.unknown", "There is no such subscription.")
	} else if err != nil {
		return sluice.Subscription{}, err
	}
	return s, nil
}

// Unsubscribe ends a subscription, at all gateways.
func (p *Plane) Unsubscribe(ctx context.Context, id string) error {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		s, err := ownSubscription(tx, actor, id)
		if err != nil {
			return err
		}
		if err := deleteSubscription(tx, s); err != nil {
			return err
		}
		return audit(ctx, tx, "subscription.delete", "subscription", id, "", s, nil)
	})
}

func deleteSubscription(tx *database.Tx, s sluice.Subscription) error {
	if err := tx.DeleteSubscription(s.Organization, s.ID); err != nil {
		return err
	}
	return emit(tx, "", sluice.SubscriptionChanged, s.ID, nil)
}

// deleteSubscriptions deletes every subscription that the filter finds.
func deleteSubscriptions(tx *database.Tx, f database.SubscriptionFilter) error {
	f.Offset, f.Limit = 0, 500
	for {
		list, _, err := tx.FindSubscriptions(f)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, s := range list {
			if err := deleteSubscription(tx, s); err != nil {
				return err
			}
		}
	}
}

// copySubscriptions lets the subscribers of one version of an API call another,
// within the same tier; a blocked one stays blocked. Those on hold or rejected
// are not copied, and who subscribes to the other already is left as they are.
func (p *Plane) copySubscriptions(ctx context.Context, tx *database.Tx, from string, to *sluice.API) error {
	list, _, err := tx.FindSubscriptions(database.SubscriptionFilter{Organization: to.Organization, APIID: from})
	if err != nil {
		return err
	}
	for _, s := range list {
		if s.State == sluice.OnHold || s.State == sluice.Rejected {
			continue
		}
		_, n, err := tx.FindSubscriptions(database.SubscriptionFilter{Organization: to.Organization, APIID: to.ID, ApplicationID: s.ApplicationID, Limit: 1})
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		s.ID, s.APIID, s.CreatedAt = sluice.NewID(p.now()), to.ID, p.now()
		if err := tx.AddSubscription(&s); err != nil {
			return err
		}
		if err := emit(tx, "", sluice.SubscriptionChanged, s.ID, s); err != nil {
			return err
		}
		if err := audit(ctx, tx, "subscription.copy", "subscription", s.ID, to.Name+" "+to.Version, nil, s); err != nil {
			return err
		}
	}
	return nil
}

// PublisherSubscriptions returns a page of the subscriptions to one API, or to
// all that the actor may see in the Publisher where apiID is empty, each with
// its application, and how many there are.
func (p *Plane) PublisherSubscriptions(ctx context.Context, apiID string, page Page) (list []sluice.Subscription, applications []sluice.Application, total int, err error) {
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return nil, nil, 0, err
	}
	f := database.SubscriptionFilter{Organization: actor.Organization, APIID: apiID, AccessRoles: accessRoles(actor), Offset: page.Offset, Limit: page.limit()}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if apiID != "" {
			if _, err := readable(tx, actor, apiID); err != nil {
				return err
			}
		}
		if list, total, err = tx.FindSubscriptions(f); err != nil {
			return err
		}
		for _, s := range list {
			app, err := tx.Application(actor.Organization, s.ApplicationID)
			if err != nil {
				return err
			}
			applications = append(applications, app)
		}
		return nil
	})
	return list, applications, total, err
}

// BlockSubscription blocks a subscription to an API at every gateway:
// state is SubscriptionBlocked, or ProductionOnlyBlocked for production keys
// alone. One that waits for approval, or was refused it, cannot be blocked.
func (p *Plane) BlockSubscription(ctx context.Context, id string, state sluice.SubscriptionState, ifMatch int64) error {
	if state != sluice.SubscriptionBlocked && state != sluice.ProductionOnlyBlocked {
		return p.setSubscriptionState(ctx, id, ifMatch, "")
	}
	return p.setSubscriptionState(ctx, id, ifMatch, state)
}

// UnblockSubscription lets a blocked subscription be used again.
func (p *Plane) UnblockSubscription(ctx context.Context, id string, ifMatch int64) error {
	return p.setSubscriptionState(ctx, id, ifMatch, sluice.Unblocked)
}

func (p *Plane) setSubscriptionState(ctx context.Context, id string, ifMatch int64, state sluice.SubscriptionState) error {
	actor, err := allow(ctx, publishers...)
	if err != nil {
		return err
	}
	if state == "" {
		return sluice.Errorf(sluice.Invalid, "subscription.state", "The block state is BLOCKED or PROD_ONLY_BLOCKED.").At("blockState")
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		s, err := tx.Subscription(actor.Organization, id)
		if err != nil {
			return err
		}
		a, err := readable(tx, actor, s.APIID)
		if sluice.IsNotFound(err) {
			return sluice.Errorf(sluice.NotFound, "subscription.unknown", "There is no such subscription.")
		}
		if err != nil {
			return err
		}
		if ifMatch != 0 && ifMatch != s.RowVersion {
			return sluice.Errorf(sluice.Changed, "changed", "Somebody else changed the subscription in the meantime; read it again.")
		}
		if s.State == sluice.OnHold || s.State == sluice.Rejected {
			return sluice.Errorf(sluice.Invalid, "subscription.state", "A subscription that is %s is neither blocked nor unblocked.", s.State).At("subscriptionId")
		}
		before := s.State
		s.State = state
		if err := tx.PutSubscription(&s); err != nil {
			return err
		}
		if err := emit(tx, "", sluice.SubscriptionChanged, s.ID, s); err != nil {
			return err
		}
		return audit(ctx, tx, "subscription.block", "subscription", s.ID, a.Name+" "+a.Version, before, s.State)
	})
}
