package control

import (
	"context"
	"fmt"
	"regexp"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// organizationName is the form of an organization's name: it stands in contexts
// and behind the names of users.
var organizationName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,58}[a-z0-9])?$`)

// maxDisplayName is the longest name that is only shown, in bytes.
const maxDisplayName = 200

// Organizations returns all organizations by name.
func (p *Plane) Organizations(ctx context.Context) (list []sluice.Organization, err error) {
	if _, err := allowHere(ctx); err != nil {
		return nil, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		list, err = tx.Organizations()
		return err
	})
	return list, err
}

// Organization returns one organization.
func (p *Plane) Organization(ctx context.Context, id string) (o sluice.Organization, err error) {
	if _, err := allowHere(ctx); err != nil {
		return o, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		o, err = tx.Organization(id)
		return err
	})
	return o, err
}

// CreateOrganization makes an organization with the tiers that each has at first.
// It gets its first administrator by CreateUser. A name that the audit log speaks
// of is never given to another one.
func (p *Plane) CreateOrganization(ctx context.Context, name, displayName string) (o sluice.Organization, err error) {
	if _, err := allowHere(ctx); err != nil {
		return o, err
	}
	var problems sluice.Problems
	if !organizationName.MatchString(name) || name == "carbon.super" { // clients write that for the first organization
		problems.Add("name", "organization.name", "The name of an organization has 1 to 60 lower-case letters, digits, dots and hyphens, and begins and ends with a letter or a digit.")
	}
	if displayName == "" {
		displayName = name
	}
	checkDisplayName(&problems, displayName)
	if err := problems.Err(); err != nil {
		return o, err
	}
	o = sluice.Organization{ID: name, Name: name, DisplayName: displayName}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		switch _, err := tx.Organization(o.ID); {
		case err == nil:
			return sluice.Errorf(sluice.Conflict, "organization.taken", "An organization has this name already.").At("name")
		case !sluice.IsNotFound(err):
			return err
		}
		switch used, err := tx.OrganizationIsRemembered(o.ID); {
		case err != nil:
			return err
		case used:
			return sluice.Errorf(sluice.Conflict, "organization.taken", "An organization had this name, and the audit log speaks of it; choose another one.").At("name")
		}
		if err := tx.AddOrganization(&o); err != nil {
			return err
		}
		if err := p.addDefaultTiers(tx, o.ID); err != nil {
			return err
		}
		return audit(ctx, tx, "organization.create", "organization", o.ID, o.Name, nil, o)
	})
	return o, err
}

func checkDisplayName(problems *sluice.Problems, name string) {
	if !printableName(name) || len(name) > maxDisplayName {
		problems.Add("displayName", "display_name", "A display name has 1 to %d bytes of printable characters.", maxDisplayName)
	}
}

// RenameOrganization changes what an organization is shown as; its name stays.
// version is the row version the caller knows; 0: any.
func (p *Plane) RenameOrganization(ctx context.Context, id, displayName string, version int64) (o sluice.Organization, err error) {
	if _, err := allowHere(ctx); err != nil {
		return o, err
	}
	var problems sluice.Problems
	checkDisplayName(&problems, displayName)
	if err := problems.Err(); err != nil {
		return o, err
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		if o, err = tx.Organization(id); err != nil {
			return err
		}
		if err := sameVersion(version, o.RowVersion); err != nil {
			return err
		}
		before := o
		o.DisplayName = displayName
		if err := tx.PutOrganization(&o); err != nil {
			return err
		}
		return audit(ctx, tx, "organization.update", "organization", o.ID, o.Name, before, o)
	})
	return o, err
}

// DeleteOrganization deletes an organization that owns no user, no API and no
// application, with its tiers. The first one stays.
func (p *Plane) DeleteOrganization(ctx context.Context, id string, version int64) error {
	if _, err := allowHere(ctx); err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		o, err := tx.Organization(id)
		if err != nil {
			return err
		}
		if err := sameVersion(version, o.RowVersion); err != nil {
			return err
		}
		if o.ID == sluice.DefaultOrganization {
			return sluice.Errorf(sluice.Conflict, "organization.in_use", "The first organization cannot be deleted.")
		}
		users, apis, applications, err := tx.OrganizationOwns(id)
		if err != nil {
			return err
		}
		if users+apis+applications > 0 {
			return sluice.Errorf(sluice.Conflict, "organization.in_use", "The organization owns %s, %s and %s; delete them first.",
				counted(users, "user"), counted(apis, "API"), counted(applications, "application"))
		}
		if err := tx.DeleteOrganization(id); err != nil {
			return err
		}
		return audit(ctx, tx, "organization.delete", "organization", o.ID, o.Name, o, nil)
	})
}

// counted writes a number of things.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// sameVersion returns Changed where a caller knows another row version than the
// stored one; 0 is any.
func sameVersion(known, stored int64) error {
	if known != 0 && known != stored {
		return sluice.Errorf(sluice.Changed, "changed", "Somebody else changed this in the meantime. Load it again.")
	}
	return nil
}

// StoreOrganization returns the organization with exactly this name, for readers
// of its Store, who may be anonymous.
func (p *Plane) StoreOrganization(ctx context.Context, name string) (o sluice.Organization, err error) {
	err = p.db.View(ctx, func(tx *database.Tx) error {
		o, err = tx.Organization(name) // its id
		return err
	})
	return o, err
}
