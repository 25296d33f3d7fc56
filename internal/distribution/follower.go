package distribution

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/sluice-api/sluice"
)

// heartbeatEvery is how often a gateway says how it stands, at least.
const heartbeatEvery = 5 * time.Second

// maxControls is how many control planes a gateway keeps in mind.
const maxControls = 16

// FollowerOptions are what a Follower needs. Those without a default are
// required.
type FollowerOptions struct {
	GatewayID, EnvironmentID string
	Version                  string                                                               // of this gateway; reported
	URL                      string                                                               // of the control plane, "wss://host:9443"
	Others                   []string                                                             // of further ones, tried where that one is away
	Announced                func(urls []string)                                                  // takes what the control plane says are all of them ("https://host:9443"), when that changes; nil: nobody asks
	TLS                      *tls.Config                                                          // trusts the control plane's CA and nothing else (Identity.TLS)
	Dial                     func(ctx context.Context, network, address string) (net.Conn, error) // nil: net.Dialer
	Seed                     sluice.Secret                                                        // of the gateway's NKey
	StateKeys                []ed25519.PublicKey                                                  // any of them may sign a state
	Dir                      string                                                               // of the local copy; made where it is missing
	Apply                    func(Update)                                                         // takes an update, whose bodies must not be changed; called in order, from one goroutine
	Reports                  func() []sluice.DeploymentReport                                     // what heartbeats say of deployments
	Check                    func(put []Item, remove []string) []Refusal                          // whether the gateway could take a change; called beside Apply; nil: it is not asked
	Trace                    func(id string) (sluice.Trace, bool)                                 // what the gateway remembers of a call; nil: nothing
	Usage                    *Usage                                                               // what is sent of usage; nil: nothing
	Log                      *slog.Logger                                                         // nil: nothing is logged
	Now                      func() time.Time                                                     // nil: time.Now
}

// FollowerStatus is how a Follower stands.
type FollowerStatus struct {
	URL        string    // "https://host:9443" of the control plane it is connected to, or was, or tries
	Connected  bool      // the bus is open, and a signed answer was heard within sluice.StaleAfter
	Since      time.Time // while connected: since when; else when the control plane was last heard, zero for never
	Epoch      int64
	Generation int64
	Root       string        // of the state that was applied, hexadecimal; empty: none
	FromCopy   bool          // the state is that of the local copy, and the control plane has not confirmed it
	Skew       time.Duration // the control plane's clock less this machine's, when last heard
	Err        error         // what stands in the way; nil: nothing
	CopyErr    error         // what is or was wrong with the local copy since the start; nil: nothing
}

// Follower is the gateway's end: it follows the state of its environment, keeps
// a copy on disk, and reports. It never goes back within an epoch, and hands
// nothing to its gateway that does not add up to a root the control plane has
// signed. Its methods may be used by many goroutines.
type Follower struct {
	o         FollowerOptions
	framer    *framer
	key       nkeys.KeyPair
	publicKey string
	copyKey   *copyKey
	every     time.Duration // heartbeatEvery
	ping      time.Duration // pingEvery
	started   atomic.Bool

	checkAfter time.Duration           // checkAfter
	loaded     chan struct{}           // closed by Run
	news       chan struct{}           // capacity 1: Reports has news
	link       atomic.Pointer[session] // nil: there is none
	linked     chan struct{}           // capacity 1: there is a new session

	mu     sync.Mutex // guards status and others
	status followerState
	others []string // further control planes, "wss://host:9443"
}

// followerState is what Status is made of.
type followerState struct {
	url       string    // of the control plane that was tried last
	open      bool      // there is a session
	since     time.Time // first answer heard without a silence since
	heard     time.Time // last answer; the own clock
	skew      time.Duration
	signed    signedRoot // of the state applied
	fromCopy  bool
	linkErr   error // why there is no session, or nothing heard on it
	stateErr  error // why what was received could not be taken
	copyErr   error // why the local copy could not be read or written
	fellBack  error // why an older generation of it was used at the start
	wasLoaded bool
}

