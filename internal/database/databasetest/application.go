package databasetest

import (
	"errors"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

func newApplication(id, name string) *sluice.Application {
	return &sluice.Application{
		ID: id, Organization: org, Owner: "anna", Name: name, Description: "sells", Tier: "Unlimited", TokenType: "JWT",
		Attributes: map[string]string{"team": "sales"}, CreatedAt: start(),
	}
}

func addApplication(id, name string) func(tx *database.Tx) error {
	return func(tx *database.Tx) error { return tx.AddApplication(newApplication(id, name)) }
}

func testApplications(t *testing.T, db *database.DB) {
	shop, desk, foreign := newApplication("p1", "Shop"), newApplication("p2", "desk"), newApplication("p3", "Shop")
	desk.Owner, desk.Attributes, desk.Tier, foreign.Organization = "bert", nil, "10PerMin", "o2"
	update(t, db, func(tx *database.Tx) error {
		return errors.Join(tx.AddApplication(shop), tx.AddApplication(desk), tx.AddApplication(foreign))
	})
	same(t, "Application", read(t, db, func(tx *database.Tx) (sluice.Application, error) { return tx.Application(org, "p1") }), *shop)
	same(t, "AllApplications", read(t, db, (*database.Tx).AllApplications), []sluice.Application{*shop, *desk, *foreign})
	for name, test := range map[string]struct {
		filter database.ApplicationFilter
		want   []string
		total  int
	}{
		"all":               {database.ApplicationFilter{}, []string{"p2", "p1"}, 2},
		"of an owner":       {database.ApplicationFilter{Owner: "anna"}, []string{"p1"}, 1},
		"by part of a name": {database.ApplicationFilter{Name: "HO"}, []string{"p1"}, 1},
		"by all of a name":  {database.ApplicationFilter{Name: "Shop", Exact: true}, []string{"p1"}, 1},
		"exact, other case": {database.ApplicationFilter{Name: "shop", Exact: true}, nil, 0},
		"of a tier":         {database.ApplicationFilter{Tier: "10PerMin"}, []string{"p2"}, 1},
		"by name, down":     {database.ApplicationFilter{Order: "desc"}, []string{"p1", "p2"}, 2},
		"by tier":           {database.ApplicationFilter{Sort: "tier"}, []string{"p2", "p1"}, 2},
		"by tier, down":     {database.ApplicationFilter{Sort: "tier", Order: "desc"}, []string{"p1", "p2"}, 2},
		"none":              {database.ApplicationFilter{Owner: "bert", Name: "shop"}, nil, 0},
		"a page":            {database.ApplicationFilter{Offset: 1, Limit: 1}, []string{"p1"}, 2},
	} {
		test.filter.Organization = org
		err := db.View(t.Context(), func(tx *database.Tx) error {
			list, total, err := tx.FindApplications(test.filter)
			same(t, name, names(list, func(a sluice.Application) string { return a.ID }), test.want)
			same(t, name+", total", total, test.total)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	refused(t, db, sluice.Invalid, "search.sort", func(tx *database.Tx) error {
		_, _, err := tx.FindApplications(database.ApplicationFilter{Organization: org, Sort: "owner"})
		return err
	})
	refused(t, db, sluice.Conflict, "application.exists", addApplication("p4", "Shop"))
	shop.Name, shop.Tier, shop.Attributes = "Store", "10PerMin", nil
	update(t, db, func(tx *database.Tx) error { return tx.PutApplication(shop) })
	same(t, "Application after Put", read(t, db, func(tx *database.Tx) (sluice.Application, error) { return tx.Application(org, "p1") }), *shop)

	all(t, db, addAPI("a1", "weather"), func(tx *database.Tx) error {
		return errors.Join(tx.AddConsumerKey(newConsumerKey("k1", sluice.ProductionKey)),
			tx.AddSubscription(&sluice.Subscription{ID: "s1", Organization: org, ApplicationID: "p1", APIID: "a1"}),
			tx.DeleteApplication(org, "p1"))
	})
	same(t, "keys after Delete", len(read(t, db, (*database.Tx).AllConsumerKeys)), 0)
	same(t, "subscriptions after Delete", len(read(t, db, (*database.Tx).AllSubscriptions)), 0)
}

func newConsumerKey(id string, kind sluice.KeyType) *sluice.ConsumerKey {
	return &sluice.ConsumerKey{
		ID: id, Organization: org, ApplicationID: "p1", Key: "client-" + id, Type: kind, Grants: []string{sluice.GrantClientCredentials},
		CallbackURL: "https://app.example.com/cb", TokenTTL: time.Hour, Scopes: []string{"default"}, SecretHashes: []string{"new", "old"},
		SealedSecret: []byte{1, 0, 2}, CreatedAt: start(),
	}
}

func testConsumerKeys(t *testing.T, db *database.DB) {
	sandbox, production := newConsumerKey("k1", sluice.SandboxKey), newConsumerKey("k2", sluice.ProductionKey)
	production.SealedSecret, production.Grants = nil, nil
	all(t, db, addApplication("p1", "shop"), func(tx *database.Tx) error {
		return errors.Join(tx.AddConsumerKey(sandbox), tx.AddConsumerKey(production))
	})
	get := func(tx *database.Tx) (sluice.ConsumerKey, error) { return tx.ConsumerKey("client-k1") }
	same(t, "ConsumerKey", read(t, db, get), *sandbox)
	same(t, "ConsumerKeys", read(t, db, func(tx *database.Tx) ([]sluice.ConsumerKey, error) { return tx.ConsumerKeys("p1") }), []sluice.ConsumerKey{*production, *sandbox})
	same(t, "AllConsumerKeys", read(t, db, (*database.Tx).AllConsumerKeys), []sluice.ConsumerKey{*sandbox, *production})
	refused(t, db, sluice.Conflict, "key.exists", func(tx *database.Tx) error {
		return tx.AddConsumerKey(newConsumerKey("k3", sluice.SandboxKey))
	})
	sandbox.TokenTTL, sandbox.SecretHashes, sandbox.SealedSecret = time.Minute, []string{"newer"}, []byte{9}
	update(t, db, func(tx *database.Tx) error { return tx.PutConsumerKey(sandbox) })
	same(t, "ConsumerKey after Put", read(t, db, get), *sandbox)
	update(t, db, func(tx *database.Tx) error { return tx.DeleteConsumerKey("client-k1") })
	refused(t, db, sluice.NotFound, "key.unknown", func(tx *database.Tx) error { _, err := get(tx); return err })
}

func testSubscriptions(t *testing.T, db *database.DB) {
	subscription := func(id, applicationID, apiID string, after time.Duration) *sluice.Subscription {
		return &sluice.Subscription{
			ID: id, Organization: org, ApplicationID: applicationID, APIID: apiID, Tier: "Gold", State: sluice.Unblocked, CreatedAt: start().Add(after),
		}
	}
	one, two, three := subscription("s1", "p1", "a1", 2), subscription("s2", "p1", "a2", time.Second), subscription("s3", "p2", "a1", time.Hour)
	all(t, db, addApplication("p1", "shop"), addApplication("p2", "desk"), addAPI("a1", "weather"), addAPI("a2", "pizza"), func(tx *database.Tx) error {
		return errors.Join(tx.AddSubscription(three), tx.AddSubscription(two), tx.AddSubscription(one))
	})
	one.CreatedAt = start() // nanoseconds are not kept
	same(t, "Subscription", read(t, db, func(tx *database.Tx) (sluice.Subscription, error) { return tx.Subscription(org, "s1") }), *one)
	same(t, "AllSubscriptions", read(t, db, (*database.Tx).AllSubscriptions), []sluice.Subscription{*one, *two, *three})
	for name, test := range map[string]struct {
		filter database.SubscriptionFilter
		want   []string
		total  int
	}{
		"all":                        {database.SubscriptionFilter{Organization: org}, []string{"s1", "s2", "s3"}, 3},
		"of an application":          {database.SubscriptionFilter{Organization: org, ApplicationID: "p1"}, []string{"s1", "s2"}, 2},
		"to an API":                  {database.SubscriptionFilter{Organization: org, APIID: "a1"}, []string{"s1", "s3"}, 2},
		"of both":                    {database.SubscriptionFilter{Organization: org, ApplicationID: "p2", APIID: "a1"}, []string{"s3"}, 1},
		"of a tier":                  {database.SubscriptionFilter{Organization: org, Tier: "Gold"}, []string{"s1", "s2", "s3"}, 3},
		"of a tier nobody has":       {database.SubscriptionFilter{Organization: org, Tier: "Silver"}, nil, 0},
		"a page":                     {database.SubscriptionFilter{Organization: org, Offset: 1, Limit: 1}, []string{"s2"}, 3},
		"of another organization":    {database.SubscriptionFilter{Organization: "o2"}, nil, 0},
		"no organization is not any": {database.SubscriptionFilter{}, nil, 0},
	} {
		err := db.View(t.Context(), func(tx *database.Tx) error {
			list, total, err := tx.FindSubscriptions(test.filter)
			same(t, name, names(list, func(s sluice.Subscription) string { return s.ID }), test.want)
			same(t, name+", total", total, test.total)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	refused(t, db, sluice.Conflict, "subscription.exists", func(tx *database.Tx) error { return tx.AddSubscription(subscription("s4", "p1", "a1", 0)) })
	two.State, two.Tier = sluice.ProductionOnlyBlocked, "Silver"
	update(t, db, func(tx *database.Tx) error { return tx.PutSubscription(two) })
	same(t, "Subscription after Put", read(t, db, func(tx *database.Tx) (sluice.Subscription, error) { return tx.Subscription(org, "s2") }), *two)
	update(t, db, func(tx *database.Tx) error { return tx.DeleteSubscription(org, "s1") })
	refused(t, db, sluice.NotFound, "subscription.unknown", func(tx *database.Tx) error { return tx.DeleteSubscription(org, "s1") })
}

func testTiers(t *testing.T, db *database.DB) {
	tier := func(id string, level sluice.TierLevel, name string) *sluice.Tier {
		return &sluice.Tier{
			ID: id, Organization: org, Level: level, Name: name, DisplayName: name, Description: "some",
			Limit: sluice.Limit{Requests: 10, Window: time.Minute, Burst: 2, BurstWindow: time.Second}, BillingPlan: "FREE", StopOnQuota: true,
			Attributes: map[string]string{"support": "none"}, Permission: &sluice.TierPermission{Deny: true, Roles: []sluice.Role{"guest"}},
		}
	}
	gold, bronze, ten := tier("t1", sluice.SubscriptionTier, "Gold"), tier("t2", sluice.SubscriptionTier, "Bronze"), tier("t3", sluice.ApplicationTier, "Gold")
	update(t, db, func(tx *database.Tx) error { return errors.Join(tx.AddTier(gold), tx.AddTier(bronze), tx.AddTier(ten)) })
	get := func(tx *database.Tx) (sluice.Tier, error) { return tx.Tier(org, sluice.SubscriptionTier, "Gold") }
	tiers := func(level sluice.TierLevel) []sluice.Tier {
		return read(t, db, func(tx *database.Tx) ([]sluice.Tier, error) { return tx.Tiers(org, level) })
	}
	same(t, "Tier", read(t, db, get), *gold)
	same(t, "TierByID", read(t, db, func(tx *database.Tx) (sluice.Tier, error) { return tx.TierByID(org, "t1") }), *gold)
	same(t, "Tiers of a level", tiers(sluice.SubscriptionTier), []sluice.Tier{*bronze, *gold})
	same(t, "Tiers", tiers(""), []sluice.Tier{*ten, *bronze, *gold})
	refused(t, db, sluice.Conflict, "tier.exists", func(tx *database.Tx) error { return tx.AddTier(tier("t4", sluice.SubscriptionTier, "Gold")) })
	gold.Limit, gold.StopOnQuota, gold.Attributes, gold.Permission = sluice.Limit{}, false, nil, nil
	update(t, db, func(tx *database.Tx) error { return tx.PutTier(gold) })
	same(t, "Tier after Put", read(t, db, get), *gold)
	update(t, db, func(tx *database.Tx) error { return tx.DeleteTier(org, sluice.SubscriptionTier, "Gold") })
	same(t, "Tiers after Delete", tiers(sluice.SubscriptionTier), []sluice.Tier{*bronze})
}
