package control

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
)

// created makes a user by CreateUser and gives it a password of its own.
func (w *world) created(name string, roles ...sluice.Role) sluice.User {
	w.t.Helper()
	u := sluice.User{Name: name, Roles: roles}
	if err := w.plane.CreateUser(w.admin(), &u, "temporary"); err != nil {
		w.t.Fatal(err)
	}
	return u
}

func TestCreateUser(t *testing.T) {
	w := newWorld(t)
	w.created("taken")
	for name, c := range map[string]struct {
		user     sluice.User
		password sluice.Secret
		code     string
	}{
		"no name":                        {sluice.User{}, password, "user.name"},
		"a name with an organization":    {sluice.User{Name: "ann@acme"}, password, "user.name"},
		"a name with a blank":            {sluice.User{Name: "gateway x"}, password, "user.name"},
		"the platform's own name":        {sluice.User{Name: "System"}, password, "user.name"},
		"a long name":                    {sluice.User{Name: strings.Repeat("a", 101)}, password, "user.name"},
		"an address without a domain":    {sluice.User{Name: "ann", Email: "ann"}, password, "user.email"},
		"an address with a line break":   {sluice.User{Name: "ann", Email: "ann@example.com\r\nBcc: x"}, password, "user.email"},
		"a role with a blank":            {sluice.User{Name: "ann", Roles: []sluice.Role{"a b"}}, password, "user.role"},
		"a role that is misspelt":        {sluice.User{Name: "ann", Roles: []sluice.Role{"Internal/Creator"}}, password, "user.role"},
		"nearly the administrator's":     {sluice.User{Name: "ann", Roles: []sluice.Role{"Admin"}}, password, "user.role"},
		"a short password":               {sluice.User{Name: "ann"}, "seven77", "user.password"},
		"a name that is taken":           {sluice.User{Name: "taken"}, password, "user.taken"},
		"an organization that is not":    {sluice.User{Name: "ann", Organization: "acme"}, password, "organization.unknown"},
		"a password of eight characters": {sluice.User{Name: "eight"}, "äöüäöüäö", ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := w.plane.CreateUser(w.admin(), &c.user, c.password)
			if c.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantCode(t, "CreateUser", err, sluice.KindOf(err), c.code)
		})
	}
	given := sluice.User{
		ID: "mine", Name: "bob", Email: "bob@example.com", MustChange: false, PasswordHash: "mine",
		Roles: []sluice.Role{sluice.Creator, "eu/team-1", sluice.Creator},
	}
	if err := w.plane.CreateUser(w.admin(), &given, password); err != nil {
		t.Fatal(err)
	}
	u, err := w.plane.User(w.admin(), given.ID)
	if err != nil || u.ID == "mine" || !u.MustChange || u.PasswordHash == "mine" || len(u.Roles) != 2 || u.Organization != sluice.DefaultOrganization {
		t.Errorf("made %+v, %v", u, err)
	}
	list, total, err := w.plane.Users(w.admin(), "", "BOB@ex", Page{})
	if err != nil || total != 1 || len(list) != 1 || list[0].ID != u.ID {
		t.Errorf("Users = %+v, %d, %v", list, total, err)
	}
	roles, err := w.plane.Roles(w.admin())
	if err != nil || len(roles) != len(builtinRoles)+1 || roles[len(roles)-1] != "eu/team-1" {
		t.Errorf("Roles = %v, %v", roles, err)
	}
}

func TestPasswords(t *testing.T) {
	w := newWorld(t)
	u := w.created("ann", sluice.Publisher)
	ann := sluice.WithActor(t.Context(), sluice.Actor{UserID: u.ID, Name: u.Name, Organization: u.Organization, Roles: u.Roles})

	wantCode(t, "a wrong old password", w.plane.ChangePassword(ann, "wrong", password), sluice.Invalid, "user.old_password")
	wantCode(t, "a short new one", w.plane.ChangePassword(ann, "temporary", "short"), sluice.Invalid, "user.password")
	wantCode(t, "the same one", w.plane.ChangePassword(ann, "temporary", "temporary"), sluice.Invalid, "user.password")
	if err := w.plane.ChangePassword(ann, "temporary", password); err != nil {
		t.Fatalf("a temporary password cannot be changed: %v", err)
	}
	if got, err := w.plane.Login(w.from("192.0.2.1"), "ann", password); err != nil || got.MustChange {
		t.Errorf("Login = %+v, %v", got, err)
	}
	_, secret, err := w.plane.CreateAccessToken(ann, "cli", []string{"scope:" + string(sluice.Publisher)}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "an administrator's own without the old one", w.plane.SetPassword(w.as("root", sluice.Administrator), "user-default-root", password), sluice.Invalid, "user.own_password")
	got := w.emitted(func() {
		if err := w.plane.SetPassword(w.admin(), u.ID, "another one"); err != nil {
			t.Fatal(err)
		}
	})
	wantLines(t, "SetPassword", got, "+revocation @ "+production, "+revocation @ "+sandbox, "+revocation @ "+both)
	_, _, err = w.plane.Authenticate(t.Context(), secret)
	wantCode(t, "a token from before", err, sluice.Unauthenticated, "token")
	if got, err := w.plane.Login(w.from("192.0.2.1"), "ann", "another one"); err != nil || !got.MustChange {
		t.Errorf("Login with what an administrator gave = %+v, %v", got, err)
	}
}

