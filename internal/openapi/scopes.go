package openapi

import (
	"maps"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
)

// bindingsKey is WSO2's key of an OAuth flow that names the roles which give a
// scope.
const bindingsKey = "x-scopes-bindings"

// flows are the OAuth flows of a document: what has scopes.
func flows(root *node) (all []*node) {
	for _, scheme := range root.find("components", "securitySchemes").members() {
		if scheme.get("type").str() != "oauth2" {
			continue
		}
		for _, name := range []string{"implicit", "password", "clientCredentials", "authorizationCode"} {
			if flow := scheme.find("flows", name); flow != nil && flow.kind == object {
				all = append(all, flow)
			}
		}
	}
	return all
}

// Caps of scopes.
const (
	maxScopes = 1000    // of a document
	maxNeeded = 100_000 // of all its operations together
)

// scopesOf collects the scopes of the document's OAuth 2.0 schemes, by name.
func scopesOf(root *node) []sluice.Scope {
	found := map[string]sluice.Scope{}
	for _, flow := range flows(root) {
		for name, description := range flow.get("scopes").members() {
			s := sluice.Scope{Name: name.text, DisplayName: name.text, Description: description.str()}
			for role := range strings.SplitSeq(flow.find(bindingsKey, name.text).str(), ",") {
				if role = strings.TrimSpace(role); role != "" {
					s.Roles = append(s.Roles, role)
				}
			}
			found[s.Name] = s
		}
	}
	scopes := make([]sluice.Scope, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		scopes = append(scopes, found[name])
	}
	return scopes
}

// oauthSchemes names the security schemes whose requirements are OAuth scopes.
func oauthSchemes(root *node) map[string]bool {
	names := map[string]bool{}
	for name, s := range root.find("components", "securitySchemes").members() {
		names[name.text] = s.get("type").str() == "oauth2"
	}
	return names
}

// neededScopes returns the scopes of the OAuth requirements: a token needs one.
func neededScopes(security *node, oauth map[string]bool) []string {
	var scopes []string
	seen := map[string]bool{}
	for _, requirement := range security.values() {
		for scheme, names := range requirement.members() {
			if !oauth[scheme.text] {
				continue
			}
			for _, s := range names.values() {
				if name := s.str(); name != "" && !seen[name] {
					seen[name] = true
					scopes = append(scopes, name)
				}
			}
		}
	}
	return scopes
}
