package sluice

import "time"

// Subscription lets an Application call an API, as much as its Tier allows.
type Subscription struct {
	ID            string
	Organization  string
	ApplicationID string
	APIID         string
	Tier          string
	State         SubscriptionState
	RowVersion    int64
	CreatedAt     time.Time
}

// SubscriptionState says whether a subscription may be used.
type SubscriptionState string

// Subscription states.
const (
	Unblocked             SubscriptionState = "UNBLOCKED"
	OnHold                SubscriptionState = "ON_HOLD"
	Rejected              SubscriptionState = "REJECTED"
	SubscriptionBlocked   SubscriptionState = "BLOCKED"
	ProductionOnlyBlocked SubscriptionState = "PROD_ONLY_BLOCKED"
)
