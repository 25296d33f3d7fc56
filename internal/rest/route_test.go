package rest

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// TestRequests is what is answered before any feature is asked, and by which
// face.
func TestRequests(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	for name, c := range map[string]struct {
		token  string // "-": none; default: the administrator's
		call   string
		header []string
		status int
		code   string
		number int64
		words  string // in the body
	}{
		"no token":                           {token: "-", call: "GET /api/am/publisher/v4/apis", status: 401, code: "token.missing"},
		"no token, ours":                     {token: "-", call: "GET /api/sluice/v1/gateways", status: 401, code: "token.missing"},
		"a bad token":                        {token: "x", call: "GET /api/am/publisher/v4/apis", status: 401, code: "token"},
		"a bad token where none is needed":   {token: "x", call: "GET /api/am/devportal/v3/apis", status: 401, code: "token"},
		"Basic instead of Bearer":            {token: "-", call: "GET /api/am/publisher/v4/apis", header: []string{"Authorization", "Basic YTpi"}, status: 401, code: "token.form"},
		"an empty token":                     {token: "-", call: "GET /api/am/publisher/v4/apis", header: []string{"Authorization", "Bearer "}, status: 401, code: "token.form"},
		"a cookie counts for nothing":        {token: "-", call: "GET /api/am/publisher/v4/apis", header: []string{"Cookie", "token=" + token}, status: 401, code: "token.missing"},
		"a token in the query, too":          {token: "-", call: "GET /api/am/publisher/v4/apis?access_token=" + token, status: 401, code: "token.missing"},
		"an operation not offered":           {call: "GET /api/am/publisher/v4/linter-custom-rules", status: 501, code: "operation.unsupported", number: 501, words: "GET /linter-custom-rules"},
		"one with an id":                     {call: "GET /api/am/publisher/v4/apis/0197-a/wsdl-info", status: 501, code: "operation.unsupported", words: "GET /apis/{apiId}/wsdl-info"},
		"one, no token":                      {token: "-", call: "GET /api/am/publisher/v4/linter-custom-rules", status: 401, code: "token.missing"},
		"one that writes":                    {call: "PUT /api/am/publisher/v4/apis/0197-a/wsdl", status: 501, code: "operation.unsupported", words: "PUT /apis/{apiId}/wsdl"},
		"one that is HEAD alone":             {call: "HEAD /api/am/publisher/v4/roles/x", status: 501},
		"HEAD of one that is GET":            {call: "HEAD /api/am/publisher/v4/linter-custom-rules", status: 501},
		"one of the Store":                   {call: "GET /api/am/devportal/v3/sdk-gen/languages", status: 501, code: "operation.unsupported", words: "GET /sdk-gen/languages"},
		"one of the administrators":          {call: "GET /api/am/admin/v4/workflows", status: 501, code: "operation.unsupported", words: "GET /workflows"},
		"a write to an empty list":           {call: "POST /api/am/publisher/v4/api-products", status: 501, code: "operation.unsupported"},
		"a path nobody knows":                {call: "GET /api/am/publisher/v4/nothing", status: 404, code: "path.unknown", number: 404},
		"the base alone":                     {call: "GET /api/am/publisher/v4", status: 404, code: "path.unknown"},
		"nothing is echoed":                  {call: "GET /api/am/publisher/v4/%3Cscript%3E", status: 404, code: "path.unknown"},
		"another method":                     {call: "PATCH /api/am/publisher/v4/apis/0197-a", status: 405, code: "method", number: 405},
		"another method of what is not here": {call: "PATCH /api/am/publisher/v4/linter-custom-rules", status: 404, code: "path.unknown"},
		"a method of no name":                {call: "BREW /api/am/publisher/v4/apis", status: 405, code: "method", words: "GET, POST"},
		"a path below ours":                  {call: "GET /api/sluice/v1/nothing", status: 404, code: "path.unknown"},
		"another method, ours":               {call: "PUT /api/sluice/v1/gateways/x", status: 405, code: "method"},
		"another method, registration":       {token: "-", call: "GET /client-registration/v0.17/register", status: 405, code: "method", number: 405},
		"an older version":                   {token: "-", call: "GET /api/am/publisher/v0.11/apis", status: 404, code: "path.moved", words: publisherBase},
		"an older Store":                     {token: "-", call: "GET /api/am/store/v0.11/apis", status: 404, code: "path.moved", words: storeBase},
		"an older registration":              {token: "-", call: "POST /client-registration/v0.10/register", status: 404, code: "path.moved", words: registrationBase},
		"something else below /api/am":       {token: "-", call: "GET /api/am/devops/v0", status: 404, code: "path.unknown"},
		"something else below /api":          {token: "-", call: "GET /api/x", status: 404, code: "path.unknown"},
		"older: environments":                {call: "GET /api/am/publisher/v4/environments", status: 404, code: "path.moved", words: adminBase + "/environments"},
		"older: tiers":                       {call: "GET /api/am/devportal/v3/tiers/api", status: 404, code: "path.moved", words: "throttling-policies"},
		"older: keys":                        {call: "POST /api/am/devportal/v3/applications/generate-keys", status: 404, code: "path.moved", words: "{applicationId}"},
		"dot segments":                       {call: "GET /api/am/publisher/v4/../v4/apis", status: 400, code: "path"},
		"encoded dot segments":               {call: "GET /api/am/publisher/v4/%2e%2e/v4/apis", status: 400, code: "path"},
		"empty segments":                     {call: "GET /api/am/publisher/v4//apis", status: 400, code: "path"},
		"empty segments, ours":               {call: "GET /api/sluice/v1//gateways", status: 400, code: "path"},
		"a NUL in the path":                  {call: "GET /api/am/publisher/v4/apis/a%00b", status: 400, code: "path"},
		"a NUL in the query":                 {call: "GET /api/am/publisher/v4/apis?query=a%00b", status: 400, code: "query"},
		"a malformed query":                  {call: "GET /api/am/publisher/v4/apis?query=%zz", status: 400, code: "query"},
		"a parameter twice":                  {call: "GET /api/am/publisher/v4/apis?limit=1&limit=2", status: 400, code: "query"},
		"a slash in an id":                   {call: "GET /api/am/publisher/v4/apis/a%2Fb", status: 404, code: "api.unknown", number: 900308},
		"a negative limit":                   {call: "GET /api/am/publisher/v4/apis?limit=-1", status: 400, code: "page"},
		"an unknown search attribute":        {call: "GET /api/am/publisher/v4/apis?query=password:x", status: 400, code: "search"},
		"sorted by what is no column":        {call: "GET /api/am/publisher/v4/apis?sortBy=opaque", status: 400, code: "search.sort"},
		"an unknown API":                     {call: "GET /api/am/publisher/v4/apis/x", status: 404, code: "api.unknown", number: 900308},
		"an unknown application":             {call: "GET /api/am/devportal/v3/applications/x", status: 404, code: "application.unknown", number: 900307},
		"an unknown publication":             {call: "GET /api/sluice/v1/publications/x", status: 404, code: "publication.unknown"},
		"waiting too long":                   {call: "GET /api/sluice/v1/publications/x?wait=31", status: 400, code: "parameter.wait"},
		"lifecycle without an API":           {call: "POST /api/am/publisher/v4/apis/change-lifecycle?action=Publish", status: 400, code: "parameter.missing"},
		"lifecycle without an action":        {call: "POST /api/am/publisher/v4/apis/change-lifecycle?apiId=x", status: 400, code: "parameter.missing"},
		"an unknown check item":              {call: "POST /api/am/publisher/v4/apis/change-lifecycle?apiId=x&action=Publish&lifecycleChecklist=Delete+Old+Versions:true", status: 400, code: "lifecycle.checklist"},
		"a checklist of another form":        {call: "POST /api/am/publisher/v4/apis/change-lifecycle?apiId=x&action=Publish&lifecycleChecklist=Old", status: 400, code: "lifecycle.checklist"},
		"a checklist that asks for nothing":  {call: "POST /api/am/publisher/v4/apis/change-lifecycle?apiId=x&action=Publish&lifecycleChecklist=Deprecate+Old+Versions:false,", status: 404, code: "api.unknown", number: 900308},
		"an organization that is not theirs": {token: "-", call: "GET /api/am/devportal/v3/apis", header: []string{"X-WSO2-Tenant", "acme"}, status: 404, code: "organization.unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			with := token
			if c.token == "-" {
				with = ""
			} else if c.token != "" {
				with = c.token
			}
			a := p.do(t, with, c.call, "", c.header...)
			a.wantError(t, c.status, c.code, c.number)
			if !strings.Contains(string(a.body), c.words) {
				t.Errorf("body = %s, want %q in it", a.body, c.words)
			}
			if got := a.header.Get("WWW-Authenticate"); (got != "") != (c.status == http.StatusUnauthorized) {
				t.Errorf("WWW-Authenticate = %q with %d", got, a.status)
			}
			if got := a.header.Get("Allow"); (got != "") != (c.status == http.StatusMethodNotAllowed) {
				t.Errorf("Allow = %q with %d", got, a.status)
			}
		})
	}
}

