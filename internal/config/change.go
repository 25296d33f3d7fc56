package config

import (
	"slices"
	"strings"
)

// NeedRestart returns the settings, by their paths in sluice.yaml and in their
// order, that are others in next and that a running process cannot take over.
func (c *Config) NeedRestart(next *Config) []string {
	later := slices.DeleteFunc(c.Changed(next), atRunTime)
	if ownEnvironment(c) != ownEnvironment(next) {
		later = append(later, "which environment this instance's own gateway serves")
	}
	return later
}

// atRunTime reports whether a running process takes a setting over.
func atRunTime(path string) bool {
	group, _, _ := strings.Cut(path, ".")
	return slices.Contains([]string{"cors", "tiers", "store", "publisher", "environments"}, group) || path == "key_manager.revoke_url"
}

// ownEnvironment returns the name of the environment that the gateway of this
// process serves, "" where there is none.
func ownEnvironment(c *Config) string {
	i := slices.IndexFunc(c.Environments, func(e Environment) bool { return e.Own })
	if i < 0 {
		return ""
	}
	return c.Environments[i].Name
}

// Changed returns the settings that are others in next, by their paths in
// sluice.yaml and in their order; environments are one.
func (c *Config) Changed(next *Config) (changed []string) {
	before, order := c.byPath()
	after, more := next.byPath()
	for _, path := range append(order, more...) {
		if before[path] != after[path] && !slices.Contains(changed, path) {
			changed = append(changed, path)
		}
	}
	return changed
}

// byPath returns the lines of Export by the path of their setting, with the
// paths in their order.
func (c *Config) byPath() (values map[string]string, order []string) {
	p := &printer{secret: Secret.Reveal, database: func(s string) string { return s }}
	p.config(c)
	values = map[string]string{}
	var groups []string
	for line := range strings.Lines(p.out.String()) {
		line = strings.TrimSuffix(line, "\n")
		key := strings.TrimLeft(line, " ")
		if strings.HasPrefix(key, "#") {
			continue
		}
		groups = groups[:min(len(groups), (len(line)-len(key))/2)]
		name, value, _ := strings.Cut(key, ":")
		path := strings.Join(append(slices.Clone(groups), name), ".")
		if len(groups) > 0 && groups[0] == "environments" {
			path, value = "environments", values["environments"]+"\n"+line
		}
		if value == "" {
			groups = append(groups, name)
			continue
		}
		if _, known := values[path]; !known {
			order = append(order, path)
		}
		values[path] = value
	}
	return values, order
}
