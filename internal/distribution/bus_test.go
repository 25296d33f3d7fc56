package distribution

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

func TestChangeReachesGatewaysLive(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 10)
	c.environment("sand", 5)
	c.start()
	one := follow(t, c.memberOptions("prod", "g1", c.enrol("prod", "g1"), t.TempDir()))
	two := follow(t, c.memberOptions("prod", "g2", c.enrol("prod", "g2"), t.TempDir()))
	other := follow(t, c.memberOptions("sand", "g3", c.enrol("sand", "g3"), t.TempDir()))
	for _, m := range []*member{one, two, other} {
		within(t, m.follower.Loaded(), "a state is loaded")
	}
	var took []time.Duration
	for range 50 {
		began := time.Now()
		ch := c.put("prod", "key/new", began.String())
		c.publish(ch)
		one.await(1, ch.Generation)
		two.await(1, ch.Generation)
		took = append(took, time.Since(began))
		if got := two.serves("key/new"); got != began.String() {
			t.Fatalf("gateway serves %q, want %q", got, began)
		}
	}
	slices.Sort(took)
	t.Logf("live change at two gateways: median %s, worst %s", took[25], took[49])
	if took[25] > 100*time.Millisecond {
		t.Errorf("median of a live change is %s, want below 100 ms", took[25])
	}
	if other.count() != 5 || other.serves("key/new") != "" {
		t.Errorf("a gateway of another environment has %d items", other.count())
	}
	r := c.awaitReport("generation 51 of g1", func(r sluice.Report) bool { return r.GatewayID == "g1" && r.Generation == 51 })
	if !r.Connected || r.Version != "test" || r.Root != one.follower.Status().Root {
		t.Errorf("report = %+v", r)
	}
}

func TestCatchUpAfterDisconnect(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 1000)
	c.start()
	m := follow(t, c.memberOptions("prod", "g1", c.enrol("prod", "g1"), t.TempDir()))
	within(t, m.follower.Loaded(), "a state is loaded")
	if n := m.count(); n != 1000 {
		t.Fatalf("gateway has %d items, want 1000", m.count())
	}
	for n := range 5 {
		c.bus.tunnels.cut("g1")
		c.publish(c.put("prod", "key/7", fmt.Sprint("new body ", n))) // mostly lost
	}
	c.publish(c.drop("prod", "key/8"))
	m.await(1, 7)
	if got := m.serves("key/7"); got != "new body 4" {
		t.Errorf("gateway serves %q, want the newest body", got)
	}
	if m.count() != 999 || m.serves("key/8") != "" {
		t.Errorf("a removed item is still served, or others are not: %d items", m.count())
	}
	c.awaitReport("going", func(r sluice.Report) bool { return !r.Connected })
	c.awaitReport("coming back", func(r sluice.Report) bool { return r.Connected && r.Generation == 7 })
}

func TestGapIsFilled(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 10)
	c.start()
	m := follow(t, c.memberOptions("prod", "g1", c.enrol("prod", "g1"), t.TempDir()))
	within(t, m.follower.Loaded(), "a state is loaded")
	c.put("prod", "key/a", "never published")
	c.publish(c.put("prod", "key/b", "published")) // the bus reads the state anew
	m.await(1, 3)
	if m.serves("key/a") == "" || m.serves("key/b") == "" {
		t.Errorf("a change is missing: %v", m.items)
	}
}

// A change whose message was lost shows at the next heartbeat as drift, and is
// caught up with.
func TestLostChangeIsDrift(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 10)
	c.start()
	m := follow(t, c.memberOptions("prod", "g1", c.enrol("prod", "g1"), t.TempDir()))
	c.awaitReport("it has connected", func(r sluice.Report) bool { return r.Generation == 1 && r.Drift == "" })
	ch, e := c.put("prod", "key/a", "never published"), c.bus.environment("prod")
	state := e.current.Load().state.with(entriesOf(ch.Put, true), ch.Remove)
	e.set(&view{"prod", ch.Epoch, ch.Generation, state}, time.Now().Add(-driftAfter))
	m.follower.Report()
	r := c.awaitReport("the drift is found", func(r sluice.Report) bool { return r.Drift != "" })
	if want := "it serves generation 1; generation 2 has not reached it"; r.Drift != want {
		t.Errorf("drift %q, not %q", r.Drift, want)
	}
	c.awaitReport("it is repaired", func(r sluice.Report) bool { return r.Drift == "" && r.Generation == 2 })
	if m.serves("key/a") == "" {
		t.Error("the change is missing")
	}
}

