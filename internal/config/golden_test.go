package config_test

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice/internal/config"
)

var update = flag.Bool("update", false, "rewrite the wanted parts of testdata")

// machine makes the tests independent of the machine they run on.
func machine() config.Overrides {
	return config.Overrides{
		LocalAddresses: func() []netip.Addr {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}
		},
		Hostname: func() string { return "host-a" },
	}
}

// TestGolden loads the home in each testdata/*.txtar and compares what
// "sluice config check" and "sluice config show" print.
func TestGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			point, files := readArchive(t, name)
			home := writeHome(t, files)
			c, problems := config.Load(home, machine())
			got := map[string]string{"want/problems": problemLines(problems)}
			if len(problems) == 0 {
				got = map[string]string{"want/show": show(t, c)}
			}
			if *update {
				writeArchive(t, name, point, files, got)
				return
			}
			for part, text := range got {
				if diff := cmp.Diff(files[part], text); diff != "" {
					t.Errorf("%s (-want +got):\n%s", part, diff)
				}
			}
		})
	}
}

func problemLines(problems []config.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(p.Error() + "\n")
	}
	return b.String()
}

func show(t *testing.T, c *config.Config) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Show(&b); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(b.String(), c.Home, "HOME")
}

// writeHome writes every file but the wanted ones.
func writeHome(t testing.TB, files map[string]string) string {
	t.Helper()
	home := t.TempDir()
	for name, text := range files {
		if strings.HasPrefix(name, "want/") {
			continue
		}
		path := filepath.Join(home, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

var archiveMarker = regexp.MustCompile(`(?m)^-- (\S+) --\n`)

// readArchive reads a txtar file: what it is about, then its files by name.
func readArchive(t testing.TB, name string) (point string, files map[string]string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	files = make(map[string]string)
	marks := archiveMarker.FindAllStringSubmatchIndex(string(data), -1)
	for i, m := range marks {
		end := len(data)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		files[string(data[m[2]:m[3]])] = string(data[m[1]:end])
	}
	if len(marks) == 0 {
		return string(data), files
	}
	return string(data[:marks[0][0]]), files
}

// writeArchive writes the files again, inputs first, as they were.
func writeArchive(t testing.TB, name, point string, files, want map[string]string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(point)
	for _, m := range archiveMarker.FindAllStringSubmatch(string(data), -1) {
		if !strings.HasPrefix(m[1], "want/") {
			b.WriteString(m[0] + files[m[1]])
		}
	}
	for part, text := range want {
		b.WriteString("-- " + part + " --\n" + text)
	}
	if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
