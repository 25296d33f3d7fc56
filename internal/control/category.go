package control

import (
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// Categories returns the categories of the organization by name, also to
// anonymous readers of the Store.
func (p *Plane) Categories(ctx context.Context) (list []sluice.Category, err error) {
	actor := reader(ctx)
	err = p.db.View(ctx, func(tx *database.Tx) error {
		list, err = tx.Categories(actor.Organization)
		return err
	})
	return list, err
}

// CategoryUses returns the categories of the organization by name, and how many
// APIs are filed under each.
func (p *Plane) CategoryUses(ctx context.Context) (list []sluice.Category, uses []int, err error) {
	actor, err := allow(ctx)
	if err != nil {
		return nil, nil, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if list, err = tx.Categories(actor.Organization); err != nil {
			return err
		}
		uses = make([]int, len(list))
		for i, c := range list {
			if uses[i], err = categoryUse(tx, &c); err != nil {
				return err
			}
		}
		return nil
	})
	return list, uses, err
}

func categoryUse(tx *database.Tx, c *sluice.Category) (int, error) {
	_, n, err := tx.FindAPIs(APIFilter{
		Organization: c.Organization, Limit: 1, Query: []Term{{Attribute: "category", Value: c.Name, Match: database.Exact}},
	})
	return n, err
}

// AddCategory makes a category of the organization.
func (p *Plane) AddCategory(ctx context.Context, name, description string) (c sluice.Category, err error) {
	actor, err := allow(ctx)
	if err != nil {
		return c, err
	}
	if err := checkCategory(name, description); err != nil {
		return c, err
	}
	c = sluice.Category{ID: sluice.NewID(p.now()), Organization: actor.Organization, Name: name, Description: description}
	return c, p.db.Update(ctx, func(tx *database.Tx) error {
		if err := tx.AddCategory(&c); err != nil {
			return err
		}
		return audit(ctx, tx, "category.create", "category", c.ID, c.Name, nil, c)
	})
}

// ChangeCategory changes a category; one that APIs are filed under keeps its name.
func (p *Plane) ChangeCategory(ctx context.Context, id, name, description string) (c sluice.Category, err error) {
	actor, err := allow(ctx)
	if err != nil {
		return c, err
	}
	return c, p.db.Update(ctx, func(tx *database.Tx) error {
		if c, err = tx.Category(actor.Organization, id); err != nil {
			return err
		}
		if err := checkCategory(name, description); err != nil {
			return err
		}
		if name != c.Name {
			if err := unusedCategory(tx, &c); err != nil {
				return err
			}
		}
		before := c
		c.Name, c.Description = name, description
		if err := tx.PutCategory(&c); err != nil {
			return err
		}
		return audit(ctx, tx, "category.change", "category", c.ID, c.Name, before, c)
	})
}

// DeleteCategory deletes a category that no API is filed under. ifMatch is the
// row version the caller saw; 0: whatever it is.
func (p *Plane) DeleteCategory(ctx context.Context, id string, ifMatch int64) error {
	actor, err := allow(ctx)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		c, err := tx.Category(actor.Organization, id)
		if err != nil {
			return err
		}
		if ifMatch != 0 && ifMatch != c.RowVersion {
			return sluice.Errorf(sluice.Changed, "changed", "Somebody else changed the category in the meantime; read it again.")
		}
		if err := unusedCategory(tx, &c); err != nil {
			return err
		}
		if err := tx.DeleteCategory(c.Organization, c.ID); err != nil {
			return err
		}
		return audit(ctx, tx, "category.delete", "category", c.ID, c.Name, c, nil)
	})
}

func unusedCategory(tx *database.Tx, c *sluice.Category) error {
	n, err := categoryUse(tx, c)
	if err == nil && n > 0 {
		err = sluice.Errorf(sluice.Conflict, "category.in_use", "%d APIs are filed under the category %s.", n, c.Name)
	}
	return err
}

func checkCategory(name, description string) error {
	var p sluice.Problems
	if n := utf8.RuneCountInString(name); n < 1 || n > 255 || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.TrimSpace(name) != name {
		p.Add("name", "category.name", "A category's name has 1 to 255 printable characters.")
	}
	if utf8.RuneCountInString(description) > 1024 || !utf8.ValidString(description) || strings.ContainsRune(description, 0) {
		p.Add("description", "category.description", "A category's description has at most 1024 characters.")
	}
	return p.Err()
}

// knownCategories reports the categories of an API that do not exist.
func knownCategories(tx *database.Tx, a *sluice.API) error {
	if len(a.Categories) == 0 {
		return nil
	}
	known, err := tx.Categories(a.Organization)
	if err != nil {
		return err
	}
	var p sluice.Problems
	for _, name := range a.Categories {
		if !slices.ContainsFunc(known, func(c sluice.Category) bool { return c.Name == name }) {
			p.Add("categories", "category.unknown", "There is no API category %q.", name)
		}
	}
	return p.Err()
}
