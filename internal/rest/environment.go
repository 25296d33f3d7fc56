package rest

import (
	"net/http"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
)

// environmentDocument is a gateway environment. Type and Console are what
// WSO2's document lacks.
type environmentDocument struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	DisplayName string          `json:"displayName"`
	Description string          `json:"description"`
	Provider    string          `json:"provider"`
	GatewayType string          `json:"gatewayType"`
	ReadOnly    bool            `json:"isReadOnly"`
	Vhosts      []vhostDocument `json:"vhosts"`
	URIs        []string        `json:"endpointURIs"`         // there are none
	Properties  []string        `json:"additionalProperties"` // there are none
	Permissions permissions     `json:"permissions"`
	Type        string          `json:"type"`
	Console     bool            `json:"showInApiConsole"`
}

// vhostDocument is a public address of an environment; a port 0 is not offered.
type vhostDocument struct {
	Host      string `json:"host"`
	Context   string `json:"httpContext"`
	HTTPPort  int    `json:"httpPort"`
	HTTPSPort int    `json:"httpsPort"`
}

type permissions struct {
	Type  string   `json:"permissionType"`
	Roles []string `json:"roles"`
}

func environmentOf(e sluice.Environment) environmentDocument {
	return environmentDocument{
		ID: e.ID, Name: e.Name, DisplayName: e.Name, Description: e.Description, Provider: "wso2", GatewayType: "Regular",
		ReadOnly: e.Configured, URIs: []string{}, Properties: []string{},
		Permissions: permissions{Type: "PUBLIC", Roles: []string{}}, Type: string(e.Type), Console: e.Console,
		Vhosts: mapped(e.Vhosts, func(v sluice.Vhost) vhostDocument {
			return vhostDocument{v.Host, v.Context, v.HTTPPort, v.HTTPSPort}
		}),
	}
}

func (s *Server) listEnvironments(w http.ResponseWriter, r *http.Request) error {
	found, err := s.plane.Environments(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listOf(mapped(found, environmentOf), nil))
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
