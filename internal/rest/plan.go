package rest

import (
	"net/http"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
)

// planDocument is what a publication would do.
type planDocument struct {
	PlanDigest  string            `json:"planDigest,omitempty"`
	Mode        string            `json:"mode"`
	OK          bool              `json:"ok"`
	Blocking    []blockingProblem `json:"blocking"`
	Targets     []planTarget      `json:"targets"`
	Definition  planDefinition    `json:"definition"`
	Subscribers planSubscribers   `json:"subscribers"`
	Lifecycle   *planLifecycle    `json:"lifecycle,omitempty"` // nil: it stays as it is
}

type blockingProblem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Field   string `json:"field,omitempty"`
}

type planTarget struct {
	APIID         string        `json:"apiId"`
	EnvironmentID string        `json:"environmentId"`
	Environment   string        `json:"environment"`
	Type          string        `json:"type"`
	Vhost         string        `json:"vhost"`
	Change        string        `json:"change"`
	Reason        string        `json:"reason,omitempty"`
	From          *planRevision `json:"from,omitempty"` // nil: nothing is served
	To            *planRevision `json:"to,omitempty"`   // nil: nothing will be
	Gateways      planGateways  `json:"gateways"`
	URLs          []string      `json:"urls"`
	Warnings      []string      `json:"warnings"`
}

type planRevision struct {
	Revision int    `json:"revisionNumber"`
	Digest   string `json:"digest"`
}

type planGateways struct {
	Connected int `json:"connected"`
	Stale     int `json:"stale"`
}

// planDefinition is what changes for those who call the API.
type planDefinition struct {
	Breaking []breakingChange `json:"breaking"`
	Other    int              `json:"other"`
}

type breakingChange struct {
	Operation string `json:"operation"`
	Change    string `json:"change"`
}

type planSubscribers struct {
	Applications  int `json:"applications"`
	Subscriptions int `json:"subscriptions"`
}

type planLifecycle struct {
	From string `json:"from"`
	To   string `json:"to"`
}

func (s *Server) createPlan(w http.ResponseWriter, r *http.Request) error {
	q, err := readPublicationRequest(r)
	if err != nil {
		return err
	}
	p, err := s.plane.PlanPublication(r.Context(), q)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, planOf(&p))
}

func planOf(p *control.Plan) planDocument {
	out := planDocument{
		PlanDigest: p.Digest, Mode: string(p.Publication.Mode), OK: len(p.Blocking) == 0,
		Blocking:    mapped(p.Blocking, func(e *sluice.Error) blockingProblem { return blockingProblem{e.Code, e.Message, e.Field} }),
		Targets:     mapped(p.Targets, planTargetOf),
		Definition:  planDefinition{[]breakingChange{}, p.Definition.Other},
		Subscribers: planSubscribers{p.Applications, p.Subscriptions},
	}
	for _, b := range p.Definition.Breaking {
		out.Definition.Breaking = append(out.Definition.Breaking, breakingChange{b.Operation, b.Change})
	}
	if u := p.Publication.Undo; u.From != "" {
		out.Lifecycle = &planLifecycle{string(u.From), string(u.To)}
	}
	return out
}

func planTargetOf(t control.PlanTarget) planTarget {
	out := planTarget{
		APIID: t.APIID, EnvironmentID: t.EnvironmentID, Environment: t.Environment, Type: string(t.Type), Vhost: t.Vhost, Change: t.Change, Reason: t.Reason,
		Gateways: planGateways{t.Connected, t.Stale}, URLs: mapped(t.URLs, func(u control.URL) string { return u.URL }),
		Warnings: append([]string{}, t.Warnings...),
	}
	if b := t.Before; b != nil && b.Digest != "" {
		out.From = &planRevision{b.RevisionNumber, b.Digest}
	}
	if t.Digest != "" {
		out.To = &planRevision{t.RevisionNumber, t.Digest}
	}
	return out
}