// TestImports is what importing says to what it is sent.
func TestImports(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	p.api(t, token, "Weather")
	for name, c := range map[string]struct {
		parts  []string
		status int
		code   string
		number int64
	}{
		"inline":                     {parts: []string{"inlineAPIDefinition", weather, "additionalProperties", properties("Inline", "/inline")}, status: 201},
		"YAML, all from the file":    {parts: []string{"file", "openapi: 3.1.0\ninfo: {title: Plain, version: '2'}\npaths: {/a: {get: {responses: {'200': {description: ok}}}}}\n"}, status: 201},
		"our own definition":         {parts: []string{"file", string(ownDefinition), "additionalProperties", properties("Sluice", "/sluice")}, status: 201},
		"the same name and version":  {parts: []string{"file", weather, "additionalProperties", properties("Weather", "/other")}, status: 409, code: "api.exists", number: 900300},
		"the same context":           {parts: []string{"file", weather, "additionalProperties", properties("Other", "/WEATHER/")}, status: 409, code: "api.context_taken", number: 900251},
		"a context of the platform":  {parts: []string{"file", weather, "additionalProperties", properties("Other", "/oauth2")}, status: 400, code: "api.context", number: 900346},
		"an endpoint that is none":   {parts: []string{"file", weather, "additionalProperties", `{"name":"O","endpointConfig":{"production_endpoints":{"url":"file:///etc/passwd"}}}`}, status: 400, code: "api.endpoint", number: 900346},
		"a tier that is none":        {parts: []string{"file", weather, "additionalProperties", `{"name":"O","context":"/o","policies":["Huge"]}`}, status: 400, code: "tier.unknown"},
		"no definition":              {parts: []string{"additionalProperties", "{}"}, status: 400, code: "import.definition"},
		"two definitions":            {parts: []string{"file", weather, "inlineAPIDefinition", weather}, status: 400, code: "import.definition"},
		"an address":                 {parts: []string{"url", "http://169.254.169.254/"}, status: 403, code: "import.address"},
		"properties that are broken": {parts: []string{"file", weather, "additionalProperties", "{"}, status: 400, code: "body.json"},
		"an older Swagger":           {parts: []string{"file", `{"swagger":"1.1","info":{"title":"x","version":"1"},"paths":{}}`}, status: 400, code: "openapi.unreadable", number: 900754},
	} {
		t.Run(name, func(t *testing.T) {
			a := p.importAPI(t, token, c.parts...)
			if c.status == http.StatusCreated {
				as[apiDocument](t, a, c.status)
				return
			}
			a.wantError(t, c.status, c.code, c.number)
		})
	}
	if got := as[list[apiInfo]](t, p.do(t, token, "GET /api/am/publisher/v4/apis", ""), http.StatusOK); got.Pagination.Total != 4 {
		t.Errorf("%d APIs, want the four that were taken", got.Pagination.Total)
	}
}

