package rest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
)

// TestPublisherStory goes from an OpenAPI file to an API deployed to two
// environments, and back.
func TestPublisherStory(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	const base = "/api/am/publisher/v4"

	// Import.
	a := p.importAPI(t, token, "file", weather, "additionalProperties", properties("Weather", "/weather"))
	api := as[apiDocument](t, a, http.StatusCreated)
	if api.Name != "Weather" || api.Context != "/weather" || api.State != "CREATED" || api.Provider != "admin" || len(api.Operations) != 2 {
		t.Errorf("imported: %+v", api)
	}
	if got, want := a.header.Get("Location"), base+"/apis/"+api.ID; got != want {
		t.Errorf("Location = %q, want %q", got, want)
	}
	one := base + "/apis/" + api.ID
	tag := p.do(t, token, "GET "+one, "").header.Get("ETag")
	if tag == "" || a.header.Get("ETag") != tag {
		t.Errorf("ETag = %q, after import %q", tag, a.header.Get("ETag"))
	}
	if got := p.do(t, token, "GET "+one, "", "If-None-Match", tag); got.status != http.StatusNotModified || len(got.body) > 0 {
		t.Errorf("with If-None-Match: %d %s, want 304", got.status, got.body)
	}
	var definition map[string]any
	if err := json.Unmarshal(p.do(t, token, "GET "+one+"/swagger", "").body, &definition); err != nil || definition["openapi"] != "3.0.3" {
		t.Errorf("definition = %v, %v", definition, err)
	}
	found := as[list[apiInfo]](t, p.do(t, token, "GET "+base+"/apis?query="+url.QueryEscape(`name:"weather" version:1*`), ""), http.StatusOK)
	if found.Count != 1 || found.List[0].ID != api.ID || found.Pagination.Total != 1 {
		t.Errorf("search finds %+v", found)
	}
	if got := as[list[apiInfo]](t, p.do(t, token, "GET "+base+`/apis?query=type:"APIProduct"`, ""), http.StatusOK); got.Count != 0 {
		t.Errorf("API products: %+v", got)
	}

	// Publish: the old entity tag is refused, the state moves on.
	move := "POST " + base + "/apis/change-lifecycle?apiId=" + api.ID + "&action="
	p.do(t, token, move+"Retire", "").wantError(t, 400, "api.lifecycle", 900381)
	p.do(t, token, move+"Publish", "", "If-Match", `"999"`).wantError(t, 412, "changed", 0)
	moved := as[workflowAnswer](t, p.do(t, token, move+"Publish", "", "If-Match", tag), http.StatusOK)
	if moved.Status != "APPROVED" || moved.Lifecycle.State != "Published" || len(moved.Lifecycle.Transitions) == 0 {
		t.Errorf("moved to %+v", moved)
	}

	// Revisions: five, and no sixth.
	revision := as[revisionDocument](t, p.do(t, token, "POST "+one+"/revisions", `{"description":"first"}`), http.StatusCreated)
	if revision.DisplayName != "Revision 1" || revision.Description != "first" || revision.API.ID != api.ID {
		t.Errorf("revision = %+v", revision)
	}
	frozen := as[apiDocument](t, p.do(t, token, "GET "+base+"/apis/"+revision.ID, ""), http.StatusOK)
	if !frozen.IsRevision || frozen.RevisionOf != api.ID || frozen.RevisionNumber != 1 || frozen.ID != revision.ID {
		t.Errorf("API by the id of its revision: %+v", frozen)
	}
	for range sluice.MaxRevisions - 1 {
		as[revisionDocument](t, p.do(t, token, "POST "+one+"/revisions", `{}`), http.StatusCreated)
	}
	p.do(t, token, "POST "+one+"/revisions", `{}`).wantError(t, 400, "revision.limit", 900351)

	p.deployAndUndeploy(t, token, one, revision)
	if got := p.do(t, token, "DELETE "+one, "", "If-Match", tag); got.status != 412 {
		t.Errorf("delete with an old tag: %d %s, want 412", got.status, got.body)
	}
	if got := p.do(t, token, "DELETE "+one, ""); got.status != http.StatusOK || len(got.body) > 0 {
		t.Errorf("delete: %d %s, want an empty 200", got.status, got.body)
	}
	p.do(t, token, "GET "+one, "").wantError(t, 404, "api.unknown", 900308)
	if strings.Contains(p.log.String(), token) || strings.Contains(p.log.String(), adminPassword) {
		t.Error("a secret is in the log")
	}
}

