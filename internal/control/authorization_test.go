package control

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
)

var allRoles = []sluice.Role{
	sluice.Administrator, sluice.Creator, sluice.Publisher, sluice.Subscriber, sluice.Devops, sluice.Observer, sluice.IntegrationDev, "Internal/unknown",
}

// method is one method of a Plane with what it needs of its actor.
type method struct {
	roles []sluice.Role // beside the administrator
	call  func(w *world, ctx context.Context, id string) error
}

// anyone may call a method that asks only that there is a user.
var anyone = allRoles

// methods are all that ask the Actor of their context. They are called with the
// id of nothing, so that they change nothing.
var methods = map[string]method{
	"API": {viewers, func(w *world, ctx context.Context, id string) error { _, _, err := w.plane.API(ctx, id); return err }},
	"APIs": {viewers, func(w *world, ctx context.Context, _ string) error {
		_, _, err := w.plane.APIs(ctx, APIFilter{})
		return err
	}},
	"CreateAPI": {creators, func(w *world, ctx context.Context, _ string) error {
		_, err := w.plane.CreateAPI(ctx, sluice.API{})
		return err
	}},
	"UpdateAPI": {makers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.UpdateAPI(ctx, id, 0, sluice.API{})
		return err
	}},
	"DeleteAPI":      {makers, func(w *world, ctx context.Context, id string) error { return w.plane.DeleteAPI(ctx, id, 0) }},
	"Revisions":      {viewers, func(w *world, ctx context.Context, id string) error { _, err := w.plane.Revisions(ctx, id); return err }},
	"Status":         {viewers, func(w *world, ctx context.Context, id string) error { _, err := w.plane.Status(ctx, id); return err }},
	"DeleteRevision": {makers, func(w *world, ctx context.Context, id string) error { return w.plane.DeleteRevision(ctx, id, id) }},
	"ImportOpenAPI": {creators, func(w *world, ctx context.Context, _ string) error {
		_, err := w.plane.ImportOpenAPI(ctx, nil, sluice.API{})
		return err
	}},
	"ReadOpenAPI": {creators, func(w *world, ctx context.Context, _ string) error {
		_, err := w.plane.ReadOpenAPI(ctx, nil)
		return err
	}},
	"FetchDefinition": {creators, func(w *world, ctx context.Context, _ string) error {
		_, err := w.plane.FetchDefinition(ctx, "")
		return err
	}},
	"PutDefinition": {creators, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.PutDefinition(ctx, id, nil, 0)
		return err
	}},
	"ChangeLifecycle": {publishers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.ChangeLifecycle(ctx, id, "Publish", 0)
		return err
	}},
	"CopyAPI": {creators, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.CopyAPI(ctx, id, "2", false)
		return err
	}},
	"Taken": {creators, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.Taken(ctx, id, "", "")
		return err
	}},
	"Search": {viewers, func(w *world, ctx context.Context, id string) error {
		_, _, err := w.plane.Search(ctx, APIFilter{})
		return err
	}},
	"RestoreRevision": {makers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.RestoreRevision(ctx, id, id)
		return err
	}},
	"ShowDeployment": {makers, func(w *world, ctx context.Context, id string) error {
		err := w.plane.ShowDeployment(ctx, id, production, "", true)
		return err
	}},
	"Documents": {viewers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.Documents(ctx, id)
		return err
	}},
	"Document": {viewers, func(w *world, ctx context.Context, id string) error {
		_, _, err := w.plane.Document(ctx, id, id)
		return err
	}},
	"AddDocument": {makers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.AddDocument(ctx, sluice.Document{APIID: id, Name: "D", Type: sluice.DocumentHowTo, Source: sluice.DocumentInline, Visibility: sluice.DocumentOfAPI}, "")
		return err
	}},
	"ChangeDocument": {makers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.ChangeDocument(ctx, sluice.Document{APIID: id, ID: id}, nil, 0)
		return err
	}},
	"PutDocumentContent": {makers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.PutDocumentContent(ctx, id, id, 0, "a", nil)
		return err
	}},
	"DeleteDocument": {makers, func(w *world, ctx context.Context, id string) error {
		err := w.plane.DeleteDocument(ctx, id, id, 0)
		return err
	}},
	"AddComment": {subscribers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.AddComment(ctx, sluice.Comment{APIID: id, Content: "Fine."})
		return err
	}},
	"ChangeComment": {subscribers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.ChangeComment(ctx, id, id, nil, nil, 0)
		return err
	}},
	"DeleteComment": {subscribers, func(w *world, ctx context.Context, id string) error {
		return w.plane.DeleteComment(ctx, id, id, 0)
	}},
	"UserRating": {subscribers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.UserRating(ctx, id)
		return err
	}},
	"Rate": {subscribers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.Rate(ctx, id, 5, 0)
		return err
	}},
	"Thumbnail": {viewers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.Thumbnail(ctx, id)
		return err
	}},
	"PutThumbnail": {makers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.PutThumbnail(ctx, id, 0, []byte("GIF89a and much more than that"))
		return err
	}},
	"CategoryUses": {nil, func(w *world, ctx context.Context, id string) error {
		_, _, err := w.plane.CategoryUses(ctx)
		return err
	}},
	"AddCategory": {nil, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.AddCategory(ctx, "", "")
		return err
	}},
	"ChangeCategory": {nil, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.ChangeCategory(ctx, id, "c", "")
		return err
	}},
	"DeleteCategory": {nil, func(w *world, ctx context.Context, id string) error {
		err := w.plane.DeleteCategory(ctx, id, 0)
		return err
	}},
	"PublisherSubscriptions": {viewers, func(w *world, ctx context.Context, id string) error {
		_, _, _, err := w.plane.PublisherSubscriptions(ctx, id, Page{})
		return err
	}},
	"BlockSubscription": {publishers, func(w *world, ctx context.Context, id string) error {
		err := w.plane.BlockSubscription(ctx, id, sluice.SubscriptionBlocked, 0)
		return err
	}},
	"UnblockSubscription": {publishers, func(w *world, ctx context.Context, id string) error {
		err := w.plane.UnblockSubscription(ctx, id, 0)
		return err
	}},
	"Lifecycle": {viewers, func(w *world, ctx context.Context, id string) error { _, err := w.plane.Lifecycle(ctx, id); return err }},
	"LifecycleHistory": {viewers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.LifecycleHistory(ctx, id)
		return err
	}},
	"CreateRevision": {makers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.CreateRevision(ctx, id, "")
		return err
	}},
	"Revision": {viewers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.Revision(ctx, id, id)
		return err
	}},
	"Publish": {makers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.Publish(ctx, PublicationRequest{Action: sluice.Deploy, APIID: id, RevisionID: id, Targets: targets(production)})
		return err
	}},
	"PlanPublication": {makers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.PlanPublication(ctx, PublicationRequest{Action: sluice.Deploy, APIID: id, RevisionID: id, Targets: targets(production)})
		return err
	}},
	"CancelPublication": {makers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.CancelPublication(ctx, id)
		return err
	}},
	"FollowPublication": {viewers, func(w *world, ctx context.Context, id string) error {
		return w.plane.FollowPublication(ctx, id, func(sluice.Publication) (bool, time.Duration) { return false, 0 })
	}},
	"Deploy": {makers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.Deploy(ctx, id, id, targets(production))
		return err
	}},
	"Undeploy": {makers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.Undeploy(ctx, id, id, 0, nil, true)
		return err
	}},
	"Publication": {viewers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.Publication(ctx, id, 0)
		return err
	}},
	"Usage": {slices.Concat(viewers, subscribers), func(w *world, ctx context.Context, _ string) error {
		_, err := w.plane.Usage(ctx, UsageQuery{From: w.o.Now(), To: w.o.Now()})
		return err
	}},
	"Trace":        {anyone, func(w *world, ctx context.Context, id string) error { _, err := w.plane.Trace(ctx, id); return err }},
	"Environments": {anyone, func(w *world, ctx context.Context, _ string) error { _, err := w.plane.Environments(ctx); return err }},
	"EnvironmentAPIs": {operators, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.EnvironmentAPIs(ctx, id)
		return err
	}},
	"CreateEnvironment": {nil, func(w *world, ctx context.Context, _ string) error {
		return w.plane.CreateEnvironment(ctx, &sluice.Environment{})
	}},
	"UpdateEnvironment": {nil, func(w *world, ctx context.Context, id string) error {
		return w.plane.UpdateEnvironment(ctx, &sluice.Environment{ID: id}, 0)
	}},
	"DeleteEnvironment": {nil, func(w *world, ctx context.Context, id string) error { return w.plane.DeleteEnvironment(ctx, id, 0) }},
	"Gateways":          {operators, func(w *world, ctx context.Context, _ string) error { _, err := w.plane.Gateways(ctx, ""); return err }},
	"Gateway":           {operators, func(w *world, ctx context.Context, id string) error { _, err := w.plane.Gateway(ctx, id); return err }},
	"RemoveGateway":     {nil, func(w *world, ctx context.Context, id string) error { return w.plane.RemoveGateway(ctx, id, 0) }},
	"RenameGateway": {nil, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.RenameGateway(ctx, id, "", 0)
		return err
	}},
	"ResyncGateway": {nil, func(w *world, ctx context.Context, id string) error { return w.plane.ResyncGateway(ctx, id) }},
	"GatewayDrift": {operators, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.GatewayDrift(ctx, id)
		return err
	}},
	"GatewayDeployments": {operators, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.GatewayDeployments(ctx, id)
		return err
	}},
	"EnrolmentTokens": {nil, func(w *world, ctx context.Context, _ string) error {
		_, err := w.plane.EnrolmentTokens(ctx)
		return err
	}},
	"DeleteEnrolmentToken": {nil, func(w *world, ctx context.Context, id string) error { return w.plane.DeleteEnrolmentToken(ctx, id) }},
	"EnvironmentStatus": {viewers, func(w *world, ctx context.Context, id string) error {
		_, _, err := w.plane.EnvironmentStatus(ctx, id, "", Page{})
		return err
	}},
	"Publications": {viewers, func(w *world, ctx context.Context, _ string) error {
		_, _, err := w.plane.Publications(ctx, PublicationFilter{})
		return err
	}},
	"Roles": {creators, func(w *world, ctx context.Context, _ string) error { _, err := w.plane.Roles(ctx); return err }},
	"Users": {nil, func(w *world, ctx context.Context, _ string) error {
		_, _, err := w.plane.Users(ctx, "", "", Page{})
		return err
	}},
	"User": {nil, func(w *world, ctx context.Context, id string) error { _, err := w.plane.User(ctx, id); return err }},
	"CreateUser": {nil, func(w *world, ctx context.Context, _ string) error {
		return w.plane.CreateUser(ctx, &sluice.User{}, "")
	}},
	"ChangeUser": {nil, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.ChangeUser(ctx, id, UserChange{}, 0)
		return err
	}},
	"DeleteUser":  {nil, func(w *world, ctx context.Context, id string) error { return w.plane.DeleteUser(ctx, id, 0) }},
	"SetPassword": {nil, func(w *world, ctx context.Context, id string) error { return w.plane.SetPassword(ctx, id, password) }},
	"ChangePassword": {anyone, func(w *world, ctx context.Context, _ string) error {
		return w.plane.ChangePassword(ctx, "old", password)
	}},
	"Organizations": {nil, func(w *world, ctx context.Context, _ string) error { _, err := w.plane.Organizations(ctx); return err }},
	"Organization": {nil, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.Organization(ctx, id)
		return err
	}},
	"CreateOrganization": {nil, func(w *world, ctx context.Context, _ string) error {
		_, err := w.plane.CreateOrganization(ctx, "", "")
		return err
	}},
	"RenameOrganization": {nil, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.RenameOrganization(ctx, id, "x", 0)
		return err
	}},
	"DeleteOrganization": {nil, func(w *world, ctx context.Context, id string) error { return w.plane.DeleteOrganization(ctx, id, 0) }},
	"AuditEntries": {nil, func(w *world, ctx context.Context, _ string) error {
		_, err := w.plane.AuditEntries(ctx, AuditFilter{})
		return err
	}},
	"ExportAudit": {nil, func(w *world, ctx context.Context, _ string) error {
		return w.plane.ExportAudit(ctx, AuditFilter{}, func([]sluice.AuditEntry) error { return nil })
	}},
	"AuditEntry": {nil, func(w *world, ctx context.Context, _ string) error {
		_, err := w.plane.AuditEntry(ctx, 9999)
		return err
	}},
	"VerifyAudit": {nil, func(w *world, ctx context.Context, _ string) error {
		_, err := w.plane.VerifyAudit(ctx, 0, 0)
		return err
	}},
	"UserAccessTokens": {nil, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.UserAccessTokens(ctx, id)
		return err
	}},
	"EndAccessToken": {nil, func(w *world, ctx context.Context, id string) error { return w.plane.EndAccessToken(ctx, id) }},
	"BeginRequest": {anyone, func(w *world, ctx context.Context, _ string) error {
		actor := sluice.ActorFrom(ctx)
		actor.UserID = ""
		_, _, err := w.plane.BeginRequest(sluice.WithActor(ctx, actor), "k", "d")
		return err
	}},
	"EndRequest": {anyone, func(w *world, ctx context.Context, _ string) error { return w.plane.EndRequest(ctx, "k", 0, nil) }},
	"CreateEnrolmentToken": {nil, func(w *world, ctx context.Context, id string) error {
		_, _, _, err := w.plane.CreateEnrolmentToken(ctx, id, "", 0)
		return err
	}},
	"CreateApplication": {subscribers, func(w *world, ctx context.Context, _ string) error {
		return w.plane.CreateApplication(ctx, &sluice.Application{})
	}},
	"Application": {subscribers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.Application(ctx, id)
		return err
	}},
	"Applications": {subscribers, func(w *world, ctx context.Context, _ string) error {
		_, _, err := w.plane.Applications(ctx, ApplicationFilter{})
		return err
	}},
	"OrganizationApplications": {subscribers, func(w *world, ctx context.Context, _ string) error {
		_, _, err := w.plane.OrganizationApplications(ctx, ApplicationFilter{})
		return err
	}},
	"PutApplication": {subscribers, func(w *world, ctx context.Context, id string) error {
		return w.plane.PutApplication(ctx, &sluice.Application{ID: id, Name: "stolen", Tier: sluice.Unlimited}, 0)
	}},
	"DeleteApplication": {subscribers, func(w *world, ctx context.Context, id string) error {
		return w.plane.DeleteApplication(ctx, id, 0)
	}},
	"ChangeApplicationOwner": {nil, func(w *world, ctx context.Context, id string) error {
		return w.plane.ChangeApplicationOwner(ctx, id, "user")
	}},
	"ChangeTier": {subscribers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.ChangeTier(ctx, id, sluice.Unlimited, 0)
		return err
	}},
	"TierSettings": {makers, func(w *world, ctx context.Context, _ string) error {
		_, err := w.plane.TierSettings(ctx, "")
		return err
	}},
	"TierSetting": {makers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.TierSetting(ctx, sluice.SubscriptionTier, id)
		return err
	}},
	"CreateTier": {nil, func(w *world, ctx context.Context, _ string) error { return w.plane.CreateTier(ctx, &sluice.Tier{}) }},
	"PutTier": {nil, func(w *world, ctx context.Context, id string) error {
		return w.plane.PutTier(ctx, &sluice.Tier{ID: id, Level: sluice.SubscriptionTier, BillingPlan: "FREE"}, 0)
	}},
	"DeleteTier": {nil, func(w *world, ctx context.Context, id string) error {
		return w.plane.DeleteTier(ctx, sluice.SubscriptionTier, id, 0)
	}},
	"Subscribe": {subscribers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.Subscribe(ctx, id, id, "Gold")
		return err
	}},
	"Subscriptions": {subscribers, func(w *world, ctx context.Context, id string) error {
		_, _, err := w.plane.Subscriptions(ctx, id, "", Page{})
		return err
	}},
	"Subscription": {subscribers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.Subscription(ctx, id)
		return err
	}},
	"Unsubscribe": {subscribers, func(w *world, ctx context.Context, id string) error { return w.plane.Unsubscribe(ctx, id) }},
	"GenerateKey": {subscribers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.GenerateKey(ctx, id, KeyRequest{Type: sluice.ProductionKey, Grants: []string{sluice.GrantClientCredentials}})
		return err
	}},
	"CreateAPIKey": {subscribers, func(w *world, ctx context.Context, id string) error {
		_, _, err := w.plane.CreateAPIKey(ctx, id, APIKeyRequest{Type: sluice.ProductionKey})
		return err
	}},
	"APIKeys": {subscribers, func(w *world, ctx context.Context, id string) error { _, err := w.plane.APIKeys(ctx, id); return err }},
	"RevokeAPIKey": {subscribers, func(w *world, ctx context.Context, id string) error {
		return w.plane.RevokeAPIKey(ctx, id, sluice.ProductionKey, id, "")
	}},
	"CreateTestKey": {makers, func(w *world, ctx context.Context, id string) error {
		_, _, err := w.plane.CreateTestKey(ctx, id)
		return err
	}},
	"EndpointOverride": {viewers, func(w *world, ctx context.Context, id string) error {
		_, _, err := w.plane.EndpointOverride(ctx, id, id)
		return err
	}},
	"PutEndpointOverride": {makers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.PutEndpointOverride(ctx, id, sluice.EndpointOverride{}, 0)
		return err
	}},
	"Keys": {subscribers, func(w *world, ctx context.Context, id string) error { _, err := w.plane.Keys(ctx, id); return err }},
	"CreateAccessToken": {anyone, func(w *world, ctx context.Context, _ string) error {
		_, _, err := w.plane.CreateAccessToken(ctx, "", nil, 0)
		return err
	}},
	"AccessTokens":      {anyone, func(w *world, ctx context.Context, _ string) error { _, err := w.plane.AccessTokens(ctx); return err }},
	"DeleteAccessToken": {anyone, func(w *world, ctx context.Context, id string) error { return w.plane.DeleteAccessToken(ctx, id) }},
	"Key":               {subscribers, func(w *world, ctx context.Context, id string) error { _, err := w.plane.Key(ctx, id, id); return err }},
	"UpdateKey": {subscribers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.UpdateKey(ctx, id, id, KeyRequest{}, 0)
		return err
	}},
	"RegenerateSecret": {subscribers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.RegenerateSecret(ctx, id, id)
		return err
	}},
	"AddSecret": {subscribers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.AddSecret(ctx, id, id)
		return err
	}},
	"DeleteSecret": {subscribers, func(w *world, ctx context.Context, id string) error { return w.plane.DeleteSecret(ctx, id, id, id) }},
	"DeleteKey":    {subscribers, func(w *world, ctx context.Context, id string) error { return w.plane.DeleteKey(ctx, id, id) }},
	"MapKey":       {subscribers, func(w *world, ctx context.Context, id string) error { return w.plane.MapKey(ctx, id, id) }},
	"GenerateToken": {subscribers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.GenerateToken(ctx, id, id, TokenRequest{})
		return err
	}},
	"Revoke": {nil, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.Revoke(ctx, RevocationRequest{Kind: revokeApplication, ID: id})
		return err
	}},
	"Revocation": {viewers, func(w *world, ctx context.Context, id string) error {
		_, err := w.plane.Revocation(ctx, id, 0)
		return err
	}},
	"RegisterClient": {anyone, func(w *world, ctx context.Context, _ string) error {
		_, _, err := w.plane.RegisterClient(ctx, "", "", nil)
		return err
	}},
}

