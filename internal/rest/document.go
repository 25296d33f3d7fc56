package rest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/web"
)

// apiMembers is what of a document sluice.API holds.
type apiMembers struct {
	Name        string      `json:"name"`
	Version     string      `json:"version"`
	Context     string      `json:"context"`
	Description string      `json:"description"`
	Policies    []string    `json:"policies"`
	Transport   []string    `json:"transport"`
	IsDefault   bool        `json:"isDefaultVersion"`
	Tags        []string    `json:"tags"`
	Operations  []operation `json:"operations"`
	Scopes      []apiScope  `json:"scopes"`
	CORS        *cors       `json:"corsConfiguration"`
	audience
	details

	Schemes      []string    `json:"securityScheme"`
	TokenHeader  string      `json:"authorizationHeader"`
	APIKeyHeader string      `json:"apiKeyHeader"`
	Tier         string      `json:"apiThrottlingPolicy"`
	Throughput   *throughput `json:"maxTps"`
}

// throughput is what backends take at most; a side that is left out takes
// anything.
type throughput struct {
	Production     int    `json:"production,omitempty"`
	ProductionUnit string `json:"productionTimeUnit,omitempty"`
	Sandbox        int    `json:"sandbox,omitempty"`
	SandboxUnit    string `json:"sandboxTimeUnit,omitempty"`
}

// mandatory is the security scheme by which WSO2's clients say that one of
// oauth2, basic_auth and api_key is needed, as it always is.
const mandatory = "oauth_basic_auth_api_key_mandatory"

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

// apiDefaults are the members of an API document that Sluice gives where
// neither the API nor what is kept for clients says anything.
const apiDefaults = `{
	"displayName": "", "type": "HTTP", "hasThumbnail": false, "isRevision": false, "workflowStatus": "APPROVED",
	"audiences": [],
	"subscriptionAvailability": "CURRENT_TENANT",
	"responseCachingEnabled": false, "cacheTimeout": 300, "enableSchemaValidation": false,
	"endpointConfig": null, "endpointImplementationType": "ENDPOINT", "keyManagers": ["all"],
	"gatewayVendor": "wso2", "gatewayType": "wso2/synapse"
}`

