package database

import (
	"fmt"

	"github.com/sluice-api/sluice"
)

const applicationColumns = `id, organization, owner, name, description, tier, token_type, attributes, created_at, row_version`

func applicationFields(a *sluice.Application) []any {
	return []any{&a.ID, &a.Organization, &a.Owner, &a.Name, &a.Description, &a.Tier, &a.TokenType, asJSON(&a.Attributes), (*instant)(&a.CreatedAt), &a.RowVersion}
}

// AddApplication stores a new application and sets its row version; Conflict
// "application.exists" where its owner has one of that name.
func (tx *Tx) AddApplication(a *sluice.Application) error {
	a.RowVersion = 1
	return tx.add(`insert into applications (`+applicationColumns+`, search_name) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		append(applicationFields(a), fold(a.Name))...)
}

// PutApplication stores all of an application, where a.RowVersion is that of the
// stored one; else it returns Changed. It sets the new row version. Conflicts
// are those of AddApplication.
func (tx *Tx) PutApplication(a *sluice.Application) error {
	err := tx.put(func() error { _, err := tx.Application(a.Organization, a.ID); return err },
		`update applications set owner = $3, name = $4, description = $5, tier = $6, token_type = $7, attributes = $8, created_at = $9, search_name = $11, row_version = row_version + 1
		where id = $1 and organization = $2 and row_version = $10`, append(applicationFields(a), fold(a.Name))...)
	if err == nil {
		a.RowVersion++
	}
	return err
}

// Application returns the application with the id.
func (tx *Tx) Application(org, id string) (sluice.Application, error) {
	return one(tx, "application", applicationFields, `select `+applicationColumns+` from applications where organization = $1 and id = $2`, org, id)
}

// DeleteApplication deletes an application with its keys and subscriptions.
func (tx *Tx) DeleteApplication(org, id string) error {
	return tx.change("application", `delete from applications where organization = $1 and id = $2`, org, id)
}

// ApplicationFilter says which applications FindApplications returns.
type ApplicationFilter struct {
	Organization string
	Owner        string // empty: anybody
	Name         string // part of the name, without regard to case; empty: any
	Exact        bool   // Name is all of the name, with regard to case
	Tier         string // empty: any
	Sort         string // name (default) or tier
	Order        string // asc (default) or desc
	Offset       int
	Limit        int // zero: all
}

// FindApplications returns a page of applications, and how many there are on all
// pages. It returns Invalid for an unknown order.
func (tx *Tx) FindApplications(f ApplicationFilter) (list []sluice.Application, total int, err error) {
	columns := map[string]string{"": "search_name", "name": "search_name", "tier": "tier"}
	column, ok := columns[f.Sort]
	if !ok || f.Order != "" && f.Order != "asc" && f.Order != "desc" {
		return nil, 0, sluice.Errorf(sluice.Invalid, "search.sort", "Applications cannot be sorted by %q, %q.", f.Sort, f.Order).At("sortBy")
	}
	pattern, exact := containing(fold(f.Name)), ""
	if f.Exact {
		exact = f.Name
	}
	const where = `organization = $1 and $2 in ('', owner) and search_name like $3 escape '\' and $4 in ('', name) and $5 in ('', tier)`
	args := []any{f.Organization, f.Owner, pattern, exact, f.Tier}
	count, err := tx.number(`select count(*) from applications where `+where, args...)
	if err != nil {
		return nil, 0, err
	}
	list, err = query(tx, applicationFields, fmt.Sprintf(`select %s from applications where %s order by %s %s, search_name %[4]s, id %[4]s limit $6 offset $7`,
		applicationColumns, where, column, f.Order), append(args, atMost(f.Limit), f.Offset)...)
	return list, int(count), err
}

// AllApplications returns the applications of all organizations by id.
func (tx *Tx) AllApplications() ([]sluice.Application, error) {
	return query(tx, applicationFields, `select `+applicationColumns+` from applications order by id`)
}
