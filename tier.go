package sluice

import (
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

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
	Name         string // unique at its level, at most 60 characters; never changes
	DisplayName  string // at most 512 characters
	Description  string // at most 1024 characters
	Limit        Limit
	BillingPlan  string            // "FREE", "COMMERCIAL"
	StopOnQuota  bool              // calls beyond the limit are refused; else only its burst refuses calls
	Attributes   map[string]string // at most 50; for subscribers to read
	Permission   *TierPermission   // of a subscription tier; nil: every subscriber may use it
	RowVersion   int64
}

// TierPermission says who may subscribe with a tier: those with one of the
// roles, or, where Deny is set, those with none of them.
type TierPermission struct {
	Deny  bool   `json:"deny,omitempty"`
	Roles []Role `json:"roles"` // at least one
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

// maxTierWindow is the longest window of a limit.
const maxTierWindow = 366 * 24 * time.Hour

// Validate reports everything that is wrong with t.
func (t *Tier) Validate() error {
	var p Problems
	if n := utf8.RuneCountInString(t.Name); n == 0 || n > 60 || !printable(t.Name) || strings.ContainsFunc(t.Name, func(r rune) bool { return r == '/' || unicode.IsSpace(r) }) {
		p.Add("policyName", "tier.name", "A policy's name has 1 to 60 characters, without blanks and slashes.")
	}
	if utf8.RuneCountInString(t.DisplayName) > 512 || !printable(t.DisplayName) {
		p.Add("displayName", "tier.display_name", "A display name has at most 512 printable characters.")
	}
	if utf8.RuneCountInString(t.Description) > 1024 {
		p.Add("description", "tier.description", "A description has at most 1024 characters.")
	}
	if t.BillingPlan != "FREE" && t.BillingPlan != "COMMERCIAL" {
		p.Add("billingPlan", "tier.billing_plan", "The billing plan is FREE or COMMERCIAL.")
	}
	t.Limit.validate(&p)
	if t.Limit.Burst != 0 && t.Level != SubscriptionTier {
		p.Add("burstLimit", "tier.burst", "Only subscription policies have a burst.")
	}
	validateAttributes(&p, "customAttributes", "tier.attributes", t.Attributes)
	if t.Permission != nil {
		switch {
		case t.Level != SubscriptionTier:
			p.Add("permissions", "tier.permission", "Only subscription policies have permissions.")
		case len(t.Permission.Roles) == 0 || len(t.Permission.Roles) > 100:
			p.Add("permissions", "tier.permission", "Permissions name 1 to 100 roles.")
		}
	}
	return p.Err()
}

func (l Limit) validate(p *Problems) {
	counted := func(n int, window time.Duration) bool {
		return n >= 1 && n <= math.MaxInt32 && window >= time.Second && window <= maxTierWindow && window%time.Second == 0
	}
	if (l.Requests != 0 || l.Window != 0) && !counted(l.Requests, l.Window) {
		p.Add("defaultLimit", "tier.limit", "A limit is a number of requests above 0 in a time of 1 second to 366 days.")
	}
	if (l.Burst != 0 || l.BurstWindow != 0) && !counted(l.Burst, l.BurstWindow) {
		p.Add("rateLimitCount", "tier.burst", "A burst is a number of requests above 0 in a time of 1 second to 366 days.")
	}
}

// everyone is the role that every user has.
const everyone Role = "Internal/everyone"

// OpenTo reports whether a user with these roles may subscribe with t. An
// administrator always may.
func (t *Tier) OpenTo(roles []Role) bool {
	if t.Permission == nil || slices.Contains(roles, Administrator) {
		return true
	}
	named := slices.ContainsFunc(t.Permission.Roles, func(r Role) bool { return r == everyone || slices.Contains(roles, r) })
	return named != t.Permission.Deny
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
