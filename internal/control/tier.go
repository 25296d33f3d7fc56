package control

import (
	"context"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/database"
)

// unauthenticatedTier limits operations without authentication: gateways need it.
const unauthenticatedTier = "Unauthenticated"

// Tiers returns the tiers of one level, also to anonymous readers of the Store.
func (p *Plane) Tiers(ctx context.Context, level sluice.TierLevel) (list []sluice.Tier, err error) {
	actor := reader(ctx)
	err = p.db.View(ctx, func(tx *database.Tx) error {
		list, err = tx.Tiers(actor.Organization, level)
		if p.settings.Load().NoUnlimited {
			list = slices.DeleteFunc(list, func(t sluice.Tier) bool { return t.Name == sluice.Unlimited })
		}
		return err
	})
	return list, err
}

// offered refuses the tier without a limit where the installation does not offer
// it: Forbidden "tier.not_offered".
func (p *Plane) offered(tier string) error {
	if tier == sluice.Unlimited && p.settings.Load().NoUnlimited {
		return sluice.Errorf(sluice.Forbidden, "tier.not_offered", "The tier %q is not offered here.", tier).At("throttlingPolicy")
	}
	return nil
}

// addDefaultTiers gives a new organization the tiers that each has at first.
func (p *Plane) addDefaultTiers(tx *database.Tx, org string) error {
	for _, t := range sluice.DefaultTiers() {
		t.ID, t.Organization = sluice.NewID(p.now()), org
		if err := tx.AddTier(&t); err != nil {
			return err
		}
	}
	return nil
}

// Tier returns the tier of a level with the name or the id, also to anonymous
// readers of the Store.
func (p *Plane) Tier(ctx context.Context, level sluice.TierLevel, nameOrID string) (t sluice.Tier, err error) {
	actor := reader(ctx)
	err = p.db.View(ctx, func(tx *database.Tx) error {
		t, err = tx.Tier(actor.Organization, level, nameOrID)
		if sluice.IsNotFound(err) {
			t, err = tierByID(tx, actor.Organization, level, nameOrID)
		}
		return err
	})
	return t, err
}

func tierByID(tx *database.Tx, organization string, level sluice.TierLevel, id string) (sluice.Tier, error) {
	t, err := tx.TierByID(organization, id)
	if err == nil && t.Level != level {
		return sluice.Tier{}, sluice.Errorf(sluice.NotFound, "tier.unknown", "There is no such policy.")
	}
	return t, err
}

// SubscriptionTiers returns the tiers that the actor, who may be anonymous, can
// subscribe to an API of the Store with, in the API's order. An anonymous reader
// sees those that some role of subscribers may use.
func (p *Plane) SubscriptionTiers(ctx context.Context, apiID string) (list []sluice.Tier, err error) {
	actor := reader(ctx)
	err = p.db.View(ctx, func(tx *database.Tx) error {
		a, err := seen(tx, actor, apiID)
		if err != nil {
			return err
		}
		for _, name := range a.Tiers {
			t, err := tx.Tier(a.Organization, sluice.SubscriptionTier, name)
			if sluice.IsNotFound(err) {
				continue
			}
			if err != nil {
				return err
			}
			if p.offered(name) == nil && (!actor.Known() || t.OpenTo(actor.Roles)) {
				list = append(list, t)
			}
		}
		return nil
	})
	return list, err
}

// TierSettings returns the tiers of one level, of all levels where it is "", to
// those who make APIs and look after tiers.
func (p *Plane) TierSettings(ctx context.Context, level sluice.TierLevel) (list []sluice.Tier, err error) {
	actor, err := allow(ctx, makers...)
	if err != nil {
		return nil, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		list, err = tx.Tiers(actor.Organization, level)
		return err
	})
	return list, err
}

// TierSetting returns the tier of a level with the id, to those who make APIs and
// look after tiers.
func (p *Plane) TierSetting(ctx context.Context, level sluice.TierLevel, id string) (t sluice.Tier, err error) {
	actor, err := allow(ctx, makers...)
	if err != nil {
		return t, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		t, err = tierByID(tx, actor.Organization, level, id)
		return err
	})
	return t, err
}

// CreateTier stores a new tier of the actor's organization. Gateways know it
// before anything can use it.
func (p *Plane) CreateTier(ctx context.Context, t *sluice.Tier) error {
	actor, err := allow(ctx)
	if err != nil {
		return err
	}
	t.ID, t.Organization, t.RowVersion = sluice.NewID(p.now()), actor.Organization, 0
	if err := t.Validate(); err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		if err := tx.AddTier(t); err != nil {
			return err
		}
		if err := emit(tx, "", sluice.TierChanged, tierSubject(t), t); err != nil {
			return err
		}
		return audit(ctx, tx, "tier.create", "tier", t.ID, t.Name, nil, t)
	})
}

