package distribution

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authority is a CA that issues certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// issue makes a certificate for loopback; uri may be empty.
func (a *authority) issue(t testing.TB, public any, uri string, notAfter time.Time) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: notAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if uri != "" {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = []*url.URL{u}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// server returns a server's certificate with the CA behind it.
func (a *authority) server(t testing.TB, uri string, notAfter time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{a.issue(t, &key.PublicKey, uri, notAfter), a.cert.Raw}, PrivateKey: key}
}

// control is a control plane's end with a real server and a real TLS port, over
// a database that is a map.
type control struct {
	t      testing.TB
	ca     *authority
	signer ed25519.PrivateKey
	bus    *Bus
	url    string // wss://
	dialer net.Dialer

	shared   *control     // whose database it has; nil: its own
	listener net.Listener // nil: start makes one
	stop     func()

	mu        sync.Mutex // guards all below
	snapshots map[string]*Snapshot
	gateways  map[string]sluice.Gateway // by public key
	reports   []sluice.Report
	reported  chan struct{} // closed and made anew at each report
}

func newControl(t testing.TB) *control {
	t.Helper()
	_, signer, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &control{
		t: t, ca: newAuthority(t), signer: signer,
		snapshots: map[string]*Snapshot{}, gateways: map[string]sluice.Gateway{}, reported: make(chan struct{}),
	}
	c.bus, err = NewBus(Options{
		Signer: signer, Snapshot: c.snapshot, Gateway: c.gateway, Report: c.report, Log: logger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start runs the bus behind a TLS port until the test ends.
func (c *control) start() {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.bus.Run(ctx); err != nil {
			c.t.Errorf("Run: %v", err)
		}
	})
	l := c.listener
	if l == nil {
		var err error
		l, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{c.ca.server(c.t, controlPlaneURI, time.Now().Add(time.Hour))}})
		if err != nil {
			c.t.Fatal(err)
		}
	}
	c.url = "wss://" + l.Addr().String()
	mux := http.NewServeMux()
	mux.Handle("/services/bus", c.bus)
	server := &http.Server{Handler: mux, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	wg.Go(func() { _ = server.Serve(l) })
	c.stop = func() {
		cancel()
		_ = server.Close()
		wg.Wait()
	}
	c.t.Cleanup(c.stop)
	within(c.t, c.bus.Ready(), "the bus is ready")
}

