package openapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
)

// moduleDir returns the folder of a Go module that the tests depend on.
func moduleDir(t testing.TB, module string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Fatalf("go list -m %s: %q, %v", module, dir, err)
	}
	return dir
}

// realDocuments are the API definitions in the test data of libopenapi: those of
// real services, and those that its authors made to be difficult.
func realDocuments(t testing.TB) map[string][]byte {
	t.Helper()
	dir, found := moduleDir(t, "github.com/pb33f/libopenapi"), map[string][]byte{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)) {
			return err
		}
		document, err := os.ReadFile(name)
		if bytes.Contains(document, []byte("openapi")) || bytes.Contains(document, []byte("swagger")) {
			found[strings.TrimPrefix(name, dir+"/")] = document
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// R16: real documents are read, or refused with a reason at a line.
func TestR16RealDocuments(t *testing.T) {
	taken, refused := 0, 0
	for name, document := range realDocuments(t) {
		d, err := Read(t.Context(), document)
		if err == nil {
			taken++
			if !json.Valid(d.JSON) {
				t.Errorf("%s is stored as no JSON", name)
			}
			continue
		}
		refused++
		t.Logf("%s: %s", name, listed(err)[0])
		for _, p := range listed(err) {
			if !strings.HasPrefix(p, "line ") {
				t.Errorf("%s: %s", name, p)
			}
		}
	}
	t.Logf("%d documents are read, %d refused with a reason at a line", taken, refused)
	if taken < 15 {
		t.Errorf("only %d documents are read", taken)
	}
	for _, name := range []string{"stripe.yaml", "docusignv3.1.json", "digitalocean.yaml", "k8s.json", "petstorev2.json", "petstorev3.json", "burgershop.openapi.yaml"} {
		document := realDocuments(t)["test_specs/"+name]
		if _, err := Read(t.Context(), document); err != nil && name != "digitalocean.yaml" { // which refers to files
			t.Errorf("%s: %q", name, listed(err))
		}
	}
}

// R16: the largest real document is read in 2 s and 256 MB. The figures are those
// of a process of its own.
func TestR16Figures(t *testing.T) {
	if name := os.Getenv("SLUICE_TEST_READ"); name != "" {
		readAlone(t, name)
		return
	}
	if raceEnabled {
		t.Skip("the race detector takes its own time and memory")
	}
	dir := t.TempDir()
	names := map[string]string{"stripe.yaml": "Stripe's, 4.5 MB of YAML", "k8s.json": "Kubernetes', 4.8 MB of JSON"}
	files := map[string]string{}
	for name, what := range names {
		files[what] = filepath.Join(moduleDir(t, "github.com/pb33f/libopenapi"), "test_specs", name)
	}
	for what, document := range map[string]string{
		"2,000,000 values of JSON":         inJSON(`"paths":{},"x":[` + strings.TrimSuffix(strings.Repeat("1,", 1_999_980), ",") + `]`),
		"2,000,000 texts and keys of JSON": inJSON(`"paths":{},"x":[` + strings.TrimSuffix(strings.Repeat(`{"a":""},`, 660_000), ",") + `]`),
		"600,000 values of YAML":           head + "paths: {}\nx: [" + strings.Repeat("1,", 599_900) + "]",
		"600,000 values of YAML in lines": schemas(40_000, func(int) string {
			return "{type: object, properties: {a: {$ref: '#/components/schemas/S1'}, b: {type: string}}}"
		}),
		"600,000 values of YAML by aliases": head + "paths: {}\nx: &a [" + strings.Repeat("1,", 900) + "]\ny: [" + strings.Repeat("*a,", 600) + "]",
	} {
		files[what] = filepath.Join(dir, strconv.Itoa(len(files)))
		if err := os.WriteFile(files[what], []byte(document), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for what, file := range files {
		run := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestR16Figures$", "-test.v")
		// With the limit the collector keeps up, however busy the machine is: what is
		// measured is what reading needs.
		run.Env = append(os.Environ(), "SLUICE_TEST_READ="+file, "GOMEMLIMIT=240MiB")
		out, err := run.CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "MB at most") || err != nil {
				t.Logf("%s: %s", what, strings.TrimSpace(line))
			}
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// readAlone reads one document and says what it took.
func readAlone(t *testing.T, name string) {
	document, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	from, start := cpu(t), time.Now()
	d, err := Read(ctx, document)
	took, wall := cpu(t)-from, time.Since(start)
	if err != nil {
		t.Error(listed(err))
	}
	memory := peak(t)
	t.Logf("%s of processor time, %s in all, %d MB at most, %d operations", took.Round(time.Millisecond), wall.Round(time.Millisecond), memory, len(d.Operations))
	if took > 2*time.Second || memory > 256 {
		t.Errorf("more than 2 s or 256 MB")
	}
}

// peak is the most memory the process has had, in MB.
func peak(t *testing.T) int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("the memory of a process is read from /proc")
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb / 1024
}

// What is read here libopenapi reads in the same way.
func TestReadAsLibopenapiDoes(t *testing.T) {
	documents := realDocuments(t)
	documents["bicycles"] = []byte(bicycles)
	compared := 0
	for name, document := range documents {
		d, err := Read(t.Context(), document)
		if err != nil {
			continue
		}
		if got, want := operationsOf(t, d.JSON), len(d.Operations); got != want {
			t.Errorf("%s: libopenapi finds %d operations, Read %d", name, got, want)
		}
		compared++
	}
	t.Logf("%d documents compared", compared)
}

// operationsOf returns how many operations libopenapi finds in a document.
func operationsOf(t *testing.T, document []byte) (n int) {
	t.Helper()
	doc, err := libopenapi.NewDocument(document)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer doc.Release()
	model, err := doc.BuildV3Model()
	if model == nil {
		t.Error(err)
		return 0
	}
	for _, item := range model.Model.Paths.PathItems.FromOldest() {
		n += item.GetOperations().Len()
	}
	return n
}
