package sluice

import "time"

// TierLevel is what a tier applies to.
type TierLevel string

// Tier levels.
const (
	SubscriptionTier TierLevel = "subscription"
	ApplicationTier  TierLevel = "application"
	APITier          TierLevel = "api"
)

// Unlimited is the name of the tier without a limit, at every level.
const Unlimited = "Unlimited"

// Tier is how much may be called by one subscription, application or API.
type Tier struct {
	ID           string
	Organization string
	Level        TierLevel
	Name         string
	DisplayName  string
	Description  string
	Limit        Limit
	BillingPlan  string // "FREE", "COMMERCIAL"
	StopOnQuota  bool
}

// Limit is how many requests are allowed in each Window; zero Requests with a
// zero Window is no limit.
type Limit struct {
	Requests int           `json:"requests"`
	Window   time.Duration `json:"window"` // whole seconds

	// Burst is how many of them are allowed in each BurstWindow, of subscription
	// tiers alone; zero of both is as many as there are.
	Burst       int           `json:"burst,omitempty"`
	BurstWindow time.Duration `json:"burst_window,omitempty"` // whole seconds
}

// DefaultTiers are those that exist from the first start.
func DefaultTiers() []Tier {
	perMinute := func(level TierLevel, name string, n int) Tier {
		t := Tier{Level: level, Name: name, DisplayName: name, BillingPlan: "FREE", StopOnQuota: true}
		if n > 0 {
			t.Limit = Limit{Requests: n, Window: time.Minute}
		}
		return t
	}
	return []Tier{
		perMinute(SubscriptionTier, "Gold", 5000), perMinute(SubscriptionTier, "Silver", 2000),
		perMinute(SubscriptionTier, "Bronze", 1000), perMinute(SubscriptionTier, "Unauthenticated", 500),
		perMinute(SubscriptionTier, Unlimited, 0),
		perMinute(ApplicationTier, "50PerMin", 50), perMinute(ApplicationTier, "20PerMin", 20),
		perMinute(ApplicationTier, "10PerMin", 10), perMinute(ApplicationTier, Unlimited, 0),
		perMinute(APITier, "50KPerMin", 50000), perMinute(APITier, "20KPerMin", 20000),
		perMinute(APITier, "10KPerMin", 10000), perMinute(APITier, Unlimited, 0),
	}
}
