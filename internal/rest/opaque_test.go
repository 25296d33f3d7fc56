package rest

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice"
)

func TestReadAPI(t *testing.T) {
	got, err := readAPI([]byte(`{
		"name":"Weather","version":"1.0","context":"/weather","description":"Says it.","policies":["Gold"],"transport":["https"],
		"visibility":"PRIVATE","isDefaultVersion":true,"tags":["a"],
		"endpointConfig":{"endpoint_type":"http","production_endpoints":{"url":"http://p","config":{"actionDuration":1}},"sandbox_endpoints":{"url":""},
			"endpoint_security":{"production":{"enabled":false,"password":"hidden"}}},
		"operations":[{"target":"/a","verb":"get","authType":"Application User","throttlingPolicy":"10KPerMin","scopes":["s"]},
			{"target":"/b","verb":"POST","authType":"Any","throttlingPolicy":"Unlimited"}],
		"scopes":[{"scope":{"name":"s","displayName":"S","bindings":["r"]},"shared":false}],
		"corsConfiguration":{"corsConfigurationEnabled":true,"accessControlAllowOrigins":["*"]},
		"id":"1","provider":"mallory","lifeCycleStatus":"PUBLISHED","createdTime":"1","revisionId":7,"isRevision":true,
		"businessInformation":{"businessOwner":"Ann"},"monetization":null,"Name":"not the name","audiences":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	var kept map[string]any
	if err := json.Unmarshal(got.Opaque, &kept); err != nil {
		t.Fatal(err)
	}
	got.Opaque = nil
	want := sluice.API{
		Name: "Weather", Version: "1.0", Context: "/weather", Description: "Says it.", Tiers: []string{"Gold"}, Transports: []string{"https"},
		Visibility: sluice.Private, Default: true, Tags: []string{"a"}, Production: []sluice.Endpoint{{URL: "http://p"}},
		Operations: []sluice.Operation{
			{Verb: "GET", Target: "/a", Auth: sluice.AuthUser, Scopes: []string{"s"}, Tier: "10KPerMin"},
			{Verb: "POST", Target: "/b", Auth: sluice.AuthAny},
		},
		Scopes: []sluice.Scope{{Name: "s", DisplayName: "S", Roles: []string{"r"}}},
		CORS:   &sluice.CORS{Enabled: true, Origins: []string{"*"}},

		Business: sluice.BusinessInformation{Owner: "Ann"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("readAPI (-want +got):\n%s", diff)
	}
	wantKept := map[string]any{
		"Name": "not the name", "audiences": []any{},
		"endpointConfig": map[string]any{
			"endpoint_type": "http", "production_endpoints": map[string]any{"url": "http://p", "config": map[string]any{"actionDuration": 1.0}},
			"sandbox_endpoints": map[string]any{"url": ""},
		},
	}
	if diff := cmp.Diff(wantKept, kept); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

func TestReadAPIRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		document string
		fields   string // of the problems, in any order
	}{
		"another type":               {`{"type":"GRAPHQL"}`, "type"},
		"a mocked implementation":    {`{"endpointImplementationType":"INLINE"}`, "endpointImplementationType"},
		"mediation policies":         {`{"mediationPolicies":[{"name":"x"}]}`, "mediationPolicies"},
		"API policies":               {`{"apiPolicies":{"request":[{"policyName":"x"}],"response":[]}}`, "apiPolicies"},
		"operation policies":         {`{"operations":[{"target":"/","verb":"GET","operationPolicies":{"request":[{"policyName":"x"}]}}]}`, "operations"},
		"threat protection":          {`{"threatProtectionPolicies":{"list":[{"policyId":"x"}]}}`, "threatProtectionPolicies"},
		"mutual TLS":                 {`{"securityScheme":["oauth2","mutualssl","mutualssl_mandatory"]}`, "securityScheme"},
		"a scheme that is no list":   {`{"securityScheme":"oauth2"}`, "securityScheme"},
		"another header":             {`{"authorizationHeader":"X-Token"}`, "authorizationHeader"},
		"a throughput":               {`{"maxTps":{"production":100}}`, "maxTps"},
		"a limit of the API":         {`{"apiThrottlingPolicy":"10KPerMin"}`, "apiThrottlingPolicy"},
		"caching":                    {`{"responseCachingEnabled":true}`, "responseCachingEnabled"},
		"schema validation":          {`{"enableSchemaValidation":true}`, "enableSchemaValidation"},
		"access control for nobody":  {`{"accessControl":"RESTRICTED"}`, "accessControlRoles"},
		"another visibility":         {`{"visibility":"SECRET"}`, "visibility"},
		"another access control":     {`{"accessControl":"ALL"}`, "accessControl"},
		"another Key Manager":        {`{"keyManagers":["Okta"]}`, "keyManagers"},
		"audiences":                  {`{"audiences":["x"]}`, "audiences"},
		"another endpoint type":      {`{"endpointConfig":{"endpoint_type":"awslambda"}}`, "endpointConfig"},
		"failover":                   {`{"endpointConfig":{"production_failovers":[{"url":"http://x"}]}}`, "endpointConfig"},
		"endpoint security":          {`{"endpointConfig":{"endpoint_security":{"production":{"enabled":true,"type":"BASIC"}}}}`, "endpointConfig"},
		"an unknown auth type":       {`{"operations":[{"target":"/","verb":"GET","authType":"Magic"}]}`, "operations"},
		"a shared scope":             {`{"scopes":[{"scope":{"name":"s"},"shared":true}]}`, "scopes"},
		"everything at once":         {`{"type":"SOAP","maxTps":{"sandbox":1},"visibility":"SECRET"}`, "maxTps type visibility"},
		"a wrong type":               {`{"name":7}`, "name"},
		"a member twice":             {`{"name":"a","name":"b"}`, ""},
		"no object":                  {`[]`, ""},
		"too much to keep":           {`{"x":"` + strings.Repeat("a", maxOpaque) + `"}`, "additionalProperties"},
		"an endpoint that is a list": {`{"endpointConfig":{"production_endpoints":[{"url":"http://x"}]}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readAPI([]byte(c.document))
			e, ok := errors.AsType[*sluice.Error](err)
			if !ok || e.Kind != sluice.Invalid {
				t.Fatalf("error = %v, want Invalid", err)
			}
			var fields []string
			for _, p := range problemsOf(e) {
				fields = append(fields, p.Field)
			}
			slices.Sort(fields)
			if got := strings.TrimSpace(strings.Join(slices.Compact(fields), " ")); got != c.fields {
				t.Errorf("fields = %q, want %q (%v)", got, c.fields, err)
			}
		})
	}
}

