package sluice_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sluice-api/sluice"

// mayImport says which packages of ours a package may import. "." is the
// domain, other names are below internal/, "*" is everything.
var mayImport = map[string]string{
	".":                     "",
	"artifact":              ".",
	"database":              ".",
	"web":                   ".",
	"client":                ".",
	"policy":                ". artifact",
	"distribution":          ". artifact",
	"openapi":               ". policy",
	"control":               ". artifact database distribution openapi policy",
	"keymanager":            ". database web",
	"gateway":               ". artifact distribution policy",
	"gateway/http2":         ". gateway policy",
	"rest":                  ". control web",
	"config":                "",
	"config/wso2":           "config",
	"server":                "*",
	"cli":                   ". client config config/wso2 server",
	"cmd/sluice":            "cli",
	"database/databasetest": ". database",
	"server/servertest":     "client config server",
}

// onlyIn is the home of a package from outside the module.
var onlyIn = map[string]string{
	"database/sql":              "database",
	"github.com/jackc":          "database",
	"github.com/pressly":        "database",
	"modernc.org":               "database",
	"github.com/nats-io":        "distribution",
	"github.com/zitadel":        "keymanager",
	"github.com/golang-jwt":     "policy",
	"github.com/pb33f":          "openapi rest",
	"github.com/alecthomas":     "cli",
	"github.com/prometheus":     "server",
	"encoding/xml":              "config/wso2 policy",
	"github.com/go-jose":        "keymanager",
	"golang.org/x/crypto":       "control",
	"go.yaml.in/yaml":           "config config/wso2 control openapi rest",
	"github.com/klauspost":      "distribution",
	"golang.org/x/text/unicode": "config config/wso2 control",
}

// notIn is what some packages do without.
var notIn = map[string]string{
	"net/http": ". artifact database policy gateway gateway/http1",
}

func TestLayout(t *testing.T) {
	commented := map[string]bool{}
	for file, src := range sources(t) {
		name := packageName(file)
		commented[name] = commented[name] || src.Doc != nil
		allowed, placed := mayImport[name]
		if !placed {
			t.Errorf("%s: package %s is not in mayImport", file, name)
		}
		for _, spec := range src.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			checkImport(t, file, name, allowed, imp)
		}
	}
	for name, ok := range commented {
		if !ok {
			t.Errorf("package %s has no package comment", name)
		}
	}
}

// checkImport holds one import against all rules.
func checkImport(t *testing.T, file, name, allowed, imp string) {
	t.Helper()
	if rest, ours := strings.CutPrefix(imp+"/", module+"/"); ours {
		dep := strings.TrimPrefix(path.Clean(rest), "internal/")
		if allowed != "*" && !has(allowed, dep) {
			t.Errorf("%s imports %s; %s may import only: %s", file, dep, name, allowed)
		}
		if strings.HasSuffix(dep, "test") {
			t.Errorf("%s imports %s, which only tests may", file, dep)
		}
	} else if name == "." && strings.Contains(strings.Split(imp, "/")[0], ".") {
		t.Errorf("%s imports %s; the domain imports the standard library only", file, imp)
	}
	for out, homes := range onlyIn {
		if strings.HasPrefix(imp+"/", out+"/") && !has(homes, strings.TrimSuffix(name, "/databasetest")) {
			t.Errorf("%s imports %s, which only these may: %s", file, imp, homes)
		}
	}
	if has(notIn[imp], name) {
		t.Errorf("%s imports %s, which %s does without", file, imp, name)
	}
}

// sources parses every Go file but tests and what is not the product.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	set := token.NewFileSet()
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{"test", "bench", "tools", "testdata", ".git", "bin", "dist"}, d.Name()) {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files[name], err = parser.ParseFile(set, name, src, parser.ImportsOnly|parser.ParseComments)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func packageName(file string) string {
	return strings.TrimPrefix(path.Dir(file), "internal/")
}

func has(list, name string) bool { return slices.Contains(strings.Fields(list), name) }
