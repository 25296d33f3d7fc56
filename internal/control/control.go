// Package control is the control plane: what publishers, subscribers and
// administrators can do, who may do it, and what happens when it is done. REST,
// portals and the command line translate; the rules are here.
//
// [Plane] has one file per feature of the domain. Every method first asks the
// Actor of its context, then changes the database in one transaction together
// with the audit entry and the events that tell gateways. relay.go carries
// events from the outbox to the bus, in order; snapshot.go gives a gateway that
// catches up everything it must have; status.go collects what gateways say of
// themselves; publication.go waits until they have proved it.
//
// The package knows no page, no path and no status code. It is not the OAuth
// server: that is package keymanager, which shares the database.
package control

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/distribution"
)

// Plane is the control plane. It may be used by many goroutines.
type Plane struct {
	db          *database.DB
	bus         *distribution.Bus
	authority   *authority
	stateKey    ed25519.PrivateKey
	status      *status
	logins      *logins
	refusals    *refusals
	revocations *revocations
	reading     chan struct{} // holds a place for each definition that is being read
	o           Options
	log         *slog.Logger
	now         func() time.Time
	unenrolled  unenrolled

	// Publications under way. Those begun here end with life.
	runs    runs
	acts    sync.WaitGroup
	life    context.Context
	end     context.CancelFunc
	prepare func(ctx context.Context, c distribution.Change, heard func(gatewayID string, refusals []distribution.Refusal) bool) error

	settings     atomic.Pointer[Settings]
	reconfigured chan struct{} // one place; tells that settings are others
}

// Options are what a Plane needs.
type Options struct {
	DB            *database.DB
	ManagementURL string // "https://host:9443": what gateways and links are told
	Quickstart    bool   // loopback only; certificates also name localhost

	RevealSecrets bool // keep consumer secrets sealed, to show them again to their owner
	PasswordGrant bool // the password grant may be ticked for a consumer key
	LegacyLogin   bool // management clients may use the password grant

	AccessTokenTTL    time.Duration // of consumer keys that ask for nothing else
	MaxAccessTokenTTL time.Duration

	// OwnAddresses are further addresses of this process, "host:port" or ":port",
	// that no API may have for its endpoint.
	OwnAddresses []string

	Settings   // those of the start; Reconfigure changes them
	BackendJWT BackendJWT

	// LocalHost reports whether a host name or address is this machine, where a
	// peer's certificate may be pinned at first contact.
	LocalHost func(host string) bool

	// Cluster is how this control plane and others over the same database find
	// each other; nil: it is the only one. Certificate and CA are filled in here.
	Cluster *distribution.ClusterOptions

	// ImportAllow are the hosts, IP addresses and networks ("10.0.0.0/8") that a
	// definition may be fetched from though they are not public.
	ImportAllow []string

	// Lookup resolves the hosts that definitions are fetched from; nil: net's.
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

	// Dial opens connections to gateways' management ports; nil: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Scopes returns the scopes of the management API that roles give.
	Scopes func(roles []sluice.Role) []string

	// IssueToken returns a client_credentials token of a consumer key, its
	// validity and its scopes.
	IssueToken func(ctx context.Context, consumerKey string, scopes []string, ttl time.Duration) (sluice.Secret, time.Duration, []string, error)

	// InspectToken returns what a token says that the Key Manager signed, expired
	// or not, and whether it is one.
	InspectToken func(token sluice.Secret) (SignedToken, bool)

	Log *slog.Logger
	Now func() time.Time
}

// Settings are what the configuration says and what may change while the control
// plane runs. They are not changed once they are given.
type Settings struct {
	// Environments are the gateway environments that the configuration fixes.
	Environments []ConfiguredEnvironment

	// CORS is what browsers may do with APIs that say nothing of it; nil: what
	// gateways do by themselves, which is policy.DefaultCORS.
	CORS *sluice.CORS

	Display     Display
	NoUnlimited bool // the tier without a limit is not offered
}

// Page is a part of a list.
type Page struct{ Offset, Limit int }

// limit returns the page's limit, 25 where none is given.
func (p Page) limit() int {
	if p.Limit <= 0 {
		return 25
	}
	return p.Limit
}

// The filter of API lists is the database's.
type (
	APIFilter = database.APIFilter
	Term      = database.Term
)