// PutTier changes a tier, at all gateways without anything being deployed again.
// Its level and name stay. ifMatch is the row version the caller saw; 0: whatever
// it is.
func (p *Plane) PutTier(ctx context.Context, t *sluice.Tier, ifMatch int64) error {
	actor, err := allow(ctx)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		before, err := tierByID(tx, actor.Organization, t.Level, t.ID)
		if err != nil {
			return err
		}
		if ifMatch != 0 && ifMatch != before.RowVersion {
			return sluice.Errorf(sluice.Changed, "changed", "Somebody else changed the policy in the meantime; read it again.")
		}
		if t.Name == "" {
			t.Name = before.Name
		}
		if t.Name != before.Name {
			return sluice.Errorf(sluice.Invalid, "tier.renamed", "A policy keeps its name, %q; make another one.", before.Name).At("policyName")
		}
		if t.Name == sluice.Unlimited && t.Limit != (sluice.Limit{}) {
			return sluice.Errorf(sluice.Forbidden, "tier.protected", "The policy Unlimited has no limit.").At("defaultLimit")
		}
		t.Organization, t.RowVersion = actor.Organization, before.RowVersion
		if err := t.Validate(); err != nil {
			return err
		}
		if err := tx.PutTier(t); err != nil {
			return err
		}
		if err := emit(tx, "", sluice.TierChanged, tierSubject(t), t); err != nil {
			return err
		}
		return audit(ctx, tx, "tier.update", "tier", t.ID, t.Name, before, t)
	})
}

// DeleteTier deletes a tier that nothing uses, at all gateways. ifMatch is as in
// PutTier.
func (p *Plane) DeleteTier(ctx context.Context, level sluice.TierLevel, id string, ifMatch int64) error {
	actor, err := allow(ctx)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		t, err := tierByID(tx, actor.Organization, level, id)
		if err != nil {
			return err
		}
		if ifMatch != 0 && ifMatch != t.RowVersion {
			return sluice.Errorf(sluice.Changed, "changed", "Somebody else changed the policy in the meantime; read it again.")
		}
		if t.Name == sluice.Unlimited || t.Level == sluice.SubscriptionTier && t.Name == unauthenticatedTier {
			return sluice.Errorf(sluice.Forbidden, "tier.protected", "The policy %s is always there.", t.Name)
		}
		if user, err := tierUser(tx, &t); err != nil {
			return err
		} else if user != "" {
			return sluice.Errorf(sluice.Forbidden, "tier.used", "The policy %s cannot be deleted: %s.", t.Name, user)
		}
		if err := tx.DeleteTier(t.Organization, t.Level, t.Name); err != nil {
			return err
		}
		if err := emit(tx, "", sluice.TierChanged, tierSubject(&t), nil); err != nil {
			return err
		}
		return audit(ctx, tx, "tier.delete", "tier", t.ID, t.Name, t, nil)
	})
}

// tierUser says what uses a tier, "" where nothing does. Revisions count: a
// gateway may serve them, and they may be restored.
func tierUser(tx *database.Tx, t *sluice.Tier) (string, error) {
	switch t.Level {
	case sluice.ApplicationTier:
		_, n, err := tx.FindApplications(database.ApplicationFilter{Organization: t.Organization, Tier: t.Name, Limit: 1})
		if err != nil || n > 0 {
			return "applications have it", err
		}
		return "", nil
	case sluice.SubscriptionTier:
		_, n, err := tx.FindSubscriptions(database.SubscriptionFilter{Organization: t.Organization, Tier: t.Name, Limit: 1})
		if err != nil || n > 0 {
			return "subscriptions have it", err
		}
	}
	apis, _, err := tx.FindAPIs(database.APIFilter{Organization: t.Organization})
	if err != nil {
		return "", err
	}
	for i := range apis {
		if usesTier(&apis[i], t) {
			return "the API " + apis[i].Name + " " + apis[i].Version + " offers or uses it", nil
		}
		revisions, err := tx.Revisions(apis[i].ID)
		if err != nil {
			return "", err
		}
		for j := range revisions {
			if usesTier(&revisions[j].API, t) {
				return "a revision of the API " + apis[i].Name + " " + apis[i].Version + " offers or uses it", nil
			}
		}
	}
	return "", nil
}

func usesTier(a *sluice.API, t *sluice.Tier) bool {
	if t.Level == sluice.SubscriptionTier {
		return slices.Contains(a.Tiers, t.Name)
	}
	return a.Tier == t.Name || slices.ContainsFunc(a.Operations, func(o sluice.Operation) bool { return o.Tier == t.Name })
}

// tierSubject returns the subject of a tier's events.
func tierSubject(t *sluice.Tier) string {
	return t.Organization + "/" + string(t.Level) + "/" + t.Name
}

// tierItem returns what gateways count by. Where calls beyond the limit pass,
// only the burst is left.
func tierItem(t sluice.Tier) *artifact.Tier {
	item := &artifact.Tier{Organization: t.Organization, Level: t.Level, Name: t.Name, Limit: t.Limit}
	if !t.StopOnQuota {
		item.Limit.Requests, item.Limit.Window = 0, 0
	}
	return item
}

// goneTier returns the item of a tier that is gone, by the subject of its event.
func goneTier(subject string) *artifact.Tier {
	organization, rest, _ := strings.Cut(subject, "/")
	level, name, _ := strings.Cut(rest, "/")
	return &artifact.Tier{Organization: organization, Level: sluice.TierLevel(level), Name: name}
}
