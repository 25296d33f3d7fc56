package control

import (
	"testing"

	"github.com/sluice-api/sluice"
)

func TestOrganizations(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"", "Acme", "a b", "-a", "a/b", "carbon.super", "a@b"} {
		_, err := w.plane.CreateOrganization(w.admin(), name, "x")
		wantCode(t, "the name "+name, err, sluice.Invalid, "organization.name")
	}
	o, err := w.plane.CreateOrganization(w.admin(), "acme", "")
	if err != nil || o.ID != "acme" || o.Name != "acme" || o.DisplayName != "acme" {
		t.Fatalf("CreateOrganization = %+v, %v", o, err)
	}
	_, err = w.plane.CreateOrganization(w.admin(), "acme", "")
	wantCode(t, "a second one", err, sluice.Conflict, "organization.taken")
	eve := w.of("acme", "eve", sluice.Administrator)
	if tiers, err := w.plane.Tiers(eve, sluice.SubscriptionTier); err != nil || len(tiers) == 0 {
		t.Errorf("tiers of a new organization: %v, %v", tiers, err)
	}
	_, err = w.plane.Organizations(eve)
	wantCode(t, "its administrator lists organizations", err, sluice.Forbidden, "organization.forbids")

	// Its first user is made by the installation, others by itself.
	first := sluice.User{Name: "ann", Organization: "acme", Roles: []sluice.Role{sluice.Administrator}}
	if err := w.plane.CreateUser(w.admin(), &first, password); err != nil {
		t.Fatal(err)
	}
	second := sluice.User{Name: "bob"}
	if err := w.plane.CreateUser(eve, &second, password); err != nil || second.Organization != "acme" {
		t.Errorf("CreateUser = %+v, %v", second, err)
	}
	wantCode(t, "a user of another one", w.plane.CreateUser(eve, &sluice.User{Name: "x", Organization: "default"}, password), sluice.NotFound, "organization.unknown")
	own := w.created("ann")
	for what, err := range map[string]error{
		"User":        func() error { _, err := w.plane.User(eve, own.ID); return err }(),
		"ChangeUser":  func() error { _, err := w.plane.ChangeUser(eve, own.ID, UserChange{}, 0); return err }(),
		"DeleteUser":  w.plane.DeleteUser(eve, own.ID, 0),
		"SetPassword": w.plane.SetPassword(eve, own.ID, password),
	} {
		wantCode(t, what+" of another organization's user", err, sluice.NotFound, "user.unknown")
	}
	if list, total, err := w.plane.Users(eve, "", "", Page{}); err != nil || total != 2 || len(list) != 2 {
		t.Errorf("Users = %+v, %d, %v", list, total, err)
	}
	_, _, err = w.plane.Users(eve, sluice.DefaultOrganization, "", Page{})
	wantCode(t, "the users of another one", err, sluice.NotFound, "organization.unknown")

	// Names are told apart by the organization behind them.
	if u, err := w.plane.Login(w.from("192.0.2.1"), "ann@acme", password); err != nil || u.ID != first.ID {
		t.Errorf("Login ann@acme = %+v, %v", u, err)
	}
	if u, err := w.plane.Login(w.from("192.0.2.1"), "ann", "temporary"); err != nil || u.ID != own.ID {
		t.Errorf("Login ann = %+v, %v", u, err)
	}
	_, err = w.plane.Login(w.from("192.0.2.1"), "ann@nowhere", password)
	wantCode(t, "an organization that is not", err, sluice.Unauthenticated, "login")
	actor := sluice.WithActor(t.Context(), sluice.Actor{UserID: first.ID, Name: "ann", Organization: "acme"})
	if err := w.plane.ChangePassword(actor, password, "another password"); err != nil {
		t.Errorf("ChangePassword in an organization: %v", err)
	}

	wantCode(t, "while it owns users", w.plane.DeleteOrganization(w.admin(), "acme", 0), sluice.Conflict, "organization.in_use")
	wantCode(t, "the first one", w.plane.DeleteOrganization(w.admin(), sluice.DefaultOrganization, 0), sluice.Conflict, "organization.in_use")
	for _, id := range []string{first.ID, second.ID} {
		if err := w.plane.DeleteUser(w.admin(), id, 0); err != nil {
			t.Fatal(err)
		}
	}
	if o, err = w.plane.RenameOrganization(w.admin(), "acme", "Acme Ltd.", o.RowVersion); err != nil || o.DisplayName != "Acme Ltd." || o.Name != "acme" {
		t.Errorf("RenameOrganization = %+v, %v", o, err)
	}
	wantCode(t, "an old version", w.plane.DeleteOrganization(w.admin(), "acme", 1), sluice.Changed, "changed")
	if err := w.plane.DeleteOrganization(w.admin(), "acme", o.RowVersion); err != nil {
		t.Fatal(err)
	}
	_, err = w.plane.CreateOrganization(w.admin(), "acme", "")
	wantCode(t, "a name that the audit log knows", err, sluice.Conflict, "organization.taken")
	if list, err := w.plane.Organizations(w.admin()); err != nil || len(list) != 1 {
		t.Errorf("Organizations = %+v, %v", list, err)
	}
}