// deployAndUndeploy is the middle of TestPublisherStory.
func (p *platform) deployAndUndeploy(t *testing.T, token, one string, revision revisionDocument) {
	t.Helper()
	deploy := "POST " + one + "/deploy-revision?revisionId=" + revision.ID
	p.do(t, token, deploy, `[{"name":"Nowhere"}]`).wantError(t, 400, "environment.unknown", 900504)
	p.do(t, token, deploy, `[{"name":"Sandbox Gateway","vhost":"elsewhere"}]`).wantError(t, 400, "environment.vhost", 0)
	p.do(t, token, deploy, `[]`).wantError(t, 400, "deployment.targets", 0)
	p.do(t, token, "POST "+one+"/deploy-revision", `[]`).wantError(t, 400, "parameter.missing", 0)
	p.do(t, token, "POST "+one+"/deploy-revision?revisionId=x", `[{"name":"Sandbox Gateway"}]`).wantError(t, 404, "revision.unknown", 900347)
	if got := as[[]deploymentDocument](t, p.do(t, token, "GET "+one+"/deployments", ""), http.StatusOK); len(got) != 0 {
		t.Errorf("refused deployments left %+v", got)
	}

	deployed := as[[]deploymentDocument](t, p.do(t, token, deploy, `[{"name":"sandbox gateway","displayOnDevportal":false},{"name":"Production Gateway"}]`), http.StatusCreated)
	if len(deployed) != 2 || deployed[0].Environment != "Production Gateway" || !deployed[0].Store || deployed[1].Store || deployed[0].Vhost != "localhost" {
		t.Fatalf("deployed = %+v", deployed)
	}
	p.do(t, token, "DELETE "+one+"/revisions/"+revision.ID, "").wantError(t, 400, "revision.deployed", 900348)
	for query, want := range map[string]int{"": 5, "?query=deployed:true": 1, "?query=deployed:false": 4} {
		if got := as[list[revisionDocument]](t, p.do(t, token, "GET "+one+"/revisions"+query, ""), http.StatusOK); got.Count != want {
			t.Errorf("revisions%s: %d, want %d", query, got.Count, want)
		}
	}
	status := as[apiStatus](t, p.do(t, token, "GET "+strings.Replace(one, publisherBase, sluiceBase, 1)+"/status", ""), http.StatusOK)
	if len(status.Environments) != 2 || status.Environments[0].Intended == nil || status.Environments[0].State != "pending" || len(status.Environments[0].URLs) != 2 {
		t.Errorf("status = %+v", status)
	}

	undeploy := "POST " + one + "/undeploy-revision?revisionId=" + revision.ID
	if got := as[[]deploymentDocument](t, p.do(t, token, undeploy, `[{"name":"Sandbox Gateway"}]`), http.StatusCreated); len(got) != 1 {
		t.Errorf("left after one was undeployed: %+v", got)
	}
	p.do(t, token, undeploy, `[{"name":"Nowhere"}]`).wantError(t, 400, "environment.unknown", 900504)
	p.do(t, token, "POST "+one+"/undeploy-revision?revisionNumber=99&allEnvironments=true", `null`).wantError(t, 400, "revision.number", 0)
	left := as[list[revisionDocument]](t, p.do(t, token, "DELETE "+one+"/revisions/"+deployedNowhere(t, p, token, one), ""), http.StatusOK)
	if left.Count != 4 {
		t.Errorf("revisions left: %d, want 4", left.Count)
	}
}

func deployedNowhere(t *testing.T, p *platform, token, one string) string {
	t.Helper()
	return as[list[revisionDocument]](t, p.do(t, token, "GET "+one+"/revisions?query=deployed:false", ""), http.StatusOK).List[0].ID
}

