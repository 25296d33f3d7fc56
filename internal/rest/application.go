package rest

import (
	"net/http"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/web"
)

// applicationInfo is an application in lists and beside subscriptions.
type applicationInfo struct {
	ID            string            `json:"applicationId"`
	Name          string            `json:"name"`
	Tier          string            `json:"throttlingPolicy"`
	Description   string            `json:"description"`
	Status        string            `json:"status"`
	Groups        []string          `json:"groups"`
	Subscriptions int               `json:"subscriptionCount"`
	Attributes    map[string]string `json:"attributes"`
	Owner         string            `json:"owner"`
	HashEnabled   bool              `json:"hashEnabled"`
	Visibility    string            `json:"visibility"`
}

// applicationDocument is one application, with its keys and the scopes of the
// APIs it subscribes to.
type applicationDocument struct {
	applicationInfo
	TokenType string        `json:"tokenType"`
	Keys      []keyDocument `json:"keys"`
	Scopes    []scopeInfo   `json:"subscriptionScopes"`
}

func applicationInfoOf(a *sluice.Application, subscriptions int) applicationInfo {
	return applicationInfo{
		ID: a.ID, Name: a.Name, Tier: a.Tier, Description: a.Description, Status: "APPROVED", Groups: []string{},
		Subscriptions: subscriptions, Attributes: attributesOf(a.Attributes), Owner: a.Owner, HashEnabled: true, Visibility: "PRIVATE",
	}
}

// listApplications answers with a page of the caller's applications; the parameter
// query is the exact name of one.
func (s *Server) listApplications(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	f := control.ApplicationFilter{Name: q.Get("query"), Exact: true, Order: q.Get("sortOrder"), Offset: page.Offset, Limit: page.Limit}
	by := map[string]string{"": "", "name": "name", "throttlingPolicy": "tier", "status": "name"} // every one has the same status
	sort, known := by[q.Get("sortBy")]
	if !known || f.Order != "" && f.Order != "asc" && f.Order != "desc" {
		return sluice.Errorf(sluice.Invalid, "search.sort", "Sort by name, throttlingPolicy or status, asc or desc.").At("sortBy")
	}
	f.Sort = sort
	found, total, err := s.plane.Applications(r.Context(), f)
	if err != nil {
		return err
	}
	shown := make([]applicationInfo, len(found))
	for i := range found {
		_, n, err := s.plane.Subscriptions(r.Context(), found[i].ID, "", control.Page{Limit: 1})
		if err != nil {
			return err
		}
		shown[i] = applicationInfoOf(&found[i], n)
	}
	return answer(w, http.StatusOK, listOf(shown, paginate(r, page, total)))
}

// attributesOf returns attributes, empty instead of nil: clients expect an object.
func attributesOf(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// readApplication reads an application from a request's body.
func readApplication(r *http.Request) (sluice.Application, error) {
	var q struct {
		Name        string            `json:"name"`
		Tier        string            `json:"throttlingPolicy"`
		Description string            `json:"description"`
		TokenType   string            `json:"tokenType"`
		Groups      []string          `json:"groups"`
		Attributes  map[string]string `json:"attributes"`
	}
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return sluice.Application{}, err
	}
	if len(q.Groups) > 0 {
		return sluice.Application{}, sluice.Errorf(sluice.Invalid, "application.groups", "Applications cannot be shared with groups.").At("groups")
	}
	return sluice.Application{Name: q.Name, Tier: q.Tier, Description: q.Description, TokenType: q.TokenType, Attributes: q.Attributes}, nil
}

func (s *Server) createApplication(w http.ResponseWriter, r *http.Request) error {
	a, err := readApplication(r)
	if err != nil {
		return err
	}
	if err := s.plane.CreateApplication(r.Context(), &a); err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(a.RowVersion))
	return created(w, r, "/applications/"+a.ID, applicationDocument{
		applicationInfo: applicationInfoOf(&a, 0), TokenType: a.TokenType, Keys: []keyDocument{}, Scopes: []scopeInfo{},
	})
}

func (s *Server) putApplication(w http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	a, err := readApplication(r)
	if err != nil {
		return err
	}
	a.ID = r.PathValue("applicationId")
	if err := s.plane.PutApplication(r.Context(), &a, version); err != nil {
		return err
	}
	return s.getApplication(w, r)
}

func (s *Server) deleteApplication(_ http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	return s.plane.DeleteApplication(r.Context(), r.PathValue("applicationId"), version)
}

// adminApplication is an application as administrators list it.
type adminApplication struct {
	ID     string `json:"applicationId"`
	Name   string `json:"name"`
	Owner  string `json:"owner"`
	Status string `json:"status"`
	Group  string `json:"groupId"`
}

// listAllApplications answers with a page of the organization's applications, in
// a list whose links are beside it.
func (s *Server) listAllApplications(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	actor := sluice.ActorFrom(r.Context())
	if id, err := s.tenant(r, q.Get("tenantDomain"), actor); err != nil || id != actor.Organization {
		return sluice.Errorf(sluice.NotFound, "organization.unknown", "There is no such organization.").At("tenantDomain")
	}
	found, total, err := s.plane.OrganizationApplications(r.Context(), control.ApplicationFilter{
		Owner: userName(q.Get("user")), Name: q.Get("name"), Offset: page.Offset, Limit: page.Limit,
	})
	if err != nil {
		return err
	}
	shown := mapped(found, func(a sluice.Application) adminApplication {
		return adminApplication{ID: a.ID, Name: a.Name, Owner: a.Owner, Status: "APPROVED"}
	})
	links := paginate(r, page, total)
	return answer(w, http.StatusOK, struct {
		Count    int                `json:"count"`
		List     []adminApplication `json:"list"`
		Next     string             `json:"next"`
		Previous string             `json:"previous"`
	}{len(shown), shown, links.Next, links.Previous})
}

func (s *Server) changeApplicationOwner(_ http.ResponseWriter, r *http.Request) error {
	owner, err := required(r, "owner")
	if err != nil {
		return err
	}
	return s.plane.ChangeApplicationOwner(r.Context(), r.PathValue("applicationId"), userName(owner))
}

// getApplication carries the entity tag that If-Match takes, and is never answered
// with 304: keys and subscriptions, which have versions of their own, are in it.
func (s *Server) getApplication(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("applicationId")
	a, err := s.plane.Application(r.Context(), id)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(a.RowVersion))
	keys, err := s.plane.Keys(r.Context(), id)
	if err != nil {
		return err
	}
	subscriptions, total, err := s.plane.Subscriptions(r.Context(), id, "", control.Page{Limit: maxLimit})
	if err != nil {
		return err
	}
	scopes, err := s.subscribedScopes(r, subscriptions)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, applicationDocument{
		applicationInfo: applicationInfoOf(&a, total), TokenType: a.TokenType, Keys: mapped(keys, keyOf), Scopes: scopes,
	})
}

// subscribedScopes returns the scopes of the APIs behind subscriptions, each
// name once. An API that the Store hides now adds none.
func (s *Server) subscribedScopes(r *http.Request, subscriptions []sluice.Subscription) ([]scopeInfo, error) {
	scopes := []scopeInfo{}
	seen := map[string]bool{}
	for _, sub := range subscriptions {
		found, err := s.plane.StoreAPI(r.Context(), sub.APIID)
		if sluice.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, sc := range found.API.Scopes {
			if !seen[sc.Name] {
				seen[sc.Name] = true
				scopes = append(scopes, scopeInfoOf(sc))
			}
		}
	}
	return scopes, nil
}
