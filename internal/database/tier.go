package database

import "github.com/sluice-api/sluice"

const tierColumns = `id, organization, level, name, display_name, description, requests, time_window, billing_plan, stop_on_quota, burst, burst_window`

func tierFields(t *sluice.Tier) []any {
	return []any{
		&t.ID, &t.Organization, &t.Level, &t.Name, &t.DisplayName, &t.Description, &t.Limit.Requests, (*int64)(&t.Limit.Window),
		&t.BillingPlan, &t.StopOnQuota, &t.Limit.Burst, (*int64)(&t.Limit.BurstWindow),
	}
}

// AddTier stores a new tier; Conflict "tier.exists" where the organization has
// one of that level and name.
func (tx *Tx) AddTier(t *sluice.Tier) error {
	return tx.add(`insert into tiers (`+tierColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`, tierFields(t)...)
}

// PutTier stores all of a tier that exists.
func (tx *Tx) PutTier(t *sluice.Tier) error {
	return tx.change("tier", `update tiers set (`+tierColumns+`) = ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		where id = $1 and organization = $2`, tierFields(t)...)
}

// Tier returns the tier of the level with the name.
func (tx *Tx) Tier(org string, level sluice.TierLevel, name string) (sluice.Tier, error) {
	return one(tx, "tier", tierFields, `select `+tierColumns+` from tiers where organization = $1 and level = $2 and name = $3`, org, string(level), name)
}

// Tiers returns the tiers of a level, of all levels where it is "", by level and
// name.
func (tx *Tx) Tiers(org string, level sluice.TierLevel) ([]sluice.Tier, error) {
	return query(tx, tierFields, `select `+tierColumns+` from tiers where organization = $1 and $2 in ('', level) order by level, name`, org, string(level))
}

// DeleteTier deletes a tier.
func (tx *Tx) DeleteTier(org string, level sluice.TierLevel, name string) error {
	return tx.change("tier", `delete from tiers where organization = $1 and level = $2 and name = $3`, org, string(level), name)
}
