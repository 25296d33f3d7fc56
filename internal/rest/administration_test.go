package rest

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
)

const own = "/api/sluice/v1"

// basic returns the header of Basic authentication.
func basic(name, password string) []string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(name, password)
	return []string{"Authorization", r.Header.Get("Authorization")}
}

// TestUsersStory goes from an organization to its first administrator, whose
// password is temporary, and back.
func TestUsersStory(t *testing.T) {
	p := start(t)
	admin := p.administrator(t)
	made := p.do(t, admin, "POST "+own+"/organizations", `{"name":"acme","displayName":"Acme Ltd."}`)
	as[organizationDocument](t, made, 201)
	body := `{"name":"ann","email":"ann@example.com","organization":"acme","roles":["admin","eu/team"],"password":"temporary"}`
	a := p.do(t, admin, "POST "+own+"/users", body, "Idempotency-Key", "one")
	ann := as[userDocument](t, a, 201)
	if ann.Login != "ann@acme" || !ann.MustChange || a.header.Get("ETag") == "" || a.header.Get("Location") != own+"/users/"+ann.ID {
		t.Errorf("made %+v, %v", ann, a.header)
	}
	if again := as[userDocument](t, p.do(t, admin, "POST "+own+"/users", body, "Idempotency-Key", "one"), 201); again.ID != ann.ID {
		t.Errorf("repeated: %+v, want the same user", again)
	}
	p.do(t, admin, "POST "+own+"/users", body).wantError(t, 409, "user.taken", 0)
	p.do(t, admin, "POST "+own+"/users", body, "Idempotency-Key", strings.Repeat("k", 65)).wantError(t, 400, "idempotency.form", 0)
	p.do(t, admin, "POST "+own+"/users", `{"name":"x","password":"temporary","id":"mine"}`).wantError(t, 400, "body.unknown", 0)

	one := own + "/users/" + ann.ID
	tag := p.do(t, admin, "GET "+one, "").header.Get("ETag")
	if got := p.do(t, admin, "GET "+one, "", "If-None-Match", tag); got.status != 304 {
		t.Errorf("If-None-Match: %d", got.status)
	}
	p.do(t, admin, "PATCH "+one, `{"email":""}`).wantError(t, 428, "if_match.missing", 0)
	p.do(t, admin, "DELETE "+one, "").wantError(t, 428, "if_match.missing", 0)
	p.do(t, admin, "PATCH "+one, `{"email":""}`, "If-Match", `"99"`).wantError(t, 412, "changed", 0)
	if got := as[userDocument](t, p.do(t, admin, "PATCH "+one, `{"email":"a@example.com"}`, "If-Match", tag), 200); got.Email != "a@example.com" || len(got.Roles) != 2 {
		t.Errorf("changed: %+v", got)
	}

	// A temporary password is good for changing it.
	put := "PUT " + own + "/users/me/password"
	p.do(t, "", put, `{"password":"my own secret"}`, basic("ann@acme", "wrong")...).wantError(t, 401, "login", 0)
	p.do(t, "", put, `{"password":"short"}`, basic("ann@acme", "temporary")...).wantError(t, 400, "user.password", 0)
	p.do(t, "", "PUT "+one+"/password", `{"password":"my own secret"}`, basic("ann@acme", "temporary")...).wantError(t, 403, "user.basic", 0)
	if got := p.do(t, "", put, `{"password":"my own secret"}`, basic("ann@acme", "temporary")...); got.status != 204 {
		t.Fatalf("change of a temporary password: %d %s", got.status, got.body)
	}
	if got := as[userDocument](t, p.do(t, admin, "GET "+one, ""), 200); got.MustChange {
		t.Error("the password is still temporary")
	}
	token := p.token(t, sluice.User{ID: ann.ID, Name: "ann", Organization: "acme", Roles: ann.Roles}, ScopesOf(ann.Roles)...)
	if list := as[list[userDocument]](t, p.do(t, token, "GET "+own+"/users", ""), 200); list.Count != 1 || list.List[0].ID != ann.ID {
		t.Errorf("users of acme for its administrator: %+v", list)
	}
	p.do(t, token, "GET "+own+"/organizations", "").wantError(t, 403, "organization.forbids", 0)
	p.do(t, token, put, `{"password":"another secret"}`).wantError(t, 400, "user.old_password", 0)
	if got := p.do(t, admin, "PUT "+one+"/password", `{"password":"temporary again"}`); got.status != 204 {
		t.Fatalf("an administrator's: %d %s", got.status, got.body)
	}
	p.do(t, token, "GET "+own+"/users", "").wantError(t, 401, "token", 0)

	organization := own + "/organizations/acme"
	p.do(t, admin, "DELETE "+organization, "", "If-Match", "*").wantError(t, 409, "organization.in_use", 0)
	p.do(t, admin, "PATCH "+organization, `{"displayName":"x"}`).wantError(t, 428, "if_match.missing", 0)
	as[organizationDocument](t, p.do(t, admin, "PATCH "+organization, `{"displayName":"Acme"}`, "If-Match", made.header.Get("ETag")), 200)
	for _, gone := range []string{one, organization} {
		if got := p.do(t, admin, "DELETE "+gone, "", "If-Match", "*"); got.status != 204 {
			t.Errorf("DELETE %s: %d %s", gone, got.status, got.body)
		}
	}
	for _, secret := range []string{"temporary", "my own secret", admin, token} {
		if strings.Contains(p.log.String(), secret) {
			t.Errorf("the secret %q is in the log", secret)
		}
	}
}

