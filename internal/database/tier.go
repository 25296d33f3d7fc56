package database

import "github.com/sluice-api/sluice"

const tierColumns = `id, organization, level, name, display_name, description, requests, time_window, burst, burst_window, billing_plan, stop_on_quota, attributes, permission, row_version`

func tierFields(t *sluice.Tier) []any {
	return []any{
		&t.ID, &t.Organization, &t.Level, &t.Name, &t.DisplayName, &t.Description, &t.Limit.Requests, (*int64)(&t.Limit.Window),
		&t.Limit.Burst, (*int64)(&t.Limit.BurstWindow), &t.BillingPlan, &t.StopOnQuota, asJSON(&t.Attributes), asJSON(&t.Permission), &t.RowVersion,
	}
}

// AddTier stores a new tier and sets its row version; Conflict "tier.exists"
// where the organization has one of that level and name.
func (tx *Tx) AddTier(t *sluice.Tier) error {
	t.RowVersion = 1
	return tx.add(`insert into tiers (`+tierColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`, tierFields(t)...)
}

// PutTier stores what of a tier may change (all but its level and name), where
// t.RowVersion is that of the stored one; else it returns Changed. It sets the
// new row version.
func (tx *Tx) PutTier(t *sluice.Tier) error {
	err := tx.put(func() error { _, err := tx.TierByID(t.Organization, t.ID); return err },
		`update tiers set display_name = $5, description = $6, requests = $7, time_window = $8, burst = $9, burst_window = $10,
			billing_plan = $11, stop_on_quota = $12, attributes = $13, permission = $14, row_version = row_version + 1
		where id = $1 and organization = $2 and level = $3 and name = $4 and row_version = $15`, tierFields(t)...)
	if err == nil {
		t.RowVersion++
	}
	return err
}

// TierByID returns the tier with the id.
func (tx *Tx) TierByID(org, id string) (sluice.Tier, error) {
	return one(tx, "tier", tierFields, `select `+tierColumns+` from tiers where organization = $1 and id = $2`, org, id)
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
