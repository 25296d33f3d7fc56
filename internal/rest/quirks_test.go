package rest

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
)

// registerAs registers a management client by Basic authentication.
func (p *platform) registerAs(t *testing.T, user, password, body string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", p.http.URL+"/client-registration/v0.17/register", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	return p.send(t, r)
}

// registration is what apictl sends.
const registration = `{"clientName":"rest_api_import_export_admin","callbackUrl":"www.google.lk","grantType":"password refresh_token","saasApp":true,"owner":"admin","tokenScope":"Production"}`

// The same user and name get the same client at each login, and a new secret.
func TestQuirkRegistrationRepeats(t *testing.T) {
	p := start(t)
	first := as[registrationAnswer](t, p.registerAs(t, "admin", adminPassword, registration), http.StatusOK)
	second := as[registrationAnswer](t, p.registerAs(t, "admin", adminPassword, registration), http.StatusOK)
	if first.ID == "" || first.Secret == "" || first.ID != second.ID || first.Secret == second.Secret {
		t.Errorf("registered twice: %+v, %+v", first, second)
	}
	if !strings.Contains(first.JSON, "password refresh_token") || first.Owner != "admin" || !first.SaaS {
		t.Errorf("registered: %+v", first)
	}
}

// Answers are 200 and exactly application/json.
func TestQuirkContentType(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	for _, a := range []reply{
		p.registerAs(t, "admin", adminPassword, registration),
		p.registerAs(t, "admin", "wrong", registration),
		p.do(t, token, "GET /api/am/publisher/v4/apis", ""),
		p.do(t, token, "GET /api/am/publisher/v4/nothing", ""),
	} {
		if got := a.header.Get("Content-Type"); got != "application/json" {
			t.Errorf("Content-Type = %q", got)
		}
	}
}

// The callback URL is text; the owner must be the caller.
func TestQuirkRegistrationFields(t *testing.T) {
	p := start(t)
	got := as[registrationAnswer](t, p.registerAs(t, "admin", adminPassword, registration), http.StatusOK)
	if got.Callback != "www.google.lk" {
		t.Errorf("callBackURL = %q", got.Callback)
	}
	p.registerAs(t, "admin", adminPassword, strings.Replace(registration, `"owner":"admin"`, `"owner":"eve"`, 1)).wantError(t, 403, "client.owner", 0)
	p.registerAs(t, "", "", registration).wantError(t, 401, "login.missing", 0)
	a := p.registerAs(t, "admin", "wrong", registration)
	a.wantError(t, 401, "login", 0)
	if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Basic ") {
		t.Errorf("WWW-Authenticate = %q", got)
	}
	p.registerAs(t, "admin", adminPassword, `{"owner":"admin"}`).wantError(t, 400, "client.name", 0)
	p.registerAs(t, "admin", adminPassword, `{"clientName":"a","clientName":"b"}`).wantError(t, 400, "body.json", 0)
}

// Where the password grant is off for management clients, registration succeeds
// without it.
func TestQuirkRegistrationWithoutPasswordGrant(t *testing.T) {
	p := start(t, func(o *control.Options) { o.LegacyLogin = false })
	got := as[registrationAnswer](t, p.registerAs(t, "admin", adminPassword, registration), http.StatusOK)
	if strings.Contains(got.JSON, "password") {
		t.Errorf("jsonString = %s, want it without the password grant", got.JSON)
	}
}

// After some failures the next tries are refused for a while.
func TestQuirkFailedLoginsAreSlowed(t *testing.T) {
	p := start(t)
	for range 20 {
		a := p.registerAs(t, "eve", "wrong", registration)
		if a.status == http.StatusTooManyRequests {
			if a.header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
			return
		}
		a.wantError(t, 401, "login", 0)
	}
	t.Error("20 failures were not slowed down")
}

// A missing scope is 401 under WSO2's paths and names what is accepted.
func TestQuirkMissingScope(t *testing.T) {
	p := start(t)
	a := p.do(t, p.administrator(t, "apim:subscribe"), "GET /api/am/publisher/v4/apis", "")
	a.wantError(t, 401, "scope.missing", 0)
	if !strings.Contains(string(a.body), "apim:api_view") {
		t.Errorf("body = %s", a.body)
	}
}

