package server

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/config"
	"github.com/sluice-api/sluice/internal/distribution"
	"github.com/sluice-api/sluice/internal/gateway"
	"github.com/sluice-api/sluice/internal/gateway/http2"
)

// gatewayRole is this process's gateway: how it joined, what it follows, and
// its traffic ports.
type gatewayRole struct {
	s         *Server
	dir       string // of identity and local copy
	temporary *tls.Certificate

	keyManager atomic.Pointer[gateway.Endpoint]

	mu       sync.Mutex // guards what follows
	identity *distribution.Identity
	follower *distribution.Follower
	gateway  *gateway.Gateway // nil: there is none yet
	access   *gateway.AccessLog
	usage    *distribution.Usage // nil: there is none yet
	joined   chan struct{}       // closed once identity is set

	joining sync.Mutex // held while the gateway joins
	guesses guesses
}

// newGatewayRole reads the gateway's identity and offers to join where it has
// none.
func (s *Server) newGatewayRole(mux *http.ServeMux) (*gatewayRole, error) {
	r := &gatewayRole{s: s, dir: s.path("gateway"), joined: make(chan struct{}), guesses: guesses{now: s.now}}
	s.health.wait("gateway", "it is starting") // until open says otherwise
	mux.HandleFunc("GET /services/enrolment", r.enrolmentState)
	mux.HandleFunc("POST /services/enrolment", r.enrol)
	id, err := distribution.LoadIdentity(r.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if r.temporary, err = temporaryCertificate(s.certificateHosts(), s.now()); err != nil {
			return nil, fmt.Errorf("make a temporary certificate: %w", err)
		}
		return r, nil
	case err != nil:
		return nil, fmt.Errorf("read the gateway's identity: %w", err)
	}
	r.identity = id
	close(r.joined)
	return r, nil
}

// assigned reports whether this gateway serves an environment. That of a
// process with all roles does so where an environment's ServerURL is its own;
// else it answers the Key Manager's paths alone.
func (r *gatewayRole) assigned() bool {
	s := r.s
	if s.control == nil || r.id() != nil {
		return true
	}
	return slices.ContainsFunc(s.cfg.Environments, func(e config.Environment) bool { return e.Own })
}

// run waits until the gateway has joined, follows its environment, and opens
// the traffic ports when everything assigned to it is loaded. Beside that it
// writes the access log.
func (r *gatewayRole) run(ctx context.Context) error {
	access, end, err := r.openAccessLog()
	if err != nil {
		return err
	}
	if access == nil {
		return r.serve(ctx)
	}
	defer end()
	return runAll(ctx, access.Run, r.serve)
}

// openAccessLog opens the access log, nil where none is wanted.
func (r *gatewayRole) openAccessLog() (*gateway.AccessLog, func(), error) {
	var to io.Writer = os.Stdout
	end := func() {}
	switch path := r.s.cfg.Gateway.AccessLog; path {
	case config.Off:
		return nil, end, nil
	case config.Stdout:
	default:
		if !filepath.IsAbs(path) {
			path = filepath.Join(r.s.cfg.Home, path)
		}
		file, err := openLog(path)
		if err != nil {
			return nil, nil, err
		}
		to, end = file, func() { _ = file.Close() } // every line was written when it was given
	}
	access := gateway.NewAccessLog(to, r.s.log)
	r.mu.Lock()
	r.access = access
	r.mu.Unlock()
	return access, end, nil
}

// parts returns what there is of the gateway by now.
func (r *gatewayRole) parts() (*gateway.Gateway, *distribution.Follower, *gateway.AccessLog) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gateway, r.follower, r.access
}