// apiDocument is what of an API document comes from the API itself; it stands
// above what is kept for clients, and that above the defaults.
type apiDocument struct {
	ID             string          `json:"id"`
	Provider       string          `json:"provider"`
	State          string          `json:"lifeCycleStatus"`
	CreatedTime    string          `json:"createdTime"`
	UpdatedTime    string          `json:"lastUpdatedTime"`
	UpdatedStamp   string          `json:"lastUpdatedTimestamp"`
	IsRevision     bool            `json:"isRevision"`
	RevisionOf     string          `json:"revisionedApiId,omitempty"`
	RevisionNumber int             `json:"revisionId"`
	EndpointConfig json.RawMessage `json:"endpointConfig,omitempty"`
	apiMembers
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
		e, err := readEndpoints(&problems, raw)
		if err != nil {
			return sluice.API{}, err
		}
		a.Production, a.Sandbox, members["endpointConfig"] = e.production, e.sandbox, e.kept
		a.ProductionSecurity, a.SandboxSecurity = e.productionSecurity, e.sandboxSecurity
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

// writeAPI returns the document of an API; with a revision, of the frozen one.
func writeAPI(a *sluice.API, revision *sluice.Revision) (map[string]json.RawMessage, error) {
	d := apiDocument{
		ID: a.ID, Provider: a.Owner, State: string(a.State), CreatedTime: stamp(a.CreatedAt), UpdatedTime: stamp(a.UpdatedAt),
		UpdatedStamp: strconv.FormatInt(a.UpdatedAt.UnixMilli(), 10), apiMembers: membersOf(a),
	}
	if revision != nil {
		d.ID, d.IsRevision, d.RevisionOf, d.RevisionNumber = revision.ID, true, a.ID, revision.Number
	}
	kept := map[string]json.RawMessage{}
	if len(a.Opaque) > 0 {
		if err := json.Unmarshal(a.Opaque, &kept); err != nil {
			return nil, fmt.Errorf("members kept for clients of API %s: %w", a.ID, err)
		}
	}
	var err error
	if d.EndpointConfig, err = endpointsOf(a, kept["endpointConfig"]); err != nil {
		return nil, fmt.Errorf("endpoints of API %s: %w", a.ID, err)
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(apiDefaults), &all); err != nil {
		return nil, fmt.Errorf("defaults of an API document: %w", err)
	}
	maps.Copy(all, kept)
	b, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal(b, &all)
}

// membersOf is the reverse of apiMembers.api.
func membersOf(a *sluice.API) apiMembers {
	m := apiMembers{
		Name: a.Name, Version: a.Version, Context: contextOf(a), Description: a.Description, IsDefault: a.Default,
		Policies: some(a.Tiers), Transport: some(a.Transports), Tags: some(a.Tags),
		Operations: operationsOf(a), Scopes: []apiScope{}, audience: audienceOf(a), details: detailsOf(a),
	}
	for _, sc := range a.Scopes {
		m.Scopes = append(m.Scopes, apiScope{Scope: scopeDocument{sc.Name, sc.DisplayName, sc.Description, some(sc.Roles)}})
	}
	if c := a.CORS; c != nil {
		m.CORS = &cors{c.Enabled, some(c.Origins), c.Credentials, some(c.Headers), some(c.Methods)}
	}
	m.Schemes = append(schemesOf(a), mandatory)
	m.TokenHeader, m.APIKeyHeader = cmp.Or(a.TokenHeader, "Authorization"), cmp.Or(a.APIKeyHeader, sluice.DefaultAPIKeyHeader)
	m.Tier = cmp.Or(a.Tier, sluice.Unlimited)
	if t := a.Throughput; t != nil {
		m.Throughput = &throughput{Production: t.Production, Sandbox: t.Sandbox}
	}
	return m
}

// schemesOf returns how callers of an API authenticate, in WSO2's words.
func schemesOf(a *sluice.API) []string {
	if len(a.Schemes) == 0 {
		return []string{string(sluice.OAuth2)}
	}
	return mapped(a.Schemes, func(s sluice.Scheme) string { return string(s) })
}

// readSecurity reads who may call an API, and how much.
func (m *apiMembers) readSecurity(a *sluice.API, problems *sluice.Problems) {
	for _, s := range m.Schemes {
		switch s {
		case mandatory:
		case string(sluice.OAuth2), string(sluice.APIKeys):
			if !slices.Contains(a.Schemes, sluice.Scheme(s)) {
				a.Schemes = append(a.Schemes, sluice.Scheme(s))
			}
		default:
			problems.Add("securityScheme", "api.unsupported", "Only the security schemes oauth2 and api_key are offered.")
		}
	}
	if slices.Equal(a.Schemes, []sluice.Scheme{sluice.OAuth2}) {
		a.Schemes = nil
	}
	if !strings.EqualFold(m.TokenHeader, "Authorization") {
		a.TokenHeader = m.TokenHeader
	}
	if !strings.EqualFold(m.APIKeyHeader, sluice.DefaultAPIKeyHeader) {
		a.APIKeyHeader = m.APIKeyHeader
	}
	if m.Tier != sluice.Unlimited {
		a.Tier = m.Tier
	}
	t := m.Throughput
	if t == nil {
		return
	}
	for _, unit := range []string{t.ProductionUnit, t.SandboxUnit} {
		if unit != "" && !strings.EqualFold(unit, "SECOND") {
			problems.Add("maxTps", "api.unsupported", "A maximum backend throughput is in calls a second.")
		}
	}
	if t.Production != 0 || t.Sandbox != 0 {
		a.Throughput = &sluice.Throughput{Production: t.Production, Sandbox: t.Sandbox}
	}
}

func operationsOf(a *sluice.API) []operation {
	return mapped(a.Operations, func(o sluice.Operation) operation {
		tier := o.Tier
		if tier == "" {
			tier = sluice.Unlimited
		}
		return operation{Target: o.Target, Verb: o.Verb, AuthType: writeAuthType(o.Auth), Tier: tier, Scopes: some(o.Scopes)}
	})
}

// api returns the document as a sluice.API.
func (m *apiMembers) api(problems *sluice.Problems) sluice.API {
	a := sluice.API{
		Name: m.Name, Version: m.Version, Context: m.Context, Description: m.Description, Default: m.IsDefault,
		Tiers: m.Policies, Transports: m.Transport, Tags: m.Tags,
	}
	m.audience.into(&a, problems)
	m.details.into(&a)
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
	m.readSecurity(&a, problems)
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
