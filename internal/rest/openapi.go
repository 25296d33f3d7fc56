package rest

import (
	"net/http"

	_ "embed" // for the definition

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/web"
)

//go:embed openapi.yaml
var ownDefinition []byte

// getOwnDefinition answers with the definition of this API itself.
func (s *Server) getOwnDefinition(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml") // RFC 9512
	_, _ = w.Write(ownDefinition)                      // a client that went away is not an error
	return nil
}

// importOpenAPI makes an API from an OpenAPI document.
func (s *Server) importOpenAPI(w http.ResponseWriter, r *http.Request) error {
	parts, err := readForm(r, map[string]int64{
		"file": maxDefinition, "inlineAPIDefinition": maxDefinition, "url": 4 << 10, "additionalProperties": maxJSON,
	})
	if err != nil {
		return err
	}
	if len(parts["url"]) > 0 {
		return web.Refuse(http.StatusNotImplemented, "import.url", "Import from an address is not offered; send the definition itself as file or inlineAPIDefinition.")
	}
	document := parts["file"]
	if inline := parts["inlineAPIDefinition"]; len(inline) > 0 {
		if len(document) > 0 {
			return sluice.Errorf(sluice.Invalid, "import.definition", "Send the definition once, as file or as inlineAPIDefinition.").At("file")
		}
		document = inline
	}
	if len(document) == 0 {
		return sluice.Errorf(sluice.Invalid, "import.definition", "Send an OpenAPI definition as file or inlineAPIDefinition.").At("file")
	}
	with := sluice.API{}
	if properties := parts["additionalProperties"]; len(properties) > 0 {
		if with, err = readAPI(properties); err != nil {
			return err
		}
	}
	stripTenant(&with, sluice.ActorFrom(r.Context()))
	a, err := s.plane.ImportOpenAPI(r.Context(), document, with)
	if err != nil {
		return err
	}
	return s.createdAPI(w, r, &a)
}

// getDefinition answers with the OpenAPI document of an API or of a revision.
func (s *Server) getDefinition(w http.ResponseWriter, r *http.Request) error {
	a, _, err := s.plane.API(r.Context(), r.PathValue("apiId"))
	if err != nil {
		return err
	}
	if web.NotModified(w, r, a.RowVersion) {
		return nil
	}
	w.Header().Set("Content-Type", web.JSON)
	_, _ = w.Write(a.Definition) // a client that went away is not an error
	return nil
}
