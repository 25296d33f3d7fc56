package database

import "github.com/sluice-api/sluice"

const organizationColumns = `id, name, display_name, row_version`

func organizationFields(o *sluice.Organization) []any {
	return []any{&o.ID, &o.Name, &o.DisplayName, &o.RowVersion}
}

// AddOrganization stores a new organization and sets its row version; Conflict
// "organization.taken" where its id or name is in use.
func (tx *Tx) AddOrganization(o *sluice.Organization) error {
	o.RowVersion = 1
	return tx.add(`insert into organizations (`+organizationColumns+`) values ($1, $2, $3, $4)`, organizationFields(o)...)
}

// PutOrganization stores the display name of an organization, where o.RowVersion
// is that of the stored one; else it returns Changed. It sets the new row version.
func (tx *Tx) PutOrganization(o *sluice.Organization) error {
	err := tx.put(func() error { _, err := tx.Organization(o.ID); return err },
		`update organizations set display_name = $2, row_version = row_version + 1 where id = $1 and row_version = $3`, &o.ID, &o.DisplayName, &o.RowVersion)
	if err == nil {
		o.RowVersion++
	}
	return err
}

// Organization returns the organization with the id.
func (tx *Tx) Organization(id string) (sluice.Organization, error) {
	return one(tx, "organization", organizationFields, `select `+organizationColumns+` from organizations where id = $1`, id)
}

// Organizations returns all organizations by name.
func (tx *Tx) Organizations() ([]sluice.Organization, error) {
	return query(tx, organizationFields, `select `+organizationColumns+` from organizations order by name`)
}

// OrganizationOwns returns how many users, APIs and applications an organization
// has.
func (tx *Tx) OrganizationOwns(id string) (users, apis, applications int, err error) {
	counts := []*int{&users, &apis, &applications}
	for i, table := range []string{"users", "apis", "applications"} {
		n, err := tx.number(`select count(*) from `+table+` where organization = $1`, id)
		if err != nil {
			return 0, 0, 0, err
		}
		*counts[i] = int(n)
	}
	return users, apis, applications, nil
}

// OrganizationIsRemembered reports whether the audit log or a publication speaks of
// what an organization with this id did.
func (tx *Tx) OrganizationIsRemembered(id string) (bool, error) {
	n, err := tx.number(`select count(*) from (select 1 from audit_entries where organization = $1
		union all select 1 from publications where organization = $1 limit 1) as found`, id)
	return n > 0, err
}

// DeleteOrganization deletes an organization with its tiers, categories and usage.
// That it owns nothing else must have been found out.
func (tx *Tx) DeleteOrganization(id string) error {
	for _, table := range []string{"tiers", "categories", "usage_series"} {
		if _, err := tx.exec(`delete from `+table+` where organization = $1`, id); err != nil {
			return err
		}
	}
	return tx.change("organization", `delete from organizations where id = $1`, id)
}
