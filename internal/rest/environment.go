package rest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/web"
)

// environmentDocument is a gateway environment. Type, Console, Origin and APIs
// are what WSO2's document lacks.
type environmentDocument struct {
	ID          string             `json:"id"`
	Name        string             `json:"name"`
	DisplayName string             `json:"displayName"`
	Description string             `json:"description"`
	Provider    string             `json:"provider"`
	GatewayType string             `json:"gatewayType"`
	ReadOnly    bool               `json:"isReadOnly"`
	Vhosts      []vhostDocument    `json:"vhosts"`
	URIs        []json.RawMessage  `json:"endpointURIs"` // there are none
	Properties  []propertyDocument `json:"additionalProperties"`
	Permissions permissions        `json:"permissions"`
	Type        string             `json:"type"`
	Console     *bool              `json:"showInApiConsole"`
	Origin      string             `json:"origin"`                 // where it comes from: see originOf
	APIs        []string           `json:"deployedAPIs,omitempty"` // where it is not in the configuration any more
}

// vhostDocument is a public address of an environment; a port 0 is not offered.
type vhostDocument struct {
	Host      string `json:"host"`
	Context   string `json:"httpContext"`
	HTTPPort  int    `json:"httpPort"`
	HTTPSPort int    `json:"httpsPort"`
}

type propertyDocument struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

type permissions struct {
	Type  string   `json:"permissionType"`
	Roles []string `json:"roles"`
}

// everybody is the permission type of an environment that excludes nobody.
const everybody = "PUBLIC"

func environmentOf(e sluice.Environment) environmentDocument {
	d := environmentDocument{
		ID: e.ID, Name: e.Name, DisplayName: cmp.Or(e.DisplayName, e.Name), Description: e.Description, Provider: cmp.Or(e.Provider, "wso2"),
		GatewayType: regularGateway, ReadOnly: e.Configured, URIs: []json.RawMessage{},
		Properties:  mapped(e.Properties, func(p sluice.Property) propertyDocument { return propertyDocument{p.Name, p.Value} }),
		Permissions: permissions{cmp.Or(string(e.Permissions.Type), everybody), append([]string{}, e.Permissions.Roles...)},
		Type:        string(e.Type), Console: &e.Console, Origin: originOf(e),
		Vhosts: mapped(e.Vhosts, func(v sluice.Vhost) vhostDocument {
			return vhostDocument{v.Host, v.Context, v.HTTPPort, v.HTTPSPort}
		}),
	}
	return d
}

// regularGateway is the one type of gateway there is.
const regularGateway = "Regular"

func originOf(e sluice.Environment) string {
	switch {
	case e.Configured:
		return "configuration"
	case e.Dropped:
		return "not in the configuration"
	}
	return "administrator"
}

// apply puts what a document says into an environment. Members that WSO2's
// document lacks, and that are not there, stay as they are.
func (d *environmentDocument) apply(e *sluice.Environment) error {
	var problems sluice.Problems
	if d.GatewayType != "" && d.GatewayType != regularGateway {
		problems.Add("gatewayType", "environment.gateway_type", "Gateways of the type %q are not offered, only %s.", d.GatewayType, regularGateway)
	}
	if len(d.URIs) > 0 {
		problems.Add("endpointURIs", "environment.endpoint_uris", "Addresses outside of vhosts are not offered.")
	}
	e.Name, e.DisplayName, e.Description, e.Provider = d.Name, d.DisplayName, d.Description, d.Provider
	if d.Type != "" {
		e.Type = sluice.EnvironmentType(d.Type)
	}
	if d.Console != nil {
		e.Console = *d.Console
	}
	e.Vhosts = mapped(d.Vhosts, func(v vhostDocument) sluice.Vhost {
		if v.HTTPPort <= 0 && v.HTTPSPort <= 0 { // WSO2's clients may name the host alone
			v.HTTPPort, v.HTTPSPort = 80, 443
		}
		context := strings.Trim(v.Context, "/")
		if context != "" {
			context = "/" + context
		}
		return sluice.Vhost{Host: strings.ToLower(v.Host), Context: context, HTTPPort: max(v.HTTPPort, 0), HTTPSPort: max(v.HTTPSPort, 0)}
	})
	e.Properties = mapped(d.Properties, func(p propertyDocument) sluice.Property { return sluice.Property{Name: p.Key, Value: p.Value} })
	e.Permissions = sluice.EnvironmentPermissions{Type: sluice.PermissionType(d.Permissions.Type), Roles: d.Permissions.Roles}
	if d.Permissions.Type == everybody {
		e.Permissions.Type = sluice.AllRoles
	}
	return problems.Err()
}

func (s *Server) createEnvironment(w http.ResponseWriter, r *http.Request) error {
	var d environmentDocument
	if err := web.ReadJSON(r, maxJSON, &d); err != nil {
		return err
	}
	e := sluice.Environment{Type: sluice.HybridEnvironment, Console: true}
	if err := d.apply(&e); err != nil {
		return err
	}
	if err := s.plane.CreateEnvironment(r.Context(), &e); err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(e.RowVersion))
	return created(w, r, "/environments/"+e.ID, environmentOf(e))
}

func (s *Server) updateEnvironment(w http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	var d environmentDocument
	if err := web.ReadJSON(r, maxJSON, &d); err != nil {
		return err
	}
	found, err := s.plane.Environments(r.Context())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(found, func(e sluice.Environment) bool { return e.ID == r.PathValue("environmentId") })
	if i < 0 {
		return sluice.Errorf(sluice.NotFound, "environment.unknown", "There is no such environment.")
	}
	e := found[i]
	if err := d.apply(&e); err != nil {
		return err
	}
	if err := s.plane.UpdateEnvironment(r.Context(), &e, version); err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(e.RowVersion))
	return answer(w, http.StatusOK, environmentOf(e))
}

func (s *Server) deleteEnvironment(w http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	if err := s.plane.DeleteEnvironment(r.Context(), r.PathValue("environmentId"), version); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) listEnvironments(w http.ResponseWriter, r *http.Request) error {
	found, err := s.plane.Environments(r.Context())
	if err != nil {
		return err
	}
	documents := mapped(found, environmentOf)
	for i, e := range found {
		if !e.Dropped {
			continue
		}
		// Those who may see the list and not what is deployed get the list.
		if documents[i].APIs, err = s.plane.EnvironmentAPIs(r.Context(), e.ID); err != nil && sluice.KindOf(err) != sluice.Forbidden {
			return err
		}
	}
	return answer(w, http.StatusOK, listOf(documents, nil))
}

// environmentGateway is a gateway as WSO2's administrators see it.
type environmentGateway struct {
	ID         string `json:"gatewayId"`
	LastActive string `json:"lastActive,omitempty"`
	Status     string `json:"status"`
}

func (s *Server) listEnvironmentGateways(w http.ResponseWriter, r *http.Request) error {
	found, err := s.plane.Gateways(r.Context(), r.PathValue("environmentId"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listOf(mapped(found, func(g control.GatewayInfo) environmentGateway {
		status := "EXPIRED"
		if g.State == "connected" {
			status = "ACTIVE"
		}
		return environmentGateway{g.Gateway.ID, stamp(g.Report.HeardAt), status}
	}), nil))
}
