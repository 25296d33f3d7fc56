package rest

import (
	"context"
	"net/http"
	"strconv"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/web"
)

// apiInfo is an API in the Publisher's lists.
type apiInfo struct {
	ID             string   `json:"id"`
	Name           string   `json:"name"`
	Description    string   `json:"description"`
	Context        string   `json:"context"`
	Version        string   `json:"version"`
	Provider       string   `json:"provider"`
	Type           string   `json:"type"`
	State          string   `json:"lifeCycleStatus"`
	WorkflowStatus string   `json:"workflowStatus"`
	HasThumbnail   bool     `json:"hasThumbnail"`
	SecurityScheme []string `json:"securityScheme"`
	CreatedTime    string   `json:"createdTime"`
	UpdatedTime    string   `json:"updatedTime"`
	GatewayVendor  string   `json:"gatewayVendor"`
	AdvertiseOnly  bool     `json:"advertiseOnly"`
}

func (s *Server) listAPIs(w http.ResponseWriter, r *http.Request) error {
	with := map[string]bool{}
	find := func(ctx context.Context, f control.APIFilter) ([]sluice.API, int, error) {
		found, total, err := s.plane.APIs(ctx, f)
		if err != nil {
			return nil, 0, err
		}
		pictures, err := s.plane.WithThumbnail(ctx, mapped(found, func(a sluice.API) string { return a.ID }))
		for _, id := range pictures {
			with[id] = true
		}
		return found, total, err
	}
	return listAPIsOf(w, r, find, func(a sluice.API) apiInfo {
		return apiInfo{
			HasThumbnail: with[a.ID],

			ID: a.ID, Name: a.Name, Description: a.Description, Context: contextOf(&a), Version: a.Version,
			Provider: a.Owner, Type: "HTTP", State: string(a.State), WorkflowStatus: "APPROVED",
			SecurityScheme: schemesOf(&a), CreatedTime: stamp(a.CreatedAt), UpdatedTime: stamp(a.UpdatedAt),
			GatewayVendor: "wso2",
		}
	})
}

// listAPIsOf answers with a page of the APIs that find returns.
func listAPIsOf[T any](w http.ResponseWriter, r *http.Request, find finder, show func(sluice.API) T) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	terms, nothing, err := searchOf(r)
	if err != nil {
		return err
	}
	f := control.APIFilter{Query: terms, Offset: page.Offset, Limit: page.Limit}
	if err := sortOf(r, &f); err != nil {
		return err
	}
	if nothing {
		return answer(w, http.StatusOK, listOf[T](nil, paginate(r, page, 0)))
	}
	found, total, err := find(r.Context(), f)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listOf(mapped(found, show), paginate(r, page, total)))
}

// getAPI answers with the working copy, or, for the id of a revision, with the
// API as it was frozen.
func (s *Server) getAPI(w http.ResponseWriter, r *http.Request) error {
	a, revision, err := s.plane.API(r.Context(), r.PathValue("apiId"))
	if err != nil {
		return err
	}
	document, err := writeAPI(&a, revision)
	if err != nil {
		return err
	}
	pictures, err := s.plane.WithThumbnail(r.Context(), []string{a.ID})
	if err != nil {
		return err
	}
	document["hasThumbnail"] = strconv.AppendBool(nil, len(pictures) > 0)
	return tagged(w, r, a.RowVersion, document)
}

// createAPI makes an API of a document.
func (s *Server) createAPI(w http.ResponseWriter, r *http.Request) error {
	a, err := apiOf(r)
	if err != nil {
		return err
	}
	if a, err = s.plane.CreateAPI(r.Context(), a); err != nil {
		return err
	}
	return s.createdAPI(w, r, &a)
}

// createdAPI answers 201 with a new API.
func (s *Server) createdAPI(w http.ResponseWriter, r *http.Request, a *sluice.API) error {
	document, err := writeAPI(a, nil)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(a.RowVersion))
	return created(w, r, "/apis/"+a.ID, document)
}

// updateAPI stores a document in the place of the working copy's.
func (s *Server) updateAPI(w http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	a, err := apiOf(r)
	if err != nil {
		return err
	}
	if a, err = s.plane.UpdateAPI(r.Context(), r.PathValue("apiId"), version, a); err != nil {
		return err
	}
	document, err := writeAPI(&a, nil)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(a.RowVersion))
	return answer(w, http.StatusOK, document)
}

// apiOf reads the API document that is the body of a request.
func apiOf(r *http.Request) (sluice.API, error) {
	if _, _, err := web.MediaType(r, web.JSON); err != nil {
		return sluice.API{}, err
	}
	body, err := web.ReadBody(r, maxJSON)
	if err != nil {
		return sluice.API{}, err
	}
	a, err := readAPI(body)
	stripTenant(&a, sluice.ActorFrom(r.Context()))
	return a, err
}

func (s *Server) deleteAPI(w http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	return s.plane.DeleteAPI(r.Context(), r.PathValue("apiId"), version)
}
