package distribution

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-api/sluice/internal/artifact"
)

// Times of following.
const (
	reportWithin  = 10 * time.Millisecond // news are collected for so long before they are sent
	clockSlack    = time.Minute           // an answer signed longer before the one before it is a replayed one
	firstMendWait = time.Minute           // between tries to write a copy that could not be written; doubled up to lastMendWait
	lastMendWait  = time.Hour
	checkAfter    = time.Second // that a local copy was applied, all of it is computed anew: calls come first
)

// following is a Follower at work. All of it belongs to the goroutine of Run;
// those beside it, which catch up and check, only return what they find.
type following struct {
	f       *Follower
	replica replica
	copy    localCopy

	session  *session        // nil: none
	answered time.Time       // when the last answer of this session was signed
	sent     artifact.Digest // list of deployments of the last heartbeat
	omitted  bool            // that heartbeat left it out
	acked    artifact.Digest // list that the control plane knows

	catching  sync.WaitGroup
	caught    chan catchUpResult
	stopCatch context.CancelFunc // nil: not catching up
	mending   bool               // catching up is for the local copy
	failed    int                // times in a row that catching up has failed
	retry     *time.Timer        // runs out when it may be tried again
	waiting   bool               // for retry

	soon       *time.Timer // runs out when news are to be sent
	collecting bool        // soon is running

	checked    chan error // outcome of checking the local copy
	distrusted bool       // what was applied from it is wrong

	mendWait time.Duration
	mendAt   time.Time // when a broken copy may be written anew
}

type catchUpResult struct {
	got *caughtUp
	err error
}

func newFollowing(f *Follower) *following {
	r := &following{
		f:        f,
		replica:  replica{environment: f.o.EnvironmentID, keys: f.o.StateKeys},
		copy:     localCopy{dir: f.o.Dir, environment: f.o.EnvironmentID, keys: f.o.StateKeys, key: f.copyKey, log: f.o.Log},
		caught:   make(chan catchUpResult, 1),
		checked:  make(chan error, 1),
		retry:    time.NewTimer(time.Hour),
		soon:     time.NewTimer(time.Hour),
		mendWait: firstMendWait,
	}
	r.retry.Stop()
	r.soon.Stop()
	return r
}

func (r *following) close() {
	r.endSession()
	r.catching.Wait()
	r.copy.sync()
	r.copy.close()
}

// load applies the local copy, and checks it later on.
func (r *following) load(ctx context.Context) {
	loaded, err := r.copy.load()
	r.noteCopy()
	heard, fellBack := r.copy.lastHeard(), r.copy.damaged
	if errors.Is(fellBack, errNoCopy) {
		fellBack = nil
	}
	r.f.set(func(s *followerState) { s.heard, s.fellBack = heard, fellBack })
	if err != nil {
		if !errors.Is(err, errNoCopy) {
			r.f.o.Log.Error("no generation of the local copy can be used", "err", err)
		}
		return
	}
	r.replica.signed, r.replica.newest = loaded.signed, loaded.signed
	r.apply(Update{Complete: true, FromCopy: true, Put: loaded.state.items()}, true)
	r.replica.state = loaded.state.withoutBodies()
	r.f.o.Log.Info("local copy applied", "epoch", loaded.signed.epoch, "generation", loaded.signed.generation, "items", loaded.state.size)
	r.copy.compact(&r.replica.signed, r.replica.state)
	r.noteCopy()
	if !loaded.plain {
		r.check(ctx, loaded)
	}
}

// check computes everything of the local copy anew, in a goroutine of its own.
func (r *following) check(ctx context.Context, loaded *loadedCopy) {
	r.catching.Go(func() {
		wait := time.NewTimer(r.f.checkAfter)
		defer wait.Stop()
		select {
		case <-wait.C:
			r.checked <- loaded.check()
		case <-ctx.Done():
		}
	})
}

// notWhatItSays goes on after a copy that was applied has turned out wrong:
// everything is fetched again. Until then it is served, for want of another.
func (r *following) notWhatItSays(err error) {
	r.f.o.Log.Error("the local copy is not what it was sealed as", "err", err)
	if r.stopCatch != nil {
		r.stopCatch()
	}
	r.distrusted = true
	r.replica.distrust()
	r.copy.damaged = fmt.Errorf("local copy: %w", err)
	r.noteCopy()
}

// noteCopy shows in Status how the local copy stands.
func (r *following) noteCopy() {
	err := r.copy.err()
	r.f.set(func(s *followerState) { s.copyErr = err })
}

// trouble says what the heartbeat tells of the local copy.
func (r *following) trouble() string {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	if err := cmp.Or(r.f.status.copyErr, r.f.status.fellBack); err != nil && !errors.Is(err, errNoCopy) {
		return err.Error()
	}
	return ""
}

// apply hands an update that the replica has taken to the gateway.
func (r *following) apply(u Update, fromCopy bool) {
	signed := r.replica.signed
	u.Epoch, u.Generation = signed.epoch, signed.generation
	r.f.o.Apply(u)
	var first bool
	r.f.set(func(s *followerState) {
		first = !s.wasLoaded
		s.wasLoaded, s.signed, s.fromCopy, s.stateErr = true, signed, fromCopy, nil
	})
	if first {
		close(r.f.loaded)
	}
	r.f.Report()
}