func TestChangeAndDeleteUser(t *testing.T) {
	w := newWorld(t)
	if _, err := w.plane.EnsureAdministrator(t.Context(), password, false); err != nil {
		t.Fatal(err)
	}
	list, _, err := w.plane.Users(w.admin(), "", "admin", Page{})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	first, none := list[0].ID, []sluice.Role{}
	_, err = w.plane.ChangeUser(w.admin(), first, UserChange{Roles: &none}, 0)
	wantCode(t, "the last administrator loses the role", err, sluice.Conflict, "user.last_administrator")
	wantCode(t, "the last administrator is deleted", w.plane.DeleteUser(w.admin(), first, 0), sluice.Conflict, "user.last_administrator")

	u := w.created("ann", sluice.Administrator, sluice.Publisher)
	ann := sluice.WithActor(t.Context(), sluice.Actor{UserID: u.ID, Name: u.Name, Organization: u.Organization, Roles: u.Roles})
	token := func() sluice.Secret {
		t.Helper()
		_, secret, err := w.plane.CreateAccessToken(ann, "cli", []string{"scope:" + string(sluice.Publisher)}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	secret := token()
	email, more := "ann@example.com", []sluice.Role{sluice.Publisher, sluice.Administrator, "team"}
	u, err = w.plane.ChangeUser(w.admin(), u.ID, UserChange{Email: &email, Roles: &more}, u.RowVersion)
	if err != nil || u.Email != email || len(u.Roles) != 3 {
		t.Errorf("ChangeUser = %+v, %v", u, err)
	}
	if _, _, err := w.plane.Authenticate(t.Context(), secret); err != nil {
		t.Errorf("a role more ends tokens: %v", err)
	}
	_, err = w.plane.ChangeUser(w.admin(), u.ID, UserChange{Email: &email}, u.RowVersion-1)
	wantCode(t, "an old version", err, sluice.Changed, "changed")
	less := []sluice.Role{sluice.Administrator}
	if u, err = w.plane.ChangeUser(w.admin(), u.ID, UserChange{Roles: &less}, 0); err != nil {
		t.Fatal(err)
	}
	_, _, err = w.plane.Authenticate(t.Context(), secret)
	wantCode(t, "a token of a role that is lost", err, sluice.Unauthenticated, "token")
	if err := w.plane.DeleteUser(w.admin(), first, 0); err != nil {
		t.Errorf("an administrator beside another one: %v", err)
	}

	w.created("bob", sluice.Administrator)
	app := w.application("ann", "App")
	wantCode(t, "with an application", w.plane.DeleteUser(w.admin(), u.ID, 0), sluice.Conflict, "user.in_use")
	if _, err := w.plane.Application(w.admin(), app.ID); err != nil {
		t.Error(err)
	}
}

func TestDeletedUserHasNoTokens(t *testing.T) {
	w := newWorld(t)
	u := w.created("ann", sluice.Publisher)
	ann := sluice.WithActor(t.Context(), sluice.Actor{UserID: u.ID, Name: u.Name, Organization: u.Organization, Roles: u.Roles})
	_, secret, err := w.plane.CreateAccessToken(ann, "cli", []string{"scope:" + string(sluice.Publisher)}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "an old version", w.plane.DeleteUser(w.admin(), u.ID, 7), sluice.Changed, "changed")
	got := w.emitted(func() {
		if err := w.plane.DeleteUser(w.admin(), u.ID, u.RowVersion); err != nil {
			t.Fatal(err)
		}
	})
	wantLines(t, "DeleteUser", got, "+revocation @ "+production, "+revocation @ "+sandbox, "+revocation @ "+both)
	_, _, err = w.plane.Authenticate(t.Context(), secret)
	wantCode(t, "a token of a user who is gone", err, sluice.Unauthenticated, "token")
}

func TestAdministratorsEndTokens(t *testing.T) {
	w := newWorld(t)
	u := w.created("ann", sluice.Publisher)
	ann := sluice.WithActor(t.Context(), sluice.Actor{UserID: u.ID, Name: u.Name, Organization: u.Organization, Roles: u.Roles})
	token, secret, err := w.plane.CreateAccessToken(ann, "cli", []string{"scope:" + string(sluice.Publisher)}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.plane.CreateOrganization(w.admin(), "acme", ""); err != nil {
		t.Fatal(err)
	}
	stranger := w.of("acme", "eve", sluice.Administrator)
	wantCode(t, "another organization's administrator", w.plane.EndAccessToken(stranger, token.ID), sluice.NotFound, "token.unknown")
	_, err = w.plane.UserAccessTokens(stranger, u.ID)
	wantCode(t, "another organization's administrator lists", err, sluice.NotFound, "user.unknown")
	list, err := w.plane.UserAccessTokens(w.admin(), u.ID)
	if err != nil || len(list) != 1 || list[0].ID != token.ID {
		t.Errorf("UserAccessTokens = %+v, %v", list, err)
	}
	if err := w.plane.EndAccessToken(w.admin(), token.ID); err != nil {
		t.Fatal(err)
	}
	_, _, err = w.plane.Authenticate(t.Context(), secret)
	wantCode(t, "the token", err, sluice.Unauthenticated, "token")
}
