package distribution

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
)

// second returns another control plane over the same database, routed to c, which
// must be running with a cluster.
func (c *control) second() *control {
	c.t.Helper()
	d := newControl(c.t)
	d.ca, d.signer, d.shared = c.ca, c.signer, c
	d.clustered(c.bus.embedded.Load().server.ClusterAddr().String())
	d.start()
	eventually(c.t, "the routes are there", func() bool {
		return c.bus.embedded.Load().server.NumRoutes() > 0 && d.bus.embedded.Load().server.NumRoutes() > 0
	})
	eventually(c.t, "both have met", func() bool { return len(c.bus.controls()) == 2 && len(d.bus.controls()) == 2 })
	return d
}

// clustered makes the bus of c one that is routed to those of peers.
func (c *control) clustered(peers ...string) {
	c.t.Helper()
	certificate := c.ca.server(c.t, controlPlaneURI, time.Now().Add(time.Hour))
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.listener = l
	o := c.bus.o
	o.Signer, o.Snapshot, o.Gateway, o.Report = c.signer, c.snapshot, c.gateway, c.report
	o.Cluster = &ClusterOptions{
		Listen: "127.0.0.1:0", Peers: peers, CA: c.ca.pem(), URL: "https://" + l.Addr().String(),
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil },
	}
	if c.bus, err = NewBus(o); err != nil {
		c.t.Fatal(err)
	}
}

// pair returns two control planes that are routed together.
func pair(t *testing.T) (a, b *control) {
	t.Helper()
	a = newControl(t)
	a.clustered()
	a.environment("prod", 10)
	a.start()
	return a, a.second()
}

// A change that one control plane publishes reaches the gateways of the other,
// and what these say reaches both.
func TestF7ClusterCarriesChangesAndReports(t *testing.T) {
	a, b := pair(t)
	atA := follow(t, a.memberOptions("prod", "g1", a.enrol("prod", "g1"), t.TempDir()))
	atB := follow(t, b.memberOptions("prod", "g2", a.enrol("prod", "g2"), t.TempDir()))
	for _, m := range []*member{atA, atB} {
		m.await(1, 1)
	}
	for n := range int64(20) {
		a.publish(a.put("prod", "key/new", fmt.Sprint(n)))
		atA.await(1, n+2)
		atB.await(1, n+2)
	}
	if got := atB.serves("key/new"); got != "19" {
		t.Errorf("the gateway of the other control plane serves %q", got)
	}
	eventually(t, "the other control plane knows the state", func() bool {
		v := b.bus.environment("prod").current.Load()
		return v != nil && v.generation == 21 && v.state.root == a.bus.environment("prod").current.Load().state.root
	})
	for _, c := range []*control{a, b} {
		for _, id := range []string{"g1", "g2"} {
			c.awaitReport(id+" is there", func(r sluice.Report) bool {
				return r.GatewayID == id && r.Connected && r.Generation == 21
			})
		}
	}
	atB.mu.Lock()
	atB.list = []sluice.DeploymentReport{{APIID: "a1", State: sluice.Live}}
	atB.mu.Unlock()
	atB.follower.Report()
	a.awaitReport("g2 is live", func(r sluice.Report) bool {
		return r.GatewayID == "g2" && len(r.Deployments) == 1 && r.Deployments[0].State == sluice.Live
	})
	atB.stop()
	a.awaitReport("g2 went", func(r sluice.Report) bool { return r.GatewayID == "g2" && !r.Connected })
}

// A control plane that comes later is told what gateways said before.
func TestClusterTellsTheNewcomer(t *testing.T) {
	a := newControl(t)
	a.clustered()
	a.environment("prod", 10)
	a.start()
	m := newMember(t, a.memberOptions("prod", "g1", a.enrol("prod", "g1"), t.TempDir()))
	m.list = []sluice.DeploymentReport{{APIID: "a1", State: sluice.Live}}
	m.start()
	m.await(1, 1)
	a.awaitReport("g1 is live", func(r sluice.Report) bool { return len(r.Deployments) == 1 })
	began := time.Now()
	b := a.second()
	b.awaitReport("g1 is live there", func(r sluice.Report) bool { return r.Connected && len(r.Deployments) == 1 })
	if took := time.Since(began); took > heartbeatEvery {
		t.Errorf("that took %v", took)
	}
}

