package rest

import (
	"net/http"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
)

// enrolmentToken is a one-time token with which a gateway joins, and the command
// line that uses it.
type enrolmentToken struct {
	ID            string `json:"tokenId"`
	Name          string `json:"name"`
	Token         string `json:"token,omitempty"` // in the answer that makes it
	EnvironmentID string `json:"environmentId"`
	CreatedBy     string `json:"createdBy,omitempty"`
	ExpiresAt     string `json:"expiresAt"`
	UsedAt        string `json:"usedAt,omitempty"`
	Fingerprint   string `json:"caFingerprint,omitempty"`
	Command       string `json:"command,omitempty"`
}

func (s *Server) createEnrolmentToken(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		EnvironmentID string `json:"environmentId"`
		Name          string `json:"name"`
		ExpiresIn     int64  `json:"expiresIn"` // seconds
	}
	if err := readOwn(r, &q); err != nil {
		return err
	}
	ttl, err := validity(q.ExpiresIn, 0)
	if err != nil {
		return err
	}
	t, secret, command, err := s.plane.CreateEnrolmentToken(r.Context(), q.EnvironmentID, q.Name, ttl)
	if err != nil {
		return err
	}
	return answer(w, http.StatusCreated, enrolmentToken{
		ID: t.ID, Name: t.Name, Token: secret.Reveal(), EnvironmentID: t.EnvironmentID, ExpiresAt: stamp(t.ExpiresAt),
		Fingerprint: s.plane.CAFingerprint(), Command: command,
	})
}

// enrolmentAnswer is what a gateway gets when it joins.
type enrolmentAnswer struct {
	GatewayID     string   `json:"gatewayId"`
	EnvironmentID string   `json:"environmentId"`
	Certificate   string   `json:"certificate"`
	CA            string   `json:"ca"`
	BusURL        string   `json:"busURL"`
	StateKeys     [][]byte `json:"stateKeys"` // Ed25519 public keys, base64
}

// enrol lets a gateway join; the token in the body is all that says it may.
func (s *Server) enrol(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Token     string   `json:"token"`
		Name      string   `json:"name"`
		PublicKey string   `json:"publicKey"`
		CSR       string   `json:"csr"`
		Listeners []string `json:"listeners"`
		Version   string   `json:"version"`
	}
	if err := readOwn(r, &q); err != nil {
		return err
	}
	e, err := s.plane.Enrol(r.Context(), control.Enrolment{
		Token: sluice.Secret(q.Token), Name: q.Name, PublicKey: q.PublicKey, CSR: q.CSR, Version: q.Version, Listeners: q.Listeners,
	})
	if err != nil {
		return err
	}
	return answer(w, http.StatusCreated, enrolmentAnswer(e))
}

func (s *Server) listEnrolmentTokens(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	found, err := s.plane.EnrolmentTokens(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listOf(mapped(cut(found, page), func(t sluice.EnrolmentToken) enrolmentToken {
		return enrolmentToken{ID: t.ID, Name: t.Name, EnvironmentID: t.EnvironmentID, CreatedBy: t.CreatedBy, ExpiresAt: stamp(t.ExpiresAt), UsedAt: stamp(t.UsedAt)}
	}), paginate(r, page, len(found))))
}

func (s *Server) deleteEnrolmentToken(w http.ResponseWriter, r *http.Request) error {
	if err := s.plane.DeleteEnrolmentToken(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
