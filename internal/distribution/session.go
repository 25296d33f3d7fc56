package distribution

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/nats-io/nats.go"
)

// Connecting to the control plane.
const (
	busPath        = "services/bus"
	connectTimeout = 5 * time.Second // to dial; as long again for each handshake
	firstDelay     = 100 * time.Millisecond
	lastDelay      = 5 * time.Second
	pendingSize    = 32 << 20 // bytes of changes waiting to be taken; more are lost, and caught up with
)

// session is one connection of a gateway to the bus.
type session struct {
	url     string // of the control plane
	conn    *nats.Conn
	inbox   string         // where heartbeats are answered
	changes chan *nats.Msg // never closed
	answers chan *nats.Msg // to heartbeats; never closed
	closed  chan struct{}  // closed when the connection has ended
}

// open connects to the control plane. It does not reconnect by itself: every
// connection is a new session, and why one could not be had is known.
func (f *Follower) open(ctx context.Context, address string) (*session, error) {
	s := &session{
		url:     address,
		inbox:   inboxPrefix(f.o.GatewayID) + ".heartbeat",
		changes: make(chan *nats.Msg), answers: make(chan *nats.Msg), closed: make(chan struct{}),
	}
	var err error
	s.conn, err = nats.Connect(address,
		nats.Name(f.o.GatewayID),
		nats.ProxyPath(busPath),
		nats.Secure(f.o.TLS),
		nats.SetCustomDialer(&dialer{ctx, f.o.Dial}), nats.SkipHostLookup(),
		nats.Timeout(connectTimeout),
		nats.Nkey(f.publicKey, f.key.Sign),
		nats.CustomInboxPrefix(inboxPrefix(f.o.GatewayID)),
		nats.NoReconnect(), nats.IgnoreDiscoveredServers(),
		nats.PingInterval(f.ping), nats.MaxPingsOutstanding(maxPings),
		nats.ClosedHandler(func(*nats.Conn) { close(s.closed) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			f.o.Log.WarnContext(ctx, "bus error", "err", err)
		}),
	)
	if err != nil {
		return nil, err
	}
	if err := s.subscribe(changesSubject(f.o.EnvironmentID), s.changes); err != nil {
		s.conn.Close()
		return nil, err
	}
	if err := s.subscribe(s.inbox, s.answers); err != nil {
		s.conn.Close()
		return nil, err
	}
	if err := f.answerTraces(s); err != nil {
		s.conn.Close()
		return nil, err
	}
	if err := f.answerTrials(s); err != nil {
		s.conn.Close()
		return nil, err
	}
	if _, err := s.conn.Subscribe(reportSubject(f.o.EnvironmentID), func(*nats.Msg) { f.Report() }); err != nil {
		s.conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *session) subscribe(subject string, to chan<- *nats.Msg) error {
	sub, err := s.conn.Subscribe(subject, func(m *nats.Msg) {
		select {
		case to <- m:
		case <-s.closed:
		}
	})
	if err != nil {
		return err
	}
	return sub.SetPendingLimits(-1, pendingSize)
}

// connect keeps a session open until ctx ends, and hands each new one over. Of
// several control planes it tries one after the other, and pauses when it has
// tried all.
func (f *Follower) connect(ctx context.Context, sessions chan<- *session) {
	for failed, next := 0, 0; ; failed, next = failed+1, next+1 {
		began := time.Now()
		addresses := f.addresses()
		address := addresses[next%len(addresses)]
		s, err := f.open(ctx, address)
		if err == nil {
			f.set(func(s *followerState) { s.open, s.since, s.url = true, time.Time{}, address })
			f.use(s)
			select {
			case sessions <- s:
			case <-ctx.Done():
			}
			select {
			case <-s.closed:
			case <-ctx.Done():
				s.conn.Close()
				<-s.closed
			}
			f.use(nil)
			if err = s.conn.LastError(); err == nil {
				err = errors.New("the control plane closed the connection")
			}
		}
		if ctx.Err() != nil {
			return
		}
		f.lost(ctx, address, explain(err))
		if time.Since(began) > lastDelay {
			failed = 0 // it was there for a while
		}
		select {
		case <-time.After(delay(failed / len(addresses))):
		case <-ctx.Done():
			return
		}
	}
}

// use makes a session the one that requests are sent on; nil: there is none.
func (f *Follower) use(s *session) {
	f.link.Store(s)
	select {
	case f.linked <- struct{}{}:
	default:
	}
}

// explain says what a refusal means.
func explain(err error) error {
	if errors.Is(err, nats.ErrAuthorization) {
		return fmt.Errorf("the control plane does not know this gateway's key; it was removed, or never enrolled there: %w", err)
	}
	return explainTLS(err)
}

// delay returns how long to wait after a number of failures in a row: doubled
// each time up to lastDelay, half of it by chance, so that gateways that have
// lost the control plane together do not come back together.
func delay(failed int) time.Duration {
	d := min(firstDelay<<min(failed, 10), lastDelay)
	return d/2 + rand.N(d/2)
}

// dialer dials for nats.go, which hands over no context. Its connections end
// with ctx and have a time limit, which nats.go lifts when it is through with
// the handshakes.
type dialer struct {
	ctx  context.Context
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, connectTimeout)
	defer cancel()
	conn, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(2 * connectTimeout)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &boundConn{conn, context.AfterFunc(d.ctx, func() { _ = conn.Close() })}, nil
}

// boundConn is a connection that a context closes.
type boundConn struct {
	net.Conn
	release func() bool
}

func (c *boundConn) Close() error {
	c.release()
	return c.Conn.Close()
}
