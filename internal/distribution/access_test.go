package distribution

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/sluice-api/sluice"
)

// dialBus connects to the bus by hand. What the server refuses comes on the
// channel.
func (c *control) dialBus(gatewayID string, options ...nats.Option) (*nats.Conn, chan error, error) {
	c.t.Helper()
	secure, err := (&Identity{CA: c.ca.pem()}).TLS()
	if err != nil {
		c.t.Fatal(err)
	}
	refused := make(chan error, 16)
	closed := make(chan struct{})
	options = append([]nats.Option{
		nats.ProxyPath(busPath), nats.Secure(secure), nats.NoReconnect(), nats.CustomInboxPrefix(inboxPrefix(gatewayID)),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
	}, options...)
	conn, err := nats.Connect(c.url, options...)
	if err == nil {
		c.t.Cleanup(func() { conn.Close(); <-closed })
	}
	return conn, refused, err
}

// withSeed signs with a gateway's key.
func withSeed(t testing.TB, seed sluice.Secret) nats.Option {
	t.Helper()
	key, err := nkeys.FromSeed([]byte(seed.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return nats.Nkey(public, key.Sign)
}

func TestOnlyEnrolledKeysConnect(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 1)
	c.start()
	enrolled := c.enrol("prod", "g1")
	key, err := nkeys.FromSeed([]byte(enrolled.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	strangerPublic, err := stranger.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	accountPublic, err := account.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string][]nats.Option{
		"no key":                            nil,
		"unknown key":                       {nats.Nkey(strangerPublic, stranger.Sign)},
		"key that is not a user's":          {nats.Nkey(accountPublic, account.Sign)},
		"enrolled key, another's signature": {nats.Nkey(public, stranger.Sign)},
		"signature of another nonce":        {nats.Nkey(public, func([]byte) ([]byte, error) { return key.Sign([]byte("a nonce of yesterday")) })},
		"password":                          {nats.UserInfo(controlUser, "password")},
		"the control plane's user alone":    {nats.UserInfo(controlUser, "")},
		"token":                             {nats.Token("x")},
	}
	for name, options := range tests {
		if conn, _, err := c.dialBus("g1", options...); err == nil {
			t.Errorf("%s: connected", name)
			conn.Close()
		}
	}
	if _, _, err := c.dialBus("g1", withSeed(t, enrolled)); err != nil {
		t.Errorf("enrolled key: %v", err)
	}

	e := c.bus.embedded.Load()
	for name, address := range map[string]string{"client listener": e.server.ClientURL(), "WebSocket listener": "ws://" + e.websocket} {
		if conn, err := nats.Connect(address, withSeed(t, enrolled), nats.NoReconnect()); err == nil {
			t.Errorf("%s: an enrolled key was let in past the control plane's port", name)
			conn.Close()
		}
	}
}

func TestGatewayReachesItsOwnSubjectsOnly(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 1)
	c.environment("sand", 1)
	c.start()
	conn, refused, err := c.dialBus("g1", withSeed(t, c.enrol("prod", "g1")))
	if err != nil {
		t.Fatal(err)
	}
	subscribe := map[string]string{
		"another environment":      changesSubject("sand"),
		"all environments":         environmentSubjects + ">",
		"everything":               ">",
		"another gateway's inbox":  inboxPrefix("g2") + ".>",
		"all inboxes":              inboxes + ">",
		"another gateway's status": gatewaySubject("prod", "g2", statusSubject),
		"its own usage":            gatewaySubject("prod", "g1", usageSubject),
		"its own status":           gatewaySubject("prod", "g1", statusSubject),
	}
	for name, subject := range subscribe {
		if _, err := conn.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		expectRefusal(t, conn, refused, "subscribe to "+name)
	}
	publish := map[string]string{
		"a change":                            changesSubject("prod"),
		"another environment's change":        changesSubject("sand"),
		"another gateway's status":            gatewaySubject("prod", "g2", statusSubject),
		"another gateway's usage":             gatewaySubject("prod", "g2", usageSubject),
		"own usage in another environment":    gatewaySubject("sand", "g1", usageSubject),
		"own status in another environment":   gatewaySubject("sand", "g1", statusSubject),
		"another gateway's inbox":             inboxPrefix("g2") + ".x",
		"another gateway's request for state": gatewaySubject("prod", "g2", fetchSubject),
		"the server's own subjects":           "$SYS.REQ.SERVER.PING",
	}
	for name, subject := range publish {
		if err := conn.Publish(subject, []byte("x")); err != nil {
			t.Fatal(err)
		}
		expectRefusal(t, conn, refused, "publish "+name)
	}
	for _, subject := range []string{changesSubject("prod"), inboxPrefix("g1") + ".>"} {
		if _, err := conn.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-refused:
		t.Errorf("what is a gateway's own was refused: %v", err)
	default:
	}
}

func expectRefusal(t *testing.T, conn *nats.Conn, refused <-chan error, what string) {
	t.Helper()
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-refused:
		if !strings.Contains(strings.ToLower(err.Error()), "permissions violation") {
			t.Errorf("%s: refused with %v", what, err)
		}
	case <-time.After(5 * time.Second):
		t.Errorf("%s: allowed", what)
	}
}

