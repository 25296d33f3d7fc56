package rest

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/web"
)

// An API document of WSO2's has more members than Sluice acts on. What it acts
// on has a field of sluice.API. What only clients act on is kept as it came, in
// API.Opaque, frozen with revisions and given back. What would change how a
// gateway treats calls, and is not offered, is refused: silence would publish an
// API without a protection or behaviour that its author asked for.

// typedMembers are those with a field of sluice.API.
var typedMembers = []string{
	"name", "version", "context", "description", "policies", "transport", "visibility", "isDefaultVersion", "tags",
	"operations", "scopes", "corsConfiguration",
}

// readOnlyMembers are those that only Sluice sets. Clients send them back as
// they read them; they are never applied.
var readOnlyMembers = []string{
	"id", "provider", "lifeCycleStatus", "isRevision", "revisionedApiId", "revisionId", "hasThumbnail", "workflowStatus",
	"initiatedFromGateway", "createdTime", "lastUpdatedTime", "lastUpdatedTimestamp", "originalDevPortalUrl",
}

// apiMembers is what of a document sluice.API holds.
type apiMembers struct {
	Name        string      `json:"name"`
	Version     string      `json:"version"`
	Context     string      `json:"context"`
	Description string      `json:"description"`
	Policies    []string    `json:"policies"`
	Transport   []string    `json:"transport"`
	Visibility  string      `json:"visibility"`
	IsDefault   bool        `json:"isDefaultVersion"`
	Tags        []string    `json:"tags"`
	Operations  []operation `json:"operations"`
	Scopes      []apiScope  `json:"scopes"`
	CORS        *cors       `json:"corsConfiguration"`
}

type operation struct {
	ID       string          `json:"id,omitempty"`
	Target   string          `json:"target"`
	Verb     string          `json:"verb"`
	AuthType string          `json:"authType"`
	Tier     string          `json:"throttlingPolicy"`
	Scopes   []string        `json:"scopes"`
	Policies json.RawMessage `json:"operationPolicies,omitempty"`
}

type apiScope struct {
	Scope  scopeDocument `json:"scope"`
	Shared bool          `json:"shared"`
}

type scopeDocument struct {
	Name        string   `json:"name"`
	DisplayName string   `json:"displayName"`
	Description string   `json:"description"`
	Bindings    []string `json:"bindings"`
}

type cors struct {
	Enabled     bool     `json:"corsConfigurationEnabled"`
	Origins     []string `json:"accessControlAllowOrigins"`
	Credentials bool     `json:"accessControlAllowCredentials"`
	Headers     []string `json:"accessControlAllowHeaders"`
	Methods     []string `json:"accessControlAllowMethods"`
}

// readAPI reads an API document. Its problems are reported together.
func readAPI(document []byte) (sluice.API, error) {
	members := map[string]json.RawMessage{}
	if err := web.DecodeJSON(document, &members); err != nil {
		return sluice.API{}, err
	}
	for _, name := range readOnlyMembers {
		delete(members, name)
	}
	maps.DeleteFunc(members, func(_ string, v json.RawMessage) bool { return string(v) == "null" })

	var problems sluice.Problems
	refuseUnsupported(&problems, members)
	typed, err := takeTyped(members)
	if err != nil {
		return sluice.API{}, err
	}
	a := typed.api(&problems)
	if raw, ok := members["endpointConfig"]; ok {
		if a.Production, a.Sandbox, members["endpointConfig"], err = readEndpoints(&problems, raw); err != nil {
			return sluice.API{}, err
		}
	}
	if len(members) > 0 {
		if a.Opaque, err = json.Marshal(members); err != nil {
			return sluice.API{}, err
		}
	}
	if len(a.Opaque) > maxOpaque {
		problems.Add("additionalProperties", "api.document", "The members that are kept for clients have more than %d KB.", maxOpaque>>10)
	}
	return a, problems.Err()
}

// takeTyped moves the typed members out of members. They are found by their
// exact names, which encoding/json alone would not insist on.
func takeTyped(members map[string]json.RawMessage) (typed apiMembers, err error) {
	found := map[string]json.RawMessage{}
	for _, name := range typedMembers {
		if v, ok := members[name]; ok {
			found[name] = v
			delete(members, name)
		}
	}
	b, err := json.Marshal(found)
	if err != nil {
		return typed, err
	}
	return typed, web.DecodeJSON(b, &typed)
}

