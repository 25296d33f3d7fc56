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
		Subscriptions: subscriptions, Attributes: map[string]string{}, Owner: a.Owner, HashEnabled: true, Visibility: "PRIVATE",
	}
}

// listApplications answers with a page of the caller's applications by name;
// the parameter query is the exact name of one.
func (s *Server) listApplications(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	if by, order := q.Get("sortBy"), q.Get("sortOrder"); by != "" && by != "name" || order != "" && order != "asc" {
		return sluice.Errorf(sluice.Invalid, "search.sort", "Applications are sorted by name, asc.").At("sortBy")
	}
	name := q.Get("query")
	asked := page
	if name != "" { // names are found by their parts: the exact one is picked here
		asked = control.Page{Limit: maxLimit}
	}
	found, total, err := s.plane.Applications(r.Context(), name, asked)
	if err != nil {
		return err
	}
	if name != "" {
		var exact []sluice.Application
		for _, a := range found {
			if a.Name == name {
				exact = append(exact, a)
			}
		}
		found, total = cut(exact, page), len(exact)
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

func (s *Server) createApplication(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Name        string   `json:"name"`
		Tier        string   `json:"throttlingPolicy"`
		Description string   `json:"description"`
		TokenType   string   `json:"tokenType"`
		Groups      []string `json:"groups"`
	}
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return err
	}
	if len(q.Groups) > 0 {
		return sluice.Errorf(sluice.Invalid, "application.groups", "Applications cannot be shared with groups.").At("groups")
	}
	a := sluice.Application{Name: q.Name, Tier: q.Tier, Description: q.Description, TokenType: q.TokenType}
	if err := s.plane.CreateApplication(r.Context(), &a); err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(a.RowVersion))
	return created(w, r, "/applications/"+a.ID, applicationDocument{
		applicationInfo: applicationInfoOf(&a, 0), TokenType: a.TokenType, Keys: []keyDocument{}, Scopes: []scopeInfo{},
	})
}

// getApplication carries no entity tag: keys and subscriptions, which have
// versions of their own, are in the answer.
func (s *Server) getApplication(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("applicationId")
	a, err := s.plane.Application(r.Context(), id)
	if err != nil {
		return err
	}
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
