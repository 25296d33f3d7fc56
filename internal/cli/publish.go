package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/client"
)

// The steps of the quickstart that use the management REST API. Each uses what
// an earlier run left, so that the quickstart can be started again on its
// folder.

// logIn registers a client and gets a management token, as apictl does.
func (p *platform) logIn(ctx context.Context) (string, error) {
	o := client.Options{
		BaseURL: fmt.Sprintf("https://localhost:%d", 9443+p.offset), UserAgent: "sluice-quickstart",
		TLS: &tls.Config{RootCAs: p.ca, MinVersion: tls.VersionTLS12},
	}
	c := client.New(o)
	registered, err := c.RegisterClient(ctx, "admin", "admin")
	if err != nil {
		return "", err
	}
	token, err := c.PasswordToken(ctx, registered.ID, registered.Secret, "admin", "admin", managementScopes)
	if err != nil {
		return "", err
	}
	p.rest = c.WithToken(token.Token)
	return "as admin", nil
}

// managementScopes are those the steps need.
var managementScopes = []string{
	"apim:api_view", "apim:api_create", "apim:api_publish", "apim:subscribe", "apim:app_manage", "apim:sub_manage", "sluice:gateway_view",
}

// importAPI imports the sample, with an endpoint for each side.
func (p *platform) importAPI(ctx context.Context) (string, error) {
	apis, _, err := p.rest.APIs(ctx, `name:"`+sampleAPI+`"`)
	if err != nil {
		return "", err
	}
	if len(apis) > 0 {
		p.apiID = apis[0].ID
		return "it is there from an earlier run", nil
	}
	endpoint := func(port int) map[string]any {
		return map[string]any{"url": fmt.Sprintf("http://127.0.0.1:%d", port+p.offset)}
	}
	a, err := p.rest.ImportOpenAPI(ctx, SampleDefinition, map[string]any{
		"name": sampleAPI, "context": sampleContext, "version": sampleVersion, "policies": []string{"Gold", sluice.Unlimited},
		"endpointConfig": map[string]any{
			"endpoint_type": "http", "production_endpoints": endpoint(productionBackend), "sandbox_endpoints": endpoint(sandboxBackend),
		},
	})
	if err != nil {
		return "", err
	}
	p.apiID = a.ID
	return a.Name + " " + a.Version + " at " + a.Context, nil
}

// publish publishes the sample and deploys it to both gateways.
func (p *platform) publish(ctx context.Context) (string, error) {
	a, err := p.rest.API(ctx, p.apiID)
	if err != nil {
		return "", err
	}
	if a.State == string(sluice.Created) {
		if _, err := p.rest.ChangeLifecycle(ctx, p.apiID, "Publish"); err != nil {
			return "", err
		}
	}
	revisions, err := p.rest.Revisions(ctx, p.apiID)
	if err != nil {
		return "", err
	}
	if len(revisions) == 0 {
		r, err := p.rest.CreateRevision(ctx, p.apiID, "quickstart")
		if err != nil {
			return "", err
		}
		revisions = append(revisions, r)
	}
	deployed, err := p.rest.Deploy(ctx, p.apiID, revisions[len(revisions)-1].ID, []client.Deployment{
		{Environment: productionGateway, Store: true}, {Environment: sandboxGateway, Store: true},
	})
	if err != nil {
		return "", err
	}
	for _, d := range deployed {
		if d.Live == 0 {
			return "", fmt.Errorf("it is not live on %s: %+v", d.Environment, d.Gateways)
		}
	}
	return "proved on their HTTP and HTTPS listeners", nil
}

// subscribe makes the application, its keys and its subscription.
func (p *platform) subscribe(ctx context.Context) (string, error) {
	apps, err := p.rest.Applications(ctx, sampleApplication)
	if err != nil {
		return "", err
	}
	if len(apps) == 0 {
		app, err := p.rest.CreateApplication(ctx, sampleApplication, sluice.Unlimited)
		if err != nil {
			return "", err
		}
		apps = append(apps, app)
	}
	p.appID = apps[0].ID
	subscriptions, err := p.rest.Subscriptions(ctx, p.appID)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(subscriptions, func(s client.Subscription) bool { return s.APIID == p.apiID }) {
		if _, err := p.rest.Subscribe(ctx, p.appID, p.apiID, sluice.Unlimited); err != nil {
			return "", err
		}
	}
	keys, err := p.rest.Keys(ctx, p.appID)
	if err != nil {
		return "", err
	}
	for t, to := range map[sluice.KeyType]*consumer{sluice.ProductionKey: &p.production, sluice.SandboxKey: &p.sandbox} {
		i := slices.IndexFunc(keys, func(k client.Keys) bool { return k.Type == t })
		if i < 0 {
			k, err := p.rest.GenerateKeys(ctx, p.appID, client.KeyRequest{
				Type: t, Grants: []string{sluice.GrantClientCredentials, sluice.GrantPassword},
			})
			if err != nil {
				return "", err
			}
			keys, i = append(keys, k), len(keys)
		}
		if keys[i].Secret == "" {
			return "", errors.New("the secret of the key is not shown; the home is not in the quickstart profile any more")
		}
		*to = consumer{keys[i].Key, keys[i].Secret.Reveal()}
	}
	return sampleApplication, nil
}
