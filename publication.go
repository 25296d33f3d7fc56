package sluice

import "time"

// Publication is one act of publishing, undeploying or rolling back: what was
// asked, what became of it on every gateway, and who did it.
type Publication struct {
	ID             string
	Organization   string
	APIID          string
	Action         string // "deploy", "undeploy"
	Mode           string // "all", "best-effort"
	State          PublicationState
	Reason         string
	RevisionID     string
	RevisionNumber int
	Actor          string
	Targets        []Target
	CreatedAt      time.Time
	CommittedAt    time.Time
	FinishedAt     time.Time
}

// PublicationState says how far a Publication is.
type PublicationState string

// Publication states; all but Confirming are final.
const (
	Confirming PublicationState = "confirming"
	AllLive    PublicationState = "live"
	PartlyLive PublicationState = "partial"
	Refused    PublicationState = "refused"
)

// Target is one Environment of a Publication.
type Target struct {
	EnvironmentID string          `json:"environment_id"`
	Environment   string          `json:"environment"`
	Vhost         string          `json:"vhost"`
	Change        string          `json:"change"`           // add, replace, remove, skip
	Digest        string          `json:"digest,omitempty"` // of the artifact; empty: removal
	Generation    int64           `json:"generation"`       // of the environment, with this change
	State         DeploymentState `json:"state"`
	Reason        string          `json:"reason,omitempty"`
	Gateways      []TargetGateway `json:"gateways"`
}

// TargetGateway is the progress of a Publication on one Gateway.
type TargetGateway struct {
	GatewayID string          `json:"gateway_id"`
	Name      string          `json:"name"`
	State     DeploymentState `json:"state"`
	Reason    string          `json:"reason,omitempty"`
	At        time.Time       `json:"at"`
}

// Final reports whether nothing more will become of p.
func (p *Publication) Final() bool { return p.State != Confirming }
