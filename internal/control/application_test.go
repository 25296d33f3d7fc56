package control

import (
	"maps"
	"testing"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

func TestChangedApplicationReachesGateways(t *testing.T) {
	w := newWorld(t)
	sam := w.as("sam", sluice.Subscriber)
	app := w.application("sam", "App")
	w.application("sam", "Other")
	change := sluice.Application{ID: app.ID, Name: "Phone", Description: "d", Tier: "10PerMin", Attributes: map[string]string{"team": "x"}, Owner: "eve", Organization: "acme"}
	got := w.emitted(func() {
		if err := w.plane.PutApplication(sam, &change, app.RowVersion); err != nil {
			t.Fatal(err)
		}
	})
	wantLines(t, "PutApplication", got, "+application @ "+production, "+application @ "+sandbox, "+application @ "+both)
	stored, err := w.plane.Application(sam, app.ID)
	if err != nil || stored.Name != "Phone" || stored.Tier != "10PerMin" || stored.Owner != "sam" || stored.TokenType != "JWT" ||
		stored.Organization != sluice.DefaultOrganization || !maps.Equal(stored.Attributes, change.Attributes) || stored.RowVersion != change.RowVersion {
		t.Errorf("stored = %+v, %v", stored, err)
	}
	for name, c := range map[string]struct {
		change  sluice.Application
		ifMatch int64
		kind    sluice.Kind
		code    string
	}{
		"an old version":   {sluice.Application{Name: "Phone", Tier: "10PerMin"}, app.RowVersion, sluice.Changed, "changed"},
		"an unknown tier":  {sluice.Application{Name: "Phone", Tier: "Gold"}, 0, sluice.Invalid, "tier.unknown"},
		"a taken name":     {sluice.Application{Name: "Other", Tier: "10PerMin"}, 0, sluice.Conflict, "application.exists"},
		"no name":          {sluice.Application{Tier: "10PerMin"}, 0, sluice.Invalid, "application.name"},
		"an odd attribute": {sluice.Application{Name: "Phone", Tier: "10PerMin", Attributes: map[string]string{"": "x"}}, 0, sluice.Invalid, "application.attributes"},
	} {
		c.change.ID = app.ID
		wantCode(t, name, w.plane.PutApplication(sam, &c.change, c.ifMatch), c.kind, c.code)
	}
}

// A deleted application takes with it all that it could call with.
func TestDeletedApplicationEndsItsKeysAndTokens(t *testing.T) {
	w := newWorld(t)
	sam := w.as("sam", sluice.Subscriber)
	a, app := w.published("Weather"), w.application("sam", "App")
	if _, err := w.plane.Subscribe(sam, app.ID, a.ID, "Gold"); err != nil {
		t.Fatal(err)
	}
	k, err := w.plane.GenerateKey(sam, app.ID, KeyRequest{Type: sluice.ProductionKey, Grants: []string{sluice.GrantClientCredentials}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.plane.CreateAPIKey(sam, app.ID, APIKeyRequest{Type: sluice.ProductionKey, Name: "k"}); err != nil {
		t.Fatal(err)
	}
	w.update(func(tx *database.Tx) error {
		if err := tx.AddUser(&sluice.User{ID: "u1", Organization: sluice.DefaultOrganization, Name: "sam"}); err != nil {
			return err
		}
		return tx.AddRefreshToken(&sluice.RefreshToken{ID: "r", Hash: "h", Family: "r", ClientID: k.Key.Key, UserID: "u1", ExpiresAt: w.clock.now()})
	})
	wantCode(t, "an old version", w.plane.DeleteApplication(sam, app.ID, app.RowVersion+1), sluice.Changed, "changed")
	got := w.emitted(func() {
		if err := w.plane.DeleteApplication(sam, app.ID, app.RowVersion); err != nil {
			t.Fatal(err)
		}
	})
	var want []string
	for _, e := range []string{production, sandbox, both} {
		want = append(want, "-application @ "+e, "-key @ "+e, "-api_key @ "+e, "-subscription @ "+e, "+revocation @ "+e)
	}
	wantLines(t, "DeleteApplication", got, want...)
	w.view(func(tx *database.Tx) error {
		_, err := tx.ConsumerKey(k.Key.Key)
		wantCode(t, "its key", err, sluice.NotFound, "key.unknown")
		return nil
	})
	w.view(func(tx *database.Tx) error {
		_, err := tx.RefreshTokenByHash("h")
		wantCode(t, "its refresh token", err, sluice.NotFound, "token.unknown")
		return nil
	})
	if _, total, err := w.plane.Subscriptions(w.admin(), "", a.ID, Page{}); total != 0 || err != nil {
		t.Errorf("subscriptions left: %d, %v", total, err)
	}
}

func TestChangeApplicationOwner(t *testing.T) {
	w := newWorld(t)
	app := w.application("sam", "App")
	w.application("tess", "Taken")
	taken := w.application("sam", "Taken")
	w.update(func(tx *database.Tx) error {
		for _, u := range []sluice.User{
			{ID: "u1", Organization: sluice.DefaultOrganization, Name: "tess", Roles: []sluice.Role{sluice.Subscriber}},
			{ID: "u2", Organization: sluice.DefaultOrganization, Name: "carla", Roles: []sluice.Role{sluice.Creator}},
			{ID: "u3", Organization: "acme", Name: "eve", Roles: []sluice.Role{sluice.Subscriber}},
		} {
			if err := tx.AddUser(&u); err != nil {
				return err
			}
		}
		return nil
	})
	for _, owner := range []string{"nobody", "carla", "eve", ""} {
		wantCode(t, "to "+owner, w.plane.ChangeApplicationOwner(w.admin(), app.ID, owner), sluice.Invalid, "application.owner")
	}
	wantCode(t, "one whose name the new owner has", w.plane.ChangeApplicationOwner(w.admin(), taken.ID, "tess"), sluice.Conflict, "application.exists")
	got := w.emitted(func() {
		if err := w.plane.ChangeApplicationOwner(w.admin(), app.ID, "tess"); err != nil {
			t.Fatal(err)
		}
	})
	wantLines(t, "ChangeApplicationOwner", got, "+application @ "+production, "+application @ "+sandbox, "+application @ "+both)
	_, err := w.plane.Application(w.as("sam", sluice.Subscriber), app.ID)
	wantCode(t, "the old owner's look", err, sluice.NotFound, "application.unknown")
	if a, err := w.plane.Application(w.as("tess", sluice.Subscriber), app.ID); err != nil || a.Owner != "tess" {
		t.Errorf("the new owner sees %+v, %v", a, err)
	}
}

// A subscriber has an application from the first login, and only from the first.
func TestFirstLogin(t *testing.T) {
	const password = sluice.Secret("correct horse battery")
	w := newWorld(t)
	if _, err := w.plane.EnsureAdministrator(t.Context(), password, false); err != nil {
		t.Fatal(err)
	}
	login := func() (list []sluice.Application) {
		t.Helper()
		if _, err := w.plane.Login(w.from("192.0.2.1"), AdministratorName, password); err != nil {
			t.Fatal(err)
		}
		list, _, err := w.plane.Applications(w.as(AdministratorName, sluice.Subscriber), ApplicationFilter{})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	list := login()
	if len(list) != 1 || list[0].Name != "DefaultApplication" || list[0].Tier != sluice.Unlimited || list[0].Owner != AdministratorName {
		t.Fatalf("after the first login: %+v", list)
	}
	if list := login(); len(list) != 1 {
		t.Errorf("after the second login: %+v", list)
	}
	if err := w.plane.DeleteApplication(w.as(AdministratorName, sluice.Subscriber), list[0].ID, 0); err != nil {
		t.Fatal(err)
	}
	if list := login(); len(list) != 0 {
		t.Errorf("it is back after it was deleted: %+v", list)
	}
}
