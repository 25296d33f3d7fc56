package distribution

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

const lookupTimeout = 5 * time.Second // for Options.Gateway

// Bus is the control plane's end: an embedded server for gateways to connect
// to, the state of each environment that a gateway has asked for, and what the
// gateways say of themselves. Its methods may be used by many goroutines.
type Bus struct {
	o       Options
	framer  *framer
	ping    time.Duration // pingEvery
	started atomic.Bool
	ready   chan struct{} // closed by Run
	stopped chan struct{} // closed by Run, at its end
	gone    chan string   // ids of gateways whose connection has ended

	embedded atomic.Pointer[embedded] // nil while Run does not serve
	tunnels  tunnels
	peers    peers
	trials   trials

	mu           sync.Mutex // guards environments
	environments map[string]*environment
}

// NewBus returns a Bus that does nothing until Run.
func NewBus(o Options) (*Bus, error) {
	if len(o.Signer) != ed25519.PrivateKeySize {
		return nil, errors.New("the bus needs an Ed25519 key to sign states with")
	}
	if o.Snapshot == nil || o.Gateway == nil || o.Report == nil {
		return nil, errors.New("the bus needs Snapshot, Gateway and Report")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f, err := newFramer()
	if err != nil {
		return nil, fmt.Errorf("bus: %w", err)
	}
	return &Bus{
		o: o, framer: f, ping: pingEvery,
		ready: make(chan struct{}), stopped: make(chan struct{}), gone: make(chan string),
		environments: make(map[string]*environment),
	}, nil
}

// Run serves gateways until ctx ends. It can be called once.
func (b *Bus) Run(ctx context.Context) error {
	if !b.started.CompareAndSwap(false, true) {
		return errors.New("the bus has been run already")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e, err := startEmbedded(ctx, b.o.Log, b.ping, b.o.Cluster, func(key, address string) (sluice.Gateway, bool) { return b.admit(ctx, key, address) })
	if err != nil {
		return err
	}
	defer e.stop()
	fromPeers, changes, err := b.subscribePeers(e)
	if err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	heartbeats, err := e.control.SubscribeSync(anyGatewaySubject(statusSubject))
	if err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	requests, err := e.control.SubscribeSync(anyGatewaySubject(stateSubjects))
	if err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	if _, err := e.control.Subscribe(anyGatewaySubject(preparedSubject), b.hearVerdict); err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	var usage *nats.Subscription
	if b.o.Usage != nil {
		if usage, err = e.control.SubscribeSync(anyGatewaySubject(usageSubject)); err != nil {
			return fmt.Errorf("bus: %w", err)
		}
	}
	if err := e.control.FlushTimeout(insideTimeout); err != nil {
		return fmt.Errorf("bus: %w", err)
	}

	var wg sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) { // bounds what 100 gateways that reconnect at once can take
		wg.Go(func() { b.answerRequests(ctx, e.control, requests) })
	}
	wg.Go(func() { b.listen(ctx, e.control, heartbeats, fromPeers) })
	if usage != nil {
		wg.Go(func() { b.takeUsage(ctx, e.control, usage) })
	}
	if changes != nil {
		wg.Go(func() { b.followPeers(ctx, changes) })
	}
	b.embedded.Store(e)
	close(b.ready)
	b.o.Log.InfoContext(ctx, "bus is ready")

	<-ctx.Done()
	b.embedded.Store(nil)
	close(b.stopped)
	b.tunnels.close()
	wg.Wait()
	return nil
}

// Ready is closed once gateways can connect.
func (b *Bus) Ready() <-chan struct{} { return b.ready }

// next returns the next message of a subscription, false when ctx has ended.
// Messages that were lost because too many waited do no harm: who asked asks
// again.
func (b *Bus) next(ctx context.Context, s *nats.Subscription) (*nats.Msg, bool) {
	for {
		m, err := s.NextMsgWithContext(ctx)
		if err == nil {
			return m, true
		}
		if ctx.Err() != nil {
			return nil, false
		}
		if !errors.Is(err, nats.ErrSlowConsumer) {
			b.o.Log.ErrorContext(ctx, "gateways are not heard any more", "err", err)
			return nil, false
		}
	}
}

// admit lets a gateway in that is enrolled. The gateway is looked up a second
// time once its connection can be cut, so that a removal in between is seen by
// one of the two: by this, or by Disconnect.
func (b *Bus) admit(ctx context.Context, publicKey, address string) (sluice.Gateway, bool) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	g, ok := b.o.Gateway(ctx, publicKey)
	if !ok || g.ID == "" || g.EnvironmentID == "" {
		b.o.Log.DebugContext(ctx, "bus connection of an unknown key refused", "public_key", publicKey)
		return sluice.Gateway{}, false
	}
	older, ok := b.tunnels.admit(address, g)
	if !ok {
		b.o.Log.WarnContext(ctx, "bus connection past the control plane's port refused", "gateway_id", g.ID)
		return sluice.Gateway{}, false
	}
	if older != nil {
		b.o.Log.WarnContext(ctx, "a second connection with a gateway's key; the older one is cut", "gateway_id", g.ID,
			"older", older.outside.RemoteAddr().String())
		older.close()
	}
	if _, ok := b.o.Gateway(ctx, publicKey); !ok {
		b.tunnels.cut(g.ID)
		return sluice.Gateway{}, false
	}
	b.tellPeers(peerMessage{Kind: peerCut, Report: sluice.Report{GatewayID: g.ID}})
	b.o.Log.InfoContext(ctx, "gateway connected", "gateway_id", g.ID, "environment_id", g.EnvironmentID)
	return g, true
}

