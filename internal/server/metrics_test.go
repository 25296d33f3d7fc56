package server

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The guide lists every metric, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	source, err := os.ReadFile("metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../docs/guide/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{}
	for _, m := range regexp.MustCompile(`desc\("([a-z_]+)"`).FindAllStringSubmatch(string(source), -1) {
		defined["sluice_"+m[1]] = true
		if !strings.Contains(string(guide), "`sluice_"+m[1]) {
			t.Errorf("the guide does not name sluice_%s", m[1])
		}
	}
	for _, m := range regexp.MustCompile("`(sluice_[a-z_]+)").FindAllStringSubmatch(string(guide), -1) {
		if !defined[m[1]] {
			t.Errorf("the guide names %s, which there is not", m[1])
		}
	}
	if len(defined) < 10 {
		t.Errorf("%d metrics found in metrics.go", len(defined))
	}
}
