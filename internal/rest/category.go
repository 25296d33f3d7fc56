package rest

import (
	"net/http"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/web"
)

type categoryDocument struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	APIs        *int   `json:"numberOfAPIs,omitempty"` // for administrators
}

func categoryOf(c sluice.Category) categoryDocument {
	return categoryDocument{ID: c.ID, Name: c.Name, Description: c.Description}
}

func (s *Server) listCategories(w http.ResponseWriter, r *http.Request) error {
	found, err := s.plane.Categories(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listOf(mapped(found, categoryOf), nil))
}

func (s *Server) listCategoryUses(w http.ResponseWriter, r *http.Request) error {
	found, uses, err := s.plane.CategoryUses(r.Context())
	if err != nil {
		return err
	}
	shown := mapped(found, categoryOf)
	for i := range shown {
		shown[i].APIs = &uses[i]
	}
	return answer(w, http.StatusOK, listOf(shown, nil))
}

func (s *Server) createCategory(w http.ResponseWriter, r *http.Request) error {
	var q categoryDocument
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return err
	}
	c, err := s.plane.AddCategory(r.Context(), q.Name, q.Description)
	if err != nil {
		return err
	}
	return created(w, r, "/api-categories/"+c.ID, categoryOf(c))
}

func (s *Server) updateCategory(w http.ResponseWriter, r *http.Request) error {
	var q categoryDocument
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return err
	}
	c, err := s.plane.ChangeCategory(r.Context(), r.PathValue("apiCategoryId"), q.Name, q.Description)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, categoryOf(c))
}

func (s *Server) deleteCategory(_ http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	return s.plane.DeleteCategory(r.Context(), r.PathValue("apiCategoryId"), version)
}
