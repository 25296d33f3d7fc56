package rest

import (
	"fmt"
	"net/http"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/web"
)

// revisionDocument is an API frozen, and where it is deployed.
type revisionDocument struct {
	ID          string               `json:"id"`
	DisplayName string               `json:"displayName"`
	Description string               `json:"description"`
	CreatedTime string               `json:"createdTime"`
	API         revisionAPI          `json:"apiInfo"`
	Deployments []deploymentDocument `json:"deploymentInfo"`
}

type revisionAPI struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
}

func revisionOf(v *sluice.Revision, status []control.EnvironmentStatus) revisionDocument {
	return revisionDocument{
		ID: v.ID, DisplayName: fmt.Sprintf("Revision %d", v.Number), Description: v.Description, CreatedTime: stamp(v.CreatedAt),
		API:         revisionAPI{v.APIID, v.API.Name, v.API.Version},
		Deployments: deploymentsOf(status, v.ID),
	}
}

func (s *Server) listRevisions(w http.ResponseWriter, r *http.Request) error {
	deployed := r.URL.Query().Get("query")
	if deployed != "" && deployed != "deployed:true" && deployed != "deployed:false" {
		return badQuery("Revisions can be searched by deployed:true or deployed:false.")
	}
	documents, err := s.revisions(r, r.PathValue("apiId"))
	if err != nil {
		return err
	}
	shown := make([]revisionDocument, 0, len(documents))
	for _, d := range documents {
		if deployed == "" || (deployed == "deployed:true") == (len(d.Deployments) > 0) {
			shown = append(shown, d)
		}
	}
	return answer(w, http.StatusOK, listOf(shown, nil))
}

// revisions returns the documents of all revisions of an API.
func (s *Server) revisions(r *http.Request, apiID string) ([]revisionDocument, error) {
	found, err := s.plane.Revisions(r.Context(), apiID)
	if err != nil {
		return nil, err
	}
	status, err := s.plane.Status(r.Context(), apiID)
	if err != nil {
		return nil, err
	}
	return mapped(found, func(v sluice.Revision) revisionDocument { return revisionOf(&v, status) }), nil
}

func (s *Server) createRevision(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Description string `json:"description"`
	}
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return err
	}
	apiID := r.PathValue("apiId")
	v, err := s.plane.CreateRevision(r.Context(), apiID, q.Description)
	if err != nil {
		return err
	}
	return created(w, r, "/apis/"+apiID+"/revisions/"+v.ID, revisionOf(&v, nil))
}

func (s *Server) getRevision(w http.ResponseWriter, r *http.Request) error {
	apiID := r.PathValue("apiId")
	v, err := s.plane.Revision(r.Context(), apiID, r.PathValue("revisionId"))
	if err != nil {
		return err
	}
	status, err := s.plane.Status(r.Context(), apiID)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, revisionOf(&v, status))
}

// deleteRevision answers with the revisions that are left.
func (s *Server) deleteRevision(w http.ResponseWriter, r *http.Request) error {
	apiID := r.PathValue("apiId")
	if err := s.plane.DeleteRevision(r.Context(), apiID, r.PathValue("revisionId")); err != nil {
		return err
	}
	left, err := s.revisions(r, apiID)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listOf(left, nil))
}

// restoreRevision copies a revision into the working copy.
func (s *Server) restoreRevision(w http.ResponseWriter, r *http.Request) error {
	id, err := required(r, "revisionId")
	if err != nil {
		return err
	}
	a, err := s.plane.RestoreRevision(r.Context(), r.PathValue("apiId"), id)
	if err != nil {
		return err
	}
	return s.createdAPI(w, r, &a)
}
