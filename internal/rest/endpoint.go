package rest

import (
	"bytes"
	"encoding/json"
	"net/http"
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

// endpointSecurity is what a backend asks for. The password is never given back.
type endpointSecurity struct {
	Enabled  bool   `json:"enabled"`
	Type     string `json:"type"`
	Username string `json:"username"`
	Password string `json:"password"`
}

// endpoints is what an endpointConfig says. kept is what of it clients are given
// back: all but endpoint security, in which there may be a password.
type endpoints struct {
	production, sandbox                 []sluice.Endpoint
	productionSecurity, sandboxSecurity *sluice.EndpointSecurity // with the password as it was sent
	kept                                json.RawMessage
}

// readEndpoints reads an endpointConfig.
func readEndpoints(problems *sluice.Problems, raw json.RawMessage) (e endpoints, err error) {
	var c endpointConfig
	if err = web.DecodeJSON(raw, &c); err != nil {
		return e, err
	}
	add := func(format string, args ...any) {
		problems.Add("endpointConfig", "api.unsupported", format, args...)
	}
	switch c.Type {
	case "", "http", "load_balance":
	case "failover":
		add("Failover endpoints are not offered; endpoints of type load_balance take turns, and one that cannot be reached is passed over.")
	default:
		add("Only endpoints of the types http and load_balance are offered.")
	}
	if c.Type != "failover" && (!empty(c.ProductionFailovers) || !empty(c.SandboxFailovers)) {
		add("Failover endpoints are not offered.")
	}
	for side, s := range c.Security {
		switch {
		case !s.Enabled:
		case s.Type != "" && s.Type != "BASIC" && s.Type != "basic":
			add("Endpoint security (%s) of type %s is not offered; BASIC is.", side, s.Type)
		case side == "production":
			e.productionSecurity = &sluice.EndpointSecurity{Username: s.Username, Password: []byte(s.Password)}
		case side == "sandbox":
			e.sandboxSecurity = &sluice.EndpointSecurity{Username: s.Username, Password: []byte(s.Password)}
		default:
			add("Endpoint security is that of production or sandbox, and not of %s.", side)
		}
	}
	if e.production, err = readEndpoint(c.Production); err != nil {
		return e, err
	}
	if e.sandbox, err = readEndpoint(c.Sandbox); err != nil {
		return e, err
	}
	members := map[string]json.RawMessage{}
	if err = json.Unmarshal(raw, &members); err != nil {
		return e, err
	}
	delete(members, "endpoint_security")
	e.kept, err = json.Marshal(members)
	return e, err
}

// readEndpoint reads {"url": …}, or a list of them; without an address there is
// no endpoint.
func readEndpoint(raw json.RawMessage) (list []sluice.Endpoint, err error) {
	if empty(raw) {
		return nil, nil
	}
	type address struct {
		URL string `json:"url"`
	}
	several := make([]address, 1)
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		err = web.DecodeJSON(raw, &several)
	} else {
		err = web.DecodeJSON(raw, &several[0])
	}
	for _, a := range several {
		if a.URL != "" {
			list = append(list, sluice.Endpoint{URL: a.URL})
		}
	}
	return list, err
}

// endpointsOf returns the endpointConfig of an API: what is kept of the one it
// came with while that says the same, since it may say more.
func endpointsOf(a *sluice.API, kept json.RawMessage) (json.RawMessage, error) {
	config := map[string]json.RawMessage{}
	var ignored sluice.Problems
	if e, err := readEndpoints(&ignored, kept); len(kept) > 0 && err == nil && slices.Equal(e.production, a.Production) && slices.Equal(e.sandbox, a.Sandbox) {
		if err := json.Unmarshal(kept, &config); err != nil {
			return nil, err
		}
	} else if len(a.Production)+len(a.Sandbox) > 0 {
		if err := addAddresses(config, a); err != nil {
			return nil, err
		}
	}
	security := map[string]endpointSecurity{}
	for side, s := range map[string]*sluice.EndpointSecurity{"production": a.ProductionSecurity, "sandbox": a.SandboxSecurity} {
		if s != nil {
			security[side] = endpointSecurity{Enabled: true, Type: "BASIC", Username: s.Username}
		}
	}
	if len(security) > 0 {
		b, err := json.Marshal(security)
		if err != nil {
			return nil, err
		}
		config["endpoint_security"] = b
	}
	if len(config) == 0 {
		return json.RawMessage("null"), nil
	}
	return json.Marshal(config)
}

// addAddresses writes the endpoints of an API, in lists where a side has several.
func addAddresses(config map[string]json.RawMessage, a *sluice.API) error {
	config["endpoint_type"] = json.RawMessage(`"http"`)
	several := len(a.Production) > 1 || len(a.Sandbox) > 1
	if several {
		config["endpoint_type"] = json.RawMessage(`"load_balance"`)
	}
	for side, list := range map[string][]sluice.Endpoint{"production_endpoints": a.Production, "sandbox_endpoints": a.Sandbox} {
		if len(list) == 0 {
			continue
		}
		var v any = list[0]
		if several {
			v = list
		}
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		config[side] = b
	}
	return nil
}

// ownEndpoints are those of one environment.
type ownEndpoints struct {
	Production []sluice.Endpoint `json:"production"`
	Sandbox    []sluice.Endpoint `json:"sandbox"`
}

func (s *Server) getEndpoints(w http.ResponseWriter, r *http.Request) error {
	o, version, err := s.plane.EndpointOverride(r.Context(), r.PathValue("apiId"), r.PathValue("environmentId"))
	if err != nil {
		return err
	}
	return tagged(w, r, version, endpointsDocument(o))
}

func endpointsDocument(o sluice.EndpointOverride) ownEndpoints {
	d := ownEndpoints{o.Production, o.Sandbox}
	if d.Production == nil {
		d.Production = []sluice.Endpoint{}
	}
	if d.Sandbox == nil {
		d.Sandbox = []sluice.Endpoint{}
	}
	return d
}

func (s *Server) putEndpoints(w http.ResponseWriter, r *http.Request) error {
	var d ownEndpoints
	if err := readOwn(r, &d); err != nil {
		return err
	}
	o := sluice.EndpointOverride{EnvironmentID: r.PathValue("environmentId"), Production: d.Production, Sandbox: d.Sandbox}
	if err := s.changeEndpoints(w, r, o); err != nil {
		return err
	}
	return answer(w, http.StatusOK, endpointsDocument(o))
}

func (s *Server) deleteEndpoints(w http.ResponseWriter, r *http.Request) error {
	if err := s.changeEndpoints(w, r, sluice.EndpointOverride{EnvironmentID: r.PathValue("environmentId")}); err != nil {
		return err
	}
	w.Header().Del("ETag")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// changeEndpoints stores the endpoints of one environment, where the caller saw
// the API as it is.
func (s *Server) changeEndpoints(w http.ResponseWriter, r *http.Request, o sluice.EndpointOverride) error {
	seen, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	if seen == 0 {
		return web.Refuse(http.StatusPreconditionRequired, "if_match", "Send If-Match with the entity tag that you read.")
	}
	version, err := s.plane.PutEndpointOverride(r.Context(), r.PathValue("apiId"), o, seen)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(version))
	return nil
}
