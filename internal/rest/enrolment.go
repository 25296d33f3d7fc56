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
	Token         string `json:"token"`
	EnvironmentID string `json:"environmentId"`
	ExpiresAt     string `json:"expiresAt"`
	Fingerprint   string `json:"caFingerprint"`
	Command       string `json:"command"`
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
