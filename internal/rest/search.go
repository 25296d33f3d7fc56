package rest

import (
	"context"
	"net/http"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/web"
)

// searchResult is an API, or a document of one.
type searchResult struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	Type          string `json:"type"`
	TransportType string `json:"transportType,omitempty"`

	Description string `json:"description,omitempty"`
	Context     string `json:"context,omitempty"`
	Version     string `json:"version,omitempty"`
	Provider    string `json:"provider,omitempty"`
	Status      string `json:"status,omitempty"`

	DocType     string `json:"docType,omitempty"`
	Summary     string `json:"summary,omitempty"`
	SourceType  string `json:"sourceType,omitempty"`
	SourceURL   string `json:"sourceUrl,omitempty"`
	OtherType   string `json:"otherTypeName,omitempty"`
	Visibility  string `json:"visibility,omitempty"`
	APIName     string `json:"apiName,omitempty"`
	APIVersion  string `json:"apiVersion,omitempty"`
	APIProvider string `json:"apiProvider,omitempty"`
	APIID       string `json:"apiUUID,omitempty"`
}

func searchResultOf(f control.SearchResult) searchResult {
	a, d := &f.API, f.Document
	if d == nil {
		return searchResult{
			ID: a.ID, Name: a.Name, Type: "API", TransportType: "HTTP", Description: a.Description, Context: contextOf(a),
			Version: a.Version, Provider: a.Owner, Status: string(a.State),
		}
	}
	return searchResult{
		ID: d.ID, Name: d.Name, Type: "DOC", DocType: string(d.Type), Summary: d.Summary, SourceType: string(d.Source), SourceURL: d.URL,
		OtherType: d.OtherType, Visibility: string(d.Visibility), APIName: a.Name, APIVersion: a.Version, APIProvider: a.Owner, APIID: a.ID,
	}
}

// searchIn answers with APIs and documents that find returns, of the Publisher or
// of the Store.
func searchIn(find func(context.Context, control.APIFilter) ([]control.SearchResult, int, error)) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		page, err := pageOf(r)
		if err != nil {
			return err
		}
		terms, nothing, err := searchOf(r)
		if err != nil {
			return err
		}
		if nothing {
			return answer(w, http.StatusOK, listOf[searchResult](nil, paginate(r, page, 0)))
		}
		found, total, err := find(r.Context(), control.APIFilter{Query: terms, Offset: page.Offset, Limit: page.Limit})
		if err != nil {
			return err
		}
		return answer(w, http.StatusOK, listOf(mapped(found, searchResultOf), paginate(r, page, total)))
	}
}

// validateAPI answers 200 where what the query names is taken, 404 where it is free.
func (s *Server) validateAPI(w http.ResponseWriter, r *http.Request) error {
	terms, _, err := searchOf(r)
	if err != nil {
		return err
	}
	asked := map[string]string{}
	for _, t := range terms {
		if t.Attribute != "name" && t.Attribute != "version" && t.Attribute != "context" {
			return badQuery("Ask for name, version or context.")
		}
		asked[t.Attribute] = t.Value
	}
	taken, err := s.plane.Taken(r.Context(), asked["name"], asked["version"], asked["context"])
	if err != nil {
		return err
	}
	if !taken {
		return sluice.Errorf(sluice.NotFound, "api.unknown", "It is free.")
	}
	return nil
}

// copyAPI makes a new version.
func (s *Server) copyAPI(w http.ResponseWriter, r *http.Request) error {
	id, err := required(r, "apiId")
	if err != nil {
		return err
	}
	version, err := required(r, "newVersion")
	if err != nil {
		return err
	}
	a, err := s.plane.CopyAPI(r.Context(), id, version, r.URL.Query().Get("defaultVersion") == "true")
	if err != nil {
		return err
	}
	return s.createdAPI(w, r, &a)
}
