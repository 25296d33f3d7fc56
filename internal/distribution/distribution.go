// Package distribution carries the state of each environment from the control
// plane to its gateways, and back what gateways say of themselves. It alone
// knows NATS, and uses core NATS only: the database is the truth, the bus
// carries copies, and nothing depends on a message having arrived.
//
// A state is a set of items, encoded artifacts under ids ([Snapshot]). The
// control plane's end ([Bus]) signs its root and publishes every change; the
// gateway's end ([Follower]) takes a change only where its own recomputed root
// equals the signed one, keeps a verified copy on disk, and catches up by pages
// whenever it is behind. A gateway gets its keys, and whom to trust, by [Join].
//
// What items mean is the business of package artifact, what is done with them
// that of package gateway. To add a message: its form in message.go, its
// subject in subjects.go, and a file for both ends, as status.go for heartbeats.
package distribution

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

// Item is one encoded artifact in the state of an environment.
type Item struct {
	ID     string
	Digest artifact.Digest // of Body
	Body   []byte          // at most artifact.MaxSize
}

// Change is one generation of one environment. An id is in Put or in Remove,
// once.
type Change struct {
	EnvironmentID string
	Epoch         int64
	Generation    int64
	Put           []Item
	Remove        []string
}

// Refusal is why a gateway could not take an item.
type Refusal struct {
	ItemID string
	Reason string // a sentence for people
}

// Snapshot is the whole state of one environment at one generation.
type Snapshot struct {
	EnvironmentID string
	Epoch         int64
	Generation    int64
	Items         map[string][]byte // item id → artifact bytes
}

// Update is what a Follower hands to its gateway, verified.
type Update struct {
	Epoch      int64
	Generation int64
	Complete   bool // what is not in Put is gone
	FromCopy   bool // of a start: much at once, and calls wait for it
	Anew       bool // what was handed over before was not what its digests said
	Put        []Item
	Remove     []string
}

// Options are what a Bus needs. All but Usage, Cluster, Log and Now are required.
type Options struct {
	Signer   ed25519.PrivateKey                                                // signs states
	Snapshot func(ctx context.Context, environmentID string) (Snapshot, error) // all items, from one database snapshot
	// Overtaken is told when a gateway has a later state than Snapshot gives,
	// signed by Signer. It begins a new epoch and calls Refresh; nil: nobody is told.
	Overtaken func(ctx context.Context, environmentID string, epoch, generation int64) error
	Gateway   func(ctx context.Context, publicKey string) (sluice.Gateway, bool) // enrolled? asked at each connection
	Report    func(sluice.Report)                                                // what a gateway says of itself, in order per gateway; Connected is false when it went
	Usage     func(ctx context.Context, r UsageReport) error                     // stores what a gateway has counted, once for each record; nil: nobody is told of usage
	Cluster   *ClusterOptions                                                    // nil: this is the only control plane
	Log       *slog.Logger                                                       // nil: nothing is logged
	Now       func() time.Time                                                   // nil: time.Now
}
