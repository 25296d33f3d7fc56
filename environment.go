package sluice

import (
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Environment is a named group of gateways that serve the same APIs.
type Environment struct {
	ID          string
	Name        string // unique without regard to case; shown everywhere
	Type        EnvironmentType
	Description string
	Vhosts      []Vhost // at least one; the first is the default
	Console     bool    // offered in the API Console
	Position    int     // order in every list
	Configured  bool    // fixed by the configuration file: read-only here
	Dropped     bool    // was in the configuration, which does not name it any more

	DisplayName string                 // for lists; empty: Name
	Provider    string                 // who runs its gateways; kept for clients
	Properties  []Property             // kept for clients
	Permissions EnvironmentPermissions // who may deploy there

	Epoch      int64 // grows when the database was restored from a backup
	Generation int64 // grows with every change gateways must hear of
	RowVersion int64
	CreatedAt  time.Time
}

// EnvironmentPermissions say who may deploy to an environment, beside the
// administrators. The zero value is everybody whom their role allows it.
type EnvironmentPermissions struct {
	Type  PermissionType `json:"type,omitempty"`
	Roles []string       `json:"roles,omitempty"`
}

// PermissionType says what a list of roles means.
type PermissionType string

// Permission types.
const (
	AllRoles   PermissionType = ""      // the list does not count
	AllowRoles PermissionType = "ALLOW" // those of the list alone
	DenyRoles  PermissionType = "DENY"  // all but those of the list
)

// Allow reports whether a user with these roles may deploy.
func (p EnvironmentPermissions) Allow(roles []Role) bool {
	listed := slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(p.Roles, string(r)) })
	switch {
	case slices.Contains(roles, Administrator):
		return true
	case p.Type == AllowRoles:
		return listed
	case p.Type == DenyRoles:
		return !listed
	}
	return true
}

// EnvironmentType says which keys the gateways of an environment take.
type EnvironmentType string

// Environment types.
const (
	ProductionEnvironment EnvironmentType = "production"
	SandboxEnvironment    EnvironmentType = "sandbox"
	HybridEnvironment     EnvironmentType = "hybrid"
)

// Vhost is a public address of an environment: that of its gateways, or of
// whatever balances before them.
type Vhost struct {
	Host      string `json:"host"`
	Context   string `json:"context,omitempty"` // path before the API's own; normally empty
	HTTPPort  int    `json:"http_port"`         // 0: not offered
	HTTPSPort int    `json:"https_port"`        // 0: not offered
}

// Takes reports whether gateways of this type serve calls with keys of type k.
func (t EnvironmentType) Takes(k KeyType) bool {
	switch t {
	case HybridEnvironment:
		return true
	case ProductionEnvironment:
		return k == ProductionKey
	case SandboxEnvironment:
		return k == SandboxKey
	}
	return false
}

// Vhost returns the vhost with the given host, the first one for "".
func (e *Environment) Vhost(host string) (Vhost, bool) {
	for _, v := range e.Vhosts {
		if host == "" || strings.EqualFold(v.Host, host) {
			return v, true
		}
	}
	return Vhost{}, false
}

// Serves says whether an API with these endpoints can be deployed to an
// environment of this type, and if not, which endpoint is missing.
func (t EnvironmentType) Serves(production, sandbox bool) (ok bool, missing string) {
	switch {
	case t == ProductionEnvironment && !production:
		return false, "no production endpoint"
	case t == SandboxEnvironment && !sandbox:
		return false, "no sandbox endpoint"
	case !production && !sandbox:
		return false, "no endpoint"
	}
	return true, ""
}

// Validate reports everything that is wrong with an environment. Whether its
// name is free is the database's to say.
func (e *Environment) Validate() error {
	var problems Problems
	switch {
	case e.Name == "":
		problems.Add("name", "environment.name", "An environment needs a name.")
	case utf8.RuneCountInString(e.Name) > 255:
		problems.Add("name", "environment.name", "The name of an environment has at most 255 characters.")
	case !utf8.ValidString(e.Name) || strings.ContainsFunc(e.Name, unicode.IsControl):
		problems.Add("name", "environment.name", "The name of an environment contains a control character.")
	case strings.Contains(e.Name, ","):
		problems.Add("name", "environment.name", "The name of an environment contains a comma.")
	}
	if e.Type != ProductionEnvironment && e.Type != SandboxEnvironment && e.Type != HybridEnvironment {
		problems.Add("type", "environment.type", "The type %q is not one of production, sandbox, hybrid.", string(e.Type))
	}
	for _, t := range []struct {
		field, text string
		most        int
	}{{"description", e.Description, 1023}, {"displayName", e.DisplayName, 255}, {"provider", e.Provider, 255}} {
		if utf8.RuneCountInString(t.text) > t.most {
			problems.Add(t.field, "environment.text", "The %s is longer than %d characters.", t.field, t.most)
		}
	}
	if t := e.Permissions.Type; t != AllRoles && t != AllowRoles && t != DenyRoles {
		problems.Add("permissions.permissionType", "environment.permissions", "The permission type %q is not one of PUBLIC, ALLOW, DENY.", string(t))
	}
	if len(e.Vhosts) == 0 {
		problems.Add("vhosts", "environment.vhosts", "An environment needs at least one vhost.")
	}
	seen := map[string]bool{}
	for _, v := range e.Vhosts {
		v.validate(&problems)
		if host := strings.ToLower(v.Host); seen[host] {
			problems.Add("vhosts", "environment.vhost_twice", "The vhost %q is given twice.", v.Host)
		} else {
			seen[host] = true
		}
	}
	return problems.Err()
}

// validate reports what is wrong with a vhost.
func (v Vhost) validate(problems *Problems) {
	if !validHost(v.Host) {
		problems.Add("vhosts.host", "environment.vhost_host", "%q is not a host name or address.", v.Host)
	}
	for _, port := range []int{v.HTTPPort, v.HTTPSPort} {
		if port < 0 || port > 65535 {
			problems.Add("vhosts", "environment.vhost_port", "Port %d does not exist.", port)
		}
	}
	switch {
	case v.HTTPSPort == 0:
		problems.Add("vhosts.httpsPort", "environment.vhost_port", "The vhost %q has no https port.", v.Host)
	case v.HTTPPort == v.HTTPSPort:
		problems.Add("vhosts.httpsPort", "environment.vhost_port", "The vhost %q has one port for http and https.", v.Host)
	}
	if v.Context == "" {
		return
	}
	for i, segment := range strings.Split(v.Context, "/") {
		plain := !strings.ContainsFunc(segment, func(r rune) bool { return !inHostLabel(r) && r != '.' && r != '~' })
		if i == 0 && segment != "" || i > 0 && (!plain || strings.Trim(segment, ".") == "") {
			problems.Add("vhosts.httpContext", "environment.vhost_context", "The context %q must be a path such as /apis.", v.Context)
			return
		}
	}
}

// validHost reports whether s is an IP address without a zone, or a DNS name.
func validHost(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Zone() == ""
	}
	if len(s) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if last = label; label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool { return !inHostLabel(r) }) {
			return false
		}
	}
	return strings.Trim(last, "0123456789") != "" // 1.2.3 is meant as an address
}

func inHostLabel(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}
