package rest

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/web"
)

// finder returns a page of APIs and how many there are.
type finder func(context.Context, control.APIFilter) ([]sluice.API, int, error)

// storeInfo is an API in the Store's lists.
type storeInfo struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Context     string   `json:"context"`
	Version     string   `json:"version"`
	Type        string   `json:"type"`
	CreatedTime string   `json:"createdTime"`
	Provider    string   `json:"provider"`
	State       string   `json:"lifeCycleStatus"`
	Thumbnail   string   `json:"thumbnailUri"`
	Rating      string   `json:"avgRating"`
	Tiers       []string `json:"throttlingPolicies"`
	Business    business `json:"businessInformation"`
	Subscribe   bool     `json:"isSubscriptionAvailable"`
}

// storeDocument is an API in the Store. Endpoints and environments are those
// where the API is live now.
type storeDocument struct {
	ID                  string           `json:"id"`
	Name                string           `json:"name"`
	Description         string           `json:"description"`
	Context             string           `json:"context"`
	Version             string           `json:"version"`
	Provider            string           `json:"provider"`
	State               string           `json:"lifeCycleStatus"`
	Definition          string           `json:"apiDefinition"`
	IsDefault           bool             `json:"isDefaultVersion"`
	Type                string           `json:"type"`
	Transport           []string         `json:"transport"`
	Operations          []storeOperation `json:"operations"`
	AuthorizationHeader string           `json:"authorizationHeader"`
	SecurityScheme      []string         `json:"securityScheme"`
	Tags                []string         `json:"tags"`
	Tiers               []storeTier      `json:"tiers"`
	HasThumbnail        bool             `json:"hasThumbnail"`
	Properties          []property       `json:"additionalProperties"`
	Endpoints           []storeEndpoint  `json:"endpointURLs"`
	KeyTypes            []string         `json:"environmentList"` // PRODUCTION, SANDBOX: whose keys those environments take
	Business            business         `json:"businessInformation"`
	Scopes              []scopeInfo      `json:"scopes"`
	Rating              string           `json:"avgRating"`
	Subscribe           bool             `json:"isSubscriptionAvailable"`
	Categories          []string         `json:"categories"`
	KeyManagers         []string         `json:"keyManagers"`
	CreatedTime         string           `json:"createdTime"`
	UpdatedTime         string           `json:"lastUpdatedTime"`
	GatewayVendor       string           `json:"gatewayVendor"`
}

type storeOperation struct {
	Target string `json:"target"`
	Verb   string `json:"verb"`
}

type storeTier struct {
	Name string `json:"tierName"`
	Plan string `json:"tierPlan"`
}

type scopeInfo struct {
	Key         string   `json:"key"`
	Name        string   `json:"name"`
	Roles       []string `json:"roles"`
	Description string   `json:"description"`
}

// storeEndpoint is the addresses of an API in one environment.
type storeEndpoint struct {
	Name        string    `json:"environmentName"`
	DisplayName string    `json:"environmentDisplayName"`
	Type        string    `json:"environmentType"`
	URLs        storeURLs `json:"URLs"`
	Default     storeURLs `json:"defaultVersionURLs"`
}

type storeURLs struct {
	HTTP  string `json:"http,omitempty"`
	HTTPS string `json:"https,omitempty"`
}

func (s *Server) listStoreAPIs(w http.ResponseWriter, r *http.Request) error {
	var look impression
	find := func(ctx context.Context, f control.APIFilter) ([]sluice.API, int, error) {
		found, total, err := s.plane.StoreAPIs(ctx, f)
		if err != nil {
			return nil, 0, err
		}
		look, err = s.impressionOf(ctx, found...)
		return found, total, err
	}
	return listAPIsOf(w, r, find, func(a sluice.API) storeInfo { return storeInfoOf(&a, look) })
}

// impression is what the Store shows of APIs that is not part of them.
type impression struct {
	pictured []string           // ids of those that have a picture
	average  map[string]float64 // stars, by id
}

func (s *Server) impressionOf(ctx context.Context, apis ...sluice.API) (i impression, err error) {
	ids := mapped(apis, func(a sluice.API) string { return a.ID })
	if i.pictured, err = s.plane.WithThumbnail(ctx, ids); err == nil {
		i.average, err = s.plane.AverageRatings(ctx, ids)
	}
	return i, err
}

// picture returns where the picture of an API is, "" where it has none.
func (i *impression) picture(a *sluice.API) string {
	if slices.Contains(i.pictured, a.ID) {
		return "/apis/" + a.ID + "/thumbnail"
	}
	return ""
}

