package rest

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
)

var allRoles = []sluice.Role{
	sluice.Administrator, sluice.Creator, sluice.Publisher, sluice.Subscriber, sluice.Devops, sluice.Observer, sluice.IntegrationDev,
}

func TestScopesOf(t *testing.T) {
	all := ScopesOf([]sluice.Role{sluice.Administrator})
	if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("scopes of the administrator are not sorted, each once: %v", all)
	}
	for _, role := range allRoles {
		for _, s := range ScopesOf([]sluice.Role{role}) {
			if !slices.Contains(all, s) {
				t.Errorf("%s gives %s, which the administrator lacks", role, s)
			}
		}
	}
	if got := ScopesOf([]sluice.Role{"Internal/unknown"}); len(got) != 0 {
		t.Errorf("an unknown role gives %v", got)
	}
	both := ScopesOf([]sluice.Role{sluice.Creator, sluice.Publisher})
	if !slices.Contains(both, "apim:api_create") || !slices.Contains(both, "apim:api_publish") || !slices.Contains(both, "sluice:publish") {
		t.Errorf("creator and publisher together give %v", both)
	}
	if got := strings.Join(ScopesOf([]sluice.Role{sluice.IntegrationDev}), " "); got != "apim:api_definition_view apim:api_list_view" {
		t.Errorf("integration_dev gives %q", got)
	}
}

// Every scope that an operation accepts exists, and a role below administrator
// gives one of them, but for the administrators' own operations.
func TestRoutesAskForScopesThatExist(t *testing.T) {
	all := ScopesOf(allRoles)
	lesser := ScopesOf(allRoles[1:])
	for _, f := range New(Options{}).faces() {
		for _, r := range f.routes {
			accepted := f.scopesOf(r)
			reachable := len(accepted) == 0 || f.base == adminBase || slices.Contains([]string{"api_manage", "gateway_manage", "revoke", "user_manage", "organization_manage", "audit_view"}, r.scopes)
			for _, s := range accepted {
				if !slices.Contains(all, s) {
					t.Errorf("%s %s accepts %s, which no role gives", r.method, r.path, s)
				}
				reachable = reachable || slices.Contains(lesser, s)
			}
			if !reachable {
				t.Errorf("%s %s can be called by administrators only", r.method, r.path)
			}
		}
	}
}