// A gateway whose control plane ends goes over to the other one, whose address it
// has learned from it, and is not taken for gone there.
func TestGatewayGoesOverToAnotherControlPlane(t *testing.T) {
	a, b := pair(t)
	o := a.memberOptions("prod", "g1", a.enrol("prod", "g1"), t.TempDir())
	announced := make(chan []string, 10)
	o.Announced = func(urls []string) { announced <- urls }
	m := follow(t, o)
	m.await(1, 1)
	select {
	case urls := <-announced:
		if len(urls) != 2 {
			t.Errorf("announced: %v, want both", urls)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the control planes were not announced")
	}
	b.awaitReport("g1 is at the first", func(r sluice.Report) bool { return r.GatewayID == "g1" && r.Connected })
	began := time.Now()
	a.stop()
	eventually(t, "the gateway is at the second", func() bool { return b.bus.tunnels.live("g1") })
	t.Logf("gone over after %v", time.Since(began))
	b.publish(b.put("prod", "key/new", "x"))
	m.await(1, 2)
	eventually(t, "the follower names it", func() bool {
		st := m.follower.Status()
		return st.Connected && st.URL == b.bus.o.Cluster.URL
	})
	b.awaitReport("g1 is at generation 2", func(r sluice.Report) bool { return r.Connected && r.Generation == 2 })
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.reports {
		if !r.Connected {
			t.Error("the gateway was taken for gone where it had come to")
		}
	}
}

// A gateway learns of a new control plane at once and not with its next heartbeat:
// its own may be lost before that.
func TestNewControlPlaneIsAnnouncedAtOnce(t *testing.T) {
	a := newControl(t)
	a.clustered()
	a.environment("prod", 10)
	a.start()
	o := a.memberOptions("prod", "g1", a.enrol("prod", "g1"), t.TempDir())
	announced := make(chan []string, 10)
	o.Announced = func(urls []string) { announced <- urls }
	m := newMember(t, o)
	m.follower.every = time.Hour
	m.start()
	m.await(1, 1)
	a.awaitReport("g1 is there", func(r sluice.Report) bool { return r.GatewayID == "g1" && r.Connected })
	b := a.second()
	for {
		select {
		case urls := <-announced:
			if slices.Contains(urls, b.bus.o.Cluster.URL) {
				return
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the second control plane was not announced")
		}
	}
}

// Two processes with one gateway's identity cannot both be connected, not even to
// different control planes.
func TestF16OneIdentityAtTwoControlPlanes(t *testing.T) {
	a, b := pair(t)
	seed := a.enrol("prod", "g1")
	follow(t, a.memberOptions("prod", "g1", seed, t.TempDir())).await(1, 1)
	older := a.bus.tunnels.of("g1")
	follow(t, b.memberOptions("prod", "g1", seed, t.TempDir())).await(1, 1)
	eventually(t, "the older connection is cut", func() bool { return a.bus.tunnels.of("g1") != older })
}

// What other control planes did not tell is found by Refresh.
func TestRefresh(t *testing.T) {
	a, b := pair(t)
	m := follow(t, b.memberOptions("prod", "g1", a.enrol("prod", "g1"), t.TempDir()))
	m.await(1, 1)
	a.put("prod", "key/new", "x") // and nobody publishes it
	if err := b.bus.Refresh(t.Context(), "prod", 1, 2); err != nil {
		t.Fatal(err)
	}
	m.await(1, 2)
}

// The port for routes is for control planes alone.
func TestRoutesRefuseStrangers(t *testing.T) {
	a := newControl(t)
	a.clustered()
	a.start()
	address := a.bus.embedded.Load().server.ClusterAddr().String()
	gatewayCert, stranger := a.ca.server(t, "", time.Now().Add(time.Hour)), newAuthority(t).server(t, controlPlaneURI, time.Now().Add(time.Hour))
	expired := a.ca.server(t, controlPlaneURI, time.Now().Add(-time.Hour))
	peer := a.ca.server(t, controlPlaneURI, time.Now().Add(time.Hour))
	for name, certificates := range map[string][]tls.Certificate{
		"no certificate":                nil,
		"a gateway's certificate":       {gatewayCert},
		"a certificate of another CA":   {stranger},
		"an expired certificate":        {expired},
		"a control plane's certificate": {peer},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, Certificates: certificates})
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			if err = secure.Handshake(); err == nil { // TLS 1.3: the refusal comes after it
				_, err = secure.Read(make([]byte, 1))
			}
			if letIn, want := err == nil, name == "a control plane's certificate"; letIn != want {
				t.Errorf("let in: %t (%v), want %t", letIn, err, want)
			}
		})
	}
	t.Run("a bus with a gateway's certificate", func(t *testing.T) {
		b := newControl(t)
		b.ca, b.signer, b.shared = a.ca, a.signer, a
		b.clustered(address)
		b.bus.o.Cluster.Certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &gatewayCert, nil }
		b.start()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for range 50 {
			<-tick.C
			if a.bus.embedded.Load().server.NumRoutes() > 0 {
				t.Fatal("it was let in")
			}
		}
	})
	if got := maps.Clone(a.bus.peers.known); len(got) != 0 {
		t.Errorf("peers %v, want none", got)
	}
}