// TestStoreStory goes from an anonymous look at the Store to keys.
func TestStoreStory(t *testing.T) {
	p := start(t)
	admin := p.administrator(t)
	subscriber := p.user(t, sluice.DefaultOrganization, "sam", sluice.Subscriber)
	id := p.api(t, admin, "Weather")
	const base = "/api/am/devportal/v3"

	p.do(t, "", "GET "+base+"/apis/"+id, "").wantError(t, 404, "api.unknown", 900308) // not published yet
	p.publish(t, admin, id)
	shown := as[storeDocument](t, p.do(t, "", "GET "+base+"/apis/"+id, ""), http.StatusOK)
	if shown.Context != "/weather/1.0" || len(shown.Tiers) != 2 || shown.Tiers[0] != (storeTier{"Gold", "FREE"}) || len(shown.Endpoints) != 0 || !shown.Subscribe {
		t.Errorf("in the Store: %+v", shown)
	}
	if got := as[list[storeInfo]](t, p.do(t, "", "GET "+base+"/apis?query=weather", ""), http.StatusOK); got.Count != 1 {
		t.Errorf("the Store lists %+v", got)
	}
	tiers := as[list[tierDocument]](t, p.do(t, "", "GET "+base+"/throttling-policies/subscription", ""), http.StatusOK)
	for _, tier := range tiers.List {
		if tier.Name == "Gold" && (tier.Requests != 5000 || tier.UnitTime != 60000 || tier.TimeUnit != "min") || tier.Name == sluice.Unlimited && tier.Requests != 2147483647 {
			t.Errorf("tier = %+v", tier)
		}
	}
	p.do(t, "", "GET "+base+"/throttling-policies/api", "").wantError(t, 404, "tier.unknown", 900961)

	// Application.
	a := p.do(t, subscriber, "POST "+base+"/applications", `{"name":"Phone","throttlingPolicy":"Unlimited","owner":"admin","applicationId":"mine"}`)
	app := as[applicationDocument](t, a, http.StatusCreated)
	if app.Owner != "sam" || app.ID == "mine" || app.Status != "APPROVED" || app.TokenType != "JWT" {
		t.Errorf("application = %+v", app)
	}
	p.do(t, subscriber, "POST "+base+"/applications", `{"name":"Phone","throttlingPolicy":"Unlimited"}`).wantError(t, 409, "application.exists", 900301)
	p.do(t, subscriber, "POST "+base+"/applications", `{"name":"","throttlingPolicy":"Unlimited"}`).wantError(t, 400, "application.name", 0)
	p.do(t, subscriber, "POST "+base+"/applications", `{"name":"A","throttlingPolicy":"Huge"}`).wantError(t, 400, "tier.unknown", 0)
	p.do(t, subscriber, "POST "+base+"/applications", `{"name":"A","throttlingPolicy":"Unlimited","tokenType":"OAUTH"}`).wantError(t, 400, "application.token_type", 0)
	p.do(t, subscriber, "POST "+base+"/applications", `{"name":"A","throttlingPolicy":"Unlimited","groups":["g"]}`).wantError(t, 400, "application.groups", 0)
	as[applicationDocument](t, p.do(t, subscriber, "POST "+base+"/applications", `{"name":"Phone 2","throttlingPolicy":"Unlimited"}`), http.StatusCreated)
	if got := as[list[applicationInfo]](t, p.do(t, subscriber, "GET "+base+"/applications?query=Phone", ""), http.StatusOK); got.Count != 1 || got.List[0].ID != app.ID || got.Pagination.Total != 1 {
		t.Errorf("applications called Phone: %+v", got)
	}
	if got := as[list[applicationInfo]](t, p.do(t, subscriber, "GET "+base+"/applications?limit=1", ""), http.StatusOK); got.Count != 1 || got.Pagination.Next != "/applications?limit=1&offset=1" {
		t.Errorf("first page of applications: %+v", got)
	}
	p.do(t, subscriber, "GET "+base+"/applications?sortBy=owner", "").wantError(t, 400, "search.sort", 0)

	p.subscribeAndKeys(t, subscriber, id, app.ID)
	// An API with subscriptions stays.
	p.do(t, admin, "DELETE /api/am/publisher/v4/apis/"+id, "").wantError(t, 409, "api.subscribed", 0)
}

