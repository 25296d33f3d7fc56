package database

import (
	"slices"
	"time"

	"github.com/sluice-api/sluice"
)

const userColumns = `id, organization, name, email, roles, password_hash, must_change, row_version, created_at`

func userFields(u *sluice.User) []any {
	return []any{&u.ID, &u.Organization, &u.Name, &u.Email, asJSON(&u.Roles), &u.PasswordHash, &u.MustChange, &u.RowVersion, (*instant)(&u.CreatedAt)}
}

// AddUser stores a new user and sets its row version; Conflict "user.taken" where the organization has one
// of that name. Names are compared exactly.
func (tx *Tx) AddUser(u *sluice.User) error {
	u.RowVersion = 1
	return tx.add(`insert into users (`+userColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, userFields(u)...)
}

// PutUser stores all of a user, where u.RowVersion is that of the stored one; else
// it returns Changed. It sets the new row version. Conflict "user.taken" where
// another one has the name.
func (tx *Tx) PutUser(u *sluice.User) error {
	err := tx.put(func() error { _, err := tx.User(u.Organization, u.ID); return err },
		`update users set name = $3, email = $4, roles = $5, password_hash = $6, must_change = $7, created_at = $9, row_version = row_version + 1
		where id = $1 and organization = $2 and row_version = $8`, userFields(u)...)
	if err == nil {
		u.RowVersion++
	}
	return err
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

// FindUsers returns a page of an organization's users whose name or e-mail address
// contains text, by name, and how many there are on all pages. limit zero: all.
func (tx *Tx) FindUsers(org, text string, offset, limit int) (list []sluice.User, total int, err error) {
	const where = `organization = $1 and (lower(name) like $2 escape '\' or lower(email) like $2 escape '\')`
	args := []any{org, containing(fold(text))}
	count, err := tx.number(`select count(*) from users where `+where, args...)
	if err != nil {
		return nil, 0, err
	}
	list, err = query(tx, userFields, `select `+userColumns+` from users where `+where+` order by name limit $3 offset $4`, append(args, atMost(limit), offset)...)
	return list, int(count), err
}

// Welcomed reports whether Welcome was called for a user.
func (tx *Tx) Welcomed(userID string) (bool, error) {
	n, err := tx.number(`select count(*) from welcomed_users where user_id = $1`, userID)
	return n > 0, err
}

// Welcome notes the first login of an existing user, and reports whether it is
// the first.
func (tx *Tx) Welcome(userID string, at time.Time) (bool, error) {
	n, err := tx.exec(`insert into welcomed_users (user_id, at) values ($1, $2) on conflict (user_id) do nothing`, userID, instant(at))
	return n > 0, err
}
