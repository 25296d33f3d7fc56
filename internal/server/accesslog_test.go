package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The access log is begun anew when it has grown, only so many files are kept,
// and no line is lost over it.
func TestAccessLogFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logs", "access.log")
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	l.max = 30
	for _, line := range []string{"a", "b", "c", "d", "e", "f"} {
		if _, err := l.Write([]byte(strings.Repeat(line, 19) + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{path: "f", path + ".1": "e", path + ".2": "d", path + ".3": "c"} {
		if b, err := os.ReadFile(name); err != nil || !strings.HasPrefix(string(b), want) || len(b) != 20 {
			t.Errorf("%s holds %q, %v; want the line of %s", filepath.Base(name), b, err, want)
		}
	}
	if _, err := os.Stat(path + ".4"); !os.IsNotExist(err) {
		t.Errorf("a fifth file is there: %v", err)
	}
	if l, err = openLog(path); err != nil || l.size != 20 {
		t.Errorf("opened again: %+v, %v", l, err)
	}
	_ = l.Close()
}