// subscribeAndKeys is the end of TestStoreStory.
func (p *platform) subscribeAndKeys(t *testing.T, token, apiID, appID string) {
	t.Helper()
	const base = "/api/am/devportal/v3"
	body := func(api, tier string) string {
		return `{"applicationId":"` + appID + `","apiId":"` + api + `","throttlingPolicy":"` + tier + `"}`
	}
	p.do(t, token, "POST "+base+"/subscriptions", body(apiID, "Bronze")).wantError(t, 403, "subscription.tier", 902002)
	p.do(t, token, "POST "+base+"/subscriptions", body("unknown", "Gold")).wantError(t, 404, "api.unknown", 900308)
	a := p.do(t, token, "POST "+base+"/subscriptions", body(apiID, "Gold"))
	sub := as[subscriptionDocument](t, a, http.StatusCreated)
	if sub.Status != "UNBLOCKED" || sub.API == nil || sub.API.Name != "Weather" || sub.Application.Name != "Phone" {
		t.Errorf("subscription = %+v", sub)
	}
	p.do(t, token, "POST "+base+"/subscriptions", body(apiID, "Gold")).wantError(t, 409, "subscription.exists", 900336)
	p.do(t, token, "GET "+base+"/subscriptions", "").wantError(t, 400, "parameter.missing", 0)
	for _, query := range []string{"apiId=" + apiID, "applicationId=" + appID} {
		if got := as[list[subscriptionDocument]](t, p.do(t, token, "GET "+base+"/subscriptions?"+query, ""), http.StatusOK); got.Count != 1 {
			t.Errorf("subscriptions by %s: %+v", query, got)
		}
	}
	app := as[applicationDocument](t, p.do(t, token, "GET "+base+"/applications/"+appID, ""), http.StatusOK)
	if app.Subscriptions != 1 || len(app.Scopes) != 1 || app.Scopes[0].Key != "read" {
		t.Errorf("application with a subscription: %+v", app)
	}

	keys := "POST " + base + "/applications/" + appID + "/generate-keys"
	key := as[keyDocument](t, p.do(t, token, keys, `{"keyType":"PRODUCTION","grantTypesToBeSupported":["client_credentials"],"validityTime":3600}`), http.StatusOK)
	if key.Key == "" || key.Secret == "" || key.Token == nil || key.Token.Token != "first-token-of-"+key.Key || key.Type != "PRODUCTION" {
		t.Errorf("key = %+v", key)
	}
	p.do(t, token, keys, `{"keyType":"PRODUCTION","grantTypesToBeSupported":["client_credentials"]}`).wantError(t, 409, "key.exists", 0)
	p.do(t, token, keys, `{"keyType":"BOTH","grantTypesToBeSupported":["magic"]}`).wantError(t, 400, "key.type", 0)
	p.do(t, token, keys, `{"keyType":"SANDBOX","grantTypesToBeSupported":["client_credentials"],"keyManager":"Okta"}`).wantError(t, 400, "key_manager.unknown", 0)
	p.do(t, token, keys, `{"keyType":"SANDBOX","grantTypesToBeSupported":["client_credentials"],"clientId":"mine"}`).wantError(t, 400, "key.client", 0)
	for _, path := range []string{"keys", "oauth-keys"} {
		got := as[list[keyDocument]](t, p.do(t, token, "GET "+base+"/applications/"+appID+"/"+path, ""), http.StatusOK)
		if got.Count != 1 || got.List[0].Secret != key.Secret || got.List[0].Token != nil {
			t.Errorf("%s = %+v, want the key with its secret, without a token", path, got)
		}
	}

	one := base + "/applications/" + appID + "/oauth-keys/" + key.ID
	if got := as[keyDocument](t, p.do(t, token, "GET "+one, ""), http.StatusOK); got.Key != key.Key || got.Properties[tokenTTLProperty] != "3600" {
		t.Errorf("one key = %+v", got)
	}
	p.do(t, token, "GET "+base+"/applications/"+appID+"/oauth-keys/x", "").wantError(t, 404, "key.unknown", 0)
	put := as[keyDocument](t, p.do(t, token, "PUT "+one, `{"supportedGrantTypes":["client_credentials","authorization_code"],"callbackUrl":"https://app.example.com/b","additionalProperties":{"application_access_token_expiry_time":"60"}}`), http.StatusOK)
	if len(put.Grants) != 2 || put.CallbackURL != "https://app.example.com/b" || put.Properties[tokenTTLProperty] != "60" {
		t.Errorf("changed key = %+v", put)
	}
	p.do(t, token, "PUT "+one, `{"supportedGrantTypes":["authorization_code"],"callbackUrl":"http://evil.example.com/"}`).wantError(t, 400, "key.callback", 0)
	made := as[tokenDocument](t, p.do(t, token, "POST "+one+"/generate-token", `{"scopes":["read"],"validityPeriod":"60"}`), http.StatusOK)
	if made.Token == "" {
		t.Errorf("token = %+v", made)
	}
	p.do(t, token, "POST "+one+"/generate-token", `{"validityPeriod":-1}`).wantError(t, 400, "key.validity", 0)
	p.do(t, token, "POST "+one+"/generate-token", `{"grantType":"TOKEN_EXCHANGE"}`).wantError(t, 400, "token.grant", 0)
	secret := as[map[string]string](t, p.do(t, token, "POST "+one+"/regenerate-secret", ""), http.StatusOK)
	if secret["consumerKey"] != key.Key || secret["consumerSecret"] == "" || secret["consumerSecret"] == key.Secret {
		t.Errorf("new secret = %+v", secret)
	}
	p.do(t, token, "POST "+base+"/applications/"+appID+"/map-keys", `{"consumerKey":"`+key.Key+`","keyType":"PRODUCTION"}`).wantError(t, 409, "key.mapped", 0)
	p.do(t, token, "POST "+base+"/applications/"+appID+"/map-keys", `{"consumerKey":"x","keyType":"PRODUCTION"}`).wantError(t, 400, "key.client", 0)
	if got := p.do(t, token, "POST "+one+"/clean-up", ""); got.status != http.StatusOK {
		t.Errorf("clean-up = %d %s", got.status, got.body)
	}
	p.do(t, token, "GET "+one, "").wantError(t, 404, "key.unknown", 0)
	act := as[revocationDocument](t, p.do(t, p.administrator(t), "POST /api/sluice/v1/revocations", `{"kind":"application","id":"`+appID+`"}`), http.StatusAccepted)
	if got := as[revocationDocument](t, p.do(t, p.administrator(t), "GET /api/sluice/v1/revocations/"+act.ID+"?wait=1", ""), http.StatusOK); got.State != "everywhere" || got.Kind != "application" || got.Subject != appID {
		t.Errorf("revocation = %+v", got)
	}
	p.do(t, p.administrator(t), "POST /api/sluice/v1/revocations", `{"kind":"application","id":"x"}`).wantError(t, 404, "application.unknown", 0)
	p.do(t, p.administrator(t), "GET /api/sluice/v1/revocations/x?wait=31", "").wantError(t, 400, "parameter.wait", 0)

	one = base + "/subscriptions/" + sub.ID
	p.do(t, token, "DELETE "+one, "", "If-Match", `"77"`).wantError(t, 412, "changed", 0)
	if got := p.do(t, token, "GET "+one, "", "If-None-Match", a.header.Get("ETag")); got.status != http.StatusNotModified {
		t.Errorf("subscription with its tag: %d, want 304", got.status)
	}
	second := as[applicationDocument](t, p.do(t, token, "POST "+base+"/applications", `{"name":"Watch","throttlingPolicy":"Unlimited"}`), http.StatusCreated)
	other := as[subscriptionDocument](t, p.do(t, token, "POST "+base+"/subscriptions", strings.Replace(body(apiID, "Gold"), appID, second.ID, 1)), http.StatusCreated)
	if got := p.do(t, token, "DELETE "+base+"/subscriptions/"+other.ID, ""); got.status != http.StatusOK {
		t.Errorf("unsubscribe: %d %s", got.status, got.body)
	}
	p.do(t, token, "GET "+base+"/subscriptions/"+other.ID, "").wantError(t, 404, "subscription.unknown", 900310)
}

