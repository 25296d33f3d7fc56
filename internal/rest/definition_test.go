package rest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice/internal/control"
)

const validatePath = "POST /api/am/publisher/v4/apis/validate-openapi"

// sendForm sends a multipart form of parts.
func (p *platform) sendForm(t *testing.T, token, call string, parts []string, header ...string) reply {
	t.Helper()
	return p.do(t, token, call, form("xyz", parts...), append([]string{"Content-Type", "multipart/form-data; boundary=xyz"}, header...)...)
}

func TestValidateOpenAPI(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	valid := as[validation](t, p.sendForm(t, token, validatePath, []string{"file", weather}), http.StatusOK)
	want := validation{IsValid: true, Info: &validationInfo{"Weather", "1.0", "/weather", "Says it.", "3.0.3", []string{}}, Errors: []errorItem{}}
	if diff := cmp.Diff(want, valid); diff != "" {
		t.Errorf("a valid document:\n%s", diff)
	}
	old := "swagger: '2.0'\ninfo: {title: Old One, version: '2'}\nhost: a.example.com\npaths: {}\n"
	valid = as[validation](t, p.sendForm(t, token, validatePath+"?returnContent=true", []string{"inlineAPIDefinition", old}), http.StatusOK)
	want = validation{
		IsValid: true, Content: `{"openapi":"3.0.3","info":{"title":"Old One","version":"2"},"paths":{},"servers":[{"url":"https://a.example.com"}]}`,
		Info: &validationInfo{"OldOne", "2", "/oldone", "", "2.0", []string{"https://a.example.com"}}, Errors: []errorItem{},
	}
	if diff := cmp.Diff(want, valid); diff != "" {
		t.Errorf("OpenAPI 2.0 with its content:\n%s", diff)
	}
	invalid := as[validation](t, p.sendForm(t, token, validatePath, []string{"file", "openapi: 3.0.3\ninfo: {version: '1'}\npaths:\n  /a: {$ref: 'http://127.0.0.1/'}\n  b: {}\n"}), http.StatusOK)
	if invalid.IsValid || invalid.Info != nil || len(invalid.Errors) != 1 || invalid.Errors[0].Description != "line 4, column 14" {
		t.Errorf("a reference: %+v", invalid)
	}
	invalid = as[validation](t, p.sendForm(t, token, validatePath, []string{"file", "openapi: 3.0.3\ninfo: {version: '1'}\npaths:\n  b: {}\n"}), http.StatusOK)
	if len(invalid.Errors) != 2 || invalid.Errors[0].Description != "line 2, column 7" || invalid.Errors[1].Description != "line 4, column 3" || invalid.Errors[1].Code != "openapi.unreadable" {
		t.Errorf("two problems: %+v", invalid)
	}
	for name, c := range map[string]struct {
		call, code string
		parts      []string
		status     int
		number     int64
	}{
		"nothing":                 {validatePath, "import.definition", nil, 400, 0},
		"two definitions":         {validatePath, "import.definition", []string{"file", weather, "url", "http://a/"}, 400, 0},
		"an internal address":     {validatePath, "import.address", []string{"url", "http://[::1]:9763/"}, 403, 0},
		"an address of no scheme": {validatePath, "import.fetch", []string{"url", "ftp://a/"}, 400, 0},
		"neither true nor false":  {validatePath + "?returnContent=1", "query", []string{"file", weather}, 400, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p.sendForm(t, token, c.call, c.parts).wantError(t, c.status, c.code, c.number)
		})
	}
	large := p.sendForm(t, token, validatePath, []string{"file", strings.Repeat(" ", maxDefinition+1)})
	if large.status != http.StatusRequestEntityTooLarge {
		t.Errorf("A6: more than 10 MB: %d %.200s", large.status, large.body)
	}
}

// An unreadable document is answered with each problem's place.
func TestImportNamesThePlaces(t *testing.T) {
	p := start(t)
	a := p.importAPI(t, p.administrator(t), "file", "openapi: 3.0.3\ninfo: {version: '1'}\npaths:\n\n  b: {}\n")
	a.wantError(t, 400, "openapi.unreadable", 900754)
	body := as[errorBody](t, a, 400)
	if body.Message != "Error while parsing OpenAPI definition" || len(body.Error) != 2 || body.Error[1].Description != "line 5, column 3" {
		t.Errorf("body = %+v", body)
	}
}

func TestImportByAddress(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(weather)) }))
	defer server.Close()
	p := start(t, func(o *control.Options) { o.ImportAllow = []string{"127.0.0.1"} })
	api := as[apiDocument](t, p.importAPI(t, p.administrator(t), "url", server.URL, "additionalProperties", properties("ByAddress", "/by-address")), http.StatusCreated)
	if api.Name != "ByAddress" || len(api.Operations) != 2 {
		t.Errorf("imported: %+v", api)
	}
}

func TestPutSwagger(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	one := "/api/am/publisher/v4/apis/" + p.api(t, token, "Weather")
	tag := p.do(t, token, "GET "+one, "").header.Get("ETag")
	changed := strings.Replace(weather, `"/today"`, `"/tomorrow"`, 1)
	a := p.sendForm(t, token, "PUT "+one+"/swagger", []string{"apiDefinition", changed}, "If-Match", tag)
	if a.status != http.StatusOK || a.header.Get("ETag") == tag || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("answer = %d %s %v", a.status, a.body, a.header)
	}
	api := as[apiDocument](t, p.do(t, token, "GET "+one, ""), http.StatusOK)
	if len(api.Operations) != 2 || api.Operations[0].Target != "/tomorrow" || api.Operations[1].Scopes[0] != "read" {
		t.Errorf("operations = %+v", api.Operations)
	}
	if got := p.do(t, token, "GET "+one+"/swagger", ""); string(got.body) != string(a.body) || got.header.Get("ETag") != a.header.Get("ETag") {
		t.Errorf("read back: %s", got.body)
	}
	p.sendForm(t, token, "PUT "+one+"/swagger", []string{"file", weather}, "If-Match", tag).wantError(t, 412, "changed", 0)
	p.sendForm(t, token, "PUT "+one+"/swagger", []string{"apiDefinition", "[]"}).wantError(t, 400, "openapi.unreadable", 900754)
	p.sendForm(t, token, "PUT "+one+"/swagger", []string{"url", "http://169.254.169.254/"}).wantError(t, 403, "import.address", 0)
	p.sendForm(t, token, "PUT "+one+"-no/swagger", []string{"apiDefinition", weather}).wantError(t, 404, "api.unknown", 900308)
	if a := p.sendForm(t, token, "PUT "+one+"/swagger", []string{"file", weather}); a.status != http.StatusOK {
		t.Errorf("without If-Match: %d %s", a.status, a.body)
	}
}