// unasked are the methods that ask no Actor, each with its reason.
var unasked = map[string]string{
	"Login": "it finds out who calls", "Authenticate": "it finds out who calls", "Enrol": "the join token says that it may",
	"StoreDocuments": "the Store is open", "StoreDocument": "the Store is open", "StoreThumbnail": "the Store is open",
	"Tags": "the Store is open", "StoreSearch": "the Store is open", "StoreDefinition": "the Store is open",
	"Comments": "the Store is open", "Comment": "the Store is open", "Ratings": "the Store is open",
	"AverageRatings": "only of what the caller was shown", "Categories": "the Store is open", "WithThumbnail": "only of what the caller was shown", "ManagementURL": "public",
	"StoreAPI": "the Store is open", "StoreAPIs": "the Store is open", "Tiers": "the Store is open",
	"Tier": "the Store is open", "SubscriptionTiers": "the Store is open", "StoreOrganization": "the Store is open",
	"EnsureAdministrator": "the first start", "HasAdministrator": "the first start",
	"ResetAdministrator": "the command line on the home", "BeginEpoch": "the command line on the home", "CreateAccessTokenFor": "the command line on the home",
	"VerifyAuditOffline": "the command line on the home", "Refused": "it counts who was not known",
	"OwnJoinToken": "the own process", "Run": "the process", "Reconfigure": "the process", "BusHandler": "gateways sign a nonce",
	"Display": "public", "ServerCertificate": "public", "Unenrolled": "public", "CAFingerprint": "public", "CACertificates": "public",
}

