package rest

import (
	"net/http"
	"slices"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
)

// gatewayDocument is a gateway: what it says of itself, and what it should be.
type gatewayDocument struct {
	ID                 string      `json:"gatewayId"`
	Name               string      `json:"name"`
	EnvironmentID      string      `json:"environmentId"`
	Environment        string      `json:"environment"`
	Address            string      `json:"address"`
	Version            string      `json:"version"`
	State              string      `json:"state"`
	Generation         int64       `json:"generation"`
	IntendedGeneration int64       `json:"intendedGeneration"`
	Digest             string      `json:"digest"` // of everything it serves
	PublicKey          string      `json:"publicKey"`
	EnrolledAt         string      `json:"enrolledAt"`
	LastHeard          string      `json:"lastHeard,omitempty"`
	APIs               gatewayAPIs `json:"apis"`
}

type gatewayAPIs struct {
	Intended int `json:"intended"`
	Live     int `json:"live"`
	Failed   int `json:"failed"`
	Skipped  int `json:"skipped"`
}

func gatewayOf(g control.GatewayInfo) gatewayDocument {
	version := g.Report.Version
	if version == "" {
		version = g.Gateway.Version
	}
	return gatewayDocument{
		ID: g.Gateway.ID, Name: g.Gateway.Name, EnvironmentID: g.Gateway.EnvironmentID, Environment: g.Environment,
		Address: g.Gateway.Address, Version: version, State: g.State, Generation: g.Report.Generation,
		IntendedGeneration: g.IntendedGeneration, Digest: g.Report.Root, PublicKey: g.Gateway.PublicKey,
		EnrolledAt: stamp(g.Gateway.EnrolledAt), LastHeard: stamp(g.Report.HeardAt),
		APIs: gatewayAPIs{g.Intended, g.Live, g.Failed, g.Skipped},
	}
}

func (s *Server) listGateways(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	state := r.URL.Query().Get("state")
	if state != "" && state != "connected" && state != "stale" {
		return sluice.Errorf(sluice.Invalid, "gateway.state", "A gateway is connected or stale.").At("state")
	}
	found, err := s.plane.Gateways(r.Context(), r.URL.Query().Get("environmentId"))
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(g control.GatewayInfo) bool { return state != "" && g.State != state })
	return answer(w, http.StatusOK, listOf(mapped(cut(found, page), gatewayOf), paginate(r, page, len(found))))
}

func (s *Server) getGateway(w http.ResponseWriter, r *http.Request) error {
	g, err := s.plane.Gateway(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, gatewayOf(g))
}

// deleteGateway ends an enrolment. A gateway is never changed, only removed, so
// it has no entity tag and none is asked for.
func (s *Server) deleteGateway(w http.ResponseWriter, r *http.Request) error {
	if err := s.plane.RemoveGateway(r.Context(), r.PathValue("id"), 0); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
