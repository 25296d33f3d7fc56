package sluice

import "time"

// Gateway is a running node of one Environment, known by its public key.
type Gateway struct {
	ID            string
	EnvironmentID string
	Name          string
	DisplayName   string // for people; empty: Name
	PublicKey     string // NKey of type user, "U…"
	Address       string // management address it announced, "host:port"
	ServerURL     string // of the configuration's Environment that enrolled it; empty when it joined by token
	Version       string
	RowVersion    int64
	EnrolledAt    time.Time
}

// Report is what a gateway last said of itself.
type Report struct {
	GatewayID   string
	HeardAt     time.Time // the control plane's clock
	Connected   bool
	Epoch       int64
	Generation  int64
	Root        string // digest of everything it serves, hexadecimal
	Version     string
	Trouble     string // what is wrong with the gateway itself, such as a damaged local copy; "": nothing
	Drift       string // in what it differed from what it should serve, though connected all along; "": in nothing
	Deployments []DeploymentReport
}

// Drift is when a gateway was found to serve, or to keep on disk, something else
// than it should, and when it was put right.
type Drift struct {
	GatewayID  string
	Reason     string
	FoundAt    time.Time
	RepairedAt time.Time // zero: not yet
}

// DeploymentReport is the state of one API on one gateway.
type DeploymentReport struct {
	APIID    string          `json:"api_id"`
	Digest   string          `json:"digest"` // of the artifact the state is about
	State    DeploymentState `json:"state"`
	Reason   string          `json:"reason,omitempty"`
	Serving  string          `json:"serving,omitempty"` // digest it serves instead, where State is failed
	Since    time.Time       `json:"since"`
	Revision int             `json:"revision"`
}

// StaleAfter is how long a gateway may be silent before what it last said is
// shown as stale.
const StaleAfter = 15 * time.Second

// EnrolmentToken lets one gateway join one environment, once.
type EnrolmentToken struct {
	ID            string
	EnvironmentID string
	Name          string
	Hash          string // Secret.Hash of the token
	ServerURL     string // set where the control plane itself posts it to a gateway
	CreatedBy     string
	CreatedAt     time.Time
	ExpiresAt     time.Time
	UsedAt        time.Time // zero: not yet
}
