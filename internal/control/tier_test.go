package control

import (
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/database"
)

// newTier returns a tier as a request asks for it.
func newTier(level sluice.TierLevel, name string) sluice.Tier {
	return sluice.Tier{
		Level: level, Name: name, Limit: sluice.Limit{Requests: 7, Window: time.Minute}, BillingPlan: "FREE", StopOnQuota: true,
	}
}

// What events add up to is what a gateway that catches up is given.
func TestTiersReachGateways(t *testing.T) {
	w := newWorld(t)
	everywhere := func(sign string) []string {
		return []string{sign + "tier @ " + production, sign + "tier @ " + sandbox, sign + "tier @ " + both}
	}
	items := func() map[string][]byte {
		t.Helper()
		s, err := w.plane.snapshot(t.Context(), w.environment(production).ID)
		if err != nil {
			t.Fatal(err)
		}
		return s.Items
	}
	seven := newTier(sluice.SubscriptionTier, "Seven")
	wantLines(t, "CreateTier", w.emitted(func() {
		if err := w.plane.CreateTier(w.admin(), &seven); err != nil {
			t.Fatal(err)
		}
	}), everywhere("+")...)
	id := (&artifact.Tier{Organization: sluice.DefaultOrganization, Level: sluice.SubscriptionTier, Name: "Seven"}).ItemID()
	before := string(items()[id])

	seven.Limit.Requests, seven.Limit.Burst, seven.Limit.BurstWindow = 8, 2, time.Second
	wantLines(t, "PutTier", w.emitted(func() {
		if err := w.plane.PutTier(w.admin(), &seven, seven.RowVersion); err != nil {
			t.Fatal(err)
		}
	}), everywhere("+")...)
	if after := string(items()[id]); after == before {
		t.Errorf("gateways still have %s", after)
	}
	var last sluice.Event
	wantLines(t, "DeleteTier", w.emitted(func() {
		if err := w.plane.DeleteTier(w.admin(), sluice.SubscriptionTier, seven.ID, seven.RowVersion); err != nil {
			t.Fatal(err)
		}
	}), everywhere("-")...)
	for _, e := range w.eventsAfter(0) {
		last = e
	}
	w.view(func(tx *database.Tx) error {
		c, err := change(tx, last, map[string]int64{})
		if err != nil || len(c.Remove) != 1 || c.Remove[0] != id {
			t.Errorf("the last event removes %v, %v, want %s", c.Remove, err, id)
		}
		return err
	})
	if left, there := items()[id]; there {
		t.Errorf("a gateway that catches up still gets %s", left)
	}
}

func TestTierWithoutStopHasOnlyItsBurst(t *testing.T) {
	tier := newTier(sluice.SubscriptionTier, "Soft")
	tier.StopOnQuota, tier.Limit.Burst, tier.Limit.BurstWindow = false, 3, time.Second
	if got, want := tierItem(tier).Limit, (sluice.Limit{Burst: 3, BurstWindow: time.Second}); got != want {
		t.Errorf("gateways count by %+v, want %+v", got, want)
	}
}