func TestEveryMethodAsksItsActor(t *testing.T) {
	plane := reflect.TypeFor[*Plane]()
	for method := range plane.Methods() {
		name := method.Name
		_, asks := methods[name]
		if _, exempt := unasked[name]; asks == exempt {
			t.Errorf("method %s must be in one of the two tables, methods or unasked", name)
		}
	}
	w := newWorld(t)
	before := w.counts()
	for name, m := range methods {
		if err := m.call(w, w.t.Context(), "nope"); sluice.KindOf(err) != sluice.Unauthenticated {
			t.Errorf("%s of nobody: %v, want unauthenticated", name, err)
		}
		for _, role := range allRoles {
			err := m.call(w, w.as("user", role), "nope")
			refused := err != nil && sluice.KindOf(err) == sluice.Forbidden
			if allowed := role == sluice.Administrator || slices.Contains(m.roles, role); refused == allowed {
				t.Errorf("%s of %s: %v, want it allowed: %t", name, role, err, allowed)
			}
			if err != nil && sluice.KindOf(err) == sluice.Internal {
				t.Errorf("%s of %s: %v", name, role, err)
			}
		}
	}
	if after := w.counts(); after != before {
		t.Errorf("calls with the id of nothing left publications, audit entries, events %v, before %v", after, before)
	}
}

