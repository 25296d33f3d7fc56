package rest

import (
	"net/http"
	"testing"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

func TestApplicationStory(t *testing.T) {
	p := start(t)
	admin := p.administrator(t)
	sam := p.user(t, sluice.DefaultOrganization, "sam", sluice.Subscriber)
	tess := p.user(t, sluice.DefaultOrganization, "tess", sluice.Subscriber)
	const store, adminAPI = "/api/am/devportal/v3", "/api/am/admin/v4"
	make := func(token, name, tier string) applicationDocument {
		t.Helper()
		return as[applicationDocument](t, p.do(t, token, "POST "+store+"/applications",
			`{"name":"`+name+`","throttlingPolicy":"`+tier+`","attributes":{"team":"x"}}`), http.StatusCreated)
	}
	phone := make(sam, "Phone", "Unlimited")
	make(sam, "Phone2", "10PerMin")
	other := make(tess, "Phone", "Unlimited")
	if phone.Attributes["team"] != "x" {
		t.Errorf("attributes = %v", phone.Attributes)
	}
	names := func(call string) (out []string) {
		t.Helper()
		for _, a := range as[list[applicationInfo]](t, p.do(t, sam, call, ""), http.StatusOK).List {
			out = append(out, a.Name)
		}
		return out
	}
	if got := names("GET " + store + "/applications?query=Phone"); len(got) != 1 || got[0] != "Phone" {
		t.Errorf("exactly Phone: %v", got)
	}
	if got := names("GET " + store + "/applications?sortBy=throttlingPolicy&sortOrder=asc"); len(got) != 2 || got[0] != "Phone2" {
		t.Errorf("by policy: %v", got)
	}
	if got := names("GET " + store + "/applications?sortOrder=desc&limit=1"); len(got) != 1 || got[0] != "Phone2" {
		t.Errorf("by name, down: %v", got)
	}
	p.do(t, sam, "GET "+store+"/applications?sortBy=owner", "").wantError(t, 400, "search.sort", 0)

	one := store + "/applications/" + phone.ID
	tag := p.do(t, sam, "GET "+one, "").header.Get("ETag")
	change := `{"name":"Phone","throttlingPolicy":"20PerMin","description":"new"}`
	p.do(t, tess, "PUT "+one, change).wantError(t, 404, "application.unknown", 900307)
	changed := as[applicationDocument](t, p.do(t, sam, "PUT "+one, change, "If-Match", tag), http.StatusOK)
	if changed.Tier != "20PerMin" || changed.Description != "new" || len(changed.Attributes) != 0 || changed.Owner != "sam" {
		t.Errorf("changed to %+v", changed)
	}
	p.do(t, sam, "PUT "+one, change, "If-Match", tag).wantError(t, 412, "changed", 0)
	p.do(t, sam, "PUT "+one, `{"name":"Phone2","throttlingPolicy":"20PerMin"}`).wantError(t, 409, "application.exists", 900301)

	// What administrators do.
	type owned struct {
		Count int                `json:"count"`
		List  []adminApplication `json:"list"`
		Next  string             `json:"next"`
	}
	all := as[owned](t, p.do(t, admin, "GET "+adminAPI+"/applications?name=phone&tenantDomain=carbon.super&limit=2", ""), http.StatusOK)
	if all.Count != 2 || all.Next == "" {
		t.Errorf("all = %+v", all)
	}
	if got := as[owned](t, p.do(t, admin, "GET "+adminAPI+"/applications?user=tess", ""), http.StatusOK); got.Count != 1 || got.List[0].ID != other.ID || got.List[0].Owner != "tess" {
		t.Errorf("of tess: %+v", got)
	}
	p.do(t, admin, "GET "+adminAPI+"/applications?tenantDomain=acme", "").wantError(t, 404, "organization.unknown", 0)
	p.do(t, sam, "GET "+adminAPI+"/applications", "").wantError(t, 401, "scope.missing", 0)
	p.do(t, admin, "POST "+adminAPI+"/applications/"+phone.ID+"/change-owner?owner=nobody", "").wantError(t, 400, "application.owner", 0)
	p.do(t, admin, "POST "+adminAPI+"/applications/"+phone.ID+"/change-owner?owner=tess", "").wantError(t, 409, "application.exists", 900301)
	if got := p.do(t, admin, "DELETE "+adminAPI+"/applications/"+other.ID, ""); got.status != http.StatusOK || len(got.body) > 0 {
		t.Errorf("delete: %d %s", got.status, got.body)
	}
	if got := p.do(t, admin, "POST "+adminAPI+"/applications/"+phone.ID+"/change-owner?owner=tess", ""); got.status != http.StatusOK {
		t.Errorf("change-owner: %d %s", got.status, got.body)
	}
	p.do(t, sam, "DELETE "+one, "").wantError(t, 404, "application.unknown", 900307)
	if got := p.do(t, tess, "DELETE "+one, ""); got.status != http.StatusOK || len(got.body) > 0 {
		t.Errorf("delete: %d %s", got.status, got.body)
	}
	p.do(t, tess, "GET "+one, "").wantError(t, 404, "application.unknown", 900307)
}

func TestSubscriptionChanges(t *testing.T) {
	p := start(t)
	admin := p.administrator(t)
	sam := p.user(t, sluice.DefaultOrganization, "sam", sluice.Subscriber)
	eve := p.user(t, "acme", "eve", sluice.Subscriber)
	const store = "/api/am/devportal/v3"
	weather, pizza := p.api(t, admin, "Weather"), p.api(t, admin, "Pizza")
	p.publish(t, admin, weather)
	p.publish(t, admin, pizza)
	app := as[applicationDocument](t, p.do(t, sam, "POST "+store+"/applications", `{"name":"App","throttlingPolicy":"Unlimited"}`), http.StatusCreated)
	ask := func(api, tier string) string {
		return `{"applicationId":"` + app.ID + `","apiId":"` + api + `","throttlingPolicy":"` + tier + `"}`
	}
	multiple := "POST " + store + "/subscriptions/multiple"
	made := as[[]subscriptionDocument](t, p.do(t, sam, multiple, "["+ask(weather, "Gold")+","+ask(pizza, "Silver")+","+ask("nope", "Gold")+"]"), http.StatusOK)
	if len(made) != 3 || made[0].ID == "" || made[0].Status != "UNBLOCKED" || made[1].ID != "" || made[1].Status != "REJECTED" || made[1].APIID != pizza || made[2].Status != "REJECTED" {
		t.Fatalf("multiple = %+v", made)
	}
	p.do(t, sam, multiple, "["+ask(weather, "Gold")+"]").wantError(t, 409, "subscription.exists", 900336)
	p.do(t, sam, multiple, "[]").wantError(t, 400, "subscription.count", 0)
	p.do(t, eve, multiple, "["+ask(pizza, "Gold")+"]").wantError(t, 404, "application.unknown", 900307)

	one := store + "/subscriptions/" + made[0].ID
	tag := p.do(t, sam, "GET "+one, "").header.Get("ETag")
	p.do(t, sam, "PUT "+one, ask(weather, "Silver")).wantError(t, 403, "subscription.tier", 902002)
	p.do(t, sam, "PUT "+one, ask(pizza, "Unlimited")).wantError(t, 400, "subscription.moved", 0)
	p.do(t, eve, "PUT "+one, ask(weather, "Unlimited")).wantError(t, 404, "subscription.unknown", 900310)
	changed := as[subscriptionDocument](t, p.do(t, sam, "PUT "+one, ask(weather, "Unlimited"), "If-Match", tag), http.StatusOK)
	if changed.Tier != "Unlimited" || changed.Status != "UNBLOCKED" {
		t.Errorf("changed to %+v", changed)
	}
	p.do(t, sam, "PUT "+one, ask(weather, "Gold"), "If-Match", tag).wantError(t, 412, "changed", 0)
	requested := `{"throttlingPolicy":"Unlimited","requestedThrottlingPolicy":"Gold"}` // as the original's Store sends it
	if got := as[subscriptionDocument](t, p.do(t, sam, "PUT "+one, requested), http.StatusOK); got.Tier != "Gold" {
		t.Errorf("changed to %+v, want Gold", got)
	}
}

// An open read of the Store may choose another organization, and sees what a
// stranger sees there; nothing else may.
func TestTenantOfTheStore(t *testing.T) {
	p := start(t)
	admin := p.administrator(t)
	if err := p.db.Update(t.Context(), func(tx *database.Tx) error {
		for _, tier := range []string{"Gold", "Unlimited"} {
			if err := tx.AddTier(&sluice.Tier{ID: tier, Organization: "acme", Level: sluice.SubscriptionTier, Name: tier}); err != nil {
				return err
			}
		}
		return tx.AddOrganization(&sluice.Organization{ID: "acme", Name: "acme", DisplayName: "Acme"})
	}); err != nil {
		t.Fatal(err)
	}
	theirs := p.user(t, "acme", "root", sluice.Administrator)
	id := p.api(t, theirs, "Theirs")
	if err := p.db.Update(t.Context(), func(tx *database.Tx) error {
		a, err := tx.API("acme", id)
		if err != nil {
			return err
		}
		a.State = sluice.Published
		return tx.PutAPI(&a)
	}); err != nil {
		t.Fatal(err)
	}
	const store = "/api/am/devportal/v3"
	for name, c := range map[string]struct {
		token, tenant string
		status        int
	}{
		"a stranger":                         {"", "acme", 200},
		"a stranger, no tenant":              {"", "", 404},
		"a stranger, the first":              {"", "carbon.super", 404},
		"a stranger, an unknown one":         {"", "nobody", 404},
		"a user of the first":                {admin, "acme", 200},
		"a user of the first, no tenant":     {admin, "", 404},
		"their own user":                     {theirs, "acme", 200},
		"their own user, no tenant":          {theirs, "", 200},
		"their own user, who asks the first": {theirs, "carbon.super", 404},
	} {
		if got := p.do(t, c.token, "GET "+store+"/apis/"+id, "", "X-WSO2-Tenant", c.tenant); got.status != c.status {
			t.Errorf("%s: %d, want %d: %s", name, got.status, c.status, got.body)
		}
	}
	p.do(t, admin, "GET "+store+"/applications", "", "X-WSO2-Tenant", "acme").wantError(t, 404, "organization.unknown", 0)
	p.do(t, admin, "GET /api/am/publisher/v4/apis", "", "X-WSO2-Tenant", "acme").wantError(t, 404, "organization.unknown", 0)
	as[list[applicationInfo]](t, p.do(t, theirs, "GET "+store+"/applications", "", "X-WSO2-Tenant", "acme"), http.StatusOK)
}
