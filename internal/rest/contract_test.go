package rest

import (
	"bytes"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/errors"
)

// contract judges requests and answers by openapi.yaml.
var contract = sync.OnceValues(func() (validator.Validator, error) {
	d, err := libopenapi.NewDocument(ownDefinition)
	if err != nil {
		return nil, err
	}
	v, problems := validator.NewValidator(d, config.WithoutSecurityValidation(), config.WithFormatAssertions())
	for _, p := range problems {
		return nil, p
	}
	return v, nil
})

// TestDefinitionIsOpenAPI holds openapi.yaml against the schema of its own format.
func TestDefinitionIsOpenAPI(t *testing.T) {
	if raceEnabled {
		t.Skip("libopenapi has races of its own")
	}
	v, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	if ok, problems := v.ValidateDocument(); !ok {
		t.Error(reasons(problems))
	}
}

// checkContract holds an answer, and the request where it was taken, against what
// openapi.yaml says of the operation.
func checkContract(t *testing.T, s *Server, r *http.Request, sent []byte, answer *http.Response, body []byte) {
	t.Helper()
	if raceEnabled {
		return // libopenapi has races of its own
	}
	v, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	_, pattern := s.mux.Handler(r)
	if len(child(child(child(definition(), "paths"), pattern), strings.ToLower(r.Method))) == 0 {
		return // nothing is said of it
	}
	if path.Clean(r.URL.Path) != r.URL.Path {
		return // it is refused before it is any operation's
	}
	asked := r.Clone(r.Context())
	if answer.StatusCode < 400 && !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		asked.Body = io.NopCloser(bytes.NewReader(sent))
		if ok, problems := v.ValidateHttpRequestSync(asked); !ok {
			t.Errorf("%s %s was taken, and is not as openapi.yaml says:%s\n%s", r.Method, r.URL, reasons(problems), sent)
		}
	}
	copied := *answer
	copied.Body = io.NopCloser(bytes.NewReader(body))
	if ok, problems := v.ValidateHttpResponse(asked, &copied); !ok {
		t.Errorf("%s %s answers %d, which is not as openapi.yaml says:%s\n%.2000s", r.Method, r.URL, answer.StatusCode, reasons(problems), body)
	}
}

// reasons lists what a validator found.
func reasons(problems []*errors.ValidationError) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString("\n\t" + p.Message + ": " + p.Reason)
		for _, e := range p.SchemaValidationErrors {
			b.WriteString("\n\t\t" + e.FieldPath + ": " + e.Reason)
		}
	}
	return b.String()
}
