package rest

import (
	"encoding/json"
	"slices"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/web"
)

// endpointConfig is the addresses of the backends; other members are kept.
type endpointConfig struct {
	Type                string                      `json:"endpoint_type"`
	Production          json.RawMessage             `json:"production_endpoints"`
	Sandbox             json.RawMessage             `json:"sandbox_endpoints"`
	ProductionFailovers json.RawMessage             `json:"production_failovers"`
	SandboxFailovers    json.RawMessage             `json:"sandbox_failovers"`
	Security            map[string]endpointSecurity `json:"endpoint_security"`
}

type endpointSecurity struct {
	Enabled bool `json:"enabled"`
}

// readEndpoints reads an endpointConfig. kept is what of it clients are given
// back: all but endpoint security, in which there may be a password.
func readEndpoints(problems *sluice.Problems, raw json.RawMessage) (production, sandbox []sluice.Endpoint, kept json.RawMessage, err error) {
	var c endpointConfig
	if err = web.DecodeJSON(raw, &c); err != nil {
		return nil, nil, nil, err
	}
	add := func(format string, args ...any) {
		problems.Add("endpointConfig", "api.unsupported", format, args...)
	}
	if c.Type != "" && c.Type != "http" {
		add("Only endpoints of type http are offered.")
	}
	if !empty(c.ProductionFailovers) || !empty(c.SandboxFailovers) {
		add("Failover endpoints are not offered.")
	}
	for side, s := range c.Security {
		if s.Enabled {
			add("Endpoint security (%s) is not offered.", side)
		}
	}
	if production, err = readEndpoint(c.Production); err != nil {
		return nil, nil, nil, err
	}
	if sandbox, err = readEndpoint(c.Sandbox); err != nil {
		return nil, nil, nil, err
	}
	members := map[string]json.RawMessage{}
	if err = json.Unmarshal(raw, &members); err != nil {
		return nil, nil, nil, err
	}
	delete(members, "endpoint_security")
	kept, err = json.Marshal(members)
	return production, sandbox, kept, err
}

// readEndpoint reads {"url": …}; without an address there is no endpoint.
func readEndpoint(raw json.RawMessage) ([]sluice.Endpoint, error) {
	if empty(raw) {
		return nil, nil
	}
	var e struct {
		URL string `json:"url"`
	}
	if err := web.DecodeJSON(raw, &e); err != nil {
		return nil, err
	}
	if e.URL == "" {
		return nil, nil
	}
	return []sluice.Endpoint{{URL: e.URL}}, nil
}

// endpointsOf returns the endpointConfig of an API: what is kept of the one it
// came with while that says the same, since it may say more.
func endpointsOf(a *sluice.API, kept json.RawMessage) json.RawMessage {
	if len(kept) > 0 {
		var ignored sluice.Problems
		production, sandbox, _, err := readEndpoints(&ignored, kept)
		if err == nil && slices.Equal(production, a.Production) && slices.Equal(sandbox, a.Sandbox) {
			return kept
		}
	}
	type address struct {
		URL string `json:"url"`
	}
	config := map[string]any{"endpoint_type": "http"}
	for side, list := range map[string][]sluice.Endpoint{"production_endpoints": a.Production, "sandbox_endpoints": a.Sandbox} {
		if len(list) > 0 {
			config[side] = address{list[0].URL}
		}
	}
	if len(config) == 1 {
		return json.RawMessage("null")
	}
	b, _ := json.Marshal(config) // strings alone
	return b
}
