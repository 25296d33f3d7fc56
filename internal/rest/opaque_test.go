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
		"a throughput a minute":      {`{"maxTps":{"production":100,"productionTimeUnit":"MINUTE"}}`, "maxTps"},
		"caching":                    {`{"responseCachingEnabled":true}`, "responseCachingEnabled"},
		"schema validation":          {`{"enableSchemaValidation":true}`, "enableSchemaValidation"},
		"access control for nobody":  {`{"accessControl":"RESTRICTED"}`, "accessControlRoles"},
		"another visibility":         {`{"visibility":"SECRET"}`, "visibility"},
		"another access control":     {`{"accessControl":"ALL"}`, "accessControl"},
		"another Key Manager":        {`{"keyManagers":["Okta"]}`, "keyManagers"},
		"audiences":                  {`{"audiences":["x"]}`, "audiences"},
		"another endpoint type":      {`{"endpointConfig":{"endpoint_type":"awslambda"}}`, "endpointConfig"},
		"failover":                   {`{"endpointConfig":{"production_failovers":[{"url":"http://x"}]}}`, "endpointConfig"},
		"failover as a type":         {`{"endpointConfig":{"endpoint_type":"failover"}}`, "endpointConfig"},
		"Digest":                     {`{"endpointConfig":{"endpoint_security":{"production":{"enabled":true,"type":"DIGEST"}}}}`, "endpointConfig"},
		"security of neither side":   {`{"endpointConfig":{"endpoint_security":{"other":{"enabled":true,"type":"BASIC"}}}}`, "endpointConfig"},
		"an unknown auth type":       {`{"operations":[{"target":"/","verb":"GET","authType":"Magic"}]}`, "operations"},
		"a shared scope":             {`{"scopes":[{"scope":{"name":"s"},"shared":true}]}`, "scopes"},
		"everything at once":         {`{"type":"SOAP","maxTps":{"sandboxTimeUnit":"DAY"},"visibility":"SECRET"}`, "maxTps type visibility"},
		"a wrong type":               {`{"name":7}`, "name"},
		"a member twice":             {`{"name":"a","name":"b"}`, ""},
		"no object":                  {`[]`, ""},
		"too much to keep":           {`{"x":"` + strings.Repeat("a", maxOpaque) + `"}`, "additionalProperties"},
		"an endpoint that is a text": {`{"endpointConfig":{"production_endpoints":["http://x"]}}`, ""},
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

// TestReadSecurity holds how documents say who may call, and how much, and that
// they are given back so.
func TestReadSecurity(t *testing.T) {
	for name, c := range map[string]struct {
		document string
		want     sluice.API
		gives    string // members of what is given back
	}{
		"nothing": {
			`{}`,
			sluice.API{},
			`{"securityScheme":["oauth2","oauth_basic_auth_api_key_mandatory"],"authorizationHeader":"Authorization","apiKeyHeader":"ApiKey","apiThrottlingPolicy":"Unlimited","maxTps":null}`,
		},
		"what is given for nothing": {
			`{"securityScheme":["oauth2","oauth_basic_auth_api_key_mandatory"],"authorizationHeader":"Authorization","apiKeyHeader":"ApiKey","apiThrottlingPolicy":"Unlimited","maxTps":null}`,
			sluice.API{},
			`{}`,
		},
		"all": {
			`{"securityScheme":["api_key","oauth2"],"authorizationHeader":"X-Token","apiKeyHeader":"X-Key","apiThrottlingPolicy":"10KPerMin","maxTps":{"production":7,"sandbox":3,"productionTimeUnit":"SECOND"}}`,
			sluice.API{
				Schemes: []sluice.Scheme{sluice.APIKeys, sluice.OAuth2}, TokenHeader: "X-Token", APIKeyHeader: "X-Key", Tier: "10KPerMin",
				Throughput: &sluice.Throughput{Production: 7, Sandbox: 3},
			},
			`{"securityScheme":["api_key","oauth2","oauth_basic_auth_api_key_mandatory"],"authorizationHeader":"X-Token","apiKeyHeader":"X-Key","apiThrottlingPolicy":"10KPerMin","maxTps":{"production":7,"sandbox":3}}`,
		},
		"endpoints": {
			`{"endpointConfig":{"endpoint_type":"load_balance","production_endpoints":[{"url":"http://a"},{"url":""},{"url":"http://b"}],
				"endpoint_security":{"production":{"enabled":true,"type":"BASIC","username":"u","password":"hidden"},"sandbox":{"enabled":false,"type":"DIGEST"}}}}`,
			sluice.API{
				Production:         []sluice.Endpoint{{URL: "http://a"}, {URL: "http://b"}},
				ProductionSecurity: &sluice.EndpointSecurity{Username: "u", Password: []byte("hidden")},
			},
			`{}`,
		},
	} {
		got, err := readAPI([]byte(c.document))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if strings.Contains(string(got.Opaque), "hidden") {
			t.Errorf("%s: the password is kept for clients: %s", name, got.Opaque)
		}
		written, err := writeAPI(&got, nil)
		if err != nil {
			t.Fatal(err)
		}
		got.Opaque = nil
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		var gives map[string]json.RawMessage
		if err := json.Unmarshal([]byte(c.gives), &gives); err != nil {
			t.Fatal(err)
		}
		for member, want := range gives {
			if !sameJSON(t, string(written[member]), string(want)) {
				t.Errorf("%s: %s is %s, want %s", name, member, written[member], want)
			}
		}
		if strings.Contains(string(written["endpointConfig"]), "hidden") {
			t.Errorf("%s: the password is given back: %s", name, written["endpointConfig"])
		}
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var va, vb any
	if err := errors.Join(json.Unmarshal([]byte(a), &va), json.Unmarshal([]byte(b), &vb)); err != nil {
		t.Fatalf("%s or %s: %v", a, b, err)
	}
	return cmp.Equal(va, vb)
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
		"several": {
			sluice.API{Production: []sluice.Endpoint{{URL: "http://a"}, {URL: "http://b"}}, Sandbox: old},
			`{"endpoint_type":"load_balance","production_endpoints":[{"url":"http://a"},{"url":"http://b"}],"sandbox_endpoints":[{"url":"http://old"}]}`,
		},
		"with a password": {
			sluice.API{Production: old, ProductionSecurity: &sluice.EndpointSecurity{Username: "u", Password: []byte("sealed")}},
			`{"endpoint_type":"http","production_endpoints":{"url":"http://old","config":{}},
				"endpoint_security":{"production":{"enabled":true,"type":"BASIC","username":"u","password":""}}}`,
		},
	} {
		got, err := endpointsOf(&c.api, kept)
		if err != nil || !sameJSON(t, string(got), c.want) {
			t.Errorf("%s: %s (%v), want %s", name, got, err, c.want)
		}
	}
}
