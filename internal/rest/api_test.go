package rest

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
)

const publisherAPIs = "/api/am/publisher/v4/apis"

// TestWriteAPI makes an API of a document, changes it and collides with itself.
func TestWriteAPI(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	made := p.do(t, token, "POST "+publisherAPIs, `{"name":"Weather","version":"1.0","context":"/weather",
		"id":"mine","provider":"mallory","lifeCycleStatus":"PUBLISHED","createdTime":"x","isRevision":true,
		"wsdlUrl":"http://kept.example.com","additionalPropertiesMap":{"b":{"name":"b","value":"2","display":true}}}`)
	api := as[apiDocument](t, made, http.StatusCreated)
	if api.ID == "mine" || api.Provider != "admin" || api.State != "CREATED" || len(api.Operations) != 5 || api.Visibility != "PUBLIC" {
		t.Errorf("made %+v", api)
	}
	one := publisherAPIs + "/" + api.ID
	if got := made.header.Get("Location"); got != one {
		t.Errorf("Location = %q, want %q", got, one)
	}
	document := p.do(t, token, "GET "+one, "")
	var members map[string]any
	if err := json.Unmarshal(document.body, &members); err != nil || members["wsdlUrl"] != "http://kept.example.com" {
		t.Errorf("kept: %v, %v", members["wsdlUrl"], err)
	}
	if list, _ := members["additionalProperties"].([]any); len(list) != 1 {
		t.Errorf("additionalProperties = %v, want those of the map", members["additionalProperties"])
	}

	// What was read can be sent back, with a change; the kept part is replaced whole.
	delete(members, "wsdlUrl")
	members["audience"], members["description"] = "all", "Says it."
	members["provider"], members["lifeCycleStatus"] = "mallory", "RETIRED"
	body, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	tag := document.header.Get("ETag")
	changed := p.do(t, token, "PUT "+one, string(body), "If-Match", tag)
	if got := as[map[string]any](t, changed, http.StatusOK); got["description"] != "Says it." || got["wsdlUrl"] != nil || got["audience"] != "all" ||
		got["provider"] != "admin" || got["lifeCycleStatus"] != "CREATED" || changed.header.Get("ETag") == tag {
		t.Errorf("changed to %v", got)
	}
	late := p.do(t, token, "PUT "+one, strings.Replace(string(body), "Says it.", "Otherwise.", 1), "If-Match", tag)
	late.wantError(t, http.StatusPreconditionFailed, "changed", 0)
	if !strings.Contains(string(late.body), `"description":"description"`) {
		t.Errorf("412 = %s, want that the description differs", late.body)
	}
	as[apiDocument](t, p.do(t, token, "PUT "+one, string(body)), http.StatusOK)

	for name, c := range map[string]struct {
		call, body string
		status     int
		code       string
		number     int64
	}{
		"another name":       {"PUT " + one, strings.Replace(string(body), `"name":"Weather"`, `"name":"Other"`, 1), 400, "api.identity", 0},
		"another context":    {"PUT " + one, strings.Replace(string(body), `"context":"/weather"`, `"context":"/other"`, 1), 400, "api.identity", 0},
		"an unknown API":     {"PUT " + publisherAPIs + "/x", string(body), 404, "api.unknown", 900308},
		"the same again":     {"POST " + publisherAPIs, `{"name":"Weather","version":"1.0","context":"/weather"}`, 409, "api.exists", 900300},
		"the name elsewhere": {"POST " + publisherAPIs, `{"name":"weather","version":"2.0","context":"/other"}`, 409, "api.name_taken", 900250},
		"the same context":   {"POST " + publisherAPIs, `{"name":"Other","version":"1.0","context":"/Weather"}`, 409, "api.context_taken", 900251},
		"a reserved context": {"POST " + publisherAPIs, `{"name":"Other","version":"1.0","context":"/token"}`, 400, "api.context", 900346},
		"no JSON":            {"POST " + publisherAPIs, `{`, 400, "body.json", 0},
		"no role at all":     {"POST " + publisherAPIs, `{"name":"O","version":"1","context":"/o","visibility":"RESTRICTED"}`, 400, "api.visibility", 0},
		"an unknown role":    {"POST " + publisherAPIs, `{"name":"O","version":"1","context":"/o","accessControl":"RESTRICTED","accessControlRoles":["x"]}`, 400, "role.unknown", 0},
	} {
		a := p.do(t, token, c.call, c.body)
		t.Log(name)
		a.wantError(t, c.status, c.code, c.number)
	}
	reader := p.user(t, sluice.DefaultOrganization, "olga", sluice.Observer)
	p.do(t, reader, "POST "+publisherAPIs, `{}`).wantError(t, 401, "scope.missing", 0)
	creator := p.user(t, sluice.DefaultOrganization, "carla", sluice.Creator)
	p.do(t, token, "PUT "+one, strings.Replace(string(body), `"policies":[]`, `"policies":["Gold"],"endpointConfig":{"endpoint_type":"http","production_endpoints":{"url":"http://b.example.com"}}`, 1))
	p.do(t, creator, "POST "+publisherAPIs+"/change-lifecycle?action=Publish&apiId="+api.ID, "").wantError(t, 401, "scope.missing", 0)
}

