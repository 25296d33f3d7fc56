package rest

import (
	"net/http"
	"time"

	"github.com/sluice-api/sluice"
)

// traceDocument is why a call was refused or failed.
type traceDocument struct {
	TraceID     string            `json:"traceId"`
	Time        string            `json:"time"`
	GatewayID   string            `json:"gatewayId"`
	Method      string            `json:"method"`
	Path        string            `json:"path"`
	API         *traceAPI         `json:"api"`
	Operation   string            `json:"operation"`
	Application *traceApplication `json:"application"`
	Step        string            `json:"step"`
	Code        string            `json:"code"`
	Reason      string            `json:"reason"`
	Status      int               `json:"status"`
	LatencyMs   float64           `json:"latencyMs"`
	Backend     *traceBackend     `json:"backend"`
}

type traceAPI struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
}

type traceApplication struct {
	ID      string `json:"id"`
	KeyType string `json:"keyType"`
}

type traceBackend struct {
	Status    int     `json:"status"` // 0: it gave no answer
	LatencyMs float64 `json:"latencyMs"`
}

func traceOf(t *sluice.Trace) traceDocument {
	d := traceDocument{
		TraceID: t.ID, Time: stamp(t.Time), GatewayID: t.GatewayID, Method: t.Method, Path: t.Path, Operation: t.Operation,
		Step: t.Check, Code: t.Code, Reason: t.Reason, Status: t.Status, LatencyMs: milliseconds(t.Duration),
	}
	if t.APIID != "" {
		d.API = &traceAPI{t.APIID, t.APIName, t.APIVersion}
	}
	if t.ApplicationID != "" {
		d.Application = &traceApplication{t.ApplicationID, string(t.KeyType)}
	}
	if t.BackendTime > 0 {
		d.Backend = &traceBackend{t.BackendStatus, milliseconds(t.BackendTime)}
	}
	return d
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}

func (s *Server) getTrace(w http.ResponseWriter, r *http.Request) error {
	t, err := s.plane.Trace(r.Context(), r.PathValue("traceId"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, traceOf(&t))
}
