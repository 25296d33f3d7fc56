package control

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/openapi"
)

// StoreAPI is an API as the API Store shows it.
type StoreAPI struct {
	API          sluice.API
	Environments []EnvironmentStatus // shown in the Store and live on at least one gateway, in order
}

// storeStates are the states in which the API Store lists an API.
func (p *Plane) storeStates() []sluice.Lifecycle {
	states := []sluice.Lifecycle{sluice.Published, sluice.Prototyped}
	if p.settings.Load().Display.AllAPIs {
		states = append(states, sluice.Deprecated)
	}
	return states
}

// Display is what the configuration says of the pages and of what they show.
type Display struct {
	AllAPIs          bool // the Store lists deprecated APIs beside published ones
	MultipleVersions bool // the Store lists all versions of an API, not the newest alone
	HideComments     bool
	HideRatings      bool

	StoreURL, PublisherURL   string
	StorePage, PublisherPage int    // how many APIs a page shows
	RevokeURL                string // where tokens are revoked, as the Store says it
}

// Display returns what the configuration says of the pages.
func (p *Plane) Display() Display { return p.settings.Load().Display }

// visible reports whether the Store shows an API to the actor.
func visible(a *sluice.API, actor sluice.Actor) bool {
	listed := a.State == sluice.Published || a.State == sluice.Prototyped || a.State == sluice.Deprecated && actor.Known()
	switch a.Visibility {
	case sluice.Public:
		return listed
	case sluice.Restricted:
		return listed && actor.Known() && actor.Has(a.VisibleRoles...)
	}
	return listed && actor.Known()
}

// seen returns an API that the actor can see in the Store.
func seen(tx *database.Tx, actor sluice.Actor, id string) (sluice.API, error) {
	a, err := tx.API(actor.Organization, id)
	if err == nil && !visible(&a, actor) {
		return sluice.API{}, sluice.Errorf(sluice.NotFound, "api.unknown", "There is no such API.")
	}
	return a, err
}

// StoreAPI returns an API that the actor, who may be anonymous, can see in the
// Store, with the environments where it is live.
func (p *Plane) StoreAPI(ctx context.Context, id string) (s StoreAPI, err error) {
	actor := reader(ctx)
	err = p.db.View(ctx, func(tx *database.Tx) error {
		a, err := seen(tx, actor, id)
		if err != nil {
			return err
		}
		all, err := p.environmentStatus(tx, &a)
		if err != nil {
			return err
		}
		s.API = a
		for _, e := range all {
			if e.Deployment != nil && e.Deployment.Store && liveSomewhere(e.Gateways) {
				s.Environments = append(s.Environments, e)
			}
		}
		return nil
	})
	return s, err
}

// liveSomewhere reports whether a gateway has proved the API; one that has gone
// silent since still counts, and is flagged at the URL.
func liveSomewhere(gateways []GatewayStatus) bool {
	for _, g := range gateways {
		if g.State == sluice.Live || g.State == sluice.Stale {
			return true
		}
	}
	return false
}

// StoreAPIs returns a page of the APIs that the Store lists for the actor.
func (p *Plane) StoreAPIs(ctx context.Context, f APIFilter) (list []sluice.API, total int, err error) {
	actor := reader(ctx)
	f.Organization, f.States, f.Newest = actor.Organization, p.storeStates(), !p.settings.Load().Display.MultipleVersions
	f.Visibility, f.StoreRoles = "", accessRoles(actor)
	if !actor.Known() {
		f.Visibility = sluice.Public
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		list, total, err = tx.FindAPIs(f)
		return err
	})
	return list, total, err
}

// storeFilter narrows f to what the Store lists for the actor.
func (p *Plane) storeFilter(f *APIFilter, actor sluice.Actor) {
	f.Organization, f.States, f.Newest = actor.Organization, p.storeStates(), !p.o.Display.MultipleVersions
	f.Visibility, f.StoreRoles = "", accessRoles(actor)
	if !actor.Known() {
		f.Visibility = sluice.Public
	}
}

// Tags returns the tags of the APIs that the Store lists for the actor, who may
// be anonymous, by name and with how many of those APIs carry each.
func (p *Plane) Tags(ctx context.Context) (tags []sluice.Tag, err error) {
	f := APIFilter{}
	p.storeFilter(&f, reader(ctx))
	err = p.db.View(ctx, func(tx *database.Tx) error {
		tags, err = tx.Tags(f)
		return err
	})
	return tags, err
}

// StoreDefinition returns the OpenAPI document of an API that the Store shows the
// actor, who may be anonymous, whose servers are the live addresses of an
// environment, https first. environment "" is the first where the API is live; the
// document has no servers where that is none. NotFound "environment.not_live"
// where the API is not live in the environment or is not shown there.
func (p *Plane) StoreDefinition(ctx context.Context, apiID, environment string) ([]byte, error) {
	found, err := p.StoreAPI(ctx, apiID)
	if err != nil {
		return nil, err
	}
	if len(found.API.Definition) == 0 {
		if found.API.Definition, err = openapi.Apply(&found.API); err != nil {
			return nil, err
		}
	}
	for _, e := range found.Environments {
		if environment == "" || strings.EqualFold(e.Environment.Name, environment) {
			var urls []string
			for _, scheme := range []string{"https", "http"} {
				for _, u := range e.URLs {
					if u.Scheme == scheme && !u.Default {
						urls = append(urls, u.URL)
					}
				}
			}
			return withServers(found.API.Definition, urls)
		}
	}
	if environment != "" {
		return nil, sluice.Errorf(sluice.NotFound, "environment.not_live", "The API is not live in this environment.").At("environmentName")
	}
	return withServers(found.API.Definition, nil)
}

// withServers returns an OpenAPI document with the servers, and none else: those
// of paths and operations would stand above them.
func withServers(document []byte, urls []string) ([]byte, error) {
	root := map[string]json.RawMessage{}
	if err := json.Unmarshal(document, &root); err != nil {
		return nil, err
	}
	servers := make([]map[string]string, len(urls))
	for i, u := range urls {
		servers[i] = map[string]string{"url": u}
	}
	paths := map[string]map[string]json.RawMessage{}
	if len(root["paths"]) > 0 {
		if err := json.Unmarshal(root["paths"], &paths); err != nil {
			return nil, err
		}
	}
	for _, item := range paths {
		delete(item, "servers")
		for key, value := range item {
			operation := map[string]json.RawMessage{}
			if json.Unmarshal(value, &operation) != nil || operation["servers"] == nil {
				continue // parameters, a summary, or nothing to take away
			}
			delete(operation, "servers")
			b, err := json.Marshal(operation)
			if err != nil {
				return nil, err
			}
			item[key] = b
		}
	}
	for name, value := range map[string]any{"servers": servers, "paths": paths} {
		b, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		root[name] = b
	}
	return json.Marshal(root)
}
