package database

import "github.com/sluice-api/sluice"

const environmentColumns = `id, name, type, description, vhosts, console, position, configured, epoch, created_at,
	dropped, display_name, provider, properties, permissions, generation, row_version`

func environmentFields(e *sluice.Environment) []any {
	return []any{
		&e.ID, &e.Name, &e.Type, &e.Description, asJSON(&e.Vhosts), &e.Console, &e.Position, &e.Configured, &e.Epoch,
		(*instant)(&e.CreatedAt), &e.Dropped, &e.DisplayName, &e.Provider, asJSON(&e.Properties), asJSON(&e.Permissions),
		&e.Generation, &e.RowVersion,
	}
}

// AddEnvironment stores a new environment and sets its row version; Conflict
// "environment.taken" where one has the name, without regard to case.
func (tx *Tx) AddEnvironment(e *sluice.Environment) error {
	e.RowVersion = 1
	return tx.add(`insert into environments (`+environmentColumns+`, name_key) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		append(environmentFields(e), fold(e.Name))...)
}

// PutEnvironment stores all of an environment but its generation, which only
// Emit changes. It returns Changed where e.RowVersion is not that of the stored
// one, and sets the new row version. Conflicts are those of AddEnvironment.
func (tx *Tx) PutEnvironment(e *sluice.Environment) error {
	err := tx.put(func() error { _, err := tx.Environment(e.ID); return err },
		`update environments set name = $2, type = $3, description = $4, vhosts = $5, console = $6, position = $7, configured = $8,
			epoch = $9, created_at = $10, dropped = $11, display_name = $12, provider = $13, properties = $14, permissions = $15,
			name_key = $16, row_version = row_version + 1
		where id = $1 and row_version = $17`,
		append(environmentFields(e)[:15], fold(e.Name), e.RowVersion)...)
	if err == nil {
		e.RowVersion++
	}
	return err
}

// Environment returns the environment with the id.
func (tx *Tx) Environment(id string) (sluice.Environment, error) {
	return one(tx, "environment", environmentFields, `select `+environmentColumns+` from environments where id = $1`, id)
}

// EnvironmentByName returns the environment with the name, without regard to case.
func (tx *Tx) EnvironmentByName(name string) (sluice.Environment, error) {
	return one(tx, "environment", environmentFields, `select `+environmentColumns+` from environments where name_key = $1`, fold(name))
}

// Environments returns all environments: the configured ones by position, then
// the others by position and age.
func (tx *Tx) Environments() ([]sluice.Environment, error) {
	return query(tx, environmentFields, `select `+environmentColumns+` from environments order by configured desc, position, created_at, id`)
}

// DeleteEnvironment deletes an environment with its gateways, enrolment tokens
// and events; Conflict "environment.in_use" where an API is deployed there.
func (tx *Tx) DeleteEnvironment(id string) error {
	err := tx.change("environment", `delete from environments where id = $1`, id)
	return inUse(err, "environment.in_use", "APIs are deployed to the environment; undeploy them first.")
}
