// Package server puts one Sluice process together from its configuration, and
// runs it: the only place where packages are connected to each other.
//
// [New] reads what decides the process; [Server.Run] opens the management and
// operations ports, builds the roles in roles.go and runs their parts until its
// context ends. The traffic ports open when the gateway has loaded everything
// that is assigned to it. listen.go opens ports, enrolment.go is the gateway's
// side of joining by ServerURL, health.go says how the process is.
//
// Nothing is decided here that a rule of another package could decide.
package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-api/sluice/internal/config"
	"github.com/sluice-api/sluice/internal/web"
)

// shutdownTime is how long requests under way may take once the process ends.
const shutdownTime = 10 * time.Second

// Server is one process. It is used by one goroutine.
type Server struct {
	cfg     *config.Config
	version string
	log     *slog.Logger
	now     func() time.Time
	reload  func() (*config.Config, error)
	hangup  <-chan os.Signal
	health  *health
	control *controlRole // nil: this process is a gateway only
	gateway *gatewayRole // nil: this process has no gateway
}

// Options are what a Server needs beside its configuration.
type Options struct {
	Version string
	Log     *slog.Logger

	// Reload reads the configuration again each time that Hangup says so; nil:
	// the process keeps what it was given. Its errors may be config.Problems.
	Reload func() (*config.Config, error)
	Hangup <-chan os.Signal
}

// New returns the process that cfg describes. It opens nothing.
func New(cfg *config.Config, o Options) (*Server, error) {
	if cfg.TLS.ManagementCertificate != "" && cfg.Role != config.GatewayOnly {
		return nil, errors.New("tls.management_certificate: a control plane of this version presents the certificate of its own CA, which gateways pin; leave the setting out")
	}
	return &Server{cfg: cfg, version: o.Version, log: o.Log, reload: o.Reload, hangup: o.Hangup, now: func() time.Time { return time.Now().UTC() }, health: newHealth()}, nil
}

// Run runs the process until ctx ends or one of its parts fails.
func (s *Server) Run(ctx context.Context) error {
	if err := os.MkdirAll(s.path(), 0o700); err != nil {
		return fmt.Errorf("make the folder for the state: %w", err)
	}
	for _, c := range s.ownCertificates() {
		if _, err := c.check(s.now()); err != nil {
			return err
		}
	}
	management, err := listen(s.cfg.Listen.Management)
	if err != nil {
		return err
	}
	defer closeAll(management)
	operations, err := listen(s.cfg.Listen.Operations)
	if err != nil {
		return err
	}
	defer closeAll(operations)

	mux := http.NewServeMux()
	g, ctx := errgroup.WithContext(ctx)
	if s.cfg.Role != config.GatewayOnly {
		if err := s.checkRoutes(); err != nil {
			return err
		}
		if s.control, err = s.newControlRole(ctx, mux); err != nil {
			return err
		}
		defer s.control.close()
	}
	if s.cfg.Role != config.ControlPlaneOnly {
		if s.gateway, err = s.newGatewayRole(mux); err != nil {
			return err
		}
	}
	s.handleRest(mux)
	s.announce()
	if s.control != nil {
		g.Go(func() error { return s.control.plane.Run(ctx) })
		g.Go(func() error { return s.watchControl(ctx) })
	}
	if s.gateway != nil {
		g.Go(func() error { return s.gateway.run(ctx) })
	}
	g.Go(func() error { return s.watchCertificates(ctx) })
	if s.reload != nil {
		g.Go(func() error { return s.follow(ctx) })
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.managementCertificate(), NextProtos: []string{"h2", "http/1.1"}}
	serve(g, ctx, s.newHTTPServer(web.Wrap(mux, s.log, s.now)), overTLS(management, secure))
	serve(g, ctx, s.newHTTPServer(s.operations()), operations)
	err = g.Wait()
	s.log.Info("stopped")
	return err
}

// checkRoutes says early, and plainly, that the port for other control planes
// cannot be had.
func (s *Server) checkRoutes() error {
	if s.cfg.Cluster.Listen == "" {
		return nil
	}
	l, err := listen(s.cfg.Cluster.Listen)
	closeAll(l)
	return err
}

