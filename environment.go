package sluice

import (
	"strings"
	"time"
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

	Epoch      int64 // grows when the database was restored from a backup
	Generation int64 // grows with every change gateways must hear of
	RowVersion int64
	CreatedAt  time.Time
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