// serve does the work of run.
func (r *gatewayRole) serve(ctx context.Context) error {
	if !r.assigned() {
		gw, err := r.newGateway(nil, nil)
		if err != nil {
			return err
		}
		only, err := r.keyManagerOnly()
		if err != nil {
			return err
		}
		gw.Apply(only)
		return runAll(ctx, gw.Run, func(ctx context.Context) error { return r.open(ctx, gw) })
	}
	if r.id() == nil {
		c := r.s.cfg.ControlPlane
		r.s.health.wait("enrolment", fmt.Sprintf("the gateway has not joined an environment yet; its control plane is %s (%s)", c.URL, c.From))
		if r.s.control != nil {
			if err := r.joinOwn(ctx); err != nil {
				return err
			}
		} else {
			r.s.log.Info("waiting to be enrolled; or run `sluice gateway join` in this home", "control_plane", c.URL, "from", c.From)
		}
	}
	select {
	case <-r.joined:
	case <-ctx.Done():
		return nil
	}
	r.s.health.wait("enrolment", "")
	notes, usage, err := r.openUsage()
	if err != nil {
		return err
	}
	defer usage.Close() // when the last call is over
	gw, err := r.newGateway(r.id(), notes)
	if err != nil {
		return err
	}
	follower, err := r.follow(gw, usage)
	if err != nil {
		return err
	}
	r.s.health.wait("gateway", "APIs and keys are not loaded yet")
	return runAll(ctx, gw.Run, usage.Run, follower.Run, func(ctx context.Context) error {
		select {
		case <-follower.Loaded():
		case <-ctx.Done():
			return nil
		}
		return r.open(ctx, gw)
	}, r.watch)
}

// keyManagerOnly is what a gateway serves to which no environment is assigned:
// any host, and on it the Key Manager's paths.
func (r *gatewayRole) keyManagerOnly() (distribution.Update, error) {
	e := &artifact.Environment{Vhosts: []sluice.Vhost{{Host: r.s.cfg.Host}}}
	body, err := artifact.Encode(e)
	return distribution.Update{
		Complete: true, Put: []distribution.Item{{ID: e.ItemID(), Digest: artifact.DigestOf(body), Body: body}},
	}, err
}

// id returns the gateway's identity; nil: it has not joined.
func (r *gatewayRole) id() *distribution.Identity {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.identity
}

// watch keeps the health of the connection to the control plane.
func (r *gatewayRole) watch(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		st := r.follower.Status()
		why, broken := "", ""
		if st.CopyErr != nil {
			broken = st.CopyErr.Error()
		}
		r.s.health.degrade("local copy", broken)
		r.watchUsage()
		if st.Connected {
			r.useKeyManager(st.URL)
		} else {
			why = fmt.Sprintf("the control plane %s is not connected", st.URL)
			if !st.Since.IsZero() {
				why += "; stale since " + st.Since.Format(time.RFC3339)
			}
			if st.Err != nil {
				why += ": " + st.Err.Error()
			}
		}
		r.s.health.degrade("control plane", why)
	}
}

// newGateway builds the gateway; id is nil where it serves no environment, and
// then usage is too.
func (r *gatewayRole) newGateway(id *distribution.Identity, usage *gateway.Usage) (*gateway.Gateway, error) {
	s := r.s
	ca, err := r.trust(id)
	if err != nil {
		return nil, err
	}
	if err := r.setKeyManager(s.cfg.ControlPlane.KeyManager); err != nil {
		return nil, err
	}
	probe, err := r.probe(id, ca)
	if err != nil {
		return nil, err
	}
	backends, err := s.backendCAs()
	if err != nil {
		return nil, err
	}
	_, _, access := r.parts()
	gw, err := gateway.New(gateway.Options{
		AccessLog: access, Usage: usage,
		Transport:  http2.NewClient(http2.ClientOptions{RootCAs: backends}),
		KeyManager: r.keyManager.Load, KeyManagerTransport: http2.NewClient(http2.ClientOptions{RootCAs: ca, Dial: s.dial}),
		PlainOAuth: s.cfg.Profile == config.Quickstart,
		Leeway:     s.cfg.Gateway.ClockLeeway, RemoveAuthorization: s.cfg.Gateway.RemoveAuthorization,
		Probe: probe, Changed: r.changed, Log: s.log, Now: s.now,
	})
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.gateway = gw
	r.mu.Unlock()
	return gw, nil
}

// backendCAs returns whose certificates backends may have: the machine's CAs and
// those in the files of the operator. nil: the machine's alone.
func (s *Server) backendCAs() (*x509.CertPool, error) {
	if len(s.cfg.Gateway.CAFiles) == 0 {
		return nil, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the machine's CAs: %w", err)
	}
	for _, name := range s.cfg.Gateway.CAFiles {
		pem, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("gateway.ca_files: %w", err)
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("gateway.ca_files: %s holds no certificate", name)
		}
	}
	return roots, nil
}

