package rest

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/web"
)

// deploymentDocument is a revision in an environment. The counts are of
// gateways; Gateways, which WSO2's document lacks, says which and why.
type deploymentDocument struct {
	RevisionID   string              `json:"revisionUuid"`
	Environment  string              `json:"name"`
	Vhost        string              `json:"vhost"`
	Store        bool                `json:"displayOnDevportal"`
	Status       string              `json:"status"`
	DeployedTime string              `json:"deployedTime"`
	SuccessTime  string              `json:"successDeployedTime,omitempty"` // when all connected gateways were live
	Connected    int                 `json:"liveGatewayCount"`              // connected gateways
	Deployed     int                 `json:"deployedGatewayCount"`          // that have proved this revision
	Failed       int                 `json:"failedGatewayCount"`
	Gateways     []deploymentGateway `json:"gateways"`
}

// deploymentGateway is the state of a deployment on one gateway.
type deploymentGateway struct {
	ID       string `json:"gatewayId"`
	Name     string `json:"name"`
	State    string `json:"state"`
	Reason   string `json:"reason,omitempty"`
	Revision int    `json:"revisionNumber,omitempty"`
	Since    string `json:"since,omitempty"`
}

// deploymentsOf lists the deployments of an API, in the environments' order;
// with a revision's id, those of that revision.
func deploymentsOf(status []control.EnvironmentStatus, revisionID string) []deploymentDocument {
	list := []deploymentDocument{}
	for _, e := range status {
		d := e.Deployment
		if d == nil || revisionID != "" && d.RevisionID != revisionID {
			continue
		}
		out := deploymentDocument{
			RevisionID: d.RevisionID, Environment: e.Environment.Name, Vhost: d.Vhost, Store: d.Store, Status: "APPROVED",
			DeployedTime: stamp(d.DeployedAt), SuccessTime: stamp(d.LiveAt), Gateways: []deploymentGateway{},
		}
		for _, g := range e.Gateways {
			if g.Connected {
				out.Connected++
			}
			switch g.State {
			case sluice.Live:
				out.Deployed++
			case sluice.Failed:
				out.Failed++
			}
			out.Gateways = append(out.Gateways, deploymentGateway{
				ID: g.Gateway.ID, Name: g.Gateway.Name, State: string(g.State), Reason: g.Reason, Revision: g.Revision, Since: stamp(g.Since),
			})
		}
		list = append(list, out)
	}
	return list
}

// listDeployments answers with a bare array, as WSO2's server does.
func (s *Server) listDeployments(w http.ResponseWriter, r *http.Request) error {
	return s.answerDeployments(w, r, http.StatusOK, "")
}

func (s *Server) answerDeployments(w http.ResponseWriter, r *http.Request, code int, revisionID string) error {
	status, err := s.plane.Status(r.Context(), r.PathValue("apiId"))
	if err != nil {
		return err
	}
	return answer(w, code, deploymentsOf(status, revisionID))
}

// deploymentTarget is an environment in a request.
type deploymentTarget struct {
	Environment string `json:"name"`
	Vhost       string `json:"vhost"`
	Store       *bool  `json:"displayOnDevportal"` // default true
}

// deployRevision answers when the connected gateways have proved the revision,
// refused it or were silent too long, with all deployments of the API.
func (s *Server) deployRevision(w http.ResponseWriter, r *http.Request) error {
	revisionID, err := required(r, "revisionId")
	if err != nil {
		return err
	}
	var targets []deploymentTarget
	if err := web.ReadJSON(r, maxJSON, &targets); err != nil {
		return err
	}
	wanted := mapped(targets, func(t deploymentTarget) control.DeployTarget {
		return control.DeployTarget{Environment: t.Environment, Vhost: t.Vhost, Store: t.Store == nil || *t.Store}
	})
	p, err := s.plane.Deploy(r.Context(), r.PathValue("apiId"), revisionID, wanted)
	if err != nil {
		return err
	}
	switch p.State {
	case sluice.Refused, sluice.Cancelled:
		return sluice.Errorf(sluice.Conflict, "publication.refused", "Nothing was deployed: %s.", cmp.Or(p.Reason, "it was cancelled"))
	case sluice.Reverting, sluice.Reverted:
		return sluice.Errorf(sluice.Unavailable, "publication.reverted", "Every gateway is taken back to what it served: %s.", p.Reason)
	}
	return s.answerDeployments(w, r, http.StatusCreated, "")
}

// updateDeployment says whether the Store shows a deployment. Its id is the name
// of the environment in base64url, with or without padding.
func (s *Server) updateDeployment(w http.ResponseWriter, r *http.Request) error {
	name, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(r.PathValue("deploymentId"), "="))
	if err != nil || unprintable(string(name)) {
		return sluice.Errorf(sluice.NotFound, "deployment.unknown", "There is no such deployment.")
	}
	var q struct {
		RevisionID string `json:"revisionUuid"`
		Store      *bool  `json:"displayOnDevportal"`
	}
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return err
	}
	if err := s.plane.ShowDeployment(r.Context(), r.PathValue("apiId"), string(name), q.RevisionID, q.Store == nil || *q.Store); err != nil {
		return err
	}
	status, err := s.plane.Status(r.Context(), r.PathValue("apiId"))
	if err != nil {
		return err
	}
	for _, d := range deploymentsOf(status, "") {
		if strings.EqualFold(d.Environment, string(name)) {
			return answer(w, http.StatusOK, d)
		}
	}
	return sluice.Errorf(sluice.NotFound, "deployment.unknown", "There is no such deployment.")
}

// undeployRevision takes a revision off the environments of the body, or off
// all, and answers with what is left of it.
func (s *Server) undeployRevision(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	revisionID, all := q.Get("revisionId"), q.Get("allEnvironments") == "true"
	number, err := revisionNumber(q.Get("revisionNumber"), revisionID)
	if err != nil {
		return err
	}
	var targets []deploymentTarget // clients send null, or nothing, with allEnvironments
	if !all || r.ContentLength != 0 {
		if err := web.ReadJSON(r, maxJSON, &targets); err != nil {
			return err
		}
	}
	names := mapped(targets, func(t deploymentTarget) string { return t.Environment })
	p, err := s.plane.Undeploy(r.Context(), r.PathValue("apiId"), revisionID, number, names, all)
	if err != nil {
		return err
	}
	return s.answerDeployments(w, r, http.StatusCreated, p.RevisionID)
}

// revisionNumber reads the number of a revision, which is needed where there is
// no id.
func revisionNumber(text, id string) (int, error) {
	switch n, err := strconv.Atoi(text); {
	case id != "":
		return 0, nil
	case text == "":
		return 0, sluice.Errorf(sluice.Invalid, "parameter.missing", "The parameter revisionId or revisionNumber is needed.").At("revisionId")
	case err != nil || n <= 0:
		return 0, sluice.Errorf(sluice.Invalid, "revision.number", "A revision number is a whole number above 0.").At("revisionNumber")
	default:
		return n, nil
	}
}
