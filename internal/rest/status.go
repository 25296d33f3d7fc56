package rest

import (
	"net/http"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
)

// apiStatus is where an API is deployed and what each gateway says of it.
type apiStatus struct {
	ID           string              `json:"apiId"`
	Name         string              `json:"name"`
	Version      string              `json:"version"`
	State        string              `json:"lifeCycleStatus"`
	Environments []environmentStatus `json:"environments"`
}

type environmentStatus struct {
	ID       string          `json:"environmentId"`
	Name     string          `json:"environment"`
	Type     string          `json:"type"`
	Vhost    string          `json:"vhost,omitempty"`
	Intended *intended       `json:"intended,omitempty"` // nil: nothing
	State    string          `json:"state"`              // "" where nothing is intended
	Reason   string          `json:"reason,omitempty"`   // why nothing is deployed there
	URLs     []statusURL     `json:"urls"`
	Gateways []statusGateway `json:"gateways"`
}

type intended struct {
	RevisionID string `json:"revisionId"`
	Revision   int    `json:"revisionNumber"`
	Digest     string `json:"digest,omitempty"`
	Generation int64  `json:"generation"` // of the environment
}

type statusURL struct {
	URL   string `json:"url"`
	Live  bool   `json:"live"`
	Stale bool   `json:"stale"`
}

type statusGateway struct {
	ID        string `json:"gatewayId"`
	Name      string `json:"name"`
	State     string `json:"state"`
	Connected bool   `json:"connected"`
	Revision  int    `json:"revisionNumber,omitempty"`
	Digest    string `json:"digest,omitempty"`
	Since     string `json:"since,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

func (s *Server) getStatus(w http.ResponseWriter, r *http.Request) error {
	a, revision, err := s.plane.API(r.Context(), r.PathValue("apiId"))
	if err != nil {
		return err
	}
	if revision != nil {
		return sluice.Errorf(sluice.NotFound, "api.unknown", "There is no such API.")
	}
	found, err := s.plane.Status(r.Context(), a.ID)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, apiStatus{
		ID: a.ID, Name: a.Name, Version: a.Version, State: string(a.State), Environments: mapped(found, environmentStatusOf),
	})
}

func environmentStatusOf(e control.EnvironmentStatus) environmentStatus {
	out := environmentStatus{
		ID: e.Environment.ID, Name: e.Environment.Name, Type: string(e.Environment.Type), State: e.State,
		URLs: mapped(e.URLs, func(u control.URL) statusURL { return statusURL{u.URL, u.Live, u.Stale} }),
		Gateways: mapped(e.Gateways, func(g control.GatewayStatus) statusGateway {
			return statusGateway{
				ID: g.Gateway.ID, Name: g.Gateway.Name, State: string(g.State), Connected: g.Connected, Revision: g.Revision,
				Digest: g.Digest, Since: stamp(g.Since), Reason: g.Reason,
			}
		}),
	}
	if d := e.Deployment; d != nil {
		out.Vhost, out.Reason = d.Vhost, d.Skipped
		out.Intended = &intended{d.RevisionID, d.RevisionNumber, d.Digest, e.Environment.Generation}
	}
	return out
}

// getEnvironmentStatus lists the APIs that are deployed to one environment.
func (s *Server) getEnvironmentStatus(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	found, total, err := s.plane.EnvironmentStatus(r.Context(), r.PathValue("environmentId"), r.URL.Query().Get("state"), page)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listOf(mapped(found, func(d control.DeployedAPI) apiStatus {
		return apiStatus{
			ID: d.API.ID, Name: d.API.Name, Version: d.API.Version, State: string(d.API.State),
			Environments: []environmentStatus{environmentStatusOf(d.Status)},
		}
	}), paginate(r, page, total)))
}
