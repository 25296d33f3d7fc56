package rest

import (
	"net/http"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/web"
)

// organizationDocument is an organization; its name is its id.
type organizationDocument struct {
	ID          string `json:"organizationId"`
	Name        string `json:"name"`
	DisplayName string `json:"displayName"`
}

func organizationOf(o sluice.Organization) organizationDocument {
	return organizationDocument{o.ID, o.Name, o.DisplayName}
}

func (s *Server) listOrganizations(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	found, err := s.plane.Organizations(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listOf(mapped(cut(found, page), organizationOf), paginate(r, page, len(found))))
}

func (s *Server) createOrganization(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Name        string `json:"name"`
		DisplayName string `json:"displayName"`
	}
	if err := readOwn(r, &q); err != nil {
		return err
	}
	o, err := s.plane.CreateOrganization(r.Context(), q.Name, q.DisplayName)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(o.RowVersion))
	return created(w, r, "/organizations/"+o.ID, organizationOf(o))
}

func (s *Server) getOrganization(w http.ResponseWriter, r *http.Request) error {
	o, err := s.plane.Organization(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return tagged(w, r, o.RowVersion, organizationOf(o))
}

func (s *Server) changeOrganization(w http.ResponseWriter, r *http.Request) error {
	version, err := mustMatch(r)
	if err != nil {
		return err
	}
	var q struct {
		DisplayName string `json:"displayName"`
	}
	if err := readOwn(r, &q); err != nil {
		return err
	}
	o, err := s.plane.RenameOrganization(r.Context(), r.PathValue("id"), q.DisplayName, version)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(o.RowVersion))
	return answer(w, http.StatusOK, organizationOf(o))
}

func (s *Server) deleteOrganization(w http.ResponseWriter, r *http.Request) error {
	version, err := mustMatch(r)
	if err != nil {
		return err
	}
	if err := s.plane.DeleteOrganization(r.Context(), r.PathValue("id"), version); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