// deployed makes an API with a revision in both environments.
func (p *platform) deployed(t *testing.T, token string) (one string, revision revisionDocument) {
	t.Helper()
	id := p.api(t, token, "Weather")
	p.publish(t, token, id)
	one = publisherBase + "/apis/" + id
	revision = as[revisionDocument](t, p.do(t, token, "POST "+one+"/revisions", "{}"), http.StatusCreated)
	as[[]deploymentDocument](t, p.do(t, token, "POST "+one+"/deploy-revision?revisionId="+revision.ID, `[{"name":"Production Gateway"},{"name":"Sandbox Gateway"}]`), http.StatusCreated)
	return one, revision
}

// Undeploying takes null and answers 201 with what is left.
func TestQuirkUndeployNull(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	one, _ := p.deployed(t, token)
	left := as[[]deploymentDocument](t, p.do(t, token, "POST "+one+"/undeploy-revision?revisionNumber=1&allEnvironments=true", "null"), http.StatusCreated)
	if left == nil || len(left) != 0 {
		t.Errorf("left = %v, want []", left)
	}
	p.do(t, token, "POST "+one+"/undeploy-revision?revisionNumber=1", "null").wantError(t, 400, "deployment.targets", 0)
	p.do(t, token, "POST "+one+"/undeploy-revision?allEnvironments=true", "null").wantError(t, 400, "parameter.missing", 0)
	p.do(t, token, "POST "+one+"/undeploy-revision?allEnvironments=true&revisionNumber=one", "null").wantError(t, 400, "revision.number", 0)
}

// change-lifecycle has an empty body with a JSON content type, and answers 200.
func TestQuirkEmptyLifecycleBody(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	id := p.api(t, token, "Weather")
	a := p.do(t, token, "POST /api/am/publisher/v4/apis/change-lifecycle?apiId="+id+"&action=Publish", "", "Content-Type", "application/json")
	as[workflowAnswer](t, a, http.StatusOK)
}

// A form whose content type names no boundary brings it in its first line.
func TestQuirkMissingBoundary(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	body := form("a-b_c", "file", weather, "additionalProperties", properties("Weather", "/weather"))
	as[apiDocument](t, p.do(t, token, importPath, body, "Content-Type", "multipart/form-data"), http.StatusCreated)
	for first, want := range map[string]string{
		"--abc\r\n":                             "abc",
		"--abc\n":                               "abc",
		"--" + strings.Repeat("a", 70) + "\r\n": strings.Repeat("a", 70),
		"--a b\r\n":                             "a b",
		"--a \r\n":                              "",
		"--" + strings.Repeat("a", 71) + "\r\n": "",
		"--\r\n":                                "",
		"abc\r\n":                               "",
		"--a\"b\r\n":                            "",
		"--abc":                                 "",
		"":                                      "",
	} {
		got, err := firstBoundary(bufio.NewReader(strings.NewReader(first)))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("firstBoundary(%q) = %q, %v, want %q", first, got, err, want)
		}
	}
}

// A validity is a number or a string of seconds; never is refused.
func TestQuirkValidity(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	app := as[applicationDocument](t, p.do(t, token, "POST /api/am/devportal/v3/applications", `{"name":"A","throttlingPolicy":"Unlimited"}`), http.StatusCreated)
	keys := "POST /api/am/devportal/v3/applications/" + app.ID + "/generate-keys"
	request := func(kind, validity string) string {
		return `{"keyType":"` + kind + `","grantTypesToBeSupported":["client_credentials"],"validityTime":` + validity + `}`
	}
	for _, never := range []string{"-1", `"-1"`, "0", "1.5", `"soon"`, "99999999999"} {
		p.do(t, token, keys, request("PRODUCTION", never)).wantError(t, 400, "key.validity", 0)
	}
	as[keyDocument](t, p.do(t, token, keys, request("PRODUCTION", "3600")), http.StatusOK)
	as[keyDocument](t, p.do(t, token, keys, request("SANDBOX", `"3600"`)), http.StatusOK)
}