func TestAuditStory(t *testing.T) {
	p := start(t)
	admin := p.administrator(t)
	p.do(t, admin, "POST "+own+"/organizations", `{"name":"acme","displayName":"=cmd|' /C calc'!A0"}`)
	u := as[userDocument](t, p.do(t, admin, "POST "+own+"/users", `{"name":"bob","password":"temporary"}`), 201)
	page := as[auditPage](t, p.do(t, admin, "GET "+own+"/audit?limit=1", ""), 200)
	if page.Count != 1 || page.List[0].Action != "user.create" || page.List[0].Object.ID != u.ID || page.Pagination.Next == "" {
		t.Fatalf("the newest entry: %+v", page)
	}
	next := as[auditPage](t, p.do(t, admin, "GET "+own+page.Pagination.Next, ""), 200)
	if next.Count != 1 || next.List[0].Sequence != page.List[0].Sequence-1 {
		t.Errorf("the page after: %+v", next)
	}
	if got := as[auditPage](t, p.do(t, admin, "GET "+own+"/audit?action=user.create&objectId="+u.ID, ""), 200); got.Count != 1 {
		t.Errorf("filtered: %+v", got)
	}
	for _, query := range []string{"from=yesterday", "before=-1", "limit=-1", "offset=3"} {
		if got := p.do(t, admin, "GET "+own+"/audit?"+query, ""); got.status != 400 {
			t.Errorf("%s: %d, want 400", query, got.status)
		}
	}
	lines := strings.Split(strings.TrimSpace(string(p.do(t, admin, "GET "+own+"/audit", "", "Accept", "application/x-ndjson").body)), "\n")
	for i, line := range lines {
		var e auditDocument
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Sequence != int64(i+1) {
			t.Errorf("line %d: %v, %s", i, err, line)
		}
	}
	rows, err := csv.NewReader(strings.NewReader(string(p.do(t, admin, "GET "+own+"/audit", "", "Accept", "text/csv").body))).ReadAll()
	if err != nil || len(rows) != len(lines)+1 || rows[0][0] != "sequence" {
		t.Errorf("CSV: %d rows of %d, %v", len(rows), len(lines), err)
	}
	v := as[auditVerification](t, p.do(t, admin, "GET "+own+"/audit/verification", ""), 200)
	if !v.OK || v.Unsealed != len(lines) {
		t.Errorf("verification: %+v", v)
	}
	p.do(t, admin, "GET "+own+"/audit/9999", "").wantError(t, 404, "entry.unknown", 0)
	if got := as[auditDocument](t, p.do(t, admin, "GET "+own+"/audit/1", ""), 200); got.Sequence != 1 {
		t.Errorf("one entry: %+v", got)
	}
	p.do(t, p.user(t, sluice.DefaultOrganization, "carla", sluice.Creator), "GET "+own+"/audit", "").wantError(t, 403, "scope.missing", 0)
}

// E12: no cell is taken for a formula, none breaks its row.
func TestCells(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "ann": "ann", "a=b": "a=b", "=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0", "+1": "'+1", "-1": "'-1", "@SUM(1)": "'@SUM(1)",
		"\t=1": "' =1", "  =1": "'  =1", "\r\nSet-Cookie: x": "  Set-Cookie: x",
	} {
		if got := cell(text); got != want {
			t.Errorf("cell(%q) = %q, want %q", text, got, want)
		}
	}
}