// What belongs to one organization is not there for another, whatever the role;
// what belongs to the installation is not for other organizations.
func TestOtherOrganizationsSeeNothing(t *testing.T) {
	w := newWorld(t)
	a := w.published("Weather")
	r := w.revision(a.ID)
	p := w.deploy(a.ID, r.ID, production)
	app := w.application("sam", "App")
	s, err := w.plane.Subscribe(w.as("sam", sluice.Subscriber), app.ID, a.ID, "Gold")
	if err != nil {
		t.Fatal(err)
	}
	gateway := w.gateway(production, "g")
	gold, err := w.plane.Tier(w.admin(), sluice.SubscriptionTier, "Gold")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{
		"API": a.ID, "UpdateAPI": a.ID, "DeleteAPI": a.ID, "Revisions": a.ID, "Status": a.ID, "ChangeLifecycle": a.ID, "CopyAPI": a.ID, "RestoreRevision": a.ID, "ShowDeployment": a.ID, "Documents": a.ID, "Document": a.ID,
		"AddComment": a.ID, "ChangeComment": a.ID, "DeleteComment": a.ID, "UserRating": a.ID, "Rate": a.ID,
		"AddDocument": a.ID, "ChangeDocument": a.ID, "PutDocumentContent": a.ID, "DeleteDocument": a.ID, "Thumbnail": a.ID, "PutThumbnail": a.ID,
		"PublisherSubscriptions": a.ID, "BlockSubscription": s.ID, "UnblockSubscription": s.ID, "Lifecycle": a.ID, "LifecycleHistory": a.ID, "CreateRevision": a.ID, "PutDefinition": a.ID,
		"Deploy": a.ID, "Undeploy": a.ID, "Publication": p.ID, "Application": app.ID, "Subscriptions": app.ID,
		"Subscription": s.ID, "Unsubscribe": s.ID, "GenerateKey": app.ID, "Keys": app.ID, "Subscribe": app.ID,
		"Key": app.ID, "UpdateKey": app.ID, "RegenerateSecret": app.ID, "AddSecret": app.ID, "DeleteSecret": app.ID, "DeleteKey": app.ID,
		"MapKey": app.ID, "GenerateToken": app.ID, "Revoke": app.ID,
		"PutApplication": app.ID, "DeleteApplication": app.ID, "ChangeApplicationOwner": app.ID, "ChangeTier": s.ID,
		"TierSetting": gold.ID, "PutTier": gold.ID, "DeleteTier": gold.ID,
	}
	before := w.counts()
	stranger := w.of("acme", "root", sluice.Administrator)
	for name, id := range ids {
		if err := methods[name].call(w, stranger, id); !sluice.IsNotFound(err) {
			t.Errorf("%s of another organization's administrator: %v, want not found", name, err)
		}
	}
	for name, err := range map[string]error{
		"the id of a revision":   methods["API"].call(w, stranger, r.ID),
		"a revision":             func() error { _, err := w.plane.Revision(stranger, a.ID, r.ID); return err }(),
		"deleting a revision":    w.plane.DeleteRevision(stranger, a.ID, r.ID),
		"the API in the Store":   func() error { _, err := w.plane.StoreAPI(stranger, a.ID); return err }(),
		"subscribing to the API": func() error { _, err := w.plane.Subscribe(stranger, app.ID, a.ID, "Gold"); return err }(),
	} {
		if !sluice.IsNotFound(err) {
			t.Errorf("%s for another organization's administrator: %v, want not found", name, err)
		}
	}
	for name, id := range map[string]string{
		"Gateways": "", "Gateway": gateway, "RemoveGateway": gateway, "EnvironmentAPIs": w.environment(production).ID,
		"CreateEnvironment": "", "UpdateEnvironment": w.environment(production).ID, "DeleteEnvironment": w.environment(production).ID, "CreateEnrolmentToken": w.environment(production).ID,
	} {
		if err := methods[name].call(w, stranger, id); err == nil || sluice.KindOf(err) != sluice.Forbidden {
			t.Errorf("%s of another organization's administrator: %v, want forbidden", name, err)
		}
	}
	apis, _, err := w.plane.APIs(stranger, APIFilter{Organization: sluice.DefaultOrganization})
	listed, _, storeErr := w.plane.StoreAPIs(stranger, APIFilter{})
	if len(apis)+len(listed) != 0 || errors.Join(err, storeErr) != nil {
		t.Errorf("another organization sees %v and in the Store %v, %v %v", apis, listed, err, storeErr)
	}
	if after := w.counts(); after != before {
		t.Errorf("publications, audit entries, events %v, before %v", after, before)
	}
}

