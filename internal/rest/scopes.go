package rest

import (
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
)

// Every scope of the management API, without its prefix.
const (
	apimScopes = `admin admin_operations admin_settings
		api_create api_definition_view api_delete api_generate_key api_import_export api_key api_list_view api_manage
		api_product_import_export api_publish api_view app_import_export app_manage app_owner_change
		document_create document_manage environment_manage environment_read policies_import_export publisher_settings
		store_settings sub_manage subscribe subscription_block subscription_manage subscription_view tier_manage tier_view`

	sluiceScopes = `api_manage audit_view gateway_manage gateway_view organization_manage publish revoke status_view
		usage_view user_manage`
)

// roleScopes returns the scopes that a role gives, as two lists of names.
func roleScopes(role sluice.Role) (apim, own string) {
	switch role {
	case sluice.Administrator:
		return apimScopes, sluiceScopes
	case sluice.Creator:
		return "api_view api_create api_delete api_generate_key tier_view subscription_view document_create document_manage publisher_settings",
			"status_view usage_view"
	case sluice.Publisher:
		return "api_view api_publish api_generate_key tier_view subscription_view subscription_block subscription_manage document_create document_manage publisher_settings",
			"status_view publish usage_view"
	case sluice.Subscriber:
		return "subscribe app_manage sub_manage api_key store_settings",
			"usage_view"
	case sluice.Devops:
		return "subscribe app_manage sub_manage app_import_export api_import_export api_product_import_export policies_import_export",
			"status_view publish gateway_view"
	case sluice.Observer:
		return "api_view publisher_settings",
			"status_view gateway_view usage_view"
	case sluice.IntegrationDev:
		return "api_list_view api_definition_view", ""
	}
	return "", ""
}

// ScopesOf returns the scopes of the management API that roles give, with their
// prefixes "apim:" and "sluice:", sorted and each once.
func ScopesOf(roles []sluice.Role) []string {
	var list []string
	for _, role := range roles {
		apim, own := roleScopes(role)
		for s := range strings.FieldsSeq(apim) {
			list = append(list, "apim:"+s)
		}
		for s := range strings.FieldsSeq(own) {
			list = append(list, "sluice:"+s)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
