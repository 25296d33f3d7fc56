package artifact

import "github.com/sluice-api/sluice"

// Compile makes what the gateways of an environment serve of a revision. state
// is the API's lifecycle now, since blocking needs no new revision. Where the
// environment's type needs an endpoint that the revision lacks there is no
// artifact, and missing says which.
func Compile(r *sluice.Revision, e *sluice.Environment, vhost string, state sluice.Lifecycle) (a *API, missing string) {
	api := &r.API
	a = &API{
		ID: api.ID, Organization: api.Organization, Name: api.Name, Version: api.Version,
		Revision: r.Number, Environment: e.Type, Vhost: vhost,
		Context: prefix(api) + api.VersionedContext(), Transports: api.Transports,
		State: sluice.Published, Operations: api.Operations, CORS: api.CORS,
	}
	if state == sluice.Blocked || state == sluice.Prototyped { // all a gateway makes a difference of
		a.State = state
	}
	if api.Default && state != sluice.Created { // it takes over when it is published
		a.DefaultContext = prefix(api) + api.Context
	}
	if state == sluice.Prototyped { // goes to every environment, whatever endpoint it has
		a.Production, a.Sandbox = api.Production, api.Sandbox
		return a, ""
	}
	ok, missing := e.Type.Serves(len(api.Production) > 0, len(api.Sandbox) > 0)
	if !ok {
		return nil, missing
	}
	if e.Type != sluice.SandboxEnvironment {
		a.Production = api.Production
	}
	if e.Type != sluice.ProductionEnvironment {
		a.Sandbox = api.Sandbox
	}
	return a, ""
}

// prefix returns what stands before the contexts of an API's organization.
func prefix(a *sluice.API) string {
	if a.Organization == sluice.DefaultOrganization {
		return ""
	}
	return "/t/" + a.Organization
}
