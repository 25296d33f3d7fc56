package rest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice"
)

const environmentsPath = adminBase + "/environments"

// north is an environment as WSO2's Admin portal sends one, and what Sluice adds.
const north = `{"name":"North","displayName":"The North","description":"Far away.","provider":"somebody","gatewayType":"Regular","isReadOnly":true,
	"vhosts":[{"host":"North.example.com","httpContext":"/x","httpPort":8280,"httpsPort":8243,"wsPort":9099,"wssPort":8099}],
	"endpointURIs":[],"additionalProperties":[{"key":"region","value":"north"}],
	"permissions":{"permissionType":"DENY","roles":["guests"]},"type":"sandbox","showInApiConsole":false}`

func TestEnvironmentRoundTrip(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	a := p.do(t, token, "POST "+environmentsPath, north)
	made := as[environmentDocument](t, a, http.StatusCreated)
	hidden := false
	want := environmentDocument{
		ID: made.ID, Name: "North", DisplayName: "The North", Description: "Far away.", Provider: "somebody", GatewayType: "Regular",
		Vhosts: []vhostDocument{{"north.example.com", "/x", 8280, 8243}}, URIs: made.URIs,
		Properties: []propertyDocument{{"region", "north"}}, Permissions: permissions{"DENY", []string{"guests"}},
		Type: "sandbox", Console: &hidden, Origin: "administrator",
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	if got := a.header.Get("Location"); got != environmentsPath+"/"+made.ID {
		t.Errorf("Location = %q", got)
	}
	listed := as[list[environmentDocument]](t, p.do(t, token, "GET "+environmentsPath, ""), http.StatusOK)
	if diff := cmp.Diff(want, listed.List[2]); diff != "" || listed.Count != 3 || listed.List[0].Origin != "configuration" {
		t.Errorf("listed (-want +got):\n%s\nof %+v", diff, listed)
	}

	// A client of WSO2's knows neither type nor showInApiConsole: they stay.
	one := environmentsPath + "/" + made.ID
	p.do(t, token, "PUT "+one, `{"name":"North","vhosts":[{"host":"north.example.com"}]}`, "If-Match", `"99"`).wantError(t, 412, "changed", 0)
	changed := as[environmentDocument](t, p.do(t, token, "PUT "+one, `{"name":"North","vhosts":[{"host":"north.example.com"}]}`, "If-Match", a.header.Get("ETag")), http.StatusOK)
	want.DisplayName, want.Description, want.Provider, want.Properties, want.Permissions = "North", "", "wso2", []propertyDocument{}, permissions{"PUBLIC", []string{}}
	want.Vhosts = []vhostDocument{{"north.example.com", "", 80, 443}}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	if got := as[list[environmentGateway]](t, p.do(t, token, "GET "+one+"/gateways", ""), http.StatusOK); got.Count != 0 {
		t.Errorf("gateways = %+v", got)
	}
	if got := p.do(t, token, "DELETE "+one, ""); got.status != http.StatusOK {
		t.Errorf("DELETE answered %d %s, want 200", got.status, got.body)
	}
	p.do(t, token, "DELETE "+one, "").wantError(t, 404, "environment.unknown", 900506)
}

// A20 over REST: 400, as WSO2's server answers, and the numbers of the others.
func TestA20EnvironmentErrors(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	made := as[environmentDocument](t, p.do(t, token, "POST "+environmentsPath, north), http.StatusCreated)
	fixed := as[list[environmentDocument]](t, p.do(t, token, "GET "+environmentsPath, ""), http.StatusOK).List[0]
	vhost := `"vhosts":[{"host":"a.example.com"}]`
	for what, test := range map[string]struct {
		call, body, code string
		status           int
		number           int64
	}{
		"the name is taken":           {"POST " + environmentsPath, `{"name":" NORTH ",` + vhost + `}`, "environment.taken", 400, 900507},
		"a vhost twice":               {"POST " + environmentsPath, `{"name":"A","vhosts":[{"host":"a.example.com"},{"host":"A.example.com"}]}`, "environment.vhost_twice", 400, 900509},
		"an unknown type":             {"POST " + environmentsPath, `{"name":"A","type":"prod",` + vhost + `}`, "environment.type", 400, 0},
		"another type of gateway":     {"POST " + environmentsPath, `{"name":"A","gatewayType":"AWS",` + vhost + `}`, "environment.gateway_type", 400, 0},
		"addresses outside of vhosts": {"POST " + environmentsPath, `{"name":"A","endpointURIs":[{"protocol":"http","endpointURI":"http://x"}],` + vhost + `}`, "environment.endpoint_uris", 400, 0},
		"changing one of the file":    {"PUT " + environmentsPath + "/" + fixed.ID, `{"name":"Production Gateway",` + vhost + `}`, "environment.read_only", 400, 900508},
		"deleting one of the file":    {"DELETE " + environmentsPath + "/" + fixed.ID, "", "environment.read_only", 400, 900508},
		"renaming":                    {"PUT " + environmentsPath + "/" + made.ID, `{"name":"South",` + vhost + `}`, "environment.renamed", 400, 900510},
		"changing what is not there":  {"PUT " + environmentsPath + "/nope", `{"name":"South",` + vhost + `}`, "environment.unknown", 404, 900506},
		"deleting what is not there":  {"DELETE " + environmentsPath + "/nope", "", "environment.unknown", 404, 900506},
		"the gateways of what is not": {"GET " + environmentsPath + "/nope/gateways", "", "environment.unknown", 404, 900506},
	} {
		t.Run(what, func(t *testing.T) {
			p.do(t, token, test.call, test.body).wantError(t, test.status, test.code, test.number)
		})
	}
	creator := p.user(t, sluice.DefaultOrganization, "carla", sluice.Creator)
	if got := p.do(t, creator, "POST "+environmentsPath, north); got.status != http.StatusUnauthorized { // as WSO2 answers where the scope is missing
		t.Errorf("POST of a creator: %d", got.status)
	}
}

// A19 over REST, and the refusal to delete an environment that is in use.
func TestA19AndEnvironmentInUse(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	made := as[environmentDocument](t, p.do(t, token, "POST "+environmentsPath, north), http.StatusCreated)
	api := as[apiDocument](t, p.importAPI(t, token, "file", weather, "additionalProperties", properties("Weather", "/weather")), http.StatusCreated)
	one := "/api/am/publisher/v4/apis/" + api.ID
	revision := as[revisionDocument](t, p.do(t, token, "POST "+one+"/revisions", `{}`), http.StatusCreated)
	deploy := "POST " + one + "/deploy-revision?revisionId=" + revision.ID

	got := p.do(t, token, deploy, `[{"name":"North"},{"name":"Nowhere"}]`)
	got.wantError(t, 400, "environment.unknown", 900504)
	if !strings.Contains(string(got.body), "Nowhere") {
		t.Errorf("the answer does not name the environment: %s", got.body)
	}
	if list := as[[]deploymentDocument](t, p.do(t, token, "GET "+one+"/deployments", ""), http.StatusOK); len(list) != 0 {
		t.Errorf("deployed nevertheless: %+v", list)
	}
	as[[]deploymentDocument](t, p.do(t, token, deploy, `[{"name":"North"}]`), http.StatusCreated)
	got = p.do(t, token, "DELETE "+environmentsPath+"/"+made.ID, "")
	got.wantError(t, 409, "environment.in_use", 409)
	if !strings.Contains(string(got.body), "Weather 1.0") {
		t.Errorf("the answer does not list the API: %s", got.body)
	}
}