// TestPermissions asks every operation without a token, with one that has every
// scope but those it accepts, and with each accepted scope alone.
func TestPermissions(t *testing.T) {
	p := start(t)
	all := ScopesOf(allRoles)
	var admin sluice.User
	err := p.db.View(t.Context(), func(tx *database.Tx) (err error) {
		admin, err = tx.UserByName(sluice.DefaultOrganization, "admin")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range p.rest.faces() {
		for _, r := range f.routes {
			if r.scopes == self {
				continue
			}
			path := strings.NewReplacer("{", "", "}", "").Replace(f.base + r.path) // ids that nothing has
			body := ""
			if r.method == "POST" {
				body = "{}"
			}
			call := r.method + " " + path
			anonymous := p.do(t, "", call, body)
			if denied := anonymous.status == http.StatusUnauthorized; denied != (r.scopes != open) {
				t.Errorf("%s without a token: %d", call, anonymous.status)
			}
			accepted := f.scopesOf(r)
			if len(accepted) == 0 {
				continue
			}
			others := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(accepted, s) })
			a := p.do(t, p.token(t, admin, others...), call, body)
			code, _ := a.code()
			if want := map[sluice.Kind]int{sluice.Unauthenticated: 401, sluice.Forbidden: 403}[f.scopeMissing]; a.status != want || code != "scope.missing" {
				t.Errorf("%s with all scopes but its own: %d %s, want %d scope.missing", call, a.status, code, want)
			}
			if !strings.Contains(string(a.body), accepted[0]) || !strings.Contains(a.header.Get("WWW-Authenticate"), accepted[0]) {
				t.Errorf("%s does not name the scopes it accepts: %s", call, a.body)
			}
			for _, scope := range accepted {
				a := p.do(t, p.token(t, admin, scope), call, body)
				if code, _ := a.code(); a.status == 403 || a.status == 401 || a.status >= 500 && code != "operation.unsupported" {
					t.Errorf("%s with %s alone: %d %s", call, scope, a.status, a.body)
				}
			}
		}
	}
}