// E4: no answer to another organization's administrator, on any operation with an
// id in its path and on any list, names a thing of the first.
func TestOtherOrganizationsAreAnsweredNothing(t *testing.T) {
	p := start(t)
	admin := p.administrator(t)
	as[organizationDocument](t, p.do(t, admin, "POST "+own+"/organizations", `{"name":"acme"}`), 201)
	stranger := p.user(t, "acme", "eve", sluice.Administrator, sluice.Subscriber)
	api := p.api(t, admin, "Hidden")
	p.publish(t, admin, api)
	user := as[userDocument](t, p.do(t, admin, "POST "+own+"/users", `{"name":"hidden-user","password":"temporary"}`), 201).ID
	application := as[applicationDocument](t, p.do(t, admin, "POST /api/am/devportal/v3/applications", `{"name":"HiddenApp","throttlingPolicy":"Unlimited"}`), 201).ID
	secrets := []string{api, user, application, "Hidden", "hidden-user"}
	checked := 0
	for _, f := range p.rest.faces() {
		for _, r := range f.routes {
			for _, id := range []string{api, user, application} {
				path := f.base + r.path
				for strings.Contains(path, "{") {
					from := strings.IndexByte(path, '{')
					to := strings.IndexByte(path, '}')
					value := id
					if name := path[from+1 : to]; name == "policyLevel" {
						value = "subscription"
					}
					path = path[:from] + value + path[to+1:]
				}
				body := ""
				if r.method != "GET" && r.method != "DELETE" {
					body = "{}"
				}
				got := p.do(t, stranger, r.method+" "+path, body, "If-Match", "*")
				checked++
				text := strings.ReplaceAll(string(got.body), got.header.Get("X-Trace-Id"), "")
				for _, secret := range secrets {
					if strings.Contains(text, secret) {
						t.Errorf("%s %s tells another organization of %s: %d %s", r.method, path, secret, got.status, text)
					}
				}
				if got.status >= 500 && got.status != 501 && got.status != 503 {
					t.Errorf("%s %s: %d %s", r.method, path, got.status, got.body)
				}
				if r.method != "GET" && strings.Contains(r.path, "{") && got.status < 300 {
					t.Errorf("%s %s of another organization: %d", r.method, path, got.status)
				}
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d calls were made", checked)
	}
	for _, path := range []string{"/api/am/publisher/v4/apis/" + api, own + "/users/" + user, "/api/am/devportal/v3/applications/" + application} {
		if got := p.do(t, admin, "GET "+path, ""); got.status != 200 {
			t.Errorf("afterwards %s: %d %s", path, got.status, got.body)
		}
	}
}

// TestTemporaryPassword registers no client until the password is changed.
func TestTemporaryPassword(t *testing.T) {
	p := start(t)
	admin := p.administrator(t)
	as[userDocument](t, p.do(t, admin, "POST "+own+"/users", `{"name":"bob","roles":["Internal/creator"],"password":"one for now"}`), 201)
	a := p.registerAs(t, "bob", "one for now", `{"clientName":"rest_api_import_export_bob","grantType":"password","owner":"bob"}`)
	a.wantError(t, 403, "user.password_temporary", 0)
	if !strings.Contains(string(a.body), "PUT /api/sluice/v1/users/me/password") {
		t.Errorf("it does not say how to change it: %s", a.body)
	}
	if got := p.do(t, "", "PUT "+own+"/users/me/password", `{"password":"one to stay"}`, basic("bob@carbon.super", "one for now")...); got.status != 204 {
		t.Fatalf("change: %d %s", got.status, got.body)
	}
	as[registrationAnswer](t, p.registerAs(t, "bob", "one to stay", `{"clientName":"rest_api_import_export_bob","grantType":"password","owner":"bob"}`), 200)
}

// TestTokensOfOthers are for administrators with the scope, of users whom they
// look after.
func TestTokensOfOthers(t *testing.T) {
	p := start(t)
	admin := p.administrator(t)
	bob := as[userDocument](t, p.do(t, admin, "POST "+own+"/users", `{"name":"bob","roles":["Internal/observer"],"password":"temporary"}`), 201)
	roles := []sluice.Role{sluice.Observer}
	token := p.token(t, sluice.User{ID: bob.ID, Name: "bob", Organization: sluice.DefaultOrganization, Roles: roles}, ScopesOf(roles)...)
	list := as[list[accessToken]](t, p.do(t, admin, "GET "+own+"/access-tokens?userId="+bob.ID, ""), 200)
	if list.Count != 1 || list.List[0].Name != "test" || list.List[0].Token != "" {
		t.Fatalf("bob's tokens: %+v", list)
	}
	if n := as[struct{ Count int }](t, p.do(t, token, "GET "+own+"/access-tokens?userId="+bob.ID, ""), 200).Count; n != 1 {
		t.Errorf("%d of his own", n)
	}
	p.do(t, token, "GET "+own+"/access-tokens?userId=somebody", "").wantError(t, 403, "scope.missing", 0)
	p.do(t, admin, "GET "+own+"/access-tokens?userId=nobody", "").wantError(t, 404, "user.unknown", 0)
	if got := p.do(t, admin, "DELETE "+own+"/access-tokens/"+list.List[0].ID, ""); got.status != 204 {
		t.Fatalf("end it: %d %s", got.status, got.body)
	}
	p.do(t, token, "GET "+own+"/access-tokens", "").wantError(t, 401, "token", 0)
}