// What clients send because they read it is taken back.
func TestReadAPITakesWhatWriteAPIGives(t *testing.T) {
	a := sluice.API{
		ID: "1", Name: "Weather", Version: "1.0", Context: "/weather", Owner: "ann", State: sluice.Published, Visibility: sluice.Public,
		Transports: []string{"http"}, Tiers: []string{"Gold"}, Tags: []string{"t"},
		Production: []sluice.Endpoint{{URL: "http://p"}}, Sandbox: []sluice.Endpoint{{URL: "http://s"}},
		Operations: []sluice.Operation{{Verb: "GET", Target: "/a", Auth: sluice.AuthNone}, {Verb: "PUT", Target: "/b", Auth: sluice.AuthApplication, Tier: "10KPerMin"}},
		Scopes:     []sluice.Scope{{Name: "s", DisplayName: "S", Roles: []string{"r"}}},
		CORS:       &sluice.CORS{Enabled: true, Origins: []string{"*"}, Methods: []string{"GET"}, Headers: []string{"A"}, Credentials: true},
		Opaque:     []byte(`{"businessInformation":{"businessOwner":"Ann"},"serviceInfo":{"key":"k"},"name":"typed wins"}`),
	}
	document, err := writeAPI(&a, nil)
	if err != nil {
		t.Fatal(err)
	}
	if string(document["name"]) != `"Weather"` {
		t.Errorf("name = %s, want the API's own", document["name"])
	}
	body, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	back, err := readAPI(body)
	if err != nil {
		t.Fatalf("what was written is refused: %v", err)
	}
	again, err := writeAPI(&sluice.API{
		ID: a.ID, Owner: a.Owner, State: a.State, Name: back.Name, Version: back.Version, Context: back.Context, Visibility: back.Visibility,
		Transports: back.Transports, Tiers: back.Tiers, Tags: back.Tags, Production: back.Production, Sandbox: back.Sandbox,
		Operations: back.Operations, Scopes: back.Scopes, CORS: back.CORS, Opaque: back.Opaque,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(document, again); diff != "" {
		t.Errorf("written, read and written again (-first +second):\n%s", diff)
	}
}

// Endpoints that changed since are not hidden by what was kept of the first.
func TestEndpointsOf(t *testing.T) {
	kept := json.RawMessage(`{"endpoint_type":"http","production_endpoints":{"url":"http://old","config":{}}}`)
	old := []sluice.Endpoint{{URL: "http://old"}}
	for name, c := range map[string]struct {
		api  sluice.API
		want string
	}{
		"the same":    {sluice.API{Production: old}, string(kept)},
		"another":     {sluice.API{Production: []sluice.Endpoint{{URL: "http://new"}}}, `{"endpoint_type":"http","production_endpoints":{"url":"http://new"}}`},
		"one more":    {sluice.API{Production: old, Sandbox: old}, `{"endpoint_type":"http","production_endpoints":{"url":"http://old"},"sandbox_endpoints":{"url":"http://old"}}`},
		"none at all": {sluice.API{}, "null"},
	} {
		if got := string(endpointsOf(&c.api, kept)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