// TestAdminStory looks at environments and lets a gateway join.
func TestAdminStory(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	environments := as[list[environmentDocument]](t, p.do(t, token, "GET /api/am/admin/v4/environments", ""), http.StatusOK)
	if environments.Count != 2 || environments.Pagination != nil {
		t.Fatalf("environments = %+v", environments)
	}
	first := environments.List[0]
	if first.Name != "Production Gateway" || first.Type != "production" || !first.ReadOnly || !*first.Console || first.Vhosts[0] != (vhostDocument{"localhost", "", 8281, 8244}) {
		t.Errorf("first environment = %+v", first)
	}
	gateways := "GET /api/am/admin/v4/environments/" + first.ID + "/gateways"
	if got := as[list[environmentGateway]](t, p.do(t, token, gateways, ""), http.StatusOK); got.Count != 0 {
		t.Errorf("gateways = %+v, want none", got)
	}
	p.do(t, token, "GET /api/am/admin/v4/environments/x/gateways", "").wantError(t, 404, "environment.unknown", 900506)
	p.do(t, token, "GET /api/sluice/v1/gateways?state=sleeping", "").wantError(t, 400, "gateway.state", 0)
	p.do(t, token, "GET /api/sluice/v1/gateways/x", "").wantError(t, 404, "gateway.unknown", 0)

	// A join token: shown once, named for its environment.
	const tokens = "POST /api/sluice/v1/enrolment-tokens"
	join := as[enrolmentToken](t, p.do(t, token, tokens, `{"environmentId":"`+first.ID+`","name":"gw-1"}`), http.StatusCreated)
	if !strings.HasPrefix(join.Token, "slj1.") || !strings.HasSuffix(join.Token, join.Fingerprint) || !strings.Contains(join.Command, join.Token) {
		t.Errorf("join token = %+v", join)
	}
	p.do(t, token, tokens, `{"environmentId":"x"}`).wantError(t, 404, "environment.unknown", 0)
	p.do(t, token, tokens, `{"environmentId":"`+first.ID+`","expiresIn":100000}`).wantError(t, 400, "enrolment.validity", 0)
	p.do(t, token, tokens, `{"environmentId":"`+first.ID+`","expiresIn":-1}`).wantError(t, 400, "validity", 0)
	p.do(t, token, tokens, `{"environment":"`+first.ID+`"}`).wantError(t, 400, "body.unknown", 0)
	once := p.do(t, token, tokens, `{"environmentId":"`+first.ID+`"}`, "Idempotency-Key", "k")
	again := p.do(t, token, tokens, `{"environmentId":"`+first.ID+`"}`, "Idempotency-Key", "k")
	if as[enrolmentToken](t, once, 201).Token == "" || !bytes.Equal(once.body, again.body) || again.status != 201 {
		t.Errorf("repeated: %d %s, want the first answer %s", again.status, again.body, once.body)
	}
	p.do(t, token, tokens, `{"environmentId":"`+first.ID+`","name":"other"}`, "Idempotency-Key", "k").wantError(t, 409, "idempotency.key", 0)
	p.do(t, "", "POST /api/sluice/v1/enrolments", `{"token":"x","name":"","publicKey":"x","csr":""}`).wantError(t, 400, "invalid", 0)
}

