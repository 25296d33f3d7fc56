package config_test

import (
	"slices"
	"testing"
)

// What a running process takes over, and what needs a restart.
func TestChangedSettings(t *testing.T) {
	base := "profile: production\ndatabase: postgres://a:b@db.example.com/x\n"
	before, problems := load(t, base, machine())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for name, c := range map[string]struct {
		yaml           string
		changed, later []string
	}{
		"nothing":            {base, nil, nil},
		"an environment":     {base + "environments: [{name: A, type: hybrid, host: a.example.com}]\n", []string{"environments"}, nil},
		"what a browser may": {base + "cors: {enabled: false, origins: [\"https://a.example.com\"]}\n", []string{"cors.enabled", "cors.origins"}, nil},
		"tiers and pages":    {base + "tiers: {unlimited: false}\nstore: {apis_per_page: 9}\n", []string{"tiers.unlimited", "store.apis_per_page"}, nil},
		"a password":         {"profile: production\ndatabase: postgres://a:c@db.example.com/x\n", []string{"database"}, []string{"database"}},
		"a port":             {base + "listen: {operations: 9999}\n", []string{"listen.operations"}, []string{"listen.operations"}},
		"the own environment": {
			base + "environments: [{name: A, type: hybrid, host: a.example.com, server_url: \"https://localhost:9443\"}]\n",
			[]string{"environments"},
			[]string{"which environment this instance's own gateway serves"},
		},
	} {
		next, problems := load(t, c.yaml, machine())
		if len(problems) > 0 {
			t.Fatal(name, problems)
		}
		if got := before.Changed(next); !slices.Equal(got, c.changed) {
			t.Errorf("%s: changed %q, want %q", name, got, c.changed)
		}
		if got := before.NeedRestart(next); !slices.Equal(got, c.later) {
			t.Errorf("%s: needs a restart for %q, want %q", name, got, c.later)
		}
	}
}
