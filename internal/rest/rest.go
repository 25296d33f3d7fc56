// Package rest is the management REST API: the paths and shapes of WSO2 API
// Manager 4.x below /api/am, so that its clients and users' scripts work
// unmodified, and what no WSO2 API has below /api/sluice/v1.
//
// It translates and decides nothing. Whether something may be done, and what
// happens then, is package control's business; the words, numbers and habits of
// the wire stay here. The route tables below are the list of what is served,
// and openapi.yaml says the same to clients, checked by a test. A request runs
// through route.go (who calls, and with which scopes) into the feature's file;
// errors leave in the two forms of error.go (WSO2's body, RFC 9457).
//
// Only bearer tokens are taken (RFC 6750), never a cookie. To add an operation:
// a row in a table, a handler in the feature's file, a path in openapi.yaml.
package rest

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/web"
)

// Bases of the paths.
const (
	publisherBase    = "/api/am/publisher/v4"
	storeBase        = "/api/am/devportal/v3"
	adminBase        = "/api/am/admin/v4"
	registrationBase = "/client-registration/v0.17"
	sluiceBase       = "/api/sluice/v1"
)

// Limits of what is read, in bytes.
const (
	maxJSON       = 2 << 20
	maxDefinition = 10 << 20
	maxOpaque     = 256 << 10
)

// Options are what a Server needs.
type Options struct {
	Plane *control.Plane
	Log   *slog.Logger     // nil: nothing is logged
	Now   func() time.Time // nil: time.Now
}

// Server serves the management REST API. It may be used by many goroutines.
type Server struct {
	plane *control.Plane
	log   *slog.Logger
	now   func() time.Time
	mux   *http.ServeMux
}