func TestWhatIsDrift(t *testing.T) {
	e := &environment{}
	now := time.Now()
	holding := func(ids ...string) *state {
		items := make(map[string]string)
		for _, id := range ids {
			items[id] = "of " + id
		}
		return stateOf(items)
	}
	at := func(epoch, generation int64, ids ...string) *heartbeat {
		return &heartbeat{epoch: epoch, generation: generation, root: holding(ids...).root}
	}
	if got := e.drift(at(1, 1), now); got != "" {
		t.Errorf("of a state that is not known: %q", got)
	}
	e.set(&view{"prod", 2, 7, holding("a", "b")}, now)
	for name, c := range map[string]struct {
		beat  *heartbeat
		after time.Duration
		want  string
	}{
		"all is as it should be":         {at(2, 7, "a", "b"), time.Minute, ""},
		"a change that is on its way":    {at(2, 6, "a"), driftAfter - 1, ""},
		"a change that was lost":         {at(2, 6, "a"), driftAfter, "it serves generation 6; generation 7 has not reached it"},
		"other items of the generation":  {at(2, 7, "a"), driftAfter, "of generation 7 it serves something else than it should"},
		"an epoch that has ended":        {at(1, 9, "a", "b"), driftAfter, "it serves epoch 1; epoch 2 has not reached it"},
		"a database that was put back":   {at(2, 8, "a", "b"), driftAfter, "it serves epoch 2 generation 8, which is later than epoch 2 generation 7 of the database"},
		"a database of an earlier epoch": {at(3, 1, "a", "b"), driftAfter, "it serves epoch 3 generation 1, which is later than epoch 2 generation 7 of the database"},
	} {
		if got := e.drift(c.beat, now.Add(c.after)); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}

func TestLargeChangeIsAnnounced(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 10)
	c.start()
	m := follow(t, c.memberOptions("prod", "g1", c.enrol("prod", "g1"), t.TempDir()))
	within(t, m.follower.Loaded(), "a state is loaded")
	ch := Change{EnvironmentID: "prod", Epoch: 1, Generation: 2}
	for _, id := range []string{"api/one", "api/two"} {
		body := make([]byte, artifact.MaxSize)
		_, _ = rand.Read(body) // so that it cannot be compressed
		ch.Put = append(ch.Put, item(id, string(body)))
	}
	c.publish(ch)
	m.await(1, 2)
	for _, it := range ch.Put {
		if m.serves(it.ID) != string(it.Body) {
			t.Errorf("%s did not arrive whole", it.ID)
		}
	}
	if err := c.bus.Publish(t.Context(), Change{EnvironmentID: "prod", Epoch: 1, Generation: 3, Put: []Item{item("api/x", string(make([]byte, artifact.MaxSize+1)))}}); err == nil {
		t.Error("an item above the limit was published")
	}
}

func TestF18NewEpoch(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 10)
	c.start()
	m := follow(t, c.memberOptions("prod", "g1", c.enrol("prod", "g1"), t.TempDir()))
	within(t, m.follower.Loaded(), "a state is loaded")
	for range 5 {
		c.publish(c.put("prod", "key/x", "of the old epoch"))
	}
	m.await(1, 6)
	c.mu.Lock()
	s := c.snapshots["prod"]
	s.Epoch, s.Generation = 2, 3
	delete(s.Items, "key/x")
	c.mu.Unlock()
	c.publish(c.put("prod", "key/y", "of the new epoch"))
	m.await(2, 4)
	if m.serves("key/x") != "" || m.serves("key/y") == "" {
		t.Errorf("gateway is not at the new epoch's state: %v", m.items)
	}
	if err := c.bus.Publish(t.Context(), Change{EnvironmentID: "prod", Epoch: 1, Generation: 99}); err != nil {
		t.Errorf("a change of an old epoch: %v", err)
	}
	if st := m.follower.Status(); st.Epoch != 2 || st.Err != nil {
		t.Errorf("status = %+v", st)
	}
}

func TestF9RestartWithoutControlPlane(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 100)
	c.start()
	o := c.memberOptions("prod", "g1", c.enrol("prod", "g1"), t.TempDir())
	m := follow(t, o)
	within(t, m.follower.Loaded(), "a state is loaded")
	ch := c.put("prod", "revocation/1", "token 1 is revoked")
	c.publish(ch)
	c.awaitReport("the revocation", func(r sluice.Report) bool { return r.Generation == ch.Generation })
	killed := copyDir(t, o.Dir) // as kill -9 would leave it now
	m.stop()

	for name, dir := range map[string]string{"stopped": o.Dir, "killed": killed} {
		away := o
		away.Dir = dir
		away.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("away") }
		again := follow(t, away)
		within(t, again.follower.Loaded(), "the copy is loaded")
		if again.serves("revocation/1") == "" {
			t.Errorf("%s: a revocation that was reported is forgotten", name)
		}
		st := again.follower.Status()
		if st.Connected || !st.FromCopy || st.Generation != ch.Generation {
			t.Errorf("%s: status = %+v", name, st)
		}
		eventually(t, "the status says why there is no connection", func() bool { return again.follower.Status().Err != nil })
		again.stop()
	}

	ch = c.put("prod", "key/late", "while the gateway was away")
	c.publish(ch)
	back := follow(t, o)
	back.await(1, ch.Generation)
	eventually(t, "the status is that of a connected gateway", func() bool {
		st := back.follower.Status()
		return st.Connected && !st.FromCopy && st.Err == nil
	})
}