// The tenant after a name, and in the header, is that of the first organization.
func TestQuirkTenant(t *testing.T) {
	p := start(t)
	as[registrationAnswer](t, p.registerAs(t, "admin@carbon.super", adminPassword, registration), http.StatusOK)
	for tenant, want := range map[string]int{"": 200, "default": 200, "carbon.super": 200, "acme": 404} {
		if a := p.do(t, "", "GET /api/am/devportal/v3/apis", "", "X-WSO2-Tenant", tenant); a.status != want {
			t.Errorf("X-WSO2-Tenant %q: %d, want %d", tenant, a.status, want)
		}
	}
	if got := userName("ann@example.com"); got != "ann@example.com" {
		t.Errorf("userName = %q: what is no tenant belongs to the name", got)
	}
}

// Deployments are a bare array, count is that of the page, a revision's id is
// an API's id.
func TestQuirkShapes(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	one, revision := p.deployed(t, token)
	if a := p.do(t, token, "GET "+one+"/deployments", ""); !strings.HasPrefix(string(a.body), "[") {
		t.Errorf("deployments = %s", a.body)
	}
	p.api(t, token, "Second")
	if got := as[list[apiInfo]](t, p.do(t, token, "GET /api/am/publisher/v4/apis?limit=1", ""), http.StatusOK); got.Count != 1 || got.Pagination.Total != 2 {
		t.Errorf("count = %d of %d, want that of the page", got.Count, got.Pagination.Total)
	}
	if a := p.do(t, token, "GET /api/am/publisher/v4/apis/"+revision.ID+"/swagger", ""); a.status != http.StatusOK {
		t.Errorf("definition of a revision: %d", a.status)
	}
	p.do(t, token, "DELETE /api/am/publisher/v4/apis/"+revision.ID, "").wantError(t, 404, "api.unknown", 900308)
}

// An unreadable definition is 400 with the message that clients look for.
func TestQuirkUnreadableDefinition(t *testing.T) {
	p := start(t)
	a := p.importAPI(t, p.administrator(t), "file", "\x00\x01 no definition")
	a.wantError(t, 400, "openapi.unreadable", 900754)
	if !strings.Contains(string(a.body), `"message":"Error while parsing OpenAPI definition"`) {
		t.Errorf("body = %s", a.body)
	}
}

// Lists of what there is not are empty whatever the query; one element is 404.
func TestQuirkEmptyLists(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	for _, path := range []string{
		"publisher/v4/api-products", "publisher/v4/mcp-servers?query=x:y", "publisher/v4/operation-policies?query=name:X&version:Y",
		"devportal/v3/mcp-servers",
	} {
		if got := as[list[struct{}]](t, p.do(t, token, "GET /api/am/"+path, ""), http.StatusOK); got.Count != 0 || got.List == nil {
			t.Errorf("%s = %+v", path, got)
		}
		element, _, _ := strings.Cut(path, "?")
		p.do(t, token, "GET /api/am/"+element+"/x", "").wantError(t, 404, "path.unknown", 0)
	}
	if a := p.do(t, token, "GET /api/am/publisher/v4/endpoint-certificates", ""); string(a.body) != `{"count":0,"certificates":[],"pagination":{}}` {
		t.Errorf("certificates = %s", a.body)
	}
}

// The first of an API's tiers is the first that was given: clients subscribe
// with it.
func TestQuirkFirstTier(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	id := p.api(t, token, "Weather")
	got := as[apiDocument](t, p.do(t, token, "GET /api/am/publisher/v4/apis/"+id, ""), http.StatusOK)
	if len(got.Policies) == 0 || got.Policies[0] != "Gold" {
		t.Errorf("policies = %v, want Gold first", got.Policies)
	}
	a := p.importAPI(t, token, "file", weather, "additionalProperties", `{"name":"Bare","context":"/bare","endpointConfig":{"production_endpoints":{"url":"http://x"}}}`)
	bare := as[apiDocument](t, a, http.StatusCreated)
	p.do(t, token, "POST /api/am/publisher/v4/apis/change-lifecycle?action=Publish&apiId="+bare.ID, "").wantError(t, 400, "api.tiers", 0)
	if got := bare.State; got != string(sluice.Created) {
		t.Errorf("state = %s", got)
	}
}
