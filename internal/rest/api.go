package rest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/web"
)

// apiDefaults are the members of an API document that Sluice gives where
// neither the API nor what is kept for clients says anything.
const apiDefaults = `{
	"displayName": "", "type": "HTTP", "hasThumbnail": false, "isRevision": false, "workflowStatus": "APPROVED",
	"apiThrottlingPolicy": "Unlimited", "authorizationHeader": "Authorization", "apiKeyHeader": "ApiKey",
	"securityScheme": ["oauth2","oauth_basic_auth_api_key_mandatory"], "audiences": [], "maxTps": null,
	"visibleRoles": [], "accessControl": "NONE", "accessControlRoles": [], "subscriptionAvailability": "CURRENT_TENANT",
	"additionalProperties": [], "additionalPropertiesMap": {}, "businessInformation": {},
	"responseCachingEnabled": false, "cacheTimeout": 300, "enableSchemaValidation": false,
	"endpointConfig": null, "endpointImplementationType": "ENDPOINT", "categories": [], "keyManagers": ["all"],
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

// apiInfo is an API in the Publisher's lists.
type apiInfo struct {
	ID             string   `json:"id"`
	Name           string   `json:"name"`
	Description    string   `json:"description"`
	Context        string   `json:"context"`
	Version        string   `json:"version"`
	Provider       string   `json:"provider"`
	Type           string   `json:"type"`
	State          string   `json:"lifeCycleStatus"`
	WorkflowStatus string   `json:"workflowStatus"`
	HasThumbnail   bool     `json:"hasThumbnail"`
	SecurityScheme []string `json:"securityScheme"`
	CreatedTime    string   `json:"createdTime"`
	UpdatedTime    string   `json:"updatedTime"`
	GatewayVendor  string   `json:"gatewayVendor"`
	AdvertiseOnly  bool     `json:"advertiseOnly"`
}

func (s *Server) listAPIs(w http.ResponseWriter, r *http.Request) error {
	return listAPIsOf(w, r, s.plane.APIs, func(a sluice.API) apiInfo {
		return apiInfo{
			ID: a.ID, Name: a.Name, Description: a.Description, Context: contextOf(&a), Version: a.Version,
			Provider: a.Owner, Type: "HTTP", State: string(a.State), WorkflowStatus: "APPROVED",
			SecurityScheme: []string{"oauth2"}, CreatedTime: stamp(a.CreatedAt), UpdatedTime: stamp(a.UpdatedAt),
			GatewayVendor: "wso2",
		}
	})
}

// listAPIsOf answers with a page of the APIs that find returns.
func listAPIsOf[T any](w http.ResponseWriter, r *http.Request, find finder, show func(sluice.API) T) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	terms, nothing, err := searchOf(r)
	if err != nil {
		return err
	}
	f := control.APIFilter{Query: terms, Offset: page.Offset, Limit: page.Limit}
	if err := sortOf(r, &f); err != nil {
		return err
	}
	if nothing {
		return answer(w, http.StatusOK, listOf[T](nil, paginate(r, page, 0)))
	}
	found, total, err := find(r.Context(), f)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listOf(mapped(found, show), paginate(r, page, total)))
}

// getAPI answers with the working copy, or, for the id of a revision, with the
// API as it was frozen.
func (s *Server) getAPI(w http.ResponseWriter, r *http.Request) error {
	a, revision, err := s.plane.API(r.Context(), r.PathValue("apiId"))
	if err != nil {
		return err
	}
	document, err := writeAPI(&a, revision)
	if err != nil {
		return err
	}
	return tagged(w, r, a.RowVersion, document)
}

func (s *Server) deleteAPI(w http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	return s.plane.DeleteAPI(r.Context(), r.PathValue("apiId"), version)
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
	d.EndpointConfig = endpointsOf(a, kept["endpointConfig"])
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
		Policies: some(a.Tiers), Transport: some(a.Transports), Tags: some(a.Tags), Visibility: strings.ToUpper(string(a.Visibility)),
		Operations: operationsOf(a), Scopes: []apiScope{},
	}
	for _, sc := range a.Scopes {
		m.Scopes = append(m.Scopes, apiScope{Scope: scopeDocument{sc.Name, sc.DisplayName, sc.Description, some(sc.Roles)}})
	}
	if c := a.CORS; c != nil {
		m.CORS = &cors{c.Enabled, some(c.Origins), c.Credentials, some(c.Headers), some(c.Methods)}
	}
	return m
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

// endpointsOf returns the endpointConfig of an API: what is kept of the one it
// came with while that says the same, since it may say more.
func endpointsOf(a *sluice.API, kept json.RawMessage) json.RawMessage {
	if len(kept) > 0 {
		var ignored sluice.Problems
		production, sandbox, _, err := readEndpoints(&ignored, kept)
		if err == nil && slices.Equal(production, a.Production) && slices.Equal(sandbox, a.Sandbox) {
			return kept
		}
	}
	type address struct {
		URL string `json:"url"`
	}
	config := map[string]any{"endpoint_type": "http"}
	for side, list := range map[string][]sluice.Endpoint{"production_endpoints": a.Production, "sandbox_endpoints": a.Sandbox} {
		if len(list) > 0 {
			config[side] = address{list[0].URL}
		}
	}
	if len(config) == 1 {
		return json.RawMessage("null")
	}
	b, _ := json.Marshal(config) // strings alone
	return b
}

// some returns list, empty instead of nil: clients expect an array.
func some(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
