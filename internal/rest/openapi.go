package rest

import (
	"errors"
	"maps"
	"net/http"
	"strings"

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

// maxAddress is how many bytes the address of a document may have.
const maxAddress = 4 << 10

// readDocument reads a form with one OpenAPI document in one of the parts names,
// or the address of one in its part url, which is fetched. The form may have
// other parts.
func (s *Server) readDocument(r *http.Request, others map[string]int64, names ...string) (document []byte, parts map[string][]byte, err error) {
	limits := map[string]int64{"url": maxAddress}
	maps.Copy(limits, others)
	for _, name := range names {
		limits[name] = maxDefinition
	}
	if parts, err = readForm(r, limits); err != nil {
		return nil, nil, err
	}
	given := ""
	for _, name := range append(names, "url") {
		switch {
		case len(parts[name]) == 0:
		case given != "":
			return nil, nil, sluice.Errorf(sluice.Invalid, "import.definition", "Send the definition once: %s and %s are both there.", given, name).At(name)
		default:
			given = name
		}
	}
	switch given {
	case "":
		return nil, nil, sluice.Errorf(sluice.Invalid, "import.definition", "Send an OpenAPI definition as %s or url.", strings.Join(names, ", ")).At(names[0])
	case "url":
		document, err = s.plane.FetchDefinition(r.Context(), string(parts["url"]))
		return document, parts, err
	}
	return parts[given], parts, nil
}

// importOpenAPI makes an API from an OpenAPI document.
func (s *Server) importOpenAPI(w http.ResponseWriter, r *http.Request) error {
	document, parts, err := s.readDocument(r, map[string]int64{"additionalProperties": maxJSON}, "file", "inlineAPIDefinition")
	if err != nil {
		return err
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

// validation says whether a document is one that an API can be made of.
type validation struct {
	IsValid bool            `json:"isValid"`
	Content string          `json:"content,omitempty"`
	Info    *validationInfo `json:"info,omitempty"`
	Errors  []errorItem     `json:"errors"`
}

type validationInfo struct {
	Name        string   `json:"name"`
	Version     string   `json:"version"`
	Context     string   `json:"context"`
	Description string   `json:"description"`
	OpenAPI     string   `json:"openAPIVersion"`
	Endpoints   []string `json:"endpoints"`
}

// validateOpenAPI says everything that is wrong with an OpenAPI document, and
// what is in it. A document that cannot be had is an error of the request.
func (s *Server) validateOpenAPI(w http.ResponseWriter, r *http.Request) error {
	full := false
	switch r.URL.Query().Get("returnContent") {
	case "", "false":
	case "true":
		full = true
	default:
		return sluice.Errorf(sluice.Invalid, "query", "returnContent is true or false.").At("returnContent")
	}
	document, _, err := s.readDocument(r, nil, "file", "inlineAPIDefinition")
	if err != nil {
		return err
	}
	d, err := s.plane.ReadOpenAPI(r.Context(), document)
	v := validation{IsValid: err == nil, Errors: []errorItem{}}
	switch e, refused := errors.AsType[*sluice.Error](err); {
	case err == nil:
		name := strings.Join(strings.Fields(d.Title), "")
		v.Info = &validationInfo{name, d.Version, "/" + strings.ToLower(name), d.Description, d.OpenAPI, some(d.Servers)}
		if full {
			v.Content = string(d.JSON)
		}
	case refused && e.Kind == sluice.Invalid:
		for _, e := range problemsOf(e) {
			v.Errors = append(v.Errors, errorItem{e.Code, e.Message, e.Field})
		}
	default:
		return err
	}
	return answer(w, http.StatusOK, v)
}

// putDefinition replaces the OpenAPI document of an API.
func (s *Server) putDefinition(w http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	document, _, err := s.readDocument(r, nil, "apiDefinition", "file")
	if err != nil {
		return err
	}
	a, err := s.plane.PutDefinition(r.Context(), r.PathValue("apiId"), document, version)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(a.RowVersion))
	w.Header().Set("Content-Type", web.JSON)
	_, _ = w.Write(a.Definition) // a client that went away is not an error
	return nil
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