func TestTierRefusals(t *testing.T) {
	w := newWorld(t)
	find := func(level sluice.TierLevel, name string) sluice.Tier {
		t.Helper()
		tier, err := w.plane.Tier(w.admin(), level, name)
		if err != nil {
			t.Fatal(err)
		}
		return tier
	}
	put := func(level sluice.TierLevel, name string, ifMatch int64, change func(*sluice.Tier)) error {
		tier := find(level, name)
		change(&tier)
		return w.plane.PutTier(w.admin(), &tier, ifMatch)
	}
	for name, c := range map[string]struct {
		err  error
		kind sluice.Kind
		code string
	}{
		"a tier that is there": {func() error { n := newTier(sluice.SubscriptionTier, "Gold"); return w.plane.CreateTier(w.admin(), &n) }(), sluice.Conflict, "tier.exists"},
		"a name with a slash":  {func() error { n := newTier(sluice.SubscriptionTier, "a/b"); return w.plane.CreateTier(w.admin(), &n) }(), sluice.Invalid, "tier.name"},
		"permissions of an application tier": {func() error {
			n := newTier(sluice.ApplicationTier, "New")
			n.Permission = &sluice.TierPermission{Roles: []sluice.Role{"x"}}
			return w.plane.CreateTier(w.admin(), &n)
		}(), sluice.Invalid, "tier.permission"},
		"a burst of operations": {func() error {
			n := newTier(sluice.APITier, "New")
			n.Limit.Burst, n.Limit.BurstWindow = 1, time.Second
			return w.plane.CreateTier(w.admin(), &n)
		}(), sluice.Invalid, "tier.burst"},
		"part of a second": {put(sluice.SubscriptionTier, "Gold", 0, func(t *sluice.Tier) { t.Limit.Window = time.Millisecond }), sluice.Invalid, "tier.limit"},
		"another name":     {put(sluice.SubscriptionTier, "Gold", 0, func(t *sluice.Tier) { t.Name = "Golden" }), sluice.Invalid, "tier.renamed"},
		"another level":    {put(sluice.SubscriptionTier, "Gold", 0, func(t *sluice.Tier) { t.Level = sluice.APITier }), sluice.NotFound, "tier.unknown"},
		"an old version":   {put(sluice.SubscriptionTier, "Gold", 99, func(*sluice.Tier) {}), sluice.Changed, "changed"},
		"a limit of Unlimited": {
			put(sluice.ApplicationTier, sluice.Unlimited, 0, func(t *sluice.Tier) { t.Limit = sluice.Limit{Requests: 1, Window: time.Second} }),
			sluice.Forbidden, "tier.protected",
		},
		"deleting Unlimited":       {w.plane.DeleteTier(w.admin(), sluice.APITier, find(sluice.APITier, sluice.Unlimited).ID, 0), sluice.Forbidden, "tier.protected"},
		"deleting Unauthenticated": {w.plane.DeleteTier(w.admin(), sluice.SubscriptionTier, find(sluice.SubscriptionTier, "Unauthenticated").ID, 0), sluice.Forbidden, "tier.protected"},
		"deleting an old version":  {w.plane.DeleteTier(w.admin(), sluice.APITier, find(sluice.APITier, "10KPerMin").ID, 99), sluice.Changed, "changed"},
	} {
		wantCode(t, name, c.err, c.kind, c.code)
	}
}

func TestTierInUse(t *testing.T) {
	w := newWorld(t)
	sam := w.as("sam", sluice.Subscriber)
	a := w.published("Weather")
	app := sluice.Application{Name: "App", Tier: "10PerMin"}
	if err := w.plane.CreateApplication(sam, &app); err != nil {
		t.Fatal(err)
	}
	if _, err := w.plane.Subscribe(sam, app.ID, a.ID, "Gold"); err != nil {
		t.Fatal(err)
	}
	w.update(func(tx *database.Tx) error { // an operation has a tier, in a revision alone
		stored, err := tx.API(a.Organization, a.ID)
		if err != nil {
			return err
		}
		stored.Operations[0].Tier = "20KPerMin"
		return tx.PutAPI(&stored)
	})
	w.revision(a.ID)
	w.update(func(tx *database.Tx) error {
		stored, err := tx.API(a.Organization, a.ID)
		if err != nil {
			return err
		}
		stored.Operations[0].Tier, stored.Tiers = "", []string{sluice.Unlimited}
		return tx.PutAPI(&stored)
	})
	for name, tier := range map[string]struct {
		level sluice.TierLevel
		name  string
		used  bool
	}{
		"of an application":     {sluice.ApplicationTier, "10PerMin", true},
		"of a subscription":     {sluice.SubscriptionTier, "Gold", true},
		"in a revision":         {sluice.APITier, "20KPerMin", true},
		"of no application":     {sluice.ApplicationTier, "20PerMin", false},
		"that no API offers":    {sluice.SubscriptionTier, "Bronze", false},
		"that no operation has": {sluice.APITier, "10KPerMin", false},
	} {
		found, err := w.plane.Tier(w.admin(), tier.level, tier.name)
		if err != nil {
			t.Fatal(err)
		}
		err = w.plane.DeleteTier(w.admin(), tier.level, found.ID, 0)
		if tier.used {
			wantCode(t, "a tier "+name, err, sluice.Forbidden, "tier.used")
		} else if err != nil {
			t.Errorf("a tier %s: %v", name, err)
		}
	}
}

