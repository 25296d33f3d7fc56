package rest

import (
	"bytes"
	"encoding/json"
	"slices"

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
	"operations", "scopes", "corsConfiguration", "visibleRoles", "accessControl", "accessControlRoles",
	"categories", "additionalProperties", "additionalPropertiesMap", "businessInformation",
	"securityScheme", "authorizationHeader", "apiKeyHeader", "apiThrottlingPolicy", "maxTps",
}

// readOnlyMembers are those that only Sluice sets. Clients send them back as
// they read them; they are never applied.
var readOnlyMembers = []string{
	"id", "provider", "lifeCycleStatus", "isRevision", "revisionedApiId", "revisionId", "hasThumbnail", "workflowStatus",
	"initiatedFromGateway", "createdTime", "lastUpdatedTime", "lastUpdatedTimestamp", "originalDevPortalUrl",
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
		{"audiences", allOf("all"), "api.unsupported", "Audiences of an API are not offered."},
		{"keyManagers", allOf("all", residentKeyManager), "api.unsupported", "There is one Key Manager, the Resident Key Manager."},
		{"responseCachingEnabled", off, "api.unsupported", "Response caching is not offered."},
		{"enableSchemaValidation", off, "api.unsupported", "Schema validation is not offered."},
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