func storeInfoOf(a *sluice.API, look impression) storeInfo {
	return storeInfo{
		ID: a.ID, Name: a.Name, Description: a.Description, Context: storeContext(a), Version: a.Version, Type: "HTTP",
		CreatedTime: stamp(a.CreatedAt), Provider: a.Owner, State: string(a.State), Thumbnail: look.picture(a), Rating: average(look.average[a.ID]), Tiers: some(a.Tiers),
		Business: business(a.Business), Subscribe: a.State == sluice.Published,
	}
}

// storeContext returns the context as the Store's clients see it: with version.
func storeContext(a *sluice.API) string { return tenantPrefix(a.Organization) + a.VersionedContext() }

func (s *Server) getStoreAPI(w http.ResponseWriter, r *http.Request) error {
	found, err := s.plane.StoreAPI(r.Context(), r.PathValue("apiId"))
	if err != nil {
		return err
	}
	tiers, err := s.plane.Tiers(r.Context(), sluice.SubscriptionTier)
	if err != nil {
		return err
	}
	look, err := s.impressionOf(r.Context(), found.API)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, storeDocumentOf(&found, tiers, look))
}

func storeDocumentOf(found *control.StoreAPI, tiers []sluice.Tier, look impression) storeDocument {
	a := &found.API
	d := storeDocument{
		ID: a.ID, Name: a.Name, Description: a.Description, Context: storeContext(a), Version: a.Version, Provider: a.Owner,
		State: string(a.State), Definition: string(a.Definition), IsDefault: a.Default, Type: "HTTP", Transport: some(a.Transports),
		Operations: mapped(a.Operations, func(o sluice.Operation) storeOperation { return storeOperation{o.Target, o.Verb} }),
		Scopes:     mapped(a.Scopes, scopeInfoOf), AuthorizationHeader: cmp.Or(a.TokenHeader, "Authorization"), SecurityScheme: schemesOf(a),
		Tags: some(a.Tags), Tiers: []storeTier{}, Properties: []property{}, Endpoints: []storeEndpoint{}, KeyTypes: []string{},
		HasThumbnail: look.picture(a) != "", Business: business(a.Business), Rating: average(look.average[a.ID]), Subscribe: a.State == sluice.Published, Categories: some(a.Categories),
		KeyManagers: []string{"all"}, CreatedTime: stamp(a.CreatedAt), UpdatedTime: stamp(a.UpdatedAt), GatewayVendor: "wso2",
	}
	for _, name := range a.Tiers { // in the API's order
		if i := slices.IndexFunc(tiers, func(t sluice.Tier) bool { return t.Name == name }); i >= 0 {
			d.Tiers = append(d.Tiers, storeTier{name, tiers[i].BillingPlan})
		}
	}
	for _, p := range a.Properties {
		if p.Display {
			d.Properties = append(d.Properties, property(p))
		}
	}
	for _, e := range found.Environments {
		d.Endpoints = append(d.Endpoints, storeEndpointOf(e))
		for _, k := range []sluice.KeyType{sluice.ProductionKey, sluice.SandboxKey} {
			if e.Environment.Type.Takes(k) && !slices.Contains(d.KeyTypes, string(k)) {
				d.KeyTypes = append(d.KeyTypes, string(k))
			}
		}
	}
	return d
}

func storeEndpointOf(e control.EnvironmentStatus) storeEndpoint {
	out := storeEndpoint{Name: e.Environment.Name, DisplayName: e.Environment.Name, Type: string(e.Environment.Type)}
	for _, u := range e.URLs {
		urls := &out.URLs
		if u.Default {
			urls = &out.Default
		}
		if u.Scheme == "https" {
			urls.HTTPS = u.URL
		} else {
			urls.HTTP = u.URL
		}
	}
	return out
}

func scopeInfoOf(sc sluice.Scope) scopeInfo {
	name := sc.DisplayName
	if name == "" {
		name = sc.Name
	}
	return scopeInfo{Key: sc.Name, Name: name, Roles: some(sc.Roles), Description: sc.Description}
}

type tagDocument struct {
	Name  string `json:"value"`
	Count int    `json:"count"`
}

// listTags answers with the tags of the APIs that the caller can see.
func (s *Server) listTags(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	found, err := s.plane.Tags(r.Context())
	if err != nil {
		return err
	}
	of := func(t sluice.Tag) tagDocument { return tagDocument(t) }
	return answer(w, http.StatusOK, listOf(mapped(cut(found, page), of), paginate(r, page, len(found))))
}

// getStoreDefinition answers with the OpenAPI document for one environment.
func (s *Server) getStoreDefinition(w http.ResponseWriter, r *http.Request) error {
	document, err := s.plane.StoreDefinition(r.Context(), r.PathValue("apiId"), r.URL.Query().Get("environmentName"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", web.JSON)
	_, _ = w.Write(document) // a client that went away is not an error
	return nil
}