// New returns the control plane over a database, which it fills with what must
// exist from the first start: the default organization, its tiers, the
// certificate authority and the key that signs the gateways' state.
func New(ctx context.Context, o Options) (*Plane, error) {
	p := &Plane{db: o.DB, o: o, log: o.Log, now: o.Now, status: newStatus(o.Now), logins: newLogins(o.Now), revocations: newRevocations(), refusals: newRefusals(), reading: make(chan struct{}, readers), reconfigured: make(chan struct{}, 1)}
	p.settings.Store(&o.Settings)
	p.life, p.end = context.WithCancel(context.Background())
	var err error
	if err = p.db.Update(ctx, p.firstStart); err != nil {
		return nil, fmt.Errorf("prepare the database: %w", err)
	}
	if err = p.db.Update(ctx, p.syncEnvironments); err != nil {
		return nil, fmt.Errorf("take over the configured environments: %w", err)
	}
	if err = p.db.Update(ctx, p.followCORS); err != nil {
		return nil, fmt.Errorf("take over the configured CORS: %w", err)
	}
	if err = p.db.Update(ctx, p.syncBackendJWT); err != nil {
		return nil, fmt.Errorf("take over the settings of backend JWTs: %w", err)
	}
	if o.Cluster != nil {
		o.Cluster.CA, o.Cluster.Certificate = p.CACertificates(), p.peerCertificate()
	}
	p.bus, err = distribution.NewBus(distribution.Options{
		Signer: p.stateKey, Snapshot: p.snapshot, Gateway: p.gatewayByKey, Report: p.heard, Overtaken: p.overtaken, Usage: p.storeUsage, Cluster: o.Cluster, Log: o.Log, Now: o.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("make the bus: %w", err)
	}
	p.prepare = p.bus.Prepare
	if err := p.db.View(ctx, p.loadRevocations); err != nil {
		return nil, fmt.Errorf("read open revocations: %w", err)
	}
	return p, nil
}

// firstStart makes what is missing, and reads what is there.
func (p *Plane) firstStart(tx *database.Tx) (err error) {
	if _, err := tx.Organization(sluice.DefaultOrganization); sluice.IsNotFound(err) {
		o := sluice.Organization{ID: sluice.DefaultOrganization, Name: sluice.DefaultOrganization, DisplayName: "Default"}
		if err := tx.AddOrganization(&o); err != nil {
			return err
		}
		if err := p.addDefaultTiers(tx, o.ID); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if p.authority, err = loadAuthority(tx, p.now); err != nil {
		return fmt.Errorf("certificate authority: %w", err)
	}
	if p.stateKey, err = loadStateKey(tx); err != nil {
		return fmt.Errorf("state signing key: %w", err)
	}
	return nil
}

// Run carries changes to gateways, enrols the configured ones and keeps house,
// until ctx ends.
func (p *Plane) Run(ctx context.Context) error {
	defer p.acts.Wait()
	defer p.end()
	last, err := p.clearOutbox(ctx)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.bus.Run(ctx) })
	g.Go(func() error { return p.relay(ctx, last) })
	g.Go(func() error { return p.db.Watch(ctx) })
	if p.o.Cluster != nil {
		g.Go(func() error { return p.keepUp(ctx) })
	}
	g.Go(func() error { return p.settle(ctx) })
	g.Go(func() error { return p.keepHouse(ctx) })
	g.Go(func() error { return p.seal(ctx) })
	g.Go(func() error { return p.enrolAll(ctx) })
	return g.Wait()
}

// Reconfigure takes over what the configuration says now, by the rules of a
// start: environments are added, changed, or left to administrators, and what is
// deployed follows. On an error everything stays as it was.
func (p *Plane) Reconfigure(ctx context.Context, s Settings) error {
	was := p.settings.Swap(&s) // before the transaction, which compiles by it
	err := p.db.Update(ctx, func(tx *database.Tx) error {
		if err := p.syncEnvironments(tx); err != nil {
			return err
		}
		return p.followCORS(tx)
	})
	if err != nil {
		p.settings.Store(was)
		return fmt.Errorf("take over the configuration: %w", err)
	}
	select {
	case p.reconfigured <- struct{}{}:
	default: // it is told already
	}
	return nil
}

// ManagementURL is the address of the portals and of this API: "https://host:9443".
func (p *Plane) ManagementURL() string { return p.o.ManagementURL }

// BusHandler serves the gateways' connections to the bus.
func (p *Plane) BusHandler() http.Handler { return p.bus }

// keepHouse removes what has expired, every minute.
func (p *Plane) keepHouse(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if !p.db.Leads() {
			continue
		}
		if err := p.db.Update(ctx, p.removeExpired); err != nil && ctx.Err() == nil {
			p.log.Error("expired entries were not removed", "err", err)
		}
		if err := p.auditRefusals(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("refused logins were not audited", "err", err)
		}
	}
}

func (p *Plane) removeExpired(tx *database.Tx) error {
	if err := tx.DeleteKeptAnswers(p.now().Add(-keepAnswers)); err != nil {
		return err
	}
	if err := tx.DeleteExpiredTokens(p.now()); err != nil {
		return err
	}
	if err := tx.DeleteUnusedArtifacts(); err != nil {
		return err
	}
	if err := tx.DeleteRevocationActs(p.now().Add(-revocationHistory)); err != nil {
		return err
	}
	if err := p.removeOldUsage(tx); err != nil {
		return err
	}
	keys, err := tx.ExpiredAPIKeys(p.now())
	if err != nil {
		return err
	}
	if err := deleteAPIKeys(tx, keys); err != nil {
		return err
	}
	old, err := tx.ExpiredRevocations(p.now())
	if err != nil {
		return err
	}
	for _, r := range old {
		if err := tx.DeleteRevocation(r.ID); err != nil {
			return err
		}
		if err := tx.Emit(sluice.Event{Kind: sluice.RevocationAdded, Subject: r.ID}); err != nil {
			return err
		}
	}
	return nil
}