func TestReportsOfDeployments(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 1)
	c.start()
	m := newMember(t, c.memberOptions("prod", "g1", c.enrol("prod", "g1"), t.TempDir()))
	m.follower.every = 20 * time.Millisecond
	m.list = []sluice.DeploymentReport{{APIID: "a", State: sluice.Active, Since: time.Now().UTC()}}
	m.start()
	in := func(s sluice.DeploymentState) func(sluice.Report) bool {
		return func(r sluice.Report) bool { return len(r.Deployments) == 1 && r.Deployments[0].State == s }
	}
	c.awaitReport("active", in(sluice.Active))
	c.awaitReport("active, of a heartbeat that leaves the list out", in(sluice.Active))
	m.mu.Lock()
	m.list = []sluice.DeploymentReport{{APIID: "a", State: sluice.Live, Since: time.Now().UTC()}}
	m.mu.Unlock()
	m.follower.Report()
	c.awaitReport("live", in(sluice.Live))
	c.bus.tunnels.cut("g1")
	gone := c.awaitReport("gone", func(r sluice.Report) bool { return !r.Connected })
	if len(gone.Deployments) != 1 || gone.HeardAt.IsZero() {
		t.Errorf("report of a gateway that went = %+v, want what it said last", gone)
	}
	c.awaitReport("live, after coming back", in(sluice.Live))
}

func TestStateThatCannotBeReadYet(t *testing.T) {
	c := newControl(t)
	c.start()
	m := newMember(t, c.memberOptions("prod", "g1", c.enrol("prod", "g1"), t.TempDir()))
	m.follower.every = 20 * time.Millisecond
	m.start()
	if err := c.bus.Publish(t.Context(), Change{EnvironmentID: "prod", Epoch: 1, Generation: 1}); err == nil {
		t.Error("Publish of a state that cannot be read succeeded")
	}
	c.awaitReport("a gateway without a state", func(r sluice.Report) bool { return r.Connected && r.Root == "" })
	c.environment("prod", 3)
	m.await(1, 1)
}

func TestF15HundredGatewaysAtOnce(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 1000)
	c.start()
	var all []*member
	began := time.Now()
	for n := range 100 {
		id := fmt.Sprint("g", n)
		o := c.memberOptions("prod", id, c.enrol("prod", id), t.TempDir())
		o.Log = nil
		all = append(all, follow(t, o))
	}
	for _, m := range all {
		within(t, m.follower.Loaded(), "a state is loaded")
	}
	t.Logf("100 gateways have 1,000 items each after %s", time.Since(began))
	began = time.Now()
	ch := c.put("prod", "key/new", "new")
	c.publish(ch)
	for _, m := range all {
		m.await(1, ch.Generation)
	}
	t.Logf("a change is at 100 gateways after %s", time.Since(began))
}

// halfOpen is a connection that from a moment on neither delivers nor takes
// anything, and says nothing of it.
type halfOpen struct {
	net.Conn
	broken, closed chan struct{}
	once           *sync.Once
}

func (h halfOpen) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	select {
	case <-h.broken:
		<-h.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (h halfOpen) Write(b []byte) (int, error) {
	select {
	case <-h.broken:
		return len(b), nil
	default:
		return h.Conn.Write(b)
	}
}

func (h halfOpen) Close() error {
	h.once.Do(func() { close(h.closed) })
	return h.Conn.Close()
}

func TestF14HalfOpenConnection(t *testing.T) {
	c := newControl(t)
	c.bus.ping = 50 * time.Millisecond
	c.environment("prod", 1)
	c.start()
	o := c.memberOptions("prod", "g1", c.enrol("prod", "g1"), t.TempDir())
	broken := make(chan struct{})
	first := true
	o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := c.dialer.DialContext(ctx, network, address)
		if err != nil || !first {
			return conn, err
		}
		first = false
		return halfOpen{conn, broken, make(chan struct{}), new(sync.Once)}, nil
	}
	m := newMember(t, o)
	m.follower.ping = 50 * time.Millisecond
	m.start()
	within(t, m.follower.Loaded(), "a state is loaded")
	close(broken)
	ch := c.put("prod", "key/new", "new")
	c.publish(ch)
	m.await(1, ch.Generation)
}
