package distribution

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

// ClusterOptions route the buses of several control planes together. A peer is
// whoever shows a certificate of the CA with the name that only control planes
// get, at whatever address; nobody else is let in, and none is called by name.
type ClusterOptions struct {
	Listen      string                                               // "host:port" of the port for routes
	Peers       []string                                             // "host:port" of others' ports for routes; those that they know are found through them
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error) // of this control plane; its argument may be nil
	CA          []byte                                               // PEM; issued the peers' certificates
	URL         string                                               // "https://host:9443" of this control plane, for gateways
}

const (
	clusterName    = "sluice"
	routeTimeout   = 5 * time.Second // for a handshake between control planes
	wantedAtMost   = time.Second     // between two requests for all reports
	anyEnvironment = environmentSubjects + "*.changes"
	peerSubject    = "sluice.control"
)

// route adds the routes to the options of an embedded server.
func (c *ClusterOptions) route(o *server.Options, ping time.Duration) error {
	host, portText, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return err
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	secure, err := c.tls()
	if err != nil {
		return err
	}
	o.Cluster = server.ClusterOpts{
		Name: clusterName, Host: host, Port: port, NoAdvertise: true, PoolSize: -1, // one connection: changes stay in order
		TLSConfig: secure, TLSTimeout: routeTimeout.Seconds(), ConnectRetries: 10,
		PingInterval: ping, MaxPingsOut: maxPings, WriteDeadline: writeDeadline,
	}
	for _, p := range c.Peers {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: p})
	}
	return nil
}

// tls returns what both ends of a route need. The name of a host says nothing
// about who is a control plane; the certificate's own name does.
func (c *ClusterOptions) tls() (*tls.Config, error) {
	cas, err := certificates(c.CA)
	if err != nil {
		return nil, fmt.Errorf("the certificate authority: %w", err)
	}
	roots := x509.NewCertPool()
	for _, ca := range cas {
		roots.AddCert(ca)
	}
	return &tls.Config{
		MinVersion:           tls.VersionTLS12,
		GetCertificate:       c.Certificate,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.Certificate(nil) },
		ClientAuth:           tls.RequireAnyClientCert,
		InsecureSkipVerify:   true, // VerifyConnection does all of it, at both ends
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return errors.New("the peer shows no certificate")
			}
			if _, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
				return err
			}
			return controlPlaneOnly(cs)
		},
	}, nil
}

// peers are the other control planes there are. The zero value is ready.
type peers struct {
	mu     sync.Mutex // guards all below
	self   string     // id of this one; "": it is alone, or not running
	known  map[string]peer
	wanted time.Time // when all were last asked for their reports
}

// peer is another control plane.
type peer struct {
	url   string
	heard time.Time
}

// Kinds of messages between control planes.
const (
	peerHere   = "here"   // a control plane says that it is there, and its URL
	peerWanted = "wanted" // asks for reports of all gateways
	peerReport = "report" // of a gateway that is connected to the sender, or has left it
	peerCut    = "cut"    // a gateway has connected to the sender, and shall be nowhere else
)

// peerMessage is what one control plane tells all others. Nothing depends on its
// arrival: reports are repeated with every heartbeat.
type peerMessage struct {
	Kind string `json:"kind"`
	From string `json:"from"` // id of the sender
	URL  string `json:"url,omitempty"`

	// Report is without its list where that was told before; Deployments is the
	// list's digest, empty where the gateway has gone.
	Report      sluice.Report `json:"report"`
	Deployments []byte        `json:"deployments,omitempty"`
	List        bool          `json:"list,omitempty"` // Report has the list
}

// subscribePeers returns what other control planes say, and the changes they
// publish; both nil where this one is alone.
func (b *Bus) subscribePeers(e *embedded) (fromPeers, changes *nats.Subscription, err error) {
	if b.o.Cluster == nil {
		return nil, nil, nil
	}
	if fromPeers, err = e.control.SubscribeSync(peerSubject); err != nil {
		return nil, nil, err
	}
	if changes, err = e.control.SubscribeSync(anyEnvironment); err != nil {
		return nil, nil, err
	}
	b.peers.mu.Lock()
	defer b.peers.mu.Unlock()
	b.peers.self, b.peers.known = e.server.ID(), map[string]peer{}
	return fromPeers, changes, nil
}

// tellPeers sends a message to all other control planes, if there may be some.
func (b *Bus) tellPeers(m peerMessage) {
	e := b.embedded.Load()
	if e == nil || b.o.Cluster == nil {
		return
	}
	m.From = e.server.ID()
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // only strings, numbers and times
	}
	message, ok := b.framer.frame(text)
	if !ok {
		b.o.Log.Error("a report is too large for the other control planes", "gateway_id", m.Report.GatewayID)
		return
	}
	if err := e.control.Publish(peerSubject, message); err != nil {
		b.o.Log.Warn("other control planes could not be told", "err", err)
	}
}

// greetPeers tells the others that this control plane is there.
func (b *Bus) greetPeers() {
	if b.o.Cluster != nil {
		b.tellPeers(peerMessage{Kind: peerHere, URL: b.o.Cluster.URL})
	}
}

// askPeers asks the others for the reports of all their gateways, not too often.
func (b *Bus) askPeers() {
	now := b.o.Now()
	b.peers.mu.Lock()
	due := now.Sub(b.peers.wanted) >= wantedAtMost
	if due {
		b.peers.wanted = now
	}
	b.peers.mu.Unlock()
	if due {
		b.tellPeers(peerMessage{Kind: peerWanted})
	}
}