// TestAccessTokens makes, uses and ends personal access tokens.
func TestAccessTokens(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	const path = "/api/sluice/v1/access-tokens"
	narrow := as[accessToken](t, p.do(t, token, "POST "+path, `{"name":"ci","scopes":["apim:api_view"],"expiresIn":3600}`), http.StatusCreated)
	if narrow.Token == "" || narrow.ExpiresAt == "" || len(narrow.Scopes) != 1 {
		t.Fatalf("token = %+v", narrow)
	}
	as[list[apiInfo]](t, p.do(t, narrow.Token, "GET /api/am/publisher/v4/apis", ""), http.StatusOK)
	// Who holds a narrow token gets no wider one for it.
	p.do(t, narrow.Token, "POST "+path, `{"name":"wide","scopes":["apim:api_create"]}`).wantError(t, 403, "token.scope", 0)
	p.do(t, token, "POST "+path, `{"name":"x","scopes":[]}`).wantError(t, 400, "token.scope", 0)
	p.do(t, token, "POST "+path, `{"name":"x","scopes":["apim:api_view"],"expiresIn":7776001}`).wantError(t, 400, "token.validity", 0)
	p.do(t, token, "POST "+path, `{"name":"","scopes":["apim:api_view"]}`).wantError(t, 400, "token.name", 0)
	all := as[list[accessToken]](t, p.do(t, token, "GET "+path, ""), http.StatusOK)
	if all.Count != 2 {
		t.Errorf("tokens = %+v, want two", all)
	}
	for _, a := range all.List {
		if a.Token != "" {
			t.Error("a token is shown again")
		}
	}
	if got := p.do(t, token, "DELETE "+path+"/"+narrow.ID, ""); got.status != http.StatusNoContent {
		t.Errorf("delete: %d %s, want 204", got.status, got.body)
	}
	a := p.do(t, narrow.Token, "GET /api/am/publisher/v4/apis", "")
	a.wantError(t, 401, "token", 0)
	if got := a.header.Get("WWW-Authenticate"); !strings.Contains(got, `error="invalid_token"`) {
		t.Errorf("WWW-Authenticate = %q", got)
	}
	p.do(t, token, "DELETE "+path+"/"+narrow.ID, "").wantError(t, 404, "token.unknown", 0)
}