// New returns the REST API over a control plane.
func New(o Options) *Server {
	s := &Server{plane: o.Plane, log: o.Log, now: o.Now, mux: http.NewServeMux()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	for _, f := range s.faces() {
		s.mount(f)
	}
	s.mux.Handle("/api/am/", web.Handler(movedAPI, writeWSO2, s.log))
	s.mux.Handle("/client-registration/", web.Handler(movedAPI, writeWSO2, s.log))
	s.mux.Handle("/", web.Handler(notThere, writeProblem, s.log))
	return s
}

// Handler serves the paths below /api/am, /client-registration and /api/sluice.
func (s *Server) Handler() http.Handler {
	return web.Wrap(http.HandlerFunc(s.serve), s.log, s.now)
}

// faces lists everything that is served. Below WSO2's paths only callers with a
// good token learn what Sluice lacks; elsewhere it is no secret.
func (s *Server) faces() []face {
	wso2 := face{
		scopePrefix: "apim:", scopeMissing: sluice.Unauthenticated, write: writeWSO2,
		unserved: route{scopes: anyone, handle: moved},
	}
	publisher, store, admin, registration := wso2, wso2, wso2, wso2
	publisher.base, publisher.routes = publisherBase, s.publisher()
	store.base, store.routes = storeBase, s.store()
	admin.base, admin.routes = adminBase, s.admin()
	registration.base, registration.routes = registrationBase, s.registration()
	registration.unserved = route{scopes: self, handle: notThere}
	own := face{
		base: sluiceBase, routes: s.own(), scopePrefix: "sluice:", scopeMissing: sluice.Forbidden, write: writeProblem,
		unserved: route{scopes: self, handle: notThere},
	}
	return []face{publisher, store, admin, registration, own}
}

// publisher is the table of the API Publisher's operations.
func (s *Server) publisher() []route {
	const empty = "api_view api_manage api_import_export api_product_import_export policies_import_export"
	return []route{
		{"GET", "/apis", "api_view api_manage api_import_export api_list_view", s.listAPIs},
		{"POST", "/apis", "api_create api_manage", s.createAPI},
		{"GET", "/search", "api_view api_manage api_import_export api_product_import_export", searchIn(s.plane.Search)},
		{"POST", "/apis/validate", "api_create api_manage", s.validateAPI},
		{"POST", "/apis/copy-api", "api_create api_manage", s.copyAPI},
		{"POST", "/apis/import-openapi", "api_create api_manage", s.importOpenAPI},
		{"POST", "/apis/validate-openapi", "api_create api_manage", s.validateOpenAPI},
		{"POST", "/apis/change-lifecycle", "api_publish api_manage api_import_export", s.changeLifecycle},
		{"GET", "/apis/{apiId}", "api_view api_manage api_import_export api_product_import_export", s.getAPI},
		{"PUT", "/apis/{apiId}", "api_create api_manage api_publish", s.updateAPI},
		{"DELETE", "/apis/{apiId}", "api_delete api_manage api_import_export", s.deleteAPI},
		{"GET", "/apis/{apiId}/swagger", "api_view api_manage api_definition_view", s.getDefinition},
		{"PUT", "/apis/{apiId}/swagger", "api_create api_manage", s.putDefinition},
		{"GET", "/apis/{apiId}/lifecycle-state", "api_view api_publish api_create api_manage", s.getLifecycleState},
		{"GET", "/apis/{apiId}/lifecycle-history", "api_view api_publish api_manage", s.getLifecycleHistory},
		{"POST", "/apis/{apiId}/generate-key", "api_generate_key api_manage", s.generateTestKey},
		{"GET", "/apis/{apiId}/revisions", "api_view api_create api_manage api_publish api_import_export", s.listRevisions},
		{"POST", "/apis/{apiId}/revisions", "api_create api_manage api_publish api_import_export", s.createRevision},
		{"GET", "/apis/{apiId}/revisions/{revisionId}", "api_view api_create api_manage api_publish", s.getRevision},
		{"DELETE", "/apis/{apiId}/revisions/{revisionId}", "api_create api_manage api_publish api_import_export", s.deleteRevision},
		{"GET", "/apis/{apiId}/deployments", "api_view api_create api_manage api_publish", s.listDeployments},
		{"PUT", "/apis/{apiId}/deployments/{deploymentId}", "api_create api_manage api_publish", s.updateDeployment},
		{"POST", "/apis/{apiId}/restore-revision", "api_create api_manage api_publish", s.restoreRevision},
		{"POST", "/apis/{apiId}/deploy-revision", "api_create api_manage api_publish", s.deployRevision},
		{"POST", "/apis/{apiId}/undeploy-revision", "api_create api_manage api_publish api_import_export", s.undeployRevision},
		{"GET", "/apis/{apiId}/subscription-policies", "api_view api_manage", s.listAPITiers},
		{"GET", "/apis/{apiId}/documents", "api_view api_manage document_manage", listDocs(s.plane.Documents)},
		{"POST", "/apis/{apiId}/documents", "api_create api_manage document_create document_manage", s.createDoc},
		{"GET", "/apis/{apiId}/documents/{documentId}", "api_view api_manage document_manage", getDoc(s.plane.Document)},
		{"PUT", "/apis/{apiId}/documents/{documentId}", "api_create api_manage document_manage", s.updateDoc},
		{"DELETE", "/apis/{apiId}/documents/{documentId}", "api_create api_manage document_manage", s.deleteDoc},
		{"GET", "/apis/{apiId}/documents/{documentId}/content", "api_view api_manage document_manage", getContent(s.plane.Document)},
		{"POST", "/apis/{apiId}/documents/{documentId}/content", "api_create api_manage document_create document_manage", s.putContent},
		{"GET", "/apis/{apiId}/thumbnail", "api_view api_manage", getThumbnail(s.plane.Thumbnail)},
		{"PUT", "/apis/{apiId}/thumbnail", "api_create api_manage api_publish", s.putThumbnail},
		{"GET", "/api-categories", "api_view api_manage", s.listCategories},
		{"GET", "/subscriptions", "api_view subscription_view subscription_manage", s.listPublisherSubscriptions},
		{"POST", "/subscriptions/block-subscription", "subscription_block subscription_manage", s.blockSubscription},
		{"POST", "/subscriptions/unblock-subscription", "subscription_block subscription_manage", s.unblockSubscription},
		{"GET", "/throttling-policies/{policyLevel}", "api_view tier_view tier_manage", s.listPublisherTiers},
		{"GET", "/throttling-policies/{policyLevel}/{policyName}", "api_view tier_view tier_manage", s.getPublisherTier},
		{"GET", "/settings", "api_view publisher_settings", s.getPublisherSettings},
		{"GET", "/key-managers", "api_view api_create api_manage", s.listPublisherKeyManagers},
		{"GET", "/api-products", empty, emptyList},
		{"GET", "/api-products/{id}", empty, notThere},
		{"GET", "/mcp-servers", empty, emptyList},
		{"GET", "/mcp-servers/{id}", empty, notThere},
		{"GET", "/operation-policies", empty, emptyList},
		{"GET", "/operation-policies/{id}", empty, notThere},
		{"GET", "/endpoint-certificates", empty, noCertificates},
		{"GET", "/endpoint-certificates/{id}", empty, notThere},
	}
}

// store is the table of the API Store's operations.
func (s *Server) store() []route {
	return []route{
		{"GET", "/apis", open, s.listStoreAPIs},
		{"GET", "/apis/{apiId}", open, s.getStoreAPI},
		{"GET", "/apis/{apiId}/subscription-policies", open, s.listStoreAPITiers},
		{"GET", "/apis/{apiId}/documents", open, listDocs(s.plane.StoreDocuments)},
		{"GET", "/apis/{apiId}/documents/{documentId}", open, getDoc(s.plane.StoreDocument)},
		{"GET", "/apis/{apiId}/documents/{documentId}/content", open, getContent(s.plane.StoreDocument)},
		{"GET", "/apis/{apiId}/thumbnail", open, getThumbnail(s.plane.StoreThumbnail)},
		{"GET", "/apis/{apiId}/swagger", open, s.getStoreDefinition},
		{"GET", "/tags", open, s.listTags},
		{"GET", "/search", open, searchIn(s.plane.StoreSearch)},
		{"GET", "/settings", "store_settings", s.getStoreSettings},
		{"GET", "/key-managers", "subscribe", s.listPublisherKeyManagers},
		{"GET", "/apis/{apiId}/ratings", open, s.listRatings},
		{"GET", "/apis/{apiId}/user-rating", "subscribe", s.getUserRating},
		{"PUT", "/apis/{apiId}/user-rating", "subscribe", s.putUserRating},
		{"DELETE", "/apis/{apiId}/user-rating", "subscribe", s.deleteUserRating},
		{"GET", "/apis/{apiId}/comments", open, s.listComments},
		{"POST", "/apis/{apiId}/comments", "subscribe", s.createComment},
		{"GET", "/apis/{apiId}/comments/{commentId}", open, s.getComment},
		{"PATCH", "/apis/{apiId}/comments/{commentId}", "subscribe", s.changeComment},
		{"DELETE", "/apis/{apiId}/comments/{commentId}", "subscribe admin", s.deleteComment},
		{"GET", "/apis/{apiId}/comments/{commentId}/replies", open, s.listReplies},
		{"GET", "/api-categories", open, s.listCategories},
		{"GET", "/applications", "subscribe app_manage app_import_export", s.listApplications},
		{"POST", "/applications", "subscribe app_manage", s.createApplication},
		{"GET", "/applications/{applicationId}", "subscribe app_manage", s.getApplication},
		{"PUT", "/applications/{applicationId}", "subscribe app_manage", s.putApplication},
		{"DELETE", "/applications/{applicationId}", "subscribe app_manage app_import_export", s.deleteApplication},
		{"GET", "/applications/{applicationId}/keys", "subscribe app_manage", s.listKeys},
		{"GET", "/applications/{applicationId}/oauth-keys", "subscribe app_manage", s.listKeys},
		{"POST", "/applications/{applicationId}/generate-keys", "subscribe app_manage", s.generateKeys},
		{"POST", "/applications/{applicationId}/map-keys", "subscribe app_manage", s.mapKeys},
		{"GET", "/applications/{applicationId}/oauth-keys/{keyMappingId}", "subscribe app_manage", s.getKey},
		{"PUT", "/applications/{applicationId}/oauth-keys/{keyMappingId}", "subscribe app_manage", s.putKey},
		{"POST", "/applications/{applicationId}/oauth-keys/{keyMappingId}/regenerate-secret", "subscribe app_manage", s.regenerateSecret},
		{"POST", "/applications/{applicationId}/oauth-keys/{keyMappingId}/clean-up", "subscribe app_manage", s.cleanUpKey},
		{"POST", "/applications/{applicationId}/oauth-keys/{keyMappingId}/generate-token", "subscribe app_manage", s.generateToken},
		{"POST", "/applications/{applicationId}/api-keys/{keyType}/generate", "subscribe app_manage api_key", s.generateAPIKey},
		{"POST", "/applications/{applicationId}/api-keys/{keyType}/revoke", "subscribe app_manage api_key", s.revokeAPIKey},
		{"GET", "/subscriptions", "subscribe sub_manage", s.listSubscriptions},
		{"POST", "/subscriptions", "subscribe sub_manage", s.createSubscription},
		{"POST", "/subscriptions/multiple", "subscribe sub_manage", s.createSubscriptions},
		{"GET", "/subscriptions/{subscriptionId}", "subscribe sub_manage", s.getSubscription},
		{"PUT", "/subscriptions/{subscriptionId}", "subscribe sub_manage", s.putSubscription},
		{"DELETE", "/subscriptions/{subscriptionId}", "subscribe sub_manage", s.deleteSubscription},
		{"GET", "/throttling-policies/{policyLevel}", open, s.listTiers},
		{"GET", "/throttling-policies/{policyLevel}/{policyId}", open, s.getTier},
		{"GET", "/mcp-servers", open, emptyList},
		{"GET", "/mcp-servers/{id}", open, notThere},
	}
}

// admin is the table of the administrators' operations.
func (s *Server) admin() []route {
	routes := []route{
		{"GET", "/api-categories", "admin admin_operations", s.listCategoryUses},
		{"POST", "/api-categories", "admin admin_operations", s.createCategory},
		{"PUT", "/api-categories/{apiCategoryId}", "admin admin_operations", s.updateCategory},
		{"DELETE", "/api-categories/{apiCategoryId}", "admin admin_operations", s.deleteCategory},
		{"GET", "/environments", "admin environment_read", s.listEnvironments},
		{"POST", "/environments", "admin environment_manage", s.createEnvironment},
		{"PUT", "/environments/{environmentId}", "admin environment_manage", s.updateEnvironment},
		{"DELETE", "/environments/{environmentId}", "admin environment_manage", s.deleteEnvironment},
		{"GET", "/environments/{environmentId}/gateways", "admin environment_read", s.listEnvironmentGateways},
		{"GET", "/applications", "admin app_owner_change app_import_export", s.listAllApplications},
		{"DELETE", "/applications/{applicationId}", "admin app_import_export", s.deleteApplication},
		{"POST", "/applications/{applicationId}/change-owner", "admin app_owner_change", s.changeApplicationOwner},
		{"GET", "/throttling/policies/search", "admin tier_view", s.searchPolicies},
	}
	for _, level := range []string{"application", "subscription", "advanced"} {
		all := "/throttling/policies/" + level
		routes = append(routes,
			route{"GET", all, "admin tier_view", atLevel(level, s.listPolicies)},
			route{"POST", all, "admin tier_manage", atLevel(level, s.createPolicy)},
			route{"GET", all + "/{policyId}", "admin tier_view", atLevel(level, s.getPolicy)},
			route{"PUT", all + "/{policyId}", "admin tier_manage", atLevel(level, s.putPolicy)},
			route{"DELETE", all + "/{policyId}", "admin tier_manage", atLevel(level, s.deletePolicy)})
	}
	return routes
}

// registration is how management clients register themselves.
func (s *Server) registration() []route {
	return []route{
		{"POST", "/register", self, s.register},
	}
}

// own is the table of what no WSO2 API has.
func (s *Server) own() []route {
	return []route{
		{"GET", "/openapi.yaml", open, s.getOwnDefinition},
		{"GET", "/access-tokens", anyone, s.listAccessTokens},
		{"POST", "/access-tokens", anyone, s.createAccessToken},
		{"DELETE", "/access-tokens/{id}", anyone, s.deleteAccessToken},
		{"GET", "/apis/{apiId}/status", "status_view", s.getStatus},
		{"GET", "/traces/{traceId}", anyone, s.getTrace},
		{"GET", "/usage", "usage_view", s.getUsage},
		{"POST", "/plans", "status_view", s.createPlan},
		{"GET", "/publications", "status_view", s.listPublications},
		{"POST", "/publications", "publish", s.createPublication},
		{"GET", "/publications/{id}/events", "status_view", s.followPublication},
		{"POST", "/publications/{id}/cancel", "publish", s.cancelPublication},
		{"GET", "/apis/{apiId}/endpoints/{environmentId}", "api_manage", s.getEndpoints},
		{"PUT", "/apis/{apiId}/endpoints/{environmentId}", "api_manage", s.putEndpoints},
		{"DELETE", "/apis/{apiId}/endpoints/{environmentId}", "api_manage", s.deleteEndpoints},
		{"GET", "/publications/{id}", "status_view", s.getPublication},
		{"GET", "/environments/{environmentId}/status", "status_view", s.getEnvironmentStatus},
		{"GET", "/users", "user_manage", s.listUsers},
		{"POST", "/users", "user_manage", s.createUser},
		{"GET", "/users/{id}", "user_manage", s.getUser},
		{"PATCH", "/users/{id}", "user_manage", s.changeUser},
		{"DELETE", "/users/{id}", "user_manage", s.deleteUser},
		{"PUT", "/users/{id}/password", self, s.putPassword},
		{"GET", "/organizations", "organization_manage", s.listOrganizations},
		{"POST", "/organizations", "organization_manage", s.createOrganization},
		{"GET", "/organizations/{id}", "organization_manage", s.getOrganization},
		{"PATCH", "/organizations/{id}", "organization_manage", s.changeOrganization},
		{"DELETE", "/organizations/{id}", "organization_manage", s.deleteOrganization},
		{"GET", "/audit", "audit_view", s.listAudit},
		{"GET", "/audit/verification", "audit_view", s.verifyAudit},
		{"GET", "/audit/{sequence}", "audit_view", s.getAudit},
		{"POST", "/revocations", "revoke", s.createRevocation},
		{"GET", "/revocations/{id}", "status_view", s.getRevocation},
		{"GET", "/gateways", "gateway_view", s.listGateways},
		{"GET", "/gateways/{id}", "gateway_view", s.getGateway},
		{"GET", "/gateways/{id}/deployments", "gateway_view", s.listGatewayDeployments},
		{"GET", "/gateways/{id}/drift", "gateway_view", s.getGatewayDrift},
		{"PATCH", "/gateways/{id}", "gateway_manage", s.changeGateway},
		{"POST", "/gateways/{id}/resync", "gateway_manage", s.resyncGateway},
		{"DELETE", "/gateways/{id}", "gateway_manage", s.deleteGateway},
		{"GET", "/enrolment-tokens", "gateway_manage", s.listEnrolmentTokens},
		{"DELETE", "/enrolment-tokens/{id}", "gateway_manage", s.deleteEnrolmentToken},
		{"POST", "/enrolment-tokens", "gateway_manage", s.createEnrolmentToken},
		{"POST", "/enrolments", self, s.enrol},
	}
}
