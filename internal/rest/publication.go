package rest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/web"
)

// publicationDocument is one act of publishing and what became of it.
type publicationDocument struct {
	ID          string              `json:"publicationId"`
	Action      string              `json:"action"`
	Mode        string              `json:"mode"`
	State       string              `json:"state"`
	Reason      string              `json:"reason,omitempty"`
	APIID       string              `json:"apiId"` // empty: it is about several, which the targets name
	RevisionID  string              `json:"revisionId"`
	Revision    int                 `json:"revisionNumber"`
	PlanDigest  string              `json:"planDigest,omitempty"`
	Reverts     string              `json:"reverts,omitempty"`
	Actor       string              `json:"actor"`
	CreatedAt   string              `json:"createdAt"`
	CommittedAt string              `json:"committedAt,omitempty"`
	FinishedAt  string              `json:"finishedAt,omitempty"`
	Targets     []publicationTarget `json:"targets"`
}

type publicationTarget struct {
	APIID         string               `json:"apiId"`
	EnvironmentID string               `json:"environmentId"`
	Environment   string               `json:"environment"`
	Vhost         string               `json:"vhost"`
	Change        string               `json:"change"`
	Revision      int                  `json:"revisionNumber,omitempty"`
	Digest        string               `json:"digest,omitempty"`
	State         string               `json:"state"`
	Reason        string               `json:"reason,omitempty"`
	Gateways      []publicationGateway `json:"gateways"`
}

type publicationGateway struct {
	ID     string `json:"gatewayId"`
	Name   string `json:"name"`
	State  string `json:"state"`
	Digest string `json:"digest,omitempty"` // of what it has
	Reason string `json:"reason,omitempty"`
	At     string `json:"at,omitempty"`
}

func publicationOf(p *sluice.Publication) publicationDocument {
	return publicationDocument{
		ID: p.ID, Action: string(p.Action), Mode: string(p.Mode), State: string(p.State), Reason: p.Reason, APIID: p.APIID,
		RevisionID: p.RevisionID, Revision: p.RevisionNumber, PlanDigest: p.PlanDigest, Reverts: p.Reverts, Actor: p.Actor,
		CreatedAt: stamp(p.CreatedAt), CommittedAt: stamp(p.CommittedAt), FinishedAt: stamp(p.FinishedAt),
		Targets: mapped(p.Targets, func(t sluice.Target) publicationTarget {
			return publicationTarget{
				APIID: cmp.Or(t.APIID, p.APIID), EnvironmentID: t.EnvironmentID, Environment: t.Environment, Vhost: t.Vhost, Change: t.Change,
				Revision: t.RevisionNumber, Digest: t.Digest, State: string(t.State), Reason: t.Reason,
				Gateways: mapped(t.Gateways, func(g sluice.TargetGateway) publicationGateway {
					return publicationGateway{g.GatewayID, g.Name, string(g.State), g.Digest, g.Reason, stamp(g.At)}
				}),
			}
		}),
	}
}

// publicationRequest asks for a publication, or for the plan of one.
type publicationRequest struct {
	Action      string `json:"action"`
	Mode        string `json:"mode"`
	APIID       string `json:"apiId"`
	RevisionID  string `json:"revisionId"`
	NewRevision *struct {
		Description string `json:"description"`
	} `json:"newRevision"`
	Targets []struct {
		EnvironmentID string `json:"environmentId"`
		Vhost         string `json:"vhost"`
		Store         *bool  `json:"displayOnDevportal"` // default true
	} `json:"targets"`
	Exact      bool      `json:"exact"`
	Lifecycle  string    `json:"lifecycle"`
	Since      time.Time `json:"since"`
	PlanDigest string    `json:"planDigest"`
}

func readPublicationRequest(r *http.Request) (q control.PublicationRequest, err error) {
	var body publicationRequest
	if err := web.ReadJSON(r, maxJSON, &body); err != nil {
		return q, err
	}
	q = control.PublicationRequest{
		Action: sluice.PublicationAction(body.Action), Mode: sluice.PublicationMode(body.Mode), APIID: body.APIID, RevisionID: body.RevisionID,
		NewRevision: body.NewRevision != nil, Exact: body.Exact, Lifecycle: body.Lifecycle, Since: body.Since, PlanDigest: body.PlanDigest,
	}
	if body.NewRevision != nil {
		q.Description = body.NewRevision.Description
	}
	var problems sluice.Problems
	for _, t := range body.Targets {
		if t.EnvironmentID == "" {
			problems.Add("environmentId", "environment.missing", "Name the environment by its id.")
		}
		q.Targets = append(q.Targets, control.DeployTarget{EnvironmentID: t.EnvironmentID, Vhost: t.Vhost, Store: t.Store == nil || *t.Store})
	}
	return q, problems.Err()
}

// createPublication begins a publication; how it goes is for getPublication and
// followPublication to say.
func (s *Server) createPublication(w http.ResponseWriter, r *http.Request) error {
	q, err := readPublicationRequest(r)
	if err != nil {
		return err
	}
	p, err := s.plane.Publish(r.Context(), q)
	if err != nil {
		return err
	}
	w.Header().Set("Location", sluiceBase+"/publications/"+p.ID)
	return answer(w, http.StatusAccepted, publicationOf(&p))
}

func (s *Server) cancelPublication(w http.ResponseWriter, r *http.Request) error {
	p, err := s.plane.CancelPublication(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusAccepted, publicationOf(&p))
}

// followPublication sends a publication as server-sent events: "gateway" for each
// gateway whose state is another, "publication" for the whole, and ends when it is
// final. Whoever comes back with Last-Event-ID gets the state of everything again.
func (s *Server) followPublication(w http.ResponseWriter, r *http.Request) error {
	events := eventStream{w: w}
	told := map[[2]string]publicationGateway{}
	var state sluice.PublicationState
	return s.plane.FollowPublication(r.Context(), r.PathValue("id"), func(p sluice.Publication) (bool, time.Duration) {
		document := publicationOf(&p)
		for _, t := range document.Targets {
			for _, g := range t.Gateways {
				at := [2]string{t.APIID + "@" + t.EnvironmentID, g.ID}
				if last, known := told[at]; known && last.State == g.State && last.Reason == g.Reason && last.Digest == g.Digest {
					continue
				}
				told[at] = g
				events.send("gateway", gatewayEvent{t.APIID, t.EnvironmentID, t.Environment, g})
			}
		}
		if p.State != state {
			state = p.State
			events.send("publication", document)
		}
		return events.err == nil, 0
	})
}

// gatewayEvent is the progress of a publication on one gateway.
type gatewayEvent struct {
	APIID         string `json:"apiId"`
	EnvironmentID string `json:"environmentId"`
	Environment   string `json:"environment"`
	publicationGateway
}

// eventStream writes server-sent events.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
type eventStream struct {
	w   http.ResponseWriter
	id  int
	err error // of the first event that could not be sent
}

func (e *eventStream) send(event string, v any) {
	if e.err != nil {
		return
	}
	data, err := json.Marshal(v) // on one line
	if err != nil {
		panic(err) // only strings and numbers
	}
	if e.id++; e.id == 1 {
		e.w.Header().Set("Content-Type", "text/event-stream")
		e.w.Header().Set("Cache-Control", "no-store")
		e.w.WriteHeader(http.StatusOK)
	}
	if _, e.err = fmt.Fprintf(e.w, "id: %d\nevent: %s\ndata: %s\n\n", e.id, event, data); e.err == nil {
		e.err = http.NewResponseController(e.w).Flush()
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