// TestErrorBodies looks at both forms of one error.
func TestErrorBodies(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	a := p.importAPI(t, token, "file", weather, "additionalProperties", `{"type":"SOAP","audiences":["x"]}`)
	var wso2 errorBody
	if err := json.Unmarshal(a.body, &wso2); err != nil {
		t.Fatal(err)
	}
	if a.status != 400 || wso2.Code != 900327 || len(wso2.Error) != 2 || wso2.Error[0].Description != "type" || wso2.TraceID != a.header.Get("X-Trace-Id") {
		t.Errorf("WSO2's body = %d %+v", a.status, wso2)
	}
	a = p.do(t, token, "GET /api/sluice/v1/apis/x/status", "")
	var pr problem
	if err := json.Unmarshal(a.body, &pr); err != nil {
		t.Fatal(err)
	}
	want := problem{
		Type: "about:blank", Title: "Not Found", Status: 404, Detail: pr.Detail, Instance: "urn:sluice:trace:" + pr.TraceID,
		Code: "api.unknown", TraceID: a.header.Get("X-Trace-Id"), Errors: pr.Errors,
	}
	if got, _ := json.Marshal(pr); a.header.Get("Content-Type") != "application/problem+json" || !bytes.Equal(got, mustJSON(t, want)) || pr.Detail == "" {
		t.Errorf("problem = %s (%s)", got, a.header.Get("Content-Type"))
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFaultsShowNothing: of what goes wrong here the caller learns a trace id.
func TestFaultsShowNothing(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	if err := p.db.Close(); err != nil {
		t.Fatal(err)
	}
	a := p.do(t, token, "GET /api/am/publisher/v4/apis", "")
	a.wantError(t, 500, "internal", 0)
	id := a.header.Get("X-Trace-Id")
	if bytes.Contains(a.body, []byte("sql")) || !bytes.Contains(a.body, []byte(id)) || !strings.Contains(p.log.String(), "trace_id="+id) {
		t.Errorf("answer = %s, want the trace id alone; it names the entry in the log", a.body)
	}
}
