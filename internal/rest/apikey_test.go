package rest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
)

// TestAPIKeyStory makes and revokes API keys over HTTP: those of one's own
// application, and nobody else's.
func TestAPIKeyStory(t *testing.T) {
	p := start(t)
	sam := p.user(t, sluice.DefaultOrganization, "sam", sluice.Subscriber)
	tess := p.user(t, sluice.DefaultOrganization, "tess", sluice.Subscriber)
	eve := p.user(t, "acme", "eve", sluice.Subscriber, sluice.Administrator)
	carla := p.user(t, sluice.DefaultOrganization, "carla", sluice.Creator)
	const store = "/api/am/devportal/v3"
	app := as[applicationDocument](t, p.do(t, sam, "POST "+store+"/applications", `{"name":"Phone","throttlingPolicy":"Unlimited"}`), http.StatusCreated)
	keys := "POST " + store + "/applications/" + app.ID + "/api-keys/"

	made := as[apiKeyDocument](t, p.do(t, sam, keys+"PRODUCTION/generate",
		`{"keyName":"k","validityPeriod":3600,"additionalProperties":{"permittedIP":"192.0.2.0/24, 2001:db8::1","permittedReferer":""}}`), http.StatusOK)
	if len(made.Key) < 64 || made.Name != "k" || made.Validity != 3600 {
		t.Fatalf("key = %q, for %d s, %d characters", made.Name, made.Validity, len(made.Key))
	}
	for name, c := range map[string]struct {
		token, call, body string
		status            int
		code              string
		number            int64
	}{
		"another user's application":         {tess, keys + "PRODUCTION/generate", `{}`, 404, "application.unknown", 900307},
		"another organization's application": {eve, keys + "PRODUCTION/generate", `{}`, 404, "application.unknown", 900307},
		"who may not subscribe":              {carla, keys + "PRODUCTION/generate", `{}`, 401, "scope.missing", 0},
		"nobody":                             {"", keys + "PRODUCTION/generate", `{}`, 401, "token.missing", 0},
		"another key type":                   {sam, keys + "OTHER/generate", `{}`, 400, "key.type", 0},
		"a validity of 0":                    {sam, keys + "PRODUCTION/generate", `{"validityPeriod":0}`, 400, "key.validity", 0},
		"an address that is none":            {sam, keys + "PRODUCTION/generate", `{"additionalProperties":{"permittedIP":"here"}}`, 400, "api_key.address", 0},
		"an unknown property":                {sam, keys + "PRODUCTION/generate", `{"additionalProperties":{"x":"y"}}`, 400, "api_key.property", 0},
		"revoked by another user":            {tess, keys + "PRODUCTION/revoke", `{"apikey":"` + made.Key + `"}`, 404, "application.unknown", 900307},
		"revoked by another organization":    {eve, keys + "PRODUCTION/revoke", `{"apikey":"` + made.Key + `"}`, 404, "application.unknown", 900307},
		"revoked as a sandbox key":           {sam, keys + "SANDBOX/revoke", `{"apikey":"` + made.Key + `"}`, 404, "api_key.unknown", 0},
		"revoking no key":                    {sam, keys + "PRODUCTION/revoke", `{}`, 400, "api_key.missing", 0},
		"revoking a key that is none":        {sam, keys + "PRODUCTION/revoke", `{"apikey":"x"}`, 404, "api_key.unknown", 0},
	} {
		t.Run(name, func(t *testing.T) {
			p.do(t, c.token, c.call, c.body).wantError(t, c.status, c.code, c.number)
		})
	}
	if got := p.do(t, sam, keys+"production/revoke", `{"apikey":"`+made.Key+`"}`); got.status != http.StatusOK || len(got.body) > 0 {
		t.Errorf("revoke: %d %s, want an empty 200", got.status, got.body)
	}
	p.do(t, sam, keys+"PRODUCTION/revoke", `{"apikey":"`+made.Key+`"}`).wantError(t, 404, "api_key.unknown", 0)
	if strings.Contains(p.log.String(), made.Key) {
		t.Error("the key is in the log")
	}
}

// TestTestKeyStory: who may change an API may try it out, and only where they may
// see it.
func TestTestKeyStory(t *testing.T) {
	p := start(t)
	admin := p.administrator(t)
	open, secret := p.api(t, admin, "Weather"), restricted(t, p, admin)
	carla := p.user(t, sluice.DefaultOrganization, "carla", sluice.Creator)
	pia := p.user(t, sluice.DefaultOrganization, "pia", sluice.Creator, "partner")
	const key = "POST " + publisherAPIs + "/"
	got := as[struct {
		Key      string `json:"apikey"`
		Validity int    `json:"validityTime"`
	}](t, p.do(t, carla, key+open+"/generate-key", ""), http.StatusOK)
	if len(got.Key) < 64 || got.Validity < 890 || got.Validity > 900 {
		t.Errorf("key of %d characters for %d s, want 900", len(got.Key), got.Validity)
	}
	if got := p.do(t, pia, key+secret+"/generate-key", ""); got.status != http.StatusOK {
		t.Errorf("a partner: %d %s", got.status, got.body)
	}
	p.do(t, carla, key+secret+"/generate-key", "").wantError(t, 404, "api.unknown", 900308)
	p.do(t, p.user(t, "acme", "eve", sluice.Administrator), key+open+"/generate-key", "").wantError(t, 404, "api.unknown", 900308)
	p.do(t, p.user(t, sluice.DefaultOrganization, "sam", sluice.Subscriber), key+open+"/generate-key", "").wantError(t, 401, "scope.missing", 0)
	p.do(t, p.user(t, sluice.DefaultOrganization, "olga", sluice.Observer), key+open+"/generate-key", "").wantError(t, 401, "scope.missing", 0)
}

