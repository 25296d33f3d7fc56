package sluice

import "time"

// Publication is one act of publishing, undeploying or rolling back: what was
// asked, what became of it on every gateway, and who did it. It is the unit of
// rollback and audit.
type Publication struct {
	ID             string
	Organization   string
	APIID          string // empty: it is about several
	Action         PublicationAction
	Mode           PublicationMode
	State          PublicationState
	Reason         string
	RevisionID     string
	RevisionNumber int
	PlanDigest     string // of the plan it carries out
	Reverts        string // id of the publication that a rollback takes back; empty: none, or several
	Actor          string
	Undo           Undo
	Targets        []Target
	CreatedAt      time.Time
	CommittedAt    time.Time
	FinishedAt     time.Time
}

// PublicationAction is what a Publication is for.
type PublicationAction string

// Actions of publications.
const (
	Deploy   PublicationAction = "deploy"
	Undeploy PublicationAction = "undeploy"
	Rollback PublicationAction = "rollback"
)

// PublicationMode says what becomes of a Publication that a gateway cannot take.
type PublicationMode string

// Modes of publications.
const (
	AllOrNothing PublicationMode = "all"         // all gateways go back to what they served
	BestEffort   PublicationMode = "best-effort" // the others keep it
)

// PublicationState says how far a Publication is.
type PublicationState string

// Publication states. The first three are not final.
const (
	Preparing  PublicationState = "preparing"  // connected gateways build and check it; nothing has changed
	Confirming PublicationState = "confirming" // committed; gateways take it and prove it
	Reverting  PublicationState = "reverting"  // a gateway failed; what was before is committed again
	AllLive    PublicationState = "live"       // every connected gateway has proved it
	PartlyLive PublicationState = "partial"    // some have not, and shall
	Refused    PublicationState = "refused"    // nothing has changed on any gateway
	Cancelled  PublicationState = "cancelled"  // as Refused, at somebody's wish
	Reverted   PublicationState = "reverted"   // all serve what they served before
)

// Target is one API in one Environment of a Publication.
type Target struct {
	APIID          string          `json:"api_id,omitempty"`
	EnvironmentID  string          `json:"environment_id"`
	Environment    string          `json:"environment"`
	Vhost          string          `json:"vhost"`
	Store          bool            `json:"store,omitempty"`       // its URLs are shown in the API Store
	Change         string          `json:"change"`                // add, replace, remove, keep, skip
	RevisionID     string          `json:"revision_id,omitempty"` // that shall be served; empty: none
	RevisionNumber int             `json:"revision_number,omitempty"`
	Digest         string          `json:"digest,omitempty"` // of the artifact; empty: nothing is served
	Generation     int64           `json:"generation"`       // of the environment, with this change
	Before         *Deployment     `json:"before,omitempty"` // nil: nothing was to be served
	State          DeploymentState `json:"state"`
	Reason         string          `json:"reason,omitempty"`
	Gateways       []TargetGateway `json:"gateways"`
}

// TargetGateway is the progress of a Publication on one Gateway.
type TargetGateway struct {
	GatewayID string          `json:"gateway_id"`
	Name      string          `json:"name"`
	State     DeploymentState `json:"state"`
	Digest    string          `json:"digest,omitempty"` // of what it has, when it last said so
	Reason    string          `json:"reason,omitempty"`
	At        time.Time       `json:"at"`
}

// Undo is what a Publication changed beside its targets, so that it can be taken
// back.
type Undo struct {
	From     Lifecycle `json:"from,omitempty"`     // the API's state before; empty: it was not moved
	To       Lifecycle `json:"to,omitempty"`       // and after
	Defaults []string  `json:"defaults,omitempty"` // ids of APIs that were the default version, and are no more
}

// Final reports whether nothing more will become of p.
func (p *Publication) Final() bool {
	return p.State != Preparing && p.State != Confirming && p.State != Reverting
}