// api returns the document as a sluice.API.
func (m *apiMembers) api(problems *sluice.Problems) sluice.API {
	a := sluice.API{
		Name: m.Name, Version: m.Version, Context: m.Context, Description: m.Description, Default: m.IsDefault,
		Tiers: m.Policies, Transports: m.Transport, Tags: m.Tags,
	}
	switch m.Visibility {
	case "":
	case "PUBLIC":
		a.Visibility = sluice.Public
	case "PRIVATE":
		a.Visibility = sluice.Private
	default:
		problems.Add("visibility", "api.visibility", "The visibility is PUBLIC or PRIVATE; visibility by role is not offered.")
	}
	for _, o := range m.Operations {
		if !empty(o.Policies) {
			problems.Add("operations", "api.unsupported", "Policies of operations are not offered.")
		}
		auth, ok := readAuthType(o.AuthType)
		if !ok {
			problems.Add("operations", "api.operation", "The authType of %s %s is not known.", o.Verb, o.Target)
		}
		op := sluice.Operation{Verb: strings.ToUpper(o.Verb), Target: o.Target, Auth: auth, Scopes: o.Scopes}
		if o.Tier != sluice.Unlimited {
			op.Tier = o.Tier
		}
		a.Operations = append(a.Operations, op)
	}
	for _, s := range m.Scopes {
		if s.Shared {
			problems.Add("scopes", "api.unsupported", "Shared scopes are not offered.")
		}
		a.Scopes = append(a.Scopes, sluice.Scope{Name: s.Scope.Name, DisplayName: s.Scope.DisplayName, Description: s.Scope.Description, Roles: s.Scope.Bindings})
	}
	if c := m.CORS; c != nil {
		a.CORS = &sluice.CORS{Enabled: c.Enabled, Origins: c.Origins, Methods: c.Methods, Headers: c.Headers, Credentials: c.Credentials}
	}
	return a
}

func readAuthType(s string) (sluice.AuthType, bool) {
	switch strings.ToLower(s) {
	case "", "any", "application & application user":
		return sluice.AuthAny, true
	case "application":
		return sluice.AuthApplication, true
	case "application user", "application_user":
		return sluice.AuthUser, true
	case "none":
		return sluice.AuthNone, true
	}
	return "", false
}

func writeAuthType(a sluice.AuthType) string {
	switch a {
	case sluice.AuthApplication:
		return "Application"
	case sluice.AuthUser:
		return "Application User"
	case sluice.AuthNone:
		return "None"
	}
	return "Application & Application User"
}

// refuseUnsupported reports the members whose value asks for something that
// gateways do not do.
func refuseUnsupported(problems *sluice.Problems, members map[string]json.RawMessage) {
	oneOf := func(values ...string) func(json.RawMessage) bool {
		return func(v json.RawMessage) bool {
			var s string
			return json.Unmarshal(v, &s) == nil && slices.Contains(values, s)
		}
	}
	allOf := func(values ...string) func(json.RawMessage) bool {
		return func(v json.RawMessage) bool {
			var list []string
			if json.Unmarshal(v, &list) != nil {
				return false
			}
			return !slices.ContainsFunc(list, func(s string) bool { return !slices.Contains(values, s) })
		}
	}
	off := func(v json.RawMessage) bool { return string(v) == "false" }
	for _, m := range []struct {
		name string
		fine func(json.RawMessage) bool
		code string
		text string
	}{
		{"type", oneOf("", "HTTP"), "api.type", "Only APIs of type HTTP are offered."},
		{"endpointImplementationType", oneOf("", "ENDPOINT"), "api.unsupported", "Only endpointImplementationType ENDPOINT is offered."},
		{"mediationPolicies", empty, "api.unsupported", "Mediation policies are not offered."},
		{"apiPolicies", empty, "api.unsupported", "Policies of an API are not offered."},
		{"threatProtectionPolicies", empty, "api.unsupported", "Threat protection policies are not offered."},
		{"securityScheme", allOf("oauth2", "oauth_basic_auth_api_key_mandatory"), "api.unsupported", "Only the security scheme oauth2 is offered."},
		{"authorizationHeader", oneOf("", "Authorization"), "api.unsupported", "Tokens are taken from the header Authorization alone."},
		{"audiences", allOf("all"), "api.unsupported", "Audiences of an API are not offered."},
		{"keyManagers", allOf("all", residentKeyManager), "api.unsupported", "There is one Key Manager, the Resident Key Manager."},
		{"maxTps", empty, "api.unsupported", "A maximum backend throughput is not offered."},
		{"apiThrottlingPolicy", oneOf("", sluice.Unlimited), "api.unsupported", "A limit for the whole API is not offered; give operations their own."},
		{"responseCachingEnabled", off, "api.unsupported", "Response caching is not offered."},
		{"enableSchemaValidation", off, "api.unsupported", "Schema validation is not offered."},
		{"accessControl", oneOf("", "NONE"), "api.unsupported", "Access control by role is not offered."},
		{"visibleRoles", empty, "api.unsupported", "Visibility by role is not offered."},
	} {
		if v, ok := members[m.name]; ok && !m.fine(v) {
			problems.Add(m.name, m.code, "%s", m.text)
		}
	}
}

