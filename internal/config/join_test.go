package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestJoinMakesAHomeAGateway(t *testing.T) {
	home := t.TempDir()
	name := filepath.Join(home, File)
	if err := os.WriteFile(name, Template(Quickstart, 3), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Join(home, Native, "https://control.example.com:9443"); err != nil {
		t.Fatal(err)
	}
	cfg, problems := Load(home, Overrides{})
	if len(problems) > 0 {
		t.Fatalf("problems %v", problems)
	}
	if cfg.Role != GatewayOnly || cfg.Profile != Production || cfg.ControlPlane.URL != "https://control.example.com:9443" || cfg.Offset != 3 {
		t.Errorf("role %s, profile %s, control plane %s, offset %d", cfg.Role, cfg.Profile, cfg.ControlPlane.URL, cfg.Offset)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), "# Added to every port") {
		t.Errorf("the comments are gone:\n%s", b)
	}
}

func TestJoinKeepsTheWSO2Files(t *testing.T) {
	home := t.TempDir()
	if err := Join(home, WSO2, "https://control.example.com:9443"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(home, File))
	if err != nil || strings.TrimSpace(string(b)) != "profile: production" {
		t.Errorf("%s holds %q, %v", File, b, err)
	}
}

func TestJoinRefusesWhatIsNoConfiguration(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, File), []byte("- a list\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Join(home, Native, "https://c:9443"); err == nil {
		t.Error("a list was taken for settings")
	}
	if entries, err := os.ReadDir(home); err != nil || len(entries) != 1 {
		t.Errorf("temporary files are left: %v %v", entries, err)
	}
}