// NewFollower returns a Follower that does nothing until Run.
func NewFollower(o FollowerOptions) (*Follower, error) {
	var err error
	if o.URL, err = busAddress(o.URL); err != nil {
		return nil, err
	}
	if o.GatewayID == "" || o.EnvironmentID == "" || o.TLS == nil || o.Dir == "" || o.Apply == nil || o.Reports == nil || len(o.StateKeys) == 0 {
		return nil, errors.New("a follower needs the ids of its gateway and environment, TLS, Dir, Apply, Reports and StateKeys")
	}
	for _, k := range o.StateKeys {
		if len(k) != ed25519.PublicKeySize {
			return nil, errors.New("a key for states is not an Ed25519 key")
		}
	}
	key, err := nkeys.FromSeed([]byte(o.Seed.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("gateway's key: %w", err)
	}
	publicKey, err := key.PublicKey()
	if err != nil || !nkeys.IsValidPublicUserKey(publicKey) {
		return nil, errors.New("gateway's key is not an NKey of type user")
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	framer, err := newFramer()
	if err != nil {
		return nil, fmt.Errorf("follower: %w", err)
	}
	copyKey, err := newCopyKey(o.Seed)
	if err != nil {
		return nil, err
	}
	f := &Follower{
		o: o, framer: framer, key: key, publicKey: publicKey, copyKey: copyKey, every: heartbeatEvery, ping: pingEvery, checkAfter: checkAfter,
		loaded: make(chan struct{}), news: make(chan struct{}, 1), linked: make(chan struct{}, 1), status: followerState{url: o.URL},
	}
	for _, other := range o.Others {
		address, err := busAddress(other)
		if err != nil {
			return nil, err
		}
		if address != o.URL {
			f.others = append(f.others, address)
		}
	}
	return f, nil
}

// addresses returns all control planes that are known, that of the options
// first.
func (f *Follower) addresses() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{f.o.URL}, f.others...)
}

// announced takes which control planes there are. Whoever answers at one of the
// addresses must still prove to be a control plane.
func (f *Follower) announced(urls []string) {
	if len(urls) == 0 {
		return
	}
	var others []string
	for _, u := range urls {
		address, err := busAddress(u)
		if err == nil && address != f.o.URL && len(others) < maxControls {
			others = append(others, address)
		}
	}
	f.mu.Lock()
	news := !slices.Equal(others, f.others)
	f.others = others
	f.mu.Unlock()
	if news && f.o.Announced != nil {
		f.o.Announced(urls)
	}
}

// Run applies the local copy, if there is a verified one, then follows the
// control plane until ctx ends. It can be called once. Neither a copy that
// cannot be used nor a control plane that cannot be reached is an error; Status
// tells of them.
func (f *Follower) Run(ctx context.Context) error {
	if !f.started.CompareAndSwap(false, true) {
		return errors.New("the follower has been run already")
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	r := newFollowing(f)
	defer r.close()
	r.load(ctx)
	sessions := make(chan *session)
	wg.Go(func() { f.connect(ctx, sessions) })
	if f.o.Usage != nil {
		wg.Go(func() { f.sendUsage(ctx, f.o.Usage) })
	}
	r.run(ctx, sessions)
	return nil
}

// Loaded is closed once a verified state was applied.
func (f *Follower) Loaded() <-chan struct{} { return f.loaded }

// Report says that Reports has news: a heartbeat follows within about 10 ms. It
// never blocks.
func (f *Follower) Report() {
	select {
	case f.news <- struct{}{}:
	default:
	}
}

// Status returns how the follower stands.
func (f *Follower) Status() FollowerStatus {
	f.mu.Lock()
	st := f.status
	f.mu.Unlock()
	s := FollowerStatus{
		URL:       "https" + strings.TrimPrefix(st.url, "wss"),
		Connected: st.open && !st.since.IsZero() && f.o.Now().Sub(st.heard) <= sluice.StaleAfter,
		Since:     st.heard,
		Epoch:     st.signed.epoch, Generation: st.signed.generation,
		FromCopy: st.fromCopy, Skew: st.skew,
		Err:     errors.Join(st.linkErr, st.stateErr, st.copyErr),
		CopyErr: cmp.Or(st.copyErr, st.fellBack),
	}
	if s.Connected {
		s.Since = st.since
	}
	if st.wasLoaded {
		s.Root = st.signed.root.String()
	}
	return s
}

// set changes what Status is made of.
func (f *Follower) set(change func(*followerState)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.status)
}

// lost notes that there is no session, and why. Of failures in a row one is
// logged.
func (f *Follower) lost(ctx context.Context, address string, err error) {
	var again bool
	f.set(func(s *followerState) {
		again = s.linkErr != nil
		s.open, s.since, s.url, s.linkErr = false, time.Time{}, address, fmt.Errorf("control plane: %w", err)
	})
	if !again {
		f.o.Log.WarnContext(ctx, "control plane is out of reach, trying on", "url", address, "err", err)
	}
}