func TestAnswersGoToOwnInboxOnly(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 1)
	c.start()
	victim, _, err := c.dialBus("g2", withSeed(t, c.enrol("prod", "g2")))
	if err != nil {
		t.Fatal(err)
	}
	got, err := victim.SubscribeSync(inboxPrefix("g2") + ".>")
	if err != nil {
		t.Fatal(err)
	}
	changes, err := victim.SubscribeSync(changesSubject("prod"))
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Flush(); err != nil {
		t.Fatal(err)
	}
	conn, _, err := c.dialBus("g1", withSeed(t, c.enrol("prod", "g1")))
	if err != nil {
		t.Fatal(err)
	}
	message, _ := c.bus.framer.frame(nil)
	subject := gatewaySubject("prod", "g1", compareSubject)
	for _, reply := range []string{inboxPrefix("g2") + ".x", changesSubject("prod"), inboxPrefix("g1")} {
		if err := conn.PublishRequest(subject, reply, message); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Request(subject, message, 5*time.Second); err != nil { // which is answered after the others
		t.Fatalf("request for the state: %v", err)
	}
	if err := victim.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, _ := got.Pending(); n != 0 {
		t.Error("the control plane answered at another gateway's inbox")
	}
	for n, _, _ := changes.Pending(); n > 0; n-- { // the state was announced when it was read
		m, err := changes.NextMsg(time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := c.bus.framer.open(m.Data); err != nil {
			t.Error(err)
		} else if _, err := readChange(r); err != nil {
			t.Error("the control plane answered among the changes")
		}
	}
}

func TestRemovedGatewayIsCut(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 1)
	c.start()
	m := follow(t, c.memberOptions("prod", "g1", c.enrol("prod", "g1"), t.TempDir()))
	within(t, m.follower.Loaded(), "a state is loaded")
	c.awaitReport("a heartbeat", func(r sluice.Report) bool { return r.Connected })
	began := time.Now()
	c.remove("g1")
	c.awaitReport("the end", func(r sluice.Report) bool { return !r.Connected })
	if took := time.Since(began); took > time.Second {
		t.Errorf("a removed gateway was cut after %s", took)
	}
	eventually(t, "the status says that the key is not known", func() bool {
		err := m.follower.Status().Err
		return err != nil && strings.Contains(err.Error(), "does not know this gateway's key")
	})
	c.publish(c.put("prod", "key/secret", "for gateways that are enrolled"))
	if m.serves("key/secret") != "" {
		t.Error("a removed gateway got a change")
	}
}

// A gateway that is removed while its connection is being admitted is cut by
// one of the two.
func TestRemovalDuringAdmission(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 1)
	seed := c.enrol("prod", "g1")
	asked := 0
	lookup := c.bus.o.Gateway
	c.bus.o.Gateway = func(ctx context.Context, key string) (sluice.Gateway, bool) {
		g, ok := lookup(ctx, key)
		if asked++; asked == 1 {
			c.remove("g1") // and Disconnect finds no connection yet
		}
		return g, ok
	}
	c.start()
	if conn, _, err := c.dialBus("g1", withSeed(t, seed)); err == nil {
		if err := conn.FlushTimeout(5 * time.Second); err == nil {
			t.Error("a gateway that was removed meanwhile is connected")
		}
	}
}

func TestF16NewerConnectionOfAKeyWins(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 1)
	c.start()
	seed := c.enrol("prod", "g1")
	older, _, err := c.dialBus("g1", withSeed(t, seed))
	if err != nil {
		t.Fatal(err)
	}
	newer, _, err := c.dialBus("g1", withSeed(t, seed))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the older connection is cut", older.IsClosed)
	if err := newer.Flush(); err != nil {
		t.Errorf("the newer connection: %v", err)
	}
}

