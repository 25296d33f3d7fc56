package artifact

import "github.com/sluice-api/sluice"

// Compile makes what the gateways of an environment serve of a revision. now is
// the API's working copy, of which only the lifecycle state and the mark of the
// default version count: blocking needs no new revision, and another version
// that becomes the default one takes the mark away. Where the environment's type
// needs an endpoint that the revision lacks there is no artifact, and missing
// says which.
//
// The passwords of backends are not in it: package control adds them, which
// alone can unseal them.
func Compile(r *sluice.Revision, e *sluice.Environment, vhost string, now *sluice.API) (a *API, missing string) {
	api, state := &r.API, now.State
	a = &API{
		ID: api.ID, Organization: api.Organization, Name: api.Name, Version: api.Version,
		Revision: r.Number, Environment: e.Type, Vhost: vhost,
		Context: prefix(api) + api.VersionedContext(), Transports: api.Transports,
		State: sluice.Published, Operations: api.Operations, CORS: api.CORS,
		Schemes: api.Schemes, TokenHeader: api.TokenHeader, APIKeyHeader: api.APIKeyHeader,
		Tier: api.Tier, Throughput: api.Throughput,
	}
	if state == sluice.Blocked || state == sluice.Prototyped { // all a gateway makes a difference of
		a.State = state
	}
	if api.Default && now.Default && state != sluice.Created { // it takes over when it is published
		if c := api.DefaultContext(); c != "" {
			a.DefaultContext = prefix(api) + c
		}
	}
	production, sandbox := endpointsIn(api, e.ID)
	if state == sluice.Prototyped { // goes to every environment, whatever endpoint it has
		a.Production, a.Sandbox = production, sandbox
		return a, ""
	}
	ok, missing := e.Type.Serves(len(production) > 0, len(sandbox) > 0)
	if !ok {
		return nil, missing
	}
	if e.Type != sluice.SandboxEnvironment {
		a.Production = production
	}
	if e.Type != sluice.ProductionEnvironment {
		a.Sandbox = sandbox
	}
	return a, ""
}

// endpointsIn returns the endpoints that an environment uses: its own, or else
// those of the API.
func endpointsIn(a *sluice.API, environmentID string) (production, sandbox []sluice.Endpoint) {
	production, sandbox = a.Production, a.Sandbox
	for _, o := range a.Overrides {
		if o.EnvironmentID != environmentID {
			continue
		}
		if len(o.Production) > 0 {
			production = o.Production
		}
		if len(o.Sandbox) > 0 {
			sandbox = o.Sandbox
		}
	}
	return production, sandbox
}

// prefix returns what stands before the contexts of an API's organization.
func prefix(a *sluice.API) string {
	if a.Organization == sluice.DefaultOrganization {
		return ""
	}
	return "/t/" + a.Organization
}
