package database

import "github.com/sluice-api/sluice"

const categoryColumns = `id, organization, name, description, row_version`

func categoryFields(c *sluice.Category) []any {
	return []any{&c.ID, &c.Organization, &c.Name, &c.Description, &c.RowVersion}
}

// AddCategory stores a new category and sets its row version; Conflict
// "category.exists" where the organization has one of that name, without regard
// to case.
func (tx *Tx) AddCategory(c *sluice.Category) error {
	c.RowVersion = 1
	return tx.add(`insert into categories (`+categoryColumns+`, name_key) values ($1, $2, $3, $4, $5, $6)`, append(categoryFields(c), fold(c.Name))...)
}

// PutCategory stores all of a category, where c.RowVersion is that of the stored
// one; else it returns Changed. It sets the new row version. Conflicts are those
// of AddCategory.
func (tx *Tx) PutCategory(c *sluice.Category) error {
	err := tx.put(func() error { _, err := tx.Category(c.Organization, c.ID); return err },
		`update categories set name = $3, description = $4, name_key = $6, row_version = row_version + 1
		where id = $1 and organization = $2 and row_version = $5`, append(categoryFields(c), fold(c.Name))...)
	if err == nil {
		c.RowVersion++
	}
	return err
}

// Category returns the category with the id.
func (tx *Tx) Category(org, id string) (sluice.Category, error) {
	return one(tx, "category", categoryFields, `select `+categoryColumns+` from categories where organization = $1 and id = $2`, org, id)
}

// Categories returns the categories of an organization by name.
func (tx *Tx) Categories(org string) ([]sluice.Category, error) {
	return query(tx, categoryFields, `select `+categoryColumns+` from categories where organization = $1 order by name_key`, org)
}

// DeleteCategory deletes a category.
func (tx *Tx) DeleteCategory(org, id string) error {
	return tx.change("category", `delete from categories where organization = $1 and id = $2`, org, id)
}