func TestServeHTTPBeforeAndBesideWebSockets(t *testing.T) {
	c := newControl(t)
	w := httptest.NewRecorder()
	c.bus.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/services/bus", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("before Run: status %d, want 503", w.Code)
	}
	c.start()
	secure, err := (&Identity{CA: c.ca.pem()}).TLS()
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: secure, DisableKeepAlives: true}}
	upgrade := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}}
	tests := map[string]struct {
		method string
		header http.Header
		want   int
	}{
		"plain request":   {http.MethodGet, nil, http.StatusUpgradeRequired},
		"post":            {http.MethodPost, upgrade, http.StatusUpgradeRequired},
		"handshake halve": {http.MethodGet, upgrade, http.StatusBadGateway},
	}
	for name, test := range tests {
		r, err := http.NewRequestWithContext(t.Context(), test.method, "https"+strings.TrimPrefix(c.url, "wss")+"/services/bus", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = test.header.Clone()
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode != test.want {
			t.Errorf("%s: status %d, want %d", name, response.StatusCode, test.want)
		}
	}
}

func TestFollowerTrustsControlPlanesOnly(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 1)
	c.start()
	tests := map[string]struct {
		certificate tls.Certificate
		want        string
	}{
		"a gateway's certificate": {c.ca.server(t, "", time.Now().Add(time.Hour)), "not that of a control plane"},
		"another authority's":     {newAuthority(t).server(t, controlPlaneURI, time.Now().Add(time.Hour)), "not of the pinned certificate authority"},
		"expired":                 {c.ca.server(t, controlPlaneURI, time.Now().Add(-time.Minute)), "is the clock right?"},
	}
	for name, test := range tests {
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{test.certificate}})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(c.bus)
		server.Listener, server.Config.ErrorLog = l, nil
		server.Start()
		o := c.memberOptions("prod", "g1", c.enrol("prod", "g1"), t.TempDir())
		o.URL = "wss://" + l.Addr().String()
		m := follow(t, o)
		eventually(t, "the status says what is wrong with "+name, func() bool {
			err := m.follower.Status().Err
			return err != nil && strings.Contains(err.Error(), test.want)
		})
		m.stop()
		server.Close()
	}
}

// TestF12TamperedChanges plays a bus that has been taken over: it can send what it
// likes, except for what the control plane has signed.
func TestF12TamperedChanges(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 10)
	c.start()
	m := follow(t, c.memberOptions("prod", "g1", c.enrol("prod", "g1"), t.TempDir()))
	within(t, m.follower.Loaded(), "a state is loaded")
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	bus := c.bus.embedded.Load().control
	send := func(ch *change) {
		t.Helper()
		message, _ := c.bus.framer.frame(ch.append(nil))
		if err := bus.Publish(changesSubject("prod"), message); err != nil {
			t.Fatal(err)
		}
	}
	v := c.bus.environment("prod").current.Load()
	root := func(key ed25519.PrivateKey, environmentID string, epoch, generation int64, s *state) signedRoot {
		r := signedRoot{environment: environmentID, epoch: epoch, generation: generation, root: s.root, time: time.Now()}
		r.sign(key)
		return r
	}
	evil := item("key/evil", "lets anybody in")
	with := v.state.with(entriesOf([]Item{evil}, true), nil)
	altered := root(c.signer, "prod", 1, 2, with)
	altered.generation = 3
	tests := map[string]*change{
		"another's signature":        {signed: root(stranger, "prod", 1, 2, with), whole: true, put: []Item{evil}},
		"signed for another":         {signed: root(c.signer, "sand", 1, 2, with), whole: true, put: []Item{evil}},
		"altered after signing":      {signed: altered, whole: true, put: []Item{evil}},
		"no signature":               {signed: signedRoot{environment: "prod", epoch: 1, generation: 2, root: with.root, time: time.Now()}, whole: true, put: []Item{evil}},
		"a new epoch, not signed":    {signed: root(stranger, "prod", 9, 1, with), whole: true, put: []Item{evil}},
		"older, truly signed":        {signed: root(c.signer, "prod", 1, 0, with), whole: true, put: []Item{evil}},
		"root of something else":     {signed: root(c.signer, "prod", 1, 2, v.state), whole: true, put: []Item{evil}},
		"less than what was signed":  {signed: root(c.signer, "prod", 1, 2, with), whole: true},
		"other than what was signed": {signed: root(c.signer, "prod", 1, 2, with), whole: true, put: []Item{item("key/evil", "other")}},
	}
	for name, ch := range tests {
		send(ch)
		if err := bus.Publish(changesSubject("prod"), []byte("noise")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the change is refused", func() bool { return m.follower.Status().Err != nil || name == "older, truly signed" })
		if m.count() != 10 {
			t.Fatalf("%s: it was taken", name)
		}
	}
	good := c.put("prod", "key/good", "good")
	c.publish(good)
	m.await(1, 2)
	if m.serves("key/good") != "good" || m.serves("key/evil") != "" {
		t.Errorf("gateway serves %v", m.items)
	}
	eventually(t, "the status is clean again", func() bool { return m.follower.Status().Err == nil })
}
