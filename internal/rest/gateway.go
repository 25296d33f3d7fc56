package rest

import (
	"net/http"
	"slices"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/web"
)

// gatewayDocument is a gateway: what it says of itself, and what it should be.
type gatewayDocument struct {
	ID                 string      `json:"gatewayId"`
	Name               string      `json:"name"`
	DisplayName        string      `json:"displayName"`
	EnvironmentID      string      `json:"environmentId"`
	Environment        string      `json:"environment"`
	Address            string      `json:"address"`
	Version            string      `json:"version"`
	State              string      `json:"state"`
	Generation         int64       `json:"generation"`
	IntendedGeneration int64       `json:"intendedGeneration"`
	Digest             string      `json:"digest"` // of everything it serves
	IntendedDigest     string      `json:"intendedDigest,omitempty"`
	Drift              bool        `json:"drift"`
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
		IntendedDigest: g.IntendedRoot, Drift: g.Drift, DisplayName: g.Gateway.DisplayName,
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
	w.Header().Set("ETag", web.ETag(g.Gateway.RowVersion)) // for If-Match; the state changes without it
	return answer(w, http.StatusOK, gatewayOf(g))
}

func (s *Server) changeGateway(w http.ResponseWriter, r *http.Request) error {
	version, err := mustMatch(r)
	if err != nil {
		return err
	}
	var q struct {
		DisplayName string `json:"displayName"`
		Drain       *bool  `json:"drain"`
	}
	if err := readOwn(r, &q); err != nil {
		return err
	}
	if q.Drain != nil {
		return web.Refuse(http.StatusNotImplemented, "gateway.drain", "Gateways cannot be drained from here (drain); stop the gateway's process, which finishes its requests first.")
	}
	g, err := s.plane.RenameGateway(r.Context(), r.PathValue("id"), q.DisplayName, version)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(g.Gateway.RowVersion))
	return answer(w, http.StatusOK, gatewayOf(g))
}

func (s *Server) resyncGateway(w http.ResponseWriter, r *http.Request) error {
	if err := s.plane.ResyncGateway(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// gatewayDeployment is what a gateway shall serve of an API, and its state there.
type gatewayDeployment struct {
	APIID      string `json:"apiId"`
	RevisionID string `json:"revisionId"`
	Revision   int    `json:"revisionNumber"`
	Digest     string `json:"digest,omitempty"`
	State      string `json:"state"`
	Since      string `json:"since,omitempty"`
	Error      string `json:"error,omitempty"`
}

func (s *Server) listGatewayDeployments(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	if r.URL.Query().Get("at") != "" {
		return web.Refuse(http.StatusNotImplemented, "gateway.at", "What a gateway served at a past time is not kept (at).")
	}
	found, err := s.plane.GatewayDeployments(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if state := r.URL.Query().Get("state"); state != "" {
		found = slices.DeleteFunc(found, func(d control.GatewayDeployment) bool { return string(d.State) != state })
	}
	return answer(w, http.StatusOK, listOf(mapped(cut(found, page), func(d control.GatewayDeployment) gatewayDeployment {
		return gatewayDeployment{
			APIID: d.Deployment.APIID, RevisionID: d.Deployment.RevisionID, Revision: d.Deployment.RevisionNumber, Digest: d.Deployment.Digest,
			State: string(d.State), Since: stamp(d.Since), Error: d.Reason,
		}
	}), paginate(r, page, len(found))))
}

// deleteGateway ends an enrolment.
func (s *Server) deleteGateway(w http.ResponseWriter, r *http.Request) error {
	version, err := mustMatch(r)
	if err != nil {
		return err
	}
	if err := s.plane.RemoveGateway(r.Context(), r.PathValue("id"), version); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
