package policy

import "github.com/sluice-api/sluice"

// checkSubscription finds the subscription of the caller's application to the
// API and refuses the call where there is none that may be used.
func checkSubscription(x *Exchange) *Fault {
	c := &x.Caller
	if c.Test {
		return nil
	}
	if c.Application == nil {
		return NotSubscribed
	}
	c.Subscription = x.Directory.subscription(c.Application.ID, x.API.ID)
	if c.Subscription == nil {
		return NotSubscribed
	}
	switch c.Subscription.State {
	case sluice.Unblocked:
		return nil
	case sluice.ProductionOnlyBlocked:
		if c.KeyType != sluice.ProductionKey {
			return nil
		}
		return SubscriptionBlocked
	case sluice.SubscriptionBlocked:
		return SubscriptionBlocked
	}
	return SubscriptionInactive
}