// Who may subscribe with a tier, and change to it, is the tier's permission.
func TestTierPermission(t *testing.T) {
	w := newWorld(t)
	a := w.published("Weather")
	permit := func(p *sluice.TierPermission) {
		t.Helper()
		gold, err := w.plane.Tier(w.admin(), sluice.SubscriptionTier, "Gold")
		if err != nil {
			t.Fatal(err)
		}
		gold.Permission = p
		if err := w.plane.PutTier(w.admin(), &gold, 0); err != nil {
			t.Fatal(err)
		}
	}
	const partner = sluice.Role("partner")
	for name, c := range map[string]struct {
		permission *sluice.TierPermission
		roles      []sluice.Role
		may        bool
	}{
		"no permission":                  {nil, nil, true},
		"an allowed role":                {&sluice.TierPermission{Roles: []sluice.Role{partner}}, []sluice.Role{partner}, true},
		"no allowed role":                {&sluice.TierPermission{Roles: []sluice.Role{partner}}, nil, false},
		"everyone is allowed":            {&sluice.TierPermission{Roles: []sluice.Role{"Internal/everyone"}}, nil, true},
		"a denied role":                  {&sluice.TierPermission{Deny: true, Roles: []sluice.Role{partner}}, []sluice.Role{partner}, false},
		"no denied role":                 {&sluice.TierPermission{Deny: true, Roles: []sluice.Role{partner}}, nil, true},
		"an administrator who is denied": {&sluice.TierPermission{Deny: true, Roles: []sluice.Role{partner}}, []sluice.Role{partner, sluice.Administrator}, true},
	} {
		t.Run(name, func(t *testing.T) {
			permit(c.permission)
			ctx := w.as("sam", append(c.roles, sluice.Subscriber)...)
			app := sluice.Application{Name: name, Tier: sluice.Unlimited}
			if err := w.plane.CreateApplication(ctx, &app); err != nil {
				t.Fatal(err)
			}
			tiers, err := w.plane.SubscriptionTiers(ctx, a.ID)
			if err != nil || (len(tiers) == 2) != c.may {
				t.Errorf("tiers = %v, %v, want Gold among them: %t", tiers, err, c.may)
			}
			s, err := w.plane.Subscribe(ctx, app.ID, a.ID, "Gold")
			if c.may {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantCode(t, "Subscribe", err, sluice.Forbidden, "subscription.tier")
			if s, err = w.plane.Subscribe(ctx, app.ID, a.ID, sluice.Unlimited); err != nil {
				t.Fatal(err)
			}
			_, err = w.plane.ChangeTier(ctx, s.ID, "Gold", 0)
			wantCode(t, "ChangeTier", err, sluice.Forbidden, "subscription.tier")
		})
	}
}

func TestChangeTier(t *testing.T) {
	w := newWorld(t)
	sam := w.as("sam", sluice.Subscriber)
	a, app := w.published("Weather"), w.application("sam", "App")
	s, err := w.plane.Subscribe(sam, app.ID, a.ID, "Gold")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.plane.ChangeTier(sam, s.ID, "Silver", 0)
	wantCode(t, "a tier that is not offered", err, sluice.Forbidden, "subscription.tier")
	_, err = w.plane.ChangeTier(sam, s.ID, sluice.Unlimited, s.RowVersion+1)
	wantCode(t, "an old version", err, sluice.Changed, "changed")
	got := w.emitted(func() {
		if s, err = w.plane.ChangeTier(sam, s.ID, sluice.Unlimited, s.RowVersion); err != nil || s.Tier != sluice.Unlimited || s.State != sluice.Unblocked {
			t.Errorf("subscription = %+v, %v", s, err)
		}
	})
	wantLines(t, "ChangeTier", got, "+subscription @ "+production, "+subscription @ "+sandbox, "+subscription @ "+both)
	w.update(func(tx *database.Tx) error { s.State = sluice.OnHold; return tx.PutSubscription(&s) })
	_, err = w.plane.ChangeTier(sam, s.ID, "Gold", 0)
	wantCode(t, "one that waits for approval", err, sluice.Forbidden, "subscription.state")
}