// path returns a path below the folder of the home in which the process keeps
// its state.
func (s *Server) path(elem ...string) string {
	return filepath.Join(append([]string{s.cfg.Home, "state"}, elem...)...)
}

// announce says what this process is, in the log.
func (s *Server) announce() {
	for _, w := range s.cfg.Warnings {
		s.log.Warn("configuration: " + w)
	}
	attrs := []any{
		"version", s.version, "role", s.cfg.Role, "role_from", s.cfg.RoleFrom, "home", s.cfg.Home, "profile", s.cfg.Profile,
		"management", s.cfg.Listen.Management, "operations", s.cfg.Listen.Operations,
	}
	if s.gateway != nil {
		attrs = append(attrs, "http", s.cfg.Listen.HTTP, "https", s.cfg.Listen.HTTPS)
	}
	s.log.Info("started", attrs...)
	if s.cfg.Profile == config.Quickstart {
		s.log.Warn("the quickstart profile is for trying Sluice on one machine: every listener is on loopback and admin/admin may log in")
	}
}

func (s *Server) newHTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// serve runs srv on the listeners until ctx ends, and then lets requests end.
func serve(g *errgroup.Group, ctx context.Context, srv *http.Server, listeners []net.Listener) {
	for _, l := range listeners {
		g.Go(func() error {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	g.Go(func() error {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.Background(), shutdownTime)
		defer cancel()
		if err := srv.Shutdown(end); err != nil {
			return srv.Close()
		}
		return nil
	})
}

// dial connects to an address. The name localhost is loopback also where nothing
// resolves it (RFC 6761 §6.3), as in a container without files. In the quickstart
// profile every listener is on loopback, so an address of this machine is reached
// there.
func (s *Server) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	host, port, err := net.SplitHostPort(address)
	if err == nil && (host == "localhost" || s.cfg.Profile == config.Quickstart && s.local(host)) {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	return d.DialContext(ctx, network, address)
}

// local reports whether host is this machine.
func (s *Server) local(host string) bool { return config.Local(host, config.LocalAddresses()) }

// certificateHosts returns the names of the control plane's certificate: the
// configured hosts and this machine's addresses, those on loopback among them,
// where the gateways of the machine itself find it.
func (s *Server) certificateHosts() []string {
	hosts := []string{s.cfg.ManagementHost, s.cfg.Host, "localhost", "127.0.0.1", "::1"}
	for _, a := range config.LocalAddresses() {
		if !a.IsLoopback() && a.Zone() == "" {
			hosts = append(hosts, a.String())
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// managementURL is the address of this process's management port.
func (s *Server) managementURL() string {
	_, port, _ := net.SplitHostPort(s.cfg.Listen.Management)
	return (&url.URL{Scheme: "https", Host: net.JoinHostPort(s.cfg.ManagementHost, port)}).String()
}

// masterKey returns the key that seals secrets in the database, made at the
// first start. It lies beside the database in a file of its own, and is never
// made for a database that is there: it would not open it. A further control
// plane is given the file of the first one, and makes none.
func (s *Server) masterKey() (key [32]byte, made bool, err error) {
	file, given := s.path(masterKeyFile), s.cfg.DatabaseKey != ""
	if given {
		file = s.cfg.DatabaseKey
	}
	b, err := os.ReadFile(file)
	switch {
	case err != nil && (given || !errors.Is(err, fs.ErrNotExist)):
		return key, false, err
	case len(b) == len(key):
		copy(key[:], b)
		return key, false, nil
	case given:
		return key, false, fmt.Errorf("%s, named by database_key_file, has %d bytes and should have %d; copy the file state/%s of the first control plane",
			file, len(b), len(key), masterKeyFile)
	}
	if _, err := os.Stat(s.path(databaseFile)); !errors.Is(err, fs.ErrNotExist) {
		return key, false, fmt.Errorf("%s has %d bytes and should have %d; restore it from the backup", filepath.Base(file), len(b), len(key))
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a start that did not get further
		return key, false, err
	}
	_, _ = rand.Read(key[:]) // never fails
	return key, true, writeNew(file, key[:])
}

// writeNew writes a file that only its owner may read and that must not exist.
func writeNew(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}