// run follows until ctx ends.
func (r *following) run(ctx context.Context, sessions <-chan *session) {
	beat := time.NewTicker(r.f.every)
	defer beat.Stop()
	for {
		var s session // its channels are nil: never ready
		if r.session != nil {
			s = *r.session
		}
		var err error
		select {
		case <-ctx.Done():
			return
		case r.session = <-sessions:
			r.answered, r.acked, r.failed, r.waiting = time.Time{}, artifact.Digest{}, 0, false
			err = r.beat()
		case <-s.closed:
			r.endSession()
		case m := <-s.changes:
			err = r.change(m)
		case m := <-s.answers:
			err = r.answer(m)
		case c := <-r.caught:
			err = r.caughtUp(c)
		case err := <-r.checked:
			if err != nil {
				r.notWhatItSays(err)
			}
		case <-r.retry.C:
			r.waiting = false
		case <-r.f.news:
			if !r.collecting {
				r.collecting = true
				r.soon.Reset(reportWithin)
			}
		case <-r.soon.C:
			r.collecting = false
			err = r.beat()
		case <-beat.C:
			err = r.beat()
		}
		r.note(err)
		r.advance(ctx)
	}
}

// note shows an error in Status, until something is taken again.
func (r *following) note(err error) {
	if err == nil {
		return
	}
	r.f.o.Log.Warn("the state of the environment is not followed as it should be", "err", err)
	r.f.set(func(s *followerState) { s.stateErr = err })
}

func (r *following) endSession() {
	r.session = nil
	if r.stopCatch != nil {
		r.stopCatch()
	}
}

// change takes a change from the bus.
func (r *following) change(m *nats.Msg) error {
	fields, err := r.f.framer.open(m.Data)
	if err != nil {
		return fmt.Errorf("change: %w", err)
	}
	c, err := readChange(fields)
	if err != nil {
		return fmt.Errorf("change: %w", err)
	}
	if err := r.replica.offer(c); err != nil {
		return fmt.Errorf("change to generation %d: %w", c.signed.generation, err)
	}
	return nil
}

// advance takes what can be taken, and begins to catch up where that is due.
func (r *following) advance(ctx context.Context) {
	for {
		c, err := r.replica.next()
		if err != nil {
			r.note(fmt.Errorf("change to generation %d: %w", r.replica.signed.generation+1, err))
			continue
		}
		if c == nil {
			break
		}
		r.apply(Update{Put: c.put, Remove: c.remove}, false)
		r.copy.append(c)
		r.copy.compact(&r.replica.signed, r.replica.state)
	}
	if r.session == nil || r.stopCatch != nil {
		return
	}
	switch {
	case r.replica.behind() && !r.waiting:
		r.catchUp(ctx, r.replica.start(), false)
	case r.copy.broken != nil && r.replica.state != nil && !r.f.o.Now().Before(r.mendAt):
		r.mendAt = r.f.o.Now().Add(r.mendWait)
		r.mendWait = min(2*r.mendWait, lastMendWait)
		r.catchUp(ctx, nil, true)
	}
}

// catchUp begins to catch up from a state, in a goroutine of its own; changes
// are held meanwhile.
func (r *following) catchUp(ctx context.Context, from *state, mending bool) {
	ctx, r.stopCatch = context.WithCancel(ctx)
	r.mending, r.replica.catching = mending, true
	f, conn := r.f, r.session.conn
	verify := func(s *signedRoot) error { return s.verify(f.o.EnvironmentID, f.o.StateKeys) }
	r.catching.Go(func() {
		got, err := catchUp(ctx, from, verify, func(ctx context.Context, kind string, request []byte) (*reader, error) {
			return f.ask(ctx, conn, kind, request)
		})
		r.caught <- catchUpResult{got, err}
	})
}

// ask sends one request to the control plane.
func (f *Follower) ask(ctx context.Context, conn *nats.Conn, kind string, request []byte) (*reader, error) {
	message, ok := f.framer.frame(request)
	if !ok {
		return nil, errors.New("the request is too large to be sent")
	}
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	m, err := conn.RequestWithContext(ctx, gatewaySubject(f.o.EnvironmentID, f.o.GatewayID, kind), message)
	if err != nil {
		return nil, err
	}
	return f.framer.open(m.Data)
}

// caughtUp takes the outcome of catching up.
func (r *following) caughtUp(c catchUpResult) error {
	r.stopCatch()
	r.stopCatch, r.replica.catching = nil, false
	defer r.noteCopy()
	if c.err == nil && r.replica.adopt(c.got) {
		r.failed = 0
		r.apply(Update{Complete: c.got.complete, Anew: r.distrusted, Put: c.got.put, Remove: c.got.remove}, false)
		r.distrusted = false
		if c.got.complete {
			r.copy.replace(&c.got.signed, c.got.put)
			return nil
		}
		r.copy.append(&change{signed: c.got.signed, whole: true, put: c.got.put, remove: c.got.remove})
		r.copy.compact(&r.replica.signed, r.replica.state)
		return nil
	}
	if c.err == nil && r.mending && c.got.signed.root == r.replica.signed.root {
		r.copy.replace(&c.got.signed, c.got.put)
		r.f.Report()
		return nil
	}
	r.failed++
	r.waiting = true
	r.retry.Reset(delay(r.failed))
	if r.session == nil || errors.Is(c.err, context.Canceled) {
		return nil // the next session goes on
	}
	if c.err == nil {
		return errors.New("the control plane offers a state that is older than the one here")
	}
	return fmt.Errorf("catch up: %w", c.err)
}