// setKeyManager sets where the Key Manager's paths lead from now on.
func (r *gatewayRole) setKeyManager(address string) error {
	e, err := gateway.NewEndpoint(address)
	if err != nil {
		return fmt.Errorf("address of the Key Manager: %w", err)
	}
	r.keyManager.Store(e)
	return nil
}

// useKeyManager goes over to the Key Manager of the control plane that the
// gateway is connected to, unless another one is configured.
func (r *gatewayRole) useKeyManager(control string) {
	c := r.s.cfg.ControlPlane
	if c.KeyManager != c.URL || "https://"+r.keyManager.Load().Authority == control {
		return
	}
	if err := r.setKeyManager(control); err != nil {
		r.s.log.Warn("the Key Manager of a control plane cannot be used", "control_plane", control, "err", err)
	}
}

// keepControls keeps which control planes there are, for the next start.
func (r *gatewayRole) keepControls(urls []string) {
	r.mu.Lock()
	id := *r.identity
	id.ControlURLs = urls
	r.identity = &id
	r.mu.Unlock()
	if err := id.Save(r.dir); err != nil {
		r.s.log.Warn("the addresses of the control planes were not kept", "err", err)
	}
}

// probe says how the gateway reaches its own listeners. Their certificate is
// judged by its own first name, since they are dialled on loopback: by the
// installation's CA, or, where the operator brought one, by the machine's CAs and
// those in its file.
func (r *gatewayRole) probe(id *distribution.Identity, ca *x509.CertPool) (p gateway.Probe, err error) {
	s := r.s
	p = gateway.Probe{HTTP: ownAddress(s.cfg.Listen.HTTP), HTTPS: ownAddress(s.cfg.Listen.HTTPS)}
	var chain []byte
	switch {
	case s.cfg.TLS.TrafficCertificate != "":
		if chain, err = os.ReadFile(s.cfg.TLS.TrafficCertificate); err != nil {
			return p, fmt.Errorf("read the traffic certificate: %w", err)
		}
		if ca, err = x509.SystemCertPool(); err != nil {
			return p, fmt.Errorf("read the machine's CAs: %w", err)
		}
		ca.AppendCertsFromPEM(chain)
	case id != nil:
		chain = id.Certificate
	default: // nothing is deployed here, so nothing is probed
		p.Transport = http2.NewClient(http2.ClientOptions{RootCAs: ca})
		return p, nil
	}
	name, err := firstName(chain)
	if err != nil {
		return p, fmt.Errorf("traffic certificate: %w", err)
	}
	p.Transport = http2.NewClient(http2.ClientOptions{RootCAs: ca, ServerName: name})
	return p, nil
}

