package control

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// Forms of what accounts are made of. A role that Sluice does not know serves the
// visibility of APIs and their scopes only.
var (
	userName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$`)
	roleName = regexp.MustCompile(`^[A-Za-z0-9/_.-]{1,60}$`)
)

const (
	minPassword = 8   // characters
	maxPassword = 512 // bytes
	maxRoles    = 50
	maxEmail    = 254 // bytes, RFC 5321 §4.5.3.1.3
)

// builtinRoles are the roles that give scopes.
var builtinRoles = []sluice.Role{
	sluice.Administrator, sluice.Creator, sluice.Publisher, sluice.Subscriber, sluice.Devops, sluice.Observer, sluice.IntegrationDev,
}

// Roles returns the names of all roles: those that are built in, and after them
// those that users of the actor's organization have beside.
func (p *Plane) Roles(ctx context.Context) ([]sluice.Role, error) {
	actor, err := allow(ctx, creators...)
	if err != nil {
		return nil, err
	}
	var own []sluice.Role
	err = p.db.View(ctx, func(tx *database.Tx) error {
		own, err = tx.Roles(actor.Organization)
		return err
	})
	own = slices.DeleteFunc(own, func(r sluice.Role) bool { return slices.Contains(builtinRoles, r) })
	return append(slices.Clone(builtinRoles), own...), err
}

// checkRoles returns the roles, each once.
func checkRoles(problems *sluice.Problems, roles []sluice.Role) []sluice.Role {
	var list []sluice.Role
	for _, r := range roles {
		known := slices.Contains(builtinRoles, r)
		switch {
		case !roleName.MatchString(string(r)):
			problems.Add("roles", "user.role", "A role's name has 1 to 60 letters, digits and the characters / _ . -")
		case !known && strings.HasPrefix(strings.ToLower(string(r)), "internal/"), !known && strings.EqualFold(string(r), string(sluice.Administrator)):
			problems.Add("roles", "user.role", "There is no role %q; names that begin with Internal/ are Sluice's own.", r)
		case !slices.Contains(list, r):
			list = append(list, r)
		}
	}
	if len(list) > maxRoles {
		problems.Add("roles", "user.role", "A user has at most %d roles.", maxRoles)
	}
	return list
}

func checkEmail(problems *sluice.Problems, email string) {
	local, domain, ok := strings.Cut(email, "@")
	if email != "" && (!ok || local == "" || domain == "" || len(email) > maxEmail || !printableName(email) || strings.ContainsAny(email, " <>")) {
		problems.Add("email", "user.email", "That is not an e-mail address.")
	}
}

func checkNewPassword(problems *sluice.Problems, password sluice.Secret) {
	if n := utf8.RuneCountInString(password.Reveal()); n < minPassword || len(password.Reveal()) > maxPassword {
		problems.Add("password", "user.password", "A password has at least %d characters and at most %d bytes.", minPassword, maxPassword)
	}
}

// organizationOf returns the organization whose users the actor asks for: its own
// for "", and any for the administrators of the installation.
func organizationOf(tx *database.Tx, actor sluice.Actor, org string) (string, error) {
	if org == "" || org == actor.Organization {
		return actor.Organization, nil
	}
	if actor.Organization != sluice.DefaultOrganization {
		return "", sluice.Errorf(sluice.NotFound, "organization.unknown", "There is no such organization.").At("organization")
	}
	_, err := tx.Organization(org)
	return org, err
}

// account returns a user that the actor may look after: one of its organization,
// for administrators of the installation anyone.
func account(tx *database.Tx, actor sluice.Actor, id string) (sluice.User, error) {
	org := actor.Organization
	if org == sluice.DefaultOrganization {
		org = ""
	}
	return tx.User(org, id)
}

// Users returns a page of the users of an organization whose name or e-mail address
// contains text, and how many there are. org "" is the actor's own; others are for
// the administrators of the installation.
func (p *Plane) Users(ctx context.Context, org, text string, page Page) (list []sluice.User, total int, err error) {
	actor, err := allow(ctx)
	if err != nil {
		return nil, 0, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if org, err = organizationOf(tx, actor, org); err != nil {
			return err
		}
		list, total, err = tx.FindUsers(org, text, page.Offset, page.limit())
		return err
	})
	return list, total, err
}

// User returns one user.
func (p *Plane) User(ctx context.Context, id string) (u sluice.User, err error) {
	actor, err := allow(ctx)
	if err != nil {
		return u, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		u, err = account(tx, actor, id)
		return err
	})
	return u, err
}

// CreateUser makes a user of the organization that u names, the actor's own where
// it names none. The password is temporary. It sets what only the database knows.
func (p *Plane) CreateUser(ctx context.Context, u *sluice.User, password sluice.Secret) error {
	actor, err := allow(ctx)
	if err != nil {
		return err
	}
	var problems sluice.Problems
	if !userName.MatchString(u.Name) || strings.EqualFold(u.Name, sluice.System().Name) {
		problems.Add("name", "user.name", "A user's name has 1 to 100 letters, digits and the characters . _ + - and begins with a letter or a digit.")
	}
	checkEmail(&problems, u.Email)
	u.Roles = checkRoles(&problems, u.Roles)
	checkNewPassword(&problems, password)
	if err := problems.Err(); err != nil {
		return err
	}
	if u.PasswordHash, err = p.logins.hash(ctx, password); err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		org, err := organizationOf(tx, actor, u.Organization)
		if err != nil {
			return err
		}
		u.ID, u.Organization, u.MustChange, u.CreatedAt = sluice.NewID(p.now()), org, true, p.now()
		if err := tx.AddUser(u); err != nil {
			return err
		}
		return audit(ctx, tx, "user.create", "user", u.ID, u.Name, nil, accountState(u))
	})
}

// accountState is what the digests of audit entries speak of.
func accountState(u *sluice.User) any {
	return struct {
		Organization, Name, Email string
		Roles                     []sluice.Role
	}{u.Organization, u.Name, u.Email, u.Roles}
}

// UserChange says what of a user shall be another; nil: as it is.
type UserChange struct {
	Email *string
	Roles *[]sluice.Role
}

// ChangeUser changes a user's e-mail address and roles. Who loses a role loses all
// tokens got with it. The last administrator of the installation keeps the role.
// version is the row version the caller knows; 0: any.
func (p *Plane) ChangeUser(ctx context.Context, id string, c UserChange, version int64) (u sluice.User, err error) {
	actor, err := allow(ctx)
	if err != nil {
		return u, err
	}
	var problems sluice.Problems
	if c.Email != nil {
		checkEmail(&problems, *c.Email)
	}
	var roles []sluice.Role
	if c.Roles != nil {
		roles = checkRoles(&problems, *c.Roles)
	}
	if err := problems.Err(); err != nil {
		return u, err
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		if u, err = account(tx, actor, id); err != nil {
			return err
		}
		if err := sameVersion(version, u.RowVersion); err != nil {
			return err
		}
		before := accountState(&u)
		if c.Email != nil {
			u.Email = *c.Email
		}
		if c.Roles != nil {
			lost := slices.ContainsFunc(u.Roles, func(r sluice.Role) bool { return !slices.Contains(roles, r) })
			if !slices.Contains(roles, sluice.Administrator) {
				if err := keepsAdministrator(tx, &u); err != nil {
					return err
				}
			}
			u.Roles = roles
			if lost {
				if err := p.endTokens(tx, &u); err != nil {
					return err
				}
			}
		}
		if err := tx.PutUser(&u); err != nil {
			return err
		}
		return audit(ctx, tx, "user.update", "user", u.ID, u.Name, before, accountState(&u))
	})
	return u, err
}

// keepsAdministrator refuses to go on without u where that is the installation's
// last administrator.
func keepsAdministrator(tx *database.Tx, u *sluice.User) error {
	if u.Organization != sluice.DefaultOrganization || !slices.Contains(u.Roles, sluice.Administrator) {
		return nil
	}
	users, err := tx.Users(u.Organization)
	if err != nil {
		return err
	}
	for _, other := range users {
		if other.ID != u.ID && slices.Contains(other.Roles, sluice.Administrator) {
			return nil
		}
	}
	return sluice.Errorf(sluice.Conflict, "user.last_administrator", "%s is the last administrator; make another one first.", u.Name)
}

// DeleteUser deletes a user with all tokens. A user with applications stays, since
// another one of that name would own them: give them to somebody else first. So
// does the last administrator of the installation.
func (p *Plane) DeleteUser(ctx context.Context, id string, version int64) error {
	actor, err := allow(ctx)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		u, err := account(tx, actor, id)
		if err != nil {
			return err
		}
		if err := sameVersion(version, u.RowVersion); err != nil {
			return err
		}
		if err := keepsAdministrator(tx, &u); err != nil {
			return err
		}
		if err := p.deleteUnused(ctx, tx, &u); err != nil {
			return err
		}
		_, owned, err := tx.FindApplications(database.ApplicationFilter{Organization: u.Organization, Owner: u.Name, Limit: 1})
		if err != nil {
			return err
		}
		if owned > 0 {
			return sluice.Errorf(sluice.Conflict, "user.in_use", "%s owns %s; give them another owner or delete them first.", u.Name, counted(owned, "application"))
		}
		if err := p.endTokens(tx, &u); err != nil {
			return err
		}
		if err := tx.DeleteUser(u.Organization, u.ID); err != nil {
			return err
		}
		return audit(ctx, tx, "user.delete", "user", u.ID, u.Name, accountState(&u), nil)
	})
}

// SetPassword gives another user a temporary password and ends all tokens of the
// user. One's own password takes ChangePassword.
func (p *Plane) SetPassword(ctx context.Context, id string, password sluice.Secret) error {
	actor, err := allow(ctx)
	if err != nil {
		return err
	}
	if id == actor.UserID {
		return sluice.Errorf(sluice.Invalid, "user.own_password", "Give the old password too, to change your own.").At("oldPassword")
	}
	return p.putPassword(ctx, password, true, func(tx *database.Tx) (sluice.User, error) { return account(tx, actor, id) })
}

// ChangePassword gives the actor another password. The old one must be right; it
// may be a temporary one. All tokens got with the old one end.
func (p *Plane) ChangePassword(ctx context.Context, old, password sluice.Secret) error {
	actor, err := known(ctx)
	if err != nil {
		return err
	}
	name := actor.Name
	if actor.Organization != sluice.DefaultOrganization {
		name += "@" + actor.Organization
	}
	u, err := p.Login(ctx, name, old)
	if sluice.IsNotFound(err) || err != nil && sluice.KindOf(err) == sluice.Unauthenticated {
		return sluice.Errorf(sluice.Invalid, "user.old_password", "The old password is wrong.").At("oldPassword")
	}
	if err != nil {
		return err
	}
	if old == password {
		return sluice.Errorf(sluice.Invalid, "user.password", "The new password is the old one.").At("password")
	}
	return p.putPassword(ctx, password, false, func(tx *database.Tx) (sluice.User, error) { return tx.User(u.Organization, u.ID) })
}

func (p *Plane) putPassword(ctx context.Context, password sluice.Secret, temporary bool, find func(tx *database.Tx) (sluice.User, error)) error {
	var problems sluice.Problems
	checkNewPassword(&problems, password)
	if err := problems.Err(); err != nil {
		return err
	}
	if err := p.db.View(ctx, func(tx *database.Tx) error { _, err := find(tx); return err }); err != nil {
		return err // before the hash is computed
	}
	hash, err := p.logins.hash(ctx, password)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		u, err := find(tx)
		if err != nil {
			return err
		}
		u.PasswordHash, u.MustChange = hash, temporary
		if err := tx.PutUser(&u); err != nil {
			return err
		}
		if err := p.endTokens(tx, &u); err != nil {
			return err
		}
		return audit(ctx, tx, "user.password", "user", u.ID, u.Name, nil, nil)
	})
}