func (c *control) snapshot(ctx context.Context, environmentID string) (Snapshot, error) {
	if c.shared != nil {
		return c.shared.snapshot(ctx, environmentID)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.snapshots[environmentID]
	if s == nil {
		return Snapshot{}, fmt.Errorf("no environment %q", environmentID)
	}
	out := *s
	out.Items = maps.Clone(s.Items)
	return out, nil
}

func (c *control) gateway(ctx context.Context, publicKey string) (sluice.Gateway, bool) {
	if c.shared != nil {
		return c.shared.gateway(ctx, publicKey)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	g, ok := c.gateways[publicKey]
	return g, ok
}

func (c *control) report(r sluice.Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reports = append(c.reports, r)
	close(c.reported)
	c.reported = make(chan struct{})
}

// awaitReport returns the first report that is wanted, also of those that came
// before, and forgets it and those before it.
func (c *control) awaitReport(what string, wanted func(sluice.Report) bool) sluice.Report {
	c.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		c.mu.Lock()
		if i := slices.IndexFunc(c.reports, wanted); i >= 0 {
			r := c.reports[i]
			c.reports = c.reports[i+1:]
			c.mu.Unlock()
			return r
		}
		news := c.reported
		c.mu.Unlock()
		select {
		case <-news:
		case <-deadline:
			c.t.Fatalf("no report came: %s", what)
		}
	}
}

// environment makes one with n items.
func (c *control) environment(id string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &Snapshot{EnvironmentID: id, Epoch: 1, Generation: 1, Items: map[string][]byte{}}
	for i := range n {
		s.Items[fmt.Sprintf("key/%d", i)] = fmt.Appendf(nil, "body of key %d", i)
	}
	c.snapshots[id] = s
}

// put changes the database, as far as Publish will tell.
func (c *control) put(environmentID, id, body string) Change {
	if c.shared != nil {
		return c.shared.put(environmentID, id, body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.snapshots[environmentID]
	s.Generation++
	s.Items[id] = []byte(body)
	return Change{EnvironmentID: environmentID, Epoch: s.Epoch, Generation: s.Generation, Put: []Item{item(id, body)}}
}

// drop removes an item from the database, as far as Publish will tell.
func (c *control) drop(environmentID, id string) Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.snapshots[environmentID]
	s.Generation++
	delete(s.Items, id)
	return Change{EnvironmentID: environmentID, Epoch: s.Epoch, Generation: s.Generation, Remove: []string{id}}
}

func (c *control) publish(ch Change) {
	c.t.Helper()
	if err := c.bus.Publish(c.t.Context(), ch); err != nil {
		c.t.Fatalf("Publish: %v", err)
	}
}

func item(id, body string) Item {
	return Item{ID: id, Digest: artifact.DigestOf([]byte(body)), Body: []byte(body)}
}

// enrol registers a gateway and returns its seed.
func (c *control) enrol(environmentID, gatewayID string) sluice.Secret {
	c.t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		c.t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		c.t.Fatal(err)
	}
	seed, err := key.Seed()
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gateways[public] = sluice.Gateway{ID: gatewayID, EnvironmentID: environmentID, PublicKey: public}
	return sluice.Secret(seed)
}

// remove does what the control plane does with a gateway that is removed.
func (c *control) remove(gatewayID string) {
	c.mu.Lock()
	maps.DeleteFunc(c.gateways, func(_ string, g sluice.Gateway) bool { return g.ID == gatewayID })
	c.mu.Unlock()
	c.bus.Disconnect(gatewayID)
}

// member is a gateway's end: a follower, and what a gateway would serve.
type member struct {
	t        testing.TB
	follower *Follower
	stop     func()

	mu      sync.Mutex // guards all below
	items   map[string]string
	at      position
	updates int
	list    []sluice.DeploymentReport
	changed chan struct{} // closed and made anew at each update
}

// memberOptions are those of a follower of the test's control plane.
func (c *control) memberOptions(environmentID, gatewayID string, seed sluice.Secret, dir string) FollowerOptions {
	c.t.Helper()
	secure, err := (&Identity{CA: c.ca.pem()}).TLS()
	if err != nil {
		c.t.Fatal(err)
	}
	return FollowerOptions{
		GatewayID: gatewayID, EnvironmentID: environmentID, Version: "test", URL: c.url, TLS: secure, Seed: seed,
		StateKeys: []ed25519.PublicKey{c.signer.Public().(ed25519.PublicKey)}, Dir: dir, Log: logger(c.t),
	}
}

// follow starts a member; it ends with the test, or by stop.
func follow(t testing.TB, o FollowerOptions) *member {
	t.Helper()
	m := newMember(t, o)
	m.start()
	return m
}

func newMember(t testing.TB, o FollowerOptions) *member {
	t.Helper()
	m := &member{t: t, items: map[string]string{}, changed: make(chan struct{})}
	o.Apply, o.Reports = m.apply, m.reports
	var err error
	if m.follower, err = NewFollower(o); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *member) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := m.follower.Run(ctx); err != nil {
			m.t.Errorf("Run: %v", err)
		}
	}()
	m.stop = func() { cancel(); <-done }
	m.t.Cleanup(m.stop)
}

func (m *member) apply(u Update) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u.Complete {
		m.items = map[string]string{}
	}
	for _, it := range u.Put {
		m.items[it.ID] = string(it.Body)
	}
	for _, id := range u.Remove {
		delete(m.items, id)
	}
	m.at = position{u.Epoch, u.Generation}
	m.updates++
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *member) reports() []sluice.DeploymentReport {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.list
}

// await waits until the member is at a generation.
func (m *member) await(epoch, generation int64) {
	m.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		m.mu.Lock()
		at, news := m.at, m.changed
		m.mu.Unlock()
		if at == (position{epoch, generation}) {
			return
		}
		select {
		case <-news:
		case <-deadline:
			m.t.Fatalf("the gateway is at %v, want epoch %d generation %d; its follower: %+v", at, epoch, generation, m.follower.Status())
		}
	}
}

// serves returns the body of an item.
func (m *member) serves(id string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.items[id]
}

func (m *member) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.items)
}

func within(t testing.TB, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("in vain waited until %s", what)
	}
}

// eventually polls what has no channel to wait for.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("in vain waited until %s", what)
		}
	}
}

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// copyDir returns a folder with the same files.
func copyDir(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// clock is one that tests set forward.
type clock struct{ ahead atomic.Int64 }

func newClock() *clock { return new(clock) }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) add(d time.Duration) { c.ahead.Add(int64(d)) }