// restricted makes an API that partners alone see in the Publisher.
func restricted(t *testing.T, p *platform, token string) string {
	t.Helper()
	p.user(t, sluice.DefaultOrganization, "paul", sluice.Subscriber, "partner") // so that the role is known
	return as[apiDocument](t, p.do(t, token, "POST "+publisherAPIs, `{"name":"Secret","version":"1","context":"/secret","policies":["Gold"],
		"accessControl":"RESTRICTED","accessControlRoles":["partner"],
		"endpointConfig":{"endpoint_type":"http","production_endpoints":{"url":"http://b.example.com"}}}`), http.StatusCreated).ID
}

// TestOwnEndpointsStory gives an environment endpoints of its own for an API
// (CONTRACT 4-10), each time by the entity tag of what was read.
func TestOwnEndpointsStory(t *testing.T) {
	p := start(t)
	admin := p.administrator(t)
	id := p.api(t, admin, "Weather")
	environment := as[list[environmentDocument]](t, p.do(t, admin, "GET /api/am/admin/v4/environments", ""), http.StatusOK).List[0].ID
	const own = "/api/sluice/v1/apis/"
	one := own + id + "/endpoints/" + environment
	ann := p.user(t, sluice.DefaultOrganization, "ann", sluice.Administrator)
	creator := p.user(t, sluice.DefaultOrganization, "carla", sluice.Creator)
	eve := p.user(t, "acme", "eve", sluice.Administrator)
	const body = `{"production":[{"url":"http://own.example.com"}]}`

	first := p.do(t, ann, "GET "+one, "")
	if got := as[ownEndpoints](t, first, http.StatusOK); len(got.Production)+len(got.Sandbox) != 0 {
		t.Errorf("at first: %+v", got)
	}
	tag := first.header.Get("ETag")
	p.do(t, ann, "PUT "+one, body).wantError(t, 428, "if_match", 0)
	p.do(t, ann, "DELETE "+one, "").wantError(t, 428, "if_match", 0)
	put := p.do(t, ann, "PUT "+one, body, "If-Match", tag)
	if got := as[ownEndpoints](t, put, http.StatusOK); len(got.Production) != 1 || got.Production[0].URL != "http://own.example.com" || len(got.Sandbox) != 0 {
		t.Errorf("put: %+v", got)
	}
	p.do(t, admin, "PUT "+one, body, "If-Match", tag).wantError(t, 412, "changed", 0) // ann was faster
	p.do(t, ann, "DELETE "+one, "", "If-Match", tag).wantError(t, 412, "changed", 0)
	second := p.do(t, ann, "GET "+one, "")
	if got := as[ownEndpoints](t, second, http.StatusOK); len(got.Production) != 1 || second.header.Get("ETag") != put.header.Get("ETag") {
		t.Errorf("read again: %+v, tag %s, want %s", got, second.header.Get("ETag"), put.header.Get("ETag"))
	}
	tag = second.header.Get("ETag")
	if got := p.do(t, ann, "GET "+one, "", "If-None-Match", tag); got.status != http.StatusNotModified {
		t.Errorf("with its tag: %d, want 304", got.status)
	}

	for name, c := range map[string]struct {
		token, path, body string
		status            int
		code              string
	}{
		"another organization's API":  {eve, one, body, 404, "api.unknown"},
		"a creator, who may not":      {creator, one, body, 403, "scope.missing"},
		"no such API":                 {ann, own + "x/endpoints/" + environment, body, 404, "api.unknown"},
		"no such environment":         {ann, own + id + "/endpoints/x", body, 404, "environment.unknown"},
		"an address of Sluice itself": {ann, one, `{"production":[{"url":"https://localhost:8244/weather"}]}`, 400, "api.endpoint"}, // A15
		"no address of a backend":     {ann, one, `{"sandbox":[{"url":"javascript:alert(1)"}]}`, 400, "api.endpoint"},               // A15
		"a member that nobody knows":  {ann, one, `{"url":"http://x"}`, 400, "body.unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			p.do(t, c.token, "PUT "+c.path, c.body, "If-Match", tag).wantError(t, c.status, c.code, 0)
			if c.status == http.StatusNotFound || c.status == http.StatusForbidden {
				p.do(t, c.token, "GET "+c.path, "").wantError(t, c.status, c.code, 0)
				p.do(t, c.token, "DELETE "+c.path, "", "If-Match", tag).wantError(t, c.status, c.code, 0)
			}
		})
	}
	if got := p.do(t, ann, "DELETE "+one, "", "If-Match", tag); got.status != http.StatusNoContent || len(got.body) > 0 {
		t.Errorf("delete: %d %s, want an empty 204", got.status, got.body)
	}
	if got := as[ownEndpoints](t, p.do(t, ann, "GET "+one, ""), http.StatusOK); len(got.Production) != 0 {
		t.Errorf("after it was deleted: %+v", got)
	}
}
