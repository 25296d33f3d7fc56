package rest

import (
	"net/http"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
)

// publicationDocument is one act of publishing and what became of it.
type publicationDocument struct {
	ID          string              `json:"publicationId"`
	Action      string              `json:"action"`
	Mode        string              `json:"mode"`
	State       string              `json:"state"`
	Reason      string              `json:"reason,omitempty"`
	APIID       string              `json:"apiId"`
	RevisionID  string              `json:"revisionId"`
	Revision    int                 `json:"revisionNumber"`
	Actor       string              `json:"actor"`
	CreatedAt   string              `json:"createdAt"`
	CommittedAt string              `json:"committedAt,omitempty"`
	FinishedAt  string              `json:"finishedAt,omitempty"`
	Targets     []publicationTarget `json:"targets"`
}

type publicationTarget struct {
	EnvironmentID string               `json:"environmentId"`
	Environment   string               `json:"environment"`
	Vhost         string               `json:"vhost"`
	Change        string               `json:"change"`
	Digest        string               `json:"digest,omitempty"`
	State         string               `json:"state"`
	Reason        string               `json:"reason,omitempty"`
	Gateways      []publicationGateway `json:"gateways"`
}

type publicationGateway struct {
	ID     string `json:"gatewayId"`
	Name   string `json:"name"`
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	At     string `json:"at,omitempty"`
}

func publicationOf(p *sluice.Publication) publicationDocument {
	return publicationDocument{
		ID: p.ID, Action: p.Action, Mode: p.Mode, State: string(p.State), Reason: p.Reason, APIID: p.APIID,
		RevisionID: p.RevisionID, Revision: p.RevisionNumber, Actor: p.Actor, CreatedAt: stamp(p.CreatedAt),
		CommittedAt: stamp(p.CommittedAt), FinishedAt: stamp(p.FinishedAt),
		Targets: mapped(p.Targets, func(t sluice.Target) publicationTarget {
			return publicationTarget{
				EnvironmentID: t.EnvironmentID, Environment: t.Environment, Vhost: t.Vhost, Change: t.Change, Digest: t.Digest,
				State: string(t.State), Reason: t.Reason,
				Gateways: mapped(t.Gateways, func(g sluice.TargetGateway) publicationGateway {
					return publicationGateway{g.GatewayID, g.Name, string(g.State), g.Reason, stamp(g.At)}
				}),
			}
		}),
	}
}

// maxWait is how long an answer may be held back, in seconds.
const maxWait = 30

func (s *Server) getPublication(w http.ResponseWriter, r *http.Request) error {
	wait, err := waitOf(r)
	if err != nil {
		return err
	}
	p, err := s.plane.Publication(r.Context(), r.PathValue("id"), wait)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, publicationOf(&p))
}

func (s *Server) listPublications(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	f := control.PublicationFilter{APIID: q.Get("apiId"), EnvironmentID: q.Get("environmentId"), State: q.Get("state"), Offset: page.Offset, Limit: page.Limit}
	if f.From, f.To, err = timesOf(r); err != nil {
		return err
	}
	found, total, err := s.plane.Publications(r.Context(), f)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listOf(mapped(found, func(p sluice.Publication) publicationDocument { return publicationOf(&p) }), paginate(r, page, total)))
}