// TestRoles: what a role's scopes let through, control may still refuse.
func TestRoles(t *testing.T) {
	p := start(t)
	creator := p.user(t, sluice.DefaultOrganization, "cleo", sluice.Creator)
	publisher := p.user(t, sluice.DefaultOrganization, "paul", sluice.Publisher)
	subscriber := p.user(t, sluice.DefaultOrganization, "sam", sluice.Subscriber)
	id := p.api(t, creator, "Weather")
	p.do(t, creator, "POST /api/am/publisher/v4/apis/change-lifecycle?apiId="+id+"&action=Publish", "").wantError(t, 401, "scope.missing", 0)
	p.publish(t, publisher, id)
	p.do(t, creator, "DELETE /api/am/publisher/v4/apis/"+id, "").wantError(t, 403, "api.state_forbids", 900380)
	p.do(t, subscriber, "GET /api/am/publisher/v4/apis", "").wantError(t, 401, "scope.missing", 0)
	p.do(t, subscriber, "GET /api/sluice/v1/apis/"+id+"/status", "").wantError(t, 403, "scope.missing", 0)
	p.do(t, publisher, "GET /api/am/devportal/v3/applications", "").wantError(t, 401, "scope.missing", 0)
}

// TestOtherOrganization: what belongs to one organization is not there for
// another, whatever is tried.
func TestOtherOrganization(t *testing.T) {
	p := start(t)
	err := p.db.Update(t.Context(), func(tx *database.Tx) error {
		if err := tx.AddOrganization(&sluice.Organization{ID: "acme", Name: "acme", DisplayName: "Acme"}); err != nil {
			return err
		}
		for _, tier := range sluice.DefaultTiers() {
			tier.ID, tier.Organization = sluice.NewID(time.Now()), "acme"
			if err := tx.AddTier(&tier); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := p.administrator(t), p.user(t, "acme", "eve", sluice.Administrator)
	id := p.api(t, ours, "Weather")
	p.publish(t, ours, id)
	revision := as[revisionDocument](t, p.do(t, ours, "POST /api/am/publisher/v4/apis/"+id+"/revisions", "{}"), http.StatusCreated)
	p.do(t, ours, "POST /api/am/publisher/v4/apis/"+id+"/deploy-revision?revisionId="+revision.ID, `[{"name":"Sandbox Gateway"}]`)
	app := as[applicationDocument](t, p.do(t, ours, "POST /api/am/devportal/v3/applications", `{"name":"A","throttlingPolicy":"Unlimited"}`), http.StatusCreated)
	sub := as[subscriptionDocument](t, p.do(t, ours, "POST /api/am/devportal/v3/subscriptions", `{"applicationId":"`+app.ID+`","apiId":"`+id+`","throttlingPolicy":"Gold"}`), http.StatusCreated)
	own := as[applicationDocument](t, p.do(t, theirs, "POST /api/am/devportal/v3/applications", `{"name":"A","throttlingPolicy":"Unlimited"}`), http.StatusCreated)

	for _, call := range []string{
		"GET /api/am/publisher/v4/apis/" + id,
		"GET /api/am/publisher/v4/apis/" + revision.ID,
		"DELETE /api/am/publisher/v4/apis/" + id,
		"GET /api/am/publisher/v4/apis/" + id + "/swagger",
		"GET /api/am/publisher/v4/apis/" + id + "/revisions",
		"POST /api/am/publisher/v4/apis/" + id + "/revisions {}",
		"GET /api/am/publisher/v4/apis/" + id + "/revisions/" + revision.ID,
		"DELETE /api/am/publisher/v4/apis/" + id + "/revisions/" + revision.ID,
		"GET /api/am/publisher/v4/apis/" + id + "/deployments",
		"POST /api/am/publisher/v4/apis/" + id + "/deploy-revision?revisionId=" + revision.ID + ` [{"name":"Sandbox Gateway"}]`,
		"POST /api/am/publisher/v4/apis/" + id + "/undeploy-revision?allEnvironments=true&revisionId=" + revision.ID + " null",
		"POST /api/am/publisher/v4/apis/change-lifecycle?apiId=" + id + "&action=Block",
		"GET /api/am/devportal/v3/apis/" + id,
		"GET /api/am/devportal/v3/applications/" + app.ID,
		"GET /api/am/devportal/v3/applications/" + app.ID + "/keys",
		"GET /api/am/devportal/v3/applications/" + app.ID + "/oauth-keys",
		"POST /api/am/devportal/v3/applications/" + app.ID + `/generate-keys {"keyType":"SANDBOX","grantTypesToBeSupported":["client_credentials"]}`,
		"GET /api/am/devportal/v3/subscriptions?applicationId=" + app.ID,
		"GET /api/am/devportal/v3/subscriptions/" + sub.ID,
		"DELETE /api/am/devportal/v3/subscriptions/" + sub.ID,
		`POST /api/am/devportal/v3/subscriptions {"applicationId":"` + own.ID + `","apiId":"` + id + `","throttlingPolicy":"Gold"}`,
		`POST /api/am/devportal/v3/subscriptions {"applicationId":"` + app.ID + `","apiId":"` + id + `","throttlingPolicy":"Gold"}`,
		"GET /api/sluice/v1/apis/" + id + "/status",
	} {
		method, rest, _ := strings.Cut(call, " ")
		path, body, _ := strings.Cut(rest, " ")
		if a := p.do(t, theirs, method+" "+path, body); a.status != http.StatusNotFound {
			t.Errorf("%s of another organization: %d %s, want 404", call, a.status, a.body)
		}
	}
	for _, call := range []string{"GET /api/am/publisher/v4/apis", "GET /api/am/devportal/v3/apis", "GET /api/am/devportal/v3/subscriptions?apiId=" + id} {
		if got := as[list[struct{}]](t, p.do(t, theirs, call, ""), http.StatusOK); got.Count != 0 || got.Pagination.Total != 0 {
			t.Errorf("%s lists %d of another organization", call, got.Count)
		}
	}
	// A second organization's contexts have its name before them on the wire.
	a := as[apiDocument](t, p.importAPI(t, theirs, "file", weather, "additionalProperties", properties("Weather", "/t/acme/weather")), http.StatusCreated)
	if a.Context != "/t/acme/weather" {
		t.Errorf("context = %q, want /t/acme/weather", a.Context)
	}
	p.publish(t, theirs, a.ID)
	if got := as[storeDocument](t, p.do(t, theirs, "GET /api/am/devportal/v3/apis/"+a.ID, "", "X-WSO2-Tenant", "acme"), http.StatusOK); got.Context != "/t/acme/weather/1.0" {
		t.Errorf("context in the Store = %q", got.Context)
	}
}

// TestOwnDefinition: the definition is there for everybody.
func TestOwnDefinition(t *testing.T) {
	p := start(t)
	a := p.do(t, "", "GET /api/sluice/v1/openapi.yaml", "")
	if a.status != http.StatusOK || string(a.body) != string(ownDefinition) {
		t.Errorf("definition: %d, %d bytes", a.status, len(a.body))
	}
	if a := p.do(t, "", "HEAD /api/sluice/v1/openapi.yaml", ""); a.status != http.StatusOK || len(a.body) > 0 {
		t.Errorf("HEAD: %d, %d bytes", a.status, len(a.body))
	}
}
