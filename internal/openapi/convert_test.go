package openapi

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A10, O11: OpenAPI 2.0 is converted. Each file in testdata holds a document and
// what becomes of it.
func TestA10Conversion(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before, want, _ := strings.Cut(string(b), "-- want/openapi.json --\n")
		_, document, _ := strings.Cut(before, "-- swagger.yaml --\n")
		d, err := Read(t.Context(), []byte(document))
		if err != nil {
			t.Errorf("%s: %q", file, listed(err))
			continue
		}
		got := lines(string(d.JSON))
		if *update {
			if err := os.WriteFile(file, []byte(before+"-- want/openapi.json --\n"+got), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", file, diff)
		}
		again, err := Read(t.Context(), d.JSON)
		again.OpenAPI = d.OpenAPI
		if diff := diff(d, again); err != nil || diff != "" {
			t.Errorf("%s, read again: %v\n%s", file, err, diff)
		}
		if got, want := operationsOf(t, d.JSON), len(d.Operations); got != want {
			t.Errorf("%s: libopenapi finds %d operations, want %d", file, got, want)
		}
	}
}

// lines breaks JSON of this package's making after each path and each part of
// components.
func lines(s string) string {
	for _, at := range []string{`,"info"`, `,"paths"`, `,"servers"`, `,"components"`, `"schemas"`, `"parameters":{`, `"responses":{"`, `"securitySchemes"`, `"get"`, `"post"`, `"put"`, `"/`, `"requestBody"`} {
		s = strings.ReplaceAll(s, at, "\n"+at)
	}
	return s + "\n"
}

func TestConversionRefuses(t *testing.T) {
	_, err := Read(t.Context(), []byte("swagger: '2.0'\ninfo: {title: A, version: '1'}\npaths:\n  /a: {get: {responses: {'200': {description: ok, schema: {type: string}}}}}\n"+
		"  /b: {get: {responses: {'200': {description: ok, schema: {$ref: '#/paths/~1a/get/responses/200/schema'}}}}}\n"))
	if got := listed(err); len(got) != 1 || !strings.Contains(got[0], "leads into an operation") || !strings.HasPrefix(got[0], "line 5, column 66: ") {
		t.Errorf("problems: %q", got)
	}
}
