package database

import (
	"slices"

	"github.com/sluice-api/sluice"
)

const userColumns = `id, organization, name, email, roles, password_hash, must_change, created_at`

func userFields(u *sluice.User) []any {
	return []any{&u.ID, &u.Organization, &u.Name, &u.Email, asJSON(&u.Roles), &u.PasswordHash, &u.MustChange, (*instant)(&u.CreatedAt)}
}

// AddUser stores a new user; Conflict "user.taken" where the organization has one
// of that name. Names are compared exactly.
func (tx *Tx) AddUser(u *sluice.User) error {
	return tx.add(`insert into users (`+userColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8)`, userFields(u)...)
}

// PutUser stores all of a user that exists; Conflict "user.taken" where another
// one has the name.
func (tx *Tx) PutUser(u *sluice.User) error {
	return tx.change("user", `update users set (`+userColumns+`) = ($1, $2, $3, $4, $5, $6, $7, $8)
		where id = $1 and organization = $2`, userFields(u)...)
}

// User returns the user with the id; org "" is any organization.
func (tx *Tx) User(org, id string) (sluice.User, error) {
	return one(tx, "user", userFields, `select `+userColumns+` from users where $1 in ('', organization) and id = $2`, org, id)
}

// UserByName returns the user with exactly this name.
func (tx *Tx) UserByName(org, name string) (sluice.User, error) {
	return one(tx, "user", userFields, `select `+userColumns+` from users where organization = $1 and name = $2`, org, name)
}

// Users returns the users of an organization by name.
func (tx *Tx) Users(org string) ([]sluice.User, error) {
	return query(tx, userFields, `select `+userColumns+` from users where organization = $1 order by name`, org)
}

// Roles returns the roles that users of an organization have, each once.
func (tx *Tx) Roles(org string) ([]sluice.Role, error) {
	lists, err := query(tx, func(l *[]sluice.Role) []any { return []any{asJSON(l)} }, `select distinct roles from users where organization = $1`, org)
	roles := slices.Concat(lists...)
	slices.Sort(roles)
	return slices.Compact(roles), err
}

// DeleteUser deletes a user with their tokens and management clients.
func (tx *Tx) DeleteUser(org, id string) error {
	return tx.change("user", `delete from users where organization = $1 and id = $2`, org, id)
}
