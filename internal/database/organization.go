package database

import "github.com/sluice-api/sluice"

func organizationFields(o *sluice.Organization) []any {
	return []any{&o.ID, &o.Name, &o.DisplayName}
}

// AddOrganization stores a new organization; Conflict "organization.taken" where
// its id or name is in use.
func (tx *Tx) AddOrganization(o *sluice.Organization) error {
	return tx.add(`insert into organizations (id, name, display_name) values ($1, $2, $3)`, organizationFields(o)...)
}

// Organization returns the organization with the id.
func (tx *Tx) Organization(id string) (sluice.Organization, error) {
	return one(tx, "organization", organizationFields, `select id, name, display_name from organizations where id = $1`, id)
}

// Organizations returns all organizations by name.
func (tx *Tx) Organizations() ([]sluice.Organization, error) {
	return query(tx, organizationFields, `select id, name, display_name from organizations order by name`)
}
