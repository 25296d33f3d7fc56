package rest

import (
	"net/http"

	"github.com/sluice-api/sluice/internal/control"
)

// gatewayDrift is in what a gateway differs from what it should be.
type gatewayDrift struct {
	gatewayDocument
	Trouble     string              `json:"trouble,omitempty"` // what is wrong with the gateway itself
	Last        *lastDrift          `json:"lastDrift,omitempty"`
	Differences []gatewayDifference `json:"differences"`
}

type lastDrift struct {
	Reason     string `json:"reason"`
	FoundAt    string `json:"foundAt"`
	RepairedAt string `json:"repairedAt,omitempty"`
}

// gatewayDifference is an API of which a gateway does not serve what it should.
type gatewayDifference struct {
	APIID    string `json:"apiId"`
	Intended int    `json:"intendedRevision"` // 0: none
	Serves   int    `json:"servedRevision"`   // 0: none that is known
	State    string `json:"state"`
	Reason   string `json:"reason,omitempty"`
}

func (s *Server) getGatewayDrift(w http.ResponseWriter, r *http.Request) error {
	drift, err := s.plane.GatewayDrift(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	out := gatewayDrift{gatewayDocument: gatewayOf(drift.GatewayInfo), Trouble: drift.Report.Trouble}
	out.Differences = mapped(drift.Differences, func(d control.GatewayDifference) gatewayDifference {
		return gatewayDifference{d.APIID, d.Intended, d.Revision, string(d.State), d.Reason}
	})
	if last := drift.Last; !last.FoundAt.IsZero() {
		out.Last = &lastDrift{last.Reason, stamp(last.FoundAt), stamp(last.RepairedAt)}
	}
	return answer(w, http.StatusOK, out)
}