// askGateways asks all gateways for a heartbeat, whose answer names the control
// planes: one that is lost a moment later leaves none that knows no other.
func (b *Bus) askGateways() {
	e := b.embedded.Load()
	if e == nil {
		return
	}
	b.mu.Lock()
	ids := slices.Collect(maps.Keys(b.environments))
	b.mu.Unlock()
	for _, id := range ids {
		if err := e.control.Publish(reportSubject(id), nil); err != nil {
			b.o.Log.Warn("gateways could not be asked to report", "environment_id", id, "err", err)
		}
	}
}

// sharePeers tells the others what a gateway that is connected here said last.
func (b *Bus) sharePeers(h *heard) {
	if b.o.Cluster == nil {
		return
	}
	m := peerMessage{Kind: peerReport, Report: h.report, Deployments: h.deployments[:], List: h.told != h.deployments}
	if !m.List {
		m.Report.Deployments = nil
	}
	h.told = h.deployments
	b.tellPeers(m)
}

// hearPeer takes a message of another control plane.
func (b *Bus) hearPeer(message *nats.Msg, known map[string]*heard) error {
	r, err := b.framer.open(message.Data)
	if err != nil {
		return err
	}
	var m peerMessage
	if err := json.Unmarshal(r.b, &m); err != nil {
		return err
	}
	switch m.Kind {
	case peerHere:
		if b.met(m) {
			b.o.Log.Info("another control plane is there", "url", m.URL)
			b.greetPeers()
			b.askPeers()
			b.askGateways()
		}
	case peerWanted:
		for _, h := range known {
			if h.at == "" && h.report.Connected {
				h.told = artifact.Digest{}
				b.sharePeers(h)
			}
		}
	case peerCut:
		b.tunnels.cut(m.Report.GatewayID)
	case peerReport:
		b.hearReport(m, known)
	}
	return nil
}

// met notes that a control plane is there, and reports whether that is news.
func (b *Bus) met(m peerMessage) bool {
	now := b.o.Now()
	b.peers.mu.Lock()
	defer b.peers.mu.Unlock()
	last, met := b.peers.known[m.From]
	b.peers.known[m.From] = peer{m.URL, now}
	return !met || now.Sub(last.heard) > sluice.StaleAfter
}

// controls returns the URLs of all control planes that are there, in one order
// for all of them; none where this one is alone.
func (b *Bus) controls() []string {
	if b.o.Cluster == nil {
		return nil
	}
	now := b.o.Now()
	list := []string{b.o.Cluster.URL}
	b.peers.mu.Lock()
	for id, p := range b.peers.known {
		if now.Sub(p.heard) > sluice.StaleAfter {
			delete(b.peers.known, id)
			continue
		}
		list = append(list, p.url)
	}
	b.peers.mu.Unlock()
	slices.Sort(list)
	return slices.Compact(list)
}

// hearReport takes what another control plane says of a gateway. That a gateway
// has gone counts only from the one it was last connected to.
func (b *Bus) hearReport(m peerMessage, known map[string]*heard) {
	id := m.Report.GatewayID
	if id == "" || b.tunnels.live(id) {
		return // it has come here meanwhile
	}
	h := known[id]
	if !m.Report.Connected {
		if h != nil && h.at == m.From {
			delete(known, id)
			h.report.Connected = false
			b.o.Report(h.report)
		}
		return
	}
	if h == nil {
		h = &heard{}
		known[id] = h
	}
	h.at = m.From
	switch {
	case m.List:
		list := m.Report.Deployments
		if list == nil {
			list = []sluice.DeploymentReport{}
		}
		h.report.Deployments = list
		copy(h.deployments[:], m.Deployments)
	case !bytes.Equal(h.deployments[:], m.Deployments):
		b.askPeers() // its list was told before this one listened
		return
	}
	list := h.report.Deployments
	h.report = m.Report
	h.report.Deployments, h.report.HeardAt = list, b.o.Now()
	b.o.Report(h.report)
}

// followPeers keeps the states that this control plane knows up with the changes
// that others publish, until ctx ends.
func (b *Bus) followPeers(ctx context.Context, changes *nats.Subscription) {
	keys := []ed25519.PublicKey{b.o.Signer.Public().(ed25519.PublicKey)}
	for {
		m, ok := b.next(ctx, changes)
		if !ok {
			return
		}
		r, err := b.framer.open(m.Data)
		var c *change
		if err == nil {
			c, err = readChange(r)
		}
		if err == nil {
			err = c.signed.verify(c.signed.environment, keys)
		}
		if err == nil {
			err = b.takeChange(ctx, c)
		}
		if err != nil && ctx.Err() == nil {
			b.o.Log.WarnContext(ctx, "change of another control plane could not be taken", "err", err)
		}
	}
}

// takeChange brings a state that is known here up to a change that another
// control plane has published.
func (b *Bus) takeChange(ctx context.Context, c *change) error {
	e := b.environment(c.signed.environment)
	release, err := e.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	v := e.current.Load()
	at := Change{EnvironmentID: e.id, Epoch: c.signed.epoch, Generation: c.signed.generation, Put: c.put, Remove: c.remove}
	if v == nil || !v.precedes(&at) && !v.behind(&at) {
		return nil
	}
	if c.whole && v.precedes(&at) {
		if next := v.state.with(entriesOf(c.put, true), c.remove); next.root == c.signed.root {
			e.set(&view{e.id, at.Epoch, at.Generation, next}, b.o.Now())
			return nil
		}
	}
	_, err = b.load(ctx, e)
	return err
}

// Refresh reads a state again that is known here and is older than a generation:
// a net below what other control planes publish.
func (b *Bus) Refresh(ctx context.Context, environmentID string, epoch, generation int64) error {
	e := b.environment(environmentID)
	release, err := e.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	v := e.current.Load()
	if v == nil || !v.behind(&Change{Epoch: epoch, Generation: generation}) {
		return nil
	}
	_, err = b.load(ctx, e)
	return err
}