// firstName returns the first name, or else address, of the first certificate of
// a PEM chain.
func firstName(chain []byte) (string, error) {
	block, _ := pem.Decode(chain)
	if block == nil {
		return "", errors.New("there is no certificate in it")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	switch {
	case err != nil:
		return "", err
	case len(leaf.DNSNames) > 0:
		return leaf.DNSNames[0], nil
	case len(leaf.IPAddresses) > 0:
		return leaf.IPAddresses[0].String(), nil
	}
	return "", errors.New("it names no host")
}

// trust returns the certificates by which the Key Manager is known.
func (r *gatewayRole) trust(id *distribution.Identity) (*x509.CertPool, error) {
	if id != nil {
		return pool(id.CA)
	}
	return pool(r.s.control.plane.CACertificates())
}

// changed tells the follower that there is something to report.
func (r *gatewayRole) changed() {
	r.mu.Lock()
	f := r.follower
	r.mu.Unlock()
	if f != nil {
		f.Report()
	}
}

// follow makes the follower of the gateway's environment.
func (r *gatewayRole) follow(gw *gateway.Gateway, usage *distribution.Usage) (*distribution.Follower, error) {
	id := r.id()
	secure, err := id.TLS()
	if err != nil {
		return nil, fmt.Errorf("gateway's identity: %w", err)
	}
	address := r.s.cfg.ControlPlane.URL
	if address == "" {
		address = id.ControlURL
	}
	keys := make([]ed25519.PublicKey, len(id.StateKeys))
	for i, k := range id.StateKeys {
		keys[i] = k
	}
	f, err := distribution.NewFollower(distribution.FollowerOptions{
		GatewayID: id.GatewayID, EnvironmentID: id.EnvironmentID, Version: r.s.version,
		URL: "wss" + strings.TrimPrefix(address, "https"), Others: id.ControlURLs, Announced: r.keepControls, TLS: secure, Dial: r.s.dial, Seed: id.Seed, StateKeys: keys,
		Dir: r.dir, Apply: gw.Apply, Check: gw.Check, Reports: gw.Reports, Trace: gw.Trace, Usage: usage, Log: r.s.log, Now: r.s.now,
	})
	if err != nil {
		return nil, fmt.Errorf("follow the control plane: %w", err)
	}
	r.mu.Lock()
	r.follower = f
	r.mu.Unlock()
	return f, nil
}

// open opens the traffic ports and serves them until ctx ends.
func (r *gatewayRole) open(ctx context.Context, gw *gateway.Gateway) error {
	plain, err := listen(r.s.cfg.Listen.HTTP)
	if err != nil {
		return err
	}
	secure, err := listen(r.s.cfg.Listen.HTTPS)
	if err != nil {
		closeAll(plain)
		return err
	}
	secure = overTLS(secure, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: r.trafficCertificate(), NextProtos: []string{"h2", "http/1.1"}})
	front := http2.NewServer(gw, http2.ServerOptions{Log: r.s.log})
	var parts []func(context.Context) error
	for _, l := range plain {
		parts = append(parts, func(ctx context.Context) error { return front.Serve(ctx, l, false) })
	}
	for _, l := range secure {
		parts = append(parts, func(ctx context.Context) error { return front.Serve(ctx, l, true) })
	}
	r.s.health.wait("gateway", "")
	r.s.log.Info("traffic ports are open", "http", r.s.cfg.Listen.HTTP, "https", r.s.cfg.Listen.HTTPS)
	return runAll(ctx, parts...)
}

// trafficCertificate returns what the HTTPS traffic port presents.
func (r *gatewayRole) trafficCertificate() func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if r.s.cfg.TLS.TrafficCertificate != "" {
		return fromFiles(r.s.cfg.TLS.TrafficCertificate, r.s.cfg.TLS.TrafficKey)
	}
	if r.id() == nil {
		return r.s.control.cert
	}
	return r.managementCertificate
}

// managementCertificate presents the certificate the gateway got when it
// joined, or before that the temporary one.
func (r *gatewayRole) managementCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	id := r.id()
	if id == nil {
		return r.temporary, nil
	}
	c, err := tls.X509KeyPair(id.Certificate, id.Key)
	if err != nil {
		return nil, fmt.Errorf("gateway's certificate: %w", err)
	}
	return &c, nil
}

// details is what the operations port says of the gateway.
func (r *gatewayRole) details() map[string]any {
	r.mu.Lock()
	id, f := r.identity, r.follower
	r.mu.Unlock()
	d := map[string]any{"joined": id != nil}
	if id != nil {
		d["gateway_id"], d["environment_id"] = id.GatewayID, id.EnvironmentID
		if len(id.ControlURLs) > 0 {
			d["control_planes"] = id.ControlURLs // that it knows to go over to
		}
	}
	if f != nil {
		st := f.Status()
		d["control_plane"] = st.URL
		d["connected"], d["from_copy"] = st.Connected, st.FromCopy
		if !st.Since.IsZero() {
			d["since"] = st.Since
		}
		d["epoch"], d["generation"], d["root"] = st.Epoch, st.Generation, st.Root
	}
	return d
}

// ownAddress returns where this process reaches its own listener.
func ownAddress(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	switch host {
	case "", "0.0.0.0", "localhost":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

// errAlready says that the gateway has an identity.
var errAlready = sluice.Errorf(sluice.Conflict, "enrolment.done", "This gateway has joined already.")