// Disconnect cuts the connection of a gateway that has been removed; since
// Options.Gateway no longer knows its key, it does not come back.
func (b *Bus) Disconnect(gatewayID string) { b.tunnels.cut(gatewayID) }

// Publish makes one generation of an environment known to its gateways, which
// are to be given in order. One that is known already is no error; where one is
// missing before it, the whole state is read again. An error means that the
// state could not be read, or that the change is not what its digests say; the
// change is then to be published again. Whether it has arrived is not known
// from Publish but from the gateways' reports.
func (b *Bus) Publish(ctx context.Context, c Change) error {
	for _, it := range c.Put {
		if len(it.Body) > artifact.MaxSize || artifact.DigestOf(it.Body) != it.Digest {
			return fmt.Errorf("publish generation %d: item %q is not what its digest says, or too large", c.Generation, it.ID)
		}
	}
	e := b.environment(c.EnvironmentID)
	release, err := e.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	v := e.current.Load()
	if v != nil && !v.precedes(&c) && !v.behind(&c) {
		return nil
	}
	if v == nil || !v.precedes(&c) {
		if v, err = b.load(ctx, e); err != nil {
			return err
		}
	}
	if v.precedes(&c) {
		next := &view{v.environment, c.Epoch, c.Generation, v.state.with(entriesOf(c.Put, true), c.Remove)}
		e.set(next, b.o.Now())
		b.send(&change{signed: b.signed(next), whole: true, put: c.Put, remove: c.Remove})
		return nil
	}
	if v.behind(&c) {
		return fmt.Errorf("publish generation %d of environment %s: its state is read at generation %d", c.Generation, c.EnvironmentID, v.generation)
	}
	return nil
}

// precedes reports whether c is the generation that follows v.
func (v *view) precedes(c *Change) bool { return c.Epoch == v.epoch && c.Generation == v.generation+1 }

// behind reports whether c is newer than v.
func (v *view) behind(c *Change) bool {
	return c.Epoch > v.epoch || c.Epoch == v.epoch && c.Generation > v.generation
}

// Root returns the digest of everything the gateways of an environment should
// serve, hexadecimal; "" where nobody has needed its state yet.
func (b *Bus) Root(environmentID string) string {
	v := b.environment(environmentID).current.Load()
	if v == nil {
		return ""
	}
	return v.state.root.String()
}

// environment returns what is kept of an environment.
func (b *Bus) environment(id string) *environment {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.environments[id]
	if e == nil {
		e = &environment{id: id, turn: make(chan struct{}, 1), kept: make(map[position]*keptView)}
		b.environments[id] = e
	}
	return e
}

// take waits for the turn to load or change the state of e.
func (e *environment) take(ctx context.Context) (release func(), err error) {
	select {
	case e.turn <- struct{}{}:
		return func() { <-e.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// view returns the state of e, read where nobody has needed it before.
func (b *Bus) view(ctx context.Context, e *environment) (*view, error) {
	if v := e.current.Load(); v != nil {
		return v, nil
	}
	release, err := e.take(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if v := e.current.Load(); v != nil {
		return v, nil
	}
	return b.load(ctx, e)
}

// load reads the state of e anew and announces it by its root: it may contain
// generations that have not been published one by one. The turn must be held.
func (b *Bus) load(ctx context.Context, e *environment) (*view, error) {
	s, err := b.o.Snapshot(ctx, e.id)
	if err != nil {
		return nil, fmt.Errorf("read state of environment %s: %w", e.id, err)
	}
	if s.EnvironmentID != e.id {
		return nil, fmt.Errorf("read state of environment %s: got that of %s", e.id, s.EnvironmentID)
	}
	entries := make([]entry, 0, len(s.Items))
	for id, body := range s.Items {
		entries = append(entries, entry{id, artifact.DigestOf(body), body})
	}
	v := &view{e.id, s.Epoch, s.Generation, emptyState().with(entries, nil)}
	if old := e.current.Load(); old != nil && (v.epoch < old.epoch || v.epoch == old.epoch && v.generation < old.generation) {
		return nil, fmt.Errorf("read state of environment %s: it went back from epoch %d generation %d to epoch %d generation %d",
			e.id, old.epoch, old.generation, v.epoch, v.generation)
	}
	e.set(v, b.o.Now())
	e.unread.Store(false)
	b.send(&change{signed: b.signed(v)})
	return v, nil
}

// send publishes a change, by its root alone where it is too large. Without a
// server there is nobody to hear it.
func (b *Bus) send(c *change) {
	e := b.embedded.Load()
	if e == nil {
		return
	}
	message, ok := b.framer.frame(c.append(nil))
	if !ok {
		message, _ = b.framer.frame((&change{signed: c.signed}).append(nil))
	}
	if err := e.control.Publish(changesSubject(c.signed.environment), message); err != nil {
		b.o.Log.Warn("change could not be published; gateways will find it by their heartbeats", "environment_id", c.signed.environment, "err", err)
	}
}