func TestOtherUsersApplicationsAreNotThere(t *testing.T) {
	w := newWorld(t)
	a := w.published("Weather")
	app := w.application("sam", "App")
	s, err := w.plane.Subscribe(w.as("sam", sluice.Subscriber), app.ID, a.ID, "Gold")
	if err != nil {
		t.Fatal(err)
	}
	other := w.as("tess", sluice.Subscriber, sluice.Devops)
	for name, id := range map[string]string{
		"Application": app.ID, "Subscriptions": app.ID, "Subscription": s.ID, "Unsubscribe": s.ID, "GenerateKey": app.ID, "Keys": app.ID, "Subscribe": app.ID,
		"Key": app.ID, "UpdateKey": app.ID, "RegenerateSecret": app.ID, "DeleteSecret": app.ID, "DeleteKey": app.ID, "MapKey": app.ID, "GenerateToken": app.ID,
		"PutApplication": app.ID, "DeleteApplication": app.ID, "ChangeTier": s.ID,
	} {
		if err := methods[name].call(w, other, id); !sluice.IsNotFound(err) {
			t.Errorf("%s of another user: %v, want not found", name, err)
		}
	}
	if list, total, err := w.plane.Subscriptions(other, "", a.ID, Page{}); len(list) != 0 || total != 0 || err != nil {
		t.Errorf("subscriptions to the API for another user: %v, %d, %v", list, total, err)
	}
	if list, total, err := w.plane.Applications(other, ApplicationFilter{}); len(list) != 0 || total != 0 || err != nil {
		t.Errorf("applications of another user: %v, %d, %v", list, total, err)
	}
	for _, owner := range []string{"", "sam"} {
		if list, total, err := w.plane.OrganizationApplications(other, ApplicationFilter{Owner: owner}); len(list) != 0 || total != 0 || err != nil {
			t.Errorf("the organization's applications of owner %q for another user: %v, %d, %v", owner, list, total, err)
		}
	}
	if list, total, err := w.plane.OrganizationApplications(w.admin(), ApplicationFilter{Owner: "sam"}); len(list) != 1 || total != 1 || err != nil {
		t.Errorf("the organization's applications for an administrator: %v, %d, %v", list, total, err)
	}
	if _, err := w.plane.Application(w.admin(), app.ID); err != nil {
		t.Errorf("an administrator: %v", err)
	}
	if list, total, err := w.plane.Subscriptions(w.admin(), "", a.ID, Page{}); len(list) != 1 || total != 1 || err != nil {
		t.Errorf("subscriptions to the API for an administrator: %v, %d, %v", list, total, err)
	}
}

// Who may not publish may not change what is published.
func TestCreatorLeavesPublishedAPIsAlone(t *testing.T) {
	w := newWorld(t)
	carla := w.as("carla", sluice.Creator)
	a := w.api("Weather", "production", "sandbox")
	r := w.revision(a.ID)
	if _, err := w.plane.Deploy(carla, a.ID, r.ID, targets(production)); err != nil {
		t.Errorf("a creator tries out an API that is not published: %v", err)
	}
	w.move(a.ID, "Publish")
	second, err := w.plane.CreateRevision(carla, a.ID, "")
	if err != nil {
		t.Errorf("a creator's revision of a published API: %v", err)
	}
	_, err = w.plane.Deploy(carla, a.ID, second.ID, targets(production))
	wantCode(t, "a creator deploys a published API", err, sluice.Forbidden, "api.state_forbids")
	_, err = w.plane.Undeploy(carla, a.ID, r.ID, 0, nil, true)
	wantCode(t, "a creator undeploys a published API", err, sluice.Forbidden, "api.state_forbids")
	if _, err := w.plane.Deploy(w.as("paul", sluice.Publisher), a.ID, second.ID, targets(production)); err != nil {
		t.Errorf("a publisher deploys a published API: %v", err)
	}
}
