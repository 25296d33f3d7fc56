package rest

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
)

// revocationDocument is an act of revoking and which gateways have proved it.
type revocationDocument struct {
	ID       string              `json:"revocationId"`
	Kind     string              `json:"kind"`
	Subject  string              `json:"id"`
	Actor    string              `json:"actor"`
	At       string              `json:"at"`
	State    string              `json:"state"` // pending, everywhere
	After    *int64              `json:"everywhereAfterMs,omitempty"`
	Gateways []revocationGateway `json:"gateways"`
	Unheard  []string            `json:"unheard"` // gateways that have not proved it
}

type revocationGateway struct {
	ID            string `json:"gatewayId"`
	Name          string `json:"name"`
	EnvironmentID string `json:"environmentId"`
	RefusedAt     string `json:"refusedAt,omitempty"`
}

func revocationOf(a *sluice.RevocationAct) revocationDocument {
	d := revocationDocument{
		ID: a.ID, Kind: a.Kind, Subject: a.Subject, Actor: a.Actor, At: stamp(a.CreatedAt), State: "pending",
		Gateways: []revocationGateway{}, Unheard: []string{},
	}
	if !a.EverywhereAt.IsZero() {
		d.State, d.After = "everywhere", new(a.EverywhereAt.Sub(a.CreatedAt).Milliseconds())
	}
	for _, e := range a.Environments {
		for _, g := range e.Gateways {
			d.Gateways = append(d.Gateways, revocationGateway{g.GatewayID, g.Name, e.EnvironmentID, stamp(g.RefusedAt)})
			if g.RefusedAt.IsZero() {
				d.Unheard = append(d.Unheard, g.GatewayID)
			}
		}
	}
	return d
}

func (s *Server) createRevocation(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Kind  string `json:"kind"`
		ID    string `json:"id"`
		Token string `json:"token"`
	}
	if err := readOwn(r, &q); err != nil {
		return err
	}
	a, err := s.plane.Revoke(r.Context(), control.RevocationRequest{Kind: q.Kind, ID: q.ID, Token: sluice.Secret(q.Token)})
	if err != nil {
		return err
	}
	w.Header().Set("Location", sluiceBase+"/revocations/"+a.ID)
	return answer(w, http.StatusAccepted, revocationOf(&a))
}

func (s *Server) getRevocation(w http.ResponseWriter, r *http.Request) error {
	wait, err := waitOf(r)
	if err != nil {
		return err
	}
	a, err := s.plane.Revocation(r.Context(), r.PathValue("id"), wait)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, revocationOf(&a))
}

// waitOf returns how long the answer may be held back, by the parameter wait.
func waitOf(r *http.Request) (time.Duration, error) {
	text := r.URL.Query().Get("wait")
	if text == "" {
		return 0, nil
	}
	wait, err := strconv.Atoi(text)
	if err != nil || wait < 1 || wait > maxWait {
		return 0, sluice.Errorf(sluice.Invalid, "parameter.wait", "Waiting takes 1 to %d seconds.", maxWait).At("wait")
	}
	return time.Duration(wait) * time.Second, nil
}