// empty reports whether JSON says nothing: null, "", and arrays and objects of
// nothing else.
func empty(raw json.RawMessage) bool {
	if len(bytes.TrimSpace(raw)) == 0 {
		return true
	}
	var v any
	return json.Unmarshal(raw, &v) == nil && emptyValue(v)
}

func emptyValue(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return !slices.ContainsFunc(v, func(e any) bool { return !emptyValue(e) })
	case map[string]any:
		for _, e := range v {
			if !emptyValue(e) {
				return false
			}
		}
		return true
	}
	return false
}

// endpointConfig is the addresses of the backends; other members are kept.
type endpointConfig struct {
	Type                string                      `json:"endpoint_type"`
	Production          json.RawMessage             `json:"production_endpoints"`
	Sandbox             json.RawMessage             `json:"sandbox_endpoints"`
	ProductionFailovers json.RawMessage             `json:"production_failovers"`
	SandboxFailovers    json.RawMessage             `json:"sandbox_failovers"`
	Security            map[string]endpointSecurity `json:"endpoint_security"`
}

type endpointSecurity struct {
	Enabled bool `json:"enabled"`
}

// readEndpoints reads an endpointConfig. kept is what of it clients are given
// back: all but endpoint security, in which there may be a password.
func readEndpoints(problems *sluice.Problems, raw json.RawMessage) (production, sandbox []sluice.Endpoint, kept json.RawMessage, err error) {
	var c endpointConfig
	if err = web.DecodeJSON(raw, &c); err != nil {
		return nil, nil, nil, err
	}
	add := func(format string, args ...any) {
		problems.Add("endpointConfig", "api.unsupported", format, args...)
	}
	if c.Type != "" && c.Type != "http" {
		add("Only endpoints of type http are offered.")
	}
	if !empty(c.ProductionFailovers) || !empty(c.SandboxFailovers) {
		add("Failover endpoints are not offered.")
	}
	for side, s := range c.Security {
		if s.Enabled {
			add("Endpoint security (%s) is not offered.", side)
		}
	}
	if production, err = readEndpoint(c.Production); err != nil {
		return nil, nil, nil, err
	}
	if sandbox, err = readEndpoint(c.Sandbox); err != nil {
		return nil, nil, nil, err
	}
	members := map[string]json.RawMessage{}
	if err = json.Unmarshal(raw, &members); err != nil {
		return nil, nil, nil, err
	}
	delete(members, "endpoint_security")
	kept, err = json.Marshal(members)
	return production, sandbox, kept, err
}

// readEndpoint reads {"url": …}; without an address there is no endpoint.
func readEndpoint(raw json.RawMessage) ([]sluice.Endpoint, error) {
	if empty(raw) {
		return nil, nil
	}
	var e struct {
		URL string `json:"url"`
	}
	if err := web.DecodeJSON(raw, &e); err != nil {
		return nil, err
	}
	if e.URL == "" {
		return nil, nil
	}
	return []sluice.Endpoint{{URL: e.URL}}, nil
}