// TestLifecycleOverREST reads what may be done, does it, and reads what was done.
func TestLifecycleOverREST(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	old := p.api(t, token, "Weather")
	p.publish(t, token, old)
	state := as[lifecycleState](t, p.do(t, token, "GET "+publisherAPIs+"/"+old+"/lifecycle-state", ""), http.StatusOK)
	if state.State != "Published" || len(state.CheckItems) != 0 || len(state.Transitions) != 5 {
		t.Errorf("state of the first version: %+v", state)
	}
	a := p.importAPI(t, token, "file", weather, "additionalProperties", strings.Replace(properties("Weather", "/weather"), `"1.0"`, `"2.0"`, 1))
	next := as[apiDocument](t, a, http.StatusCreated).ID
	state = as[lifecycleState](t, p.do(t, token, "GET "+publisherAPIs+"/"+next+"/lifecycle-state", ""), http.StatusOK)
	if state.State != "Created" || len(state.CheckItems) != 2 || state.CheckItems[0].Name != "Deprecate Old Versions" {
		t.Errorf("state of the next version: %+v", state)
	}
	move := "POST " + publisherAPIs + "/change-lifecycle?apiId=" + next + "&action="
	moved := as[workflowAnswer](t, p.do(t, token, move+"Publish&lifecycleChecklist=Deprecate+old+versions+after+publishing+the+API:true,Require+Re-Subscription:false", ""), http.StatusOK)
	if moved.Lifecycle.State != "Published" || moved.Payload != `{"subscriptions":0,"gateways":0}` {
		t.Errorf("moved: %+v", moved)
	}
	p.do(t, token, move+"Retire", "").wantError(t, 400, "api.lifecycle", 900381)
	history := as[list[lifecycleChange]](t, p.do(t, token, "GET "+publisherAPIs+"/"+old+"/lifecycle-history", ""), http.StatusOK)
	if history.Count != 3 || history.List[0].From != "" || history.List[2].From != "Published" || history.List[2].To != "Deprecated" || history.List[2].User != "admin" {
		t.Errorf("history of the first version: %+v", history)
	}
}

// TestRestrictedAPIs: an API is not there for those without one of its roles.
func TestRestrictedAPIs(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	outsider := p.user(t, sluice.DefaultOrganization, "otto", sluice.Creator, sluice.Subscriber)
	partner := p.user(t, sluice.DefaultOrganization, "pia", sluice.Creator, sluice.Subscriber, "partner")
	id := as[apiDocument](t, p.do(t, token, "POST "+publisherAPIs, `{"name":"Secret","version":"1","context":"/secret","policies":["Gold"],
		"visibility":"RESTRICTED","visibleRoles":["partner"],"accessControl":"RESTRICTED","accessControlRoles":["partner"],
		"endpointConfig":{"endpoint_type":"http","production_endpoints":{"url":"http://b.example.com"}}}`), http.StatusCreated).ID
	p.publish(t, token, id)
	for who, c := range map[string]struct {
		token string
		sees  int
	}{"an outsider": {outsider, 0}, "a partner": {partner, 1}, "an administrator": {token, 1}} {
		for _, list := range []string{"GET " + publisherAPIs, "GET /api/am/devportal/v3/apis"} {
			if got := as[struct{ Count int }](t, p.do(t, c.token, list, ""), http.StatusOK); got.Count != c.sees {
				t.Errorf("%s of %s: %d, want %d", list, who, got.Count, c.sees)
			}
			one := p.do(t, c.token, list+"/"+id, "")
			if want := map[int]int{0: http.StatusNotFound, 1: http.StatusOK}[c.sees]; one.status != want {
				t.Errorf("%s/{id} of %s: %d, want %d", list, who, one.status, want)
			}
		}
	}
	if got := p.do(t, "", "GET /api/am/devportal/v3/apis/"+id, ""); got.status != http.StatusNotFound {
		t.Errorf("anonymous reader: %d, want 404", got.status)
	}
}
