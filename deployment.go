package sluice

import "time"

// Deployment is the wish that an Environment serves a Revision. There is at
// most one for an API and an Environment.
type Deployment struct {
	APIID          string
	EnvironmentID  string
	RevisionID     string
	RevisionNumber int
	Vhost          string // host of the vhost
	Store          bool   // its URLs are shown in the API Store
	Digest         string // of the artifact; empty where skipped
	Skipped        string // why nothing is deployed there; empty: deployed
	DeployedAt     time.Time
	LiveAt         time.Time // when all connected gateways had proved it; zero: not yet
}

// DeploymentState is the state of a Deployment on one Gateway.
type DeploymentState string

// Deployment states.
const (
	Pending  DeploymentState = "pending"  // the gateway has not heard of it yet
	Prepared DeploymentState = "prepared" // checked by the gateway, not served
	Active   DeploymentState = "active"   // in the gateway's table, not yet proved
	Live     DeploymentState = "live"     // proved on the gateway's own listeners
	Failed   DeploymentState = "failed"   // the gateway could not take it
	Skipped  DeploymentState = "skipped"  // the environment's type needs an endpoint the API lacks
	Stale    DeploymentState = "stale"    // the gateway is silent; this is what it last said
	Removed  DeploymentState = "removed"  // no longer served, confirmed
)
