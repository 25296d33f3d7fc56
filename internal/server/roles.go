package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/config"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/distribution"
	"github.com/sluice-api/sluice/internal/keymanager"
	"github.com/sluice-api/sluice/internal/policy"
	"github.com/sluice-api/sluice/internal/rest"
)

// Names of files in a home.
const (
	databaseFile  = "sluice.db"
	masterKeyFile = "master.key"
	// CAFile holds the certificate of the installation's CA, for clients that
	// are to trust its gateways and portals.
	CAFile = "ca.pem"
	// AdminPasswordFile holds the first administrator's password until the
	// first start, where `sluice init` was given one.
	AdminPasswordFile = "admin-password"
	// InitialPasswordFile holds the random password of the first administrator
	// until it is changed.
	InitialPasswordFile = "initial-admin-password"
	// AdminPasswordVariable is the environment variable with the first
	// administrator's password; only read while there is no administrator.
	AdminPasswordVariable = "SLUICE_ADMIN_PASSWORD"
)

// controlRole is the control plane and the Key Manager.
type controlRole struct {
	db    *database.DB
	plane *control.Plane
	keys  *keymanager.Server
	cert  func(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

// newControlRole opens the database and puts control plane, Key Manager and
// REST on the management port.
func (s *Server) newControlRole(ctx context.Context, mux *http.ServeMux) (c *controlRole, err error) {
	c = &controlRole{}
	if err := s.openPlane(ctx, c); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if err := s.firstAdministrator(ctx, c.plane); err != nil {
		return nil, err
	}
	c.keys, err = keymanager.New(ctx, keymanager.Options{
		DB: c.db, Issuer: s.managementURL() + "/oauth2/token", KeepIssuer: s.cfg.Cluster.Listen != "", Login: c.plane.Login, Refused: c.plane.Refused, ManagementScopes: rest.ScopesOf,
		PasswordGrant: s.cfg.KeyManager.PasswordGrant, LegacyLogin: s.cfg.Management.LegacyLogin, RevealSecrets: s.cfg.KeyManager.RevealSecrets,
		AccessTokenTTL: s.cfg.KeyManager.AccessTokenTTL, MaxAccessTokenTTL: s.cfg.KeyManager.MaxAccessTokenTTL,
		RefreshTokenTTL: s.cfg.KeyManager.RefreshTokenTTL, IDTokenTTL: s.cfg.KeyManager.IDTokenTTL,
		ApplicationScope: s.cfg.KeyManager.ApplicationScope, ScopeWhitelist: s.cfg.KeyManager.ScopeWhitelist,
		Log: s.log, Now: s.now,
	})
	if err != nil {
		return nil, fmt.Errorf("key manager: %w", err)
	}
	c.cert = c.plane.ServerCertificate(s.certificateHosts())
	if err := os.WriteFile(filepath.Join(s.cfg.Home, CAFile), c.plane.CACertificates(), 0o644); err != nil {
		return nil, fmt.Errorf("write the CA's certificate: %w", err)
	}
	management := rest.New(rest.Options{Plane: c.plane, Log: s.log, Now: s.now}).Handler()
	mux.Handle("/api/", management)
	mux.Handle("/client-registration/", management)
	mux.Handle("/oauth2/", c.keys.Handler())
	mux.Handle("/.well-known/", c.keys.Handler())
	mux.Handle("/services/bus", c.plane.BusHandler())
	return c, nil
}

// openPlane opens the database and the control plane over it.
func (s *Server) openPlane(ctx context.Context, c *controlRole) error {
	if err := s.resumeRestore(); err != nil {
		return fmt.Errorf("end the restore of a backup: %w", err)
	}
	key, made, err := s.masterKey()
	if err != nil {
		return fmt.Errorf("read the key that seals secrets: %w", err)
	}
	c.db, err = database.Open(ctx, database.Options{URL: s.databaseAddress(), Key: key, Shared: s.cfg.Cluster.Listen != "", Log: s.log, Now: s.now})
	if err != nil {
		if made && s.cfg.Database != "" { // it is no key of that database
			err = errors.Join(err, os.Remove(s.path(masterKeyFile)))
		}
		return err
	}
	return s.openPlaneOn(ctx, c)
}

// openPlaneOn opens the control plane over c's database, which it closes where
// it fails.
func (s *Server) openPlaneOn(ctx context.Context, c *controlRole) (err error) {
	c.plane, err = control.New(ctx, control.Options{
		DB: c.db, ManagementURL: s.managementURL(), Quickstart: s.cfg.Profile == config.Quickstart,
		RevealSecrets: s.cfg.KeyManager.RevealSecrets, PasswordGrant: s.cfg.KeyManager.PasswordGrant, LegacyLogin: s.cfg.Management.LegacyLogin,
		AccessTokenTTL: s.cfg.KeyManager.AccessTokenTTL, MaxAccessTokenTTL: s.cfg.KeyManager.MaxAccessTokenTTL,
		Settings:     settings(s.cfg),
		OwnAddresses: []string{s.cfg.Listen.Management, s.cfg.Listen.Operations, s.cfg.Listen.HTTP, s.cfg.Listen.HTTPS},
		BackendJWT: control.BackendJWT{
			Enabled: s.cfg.BackendJWT.Enabled, Header: s.cfg.BackendJWT.Header, Dialect: s.cfg.BackendJWT.Dialect, OmitUser: s.cfg.BackendJWT.OmitUser,
		},
		Cluster: s.cluster(), LocalHost: s.local,
		ImportAllow: s.cfg.Import.Allow,
		Dial:        s.dial, Scopes: rest.ScopesOf, Log: s.log, Now: s.now,
		IssueToken: func(ctx context.Context, key string, scopes []string, ttl time.Duration) (sluice.Secret, time.Duration, []string, error) {
			return c.keys.IssueApplicationToken(ctx, key, scopes, ttl) // the Key Manager needs the plane first
		},
		InspectToken: func(token sluice.Secret) (t control.SignedToken, ok bool) {
			t.ID, t.ConsumerKey, t.Expires, ok = c.keys.Inspect(token)
			return t, ok
		},
	})
	if err != nil {
		return errors.Join(err, c.db.Close())
	}
	return nil
}

// cluster says how this control plane and others find each other; nil: it is the
// only one.
func (s *Server) cluster() *distribution.ClusterOptions {
	if s.cfg.Cluster.Listen == "" {
		return nil
	}
	return &distribution.ClusterOptions{Listen: s.cfg.Cluster.Listen, Peers: s.cfg.Cluster.Peers, URL: s.managementURL()}
}

func (c *controlRole) close() { _ = c.db.Close() } // every commit is already on the disk

// settings translates what may change while the process runs.
func settings(cfg *config.Config) control.Settings {
	return control.Settings{
		Environments: environments(cfg), CORS: cors(cfg), NoUnlimited: !cfg.Tiers.Unlimited, Display: display(cfg),
	}
}

// environments translates the configured environments.
func environments(cfg *config.Config) []control.ConfiguredEnvironment {
	var list []control.ConfiguredEnvironment
	for _, e := range cfg.Environments {
		if e.Own {
			e.ServerURL = "" // its gateway is in this process and joins by itself
		}
		list = append(list, control.ConfiguredEnvironment{
			Environment: sluice.Environment{
				Name: e.Name, Type: sluice.EnvironmentType(e.Type), Description: e.Description, Console: e.Console,
				Vhosts: []sluice.Vhost{{Host: e.Host, Context: e.Context, HTTPPort: e.HTTPPort, HTTPSPort: e.HTTPSPort}},
			},
			ServerURL: e.ServerURL, Username: e.Username, Password: sluice.Secret(e.Password), From: e.From,
		})
	}
	return list
}

// cors translates the CORS setting; nil where it is what gateways do anyway.
func cors(cfg *config.Config) *sluice.CORS {
	c := cfg.CORS
	set := &sluice.CORS{Enabled: c.Enabled, Origins: c.Origins, Methods: c.Methods, Headers: c.Headers, Credentials: c.Credentials}
	if reflect.DeepEqual(set, policy.DefaultCORS()) {
		return nil
	}
	return set
}

func display(cfg *config.Config) control.Display {
	store, publisher := cfg.Store, cfg.Publisher
	return control.Display{
		AllAPIs: store.DisplayAllAPIs, MultipleVersions: store.DisplayMultipleVersions,
		HideComments: !store.DisplayComments, HideRatings: !store.DisplayRatings,
		StoreURL: store.URL, PublisherURL: publisher.URL, StorePage: store.APIsPerPage, PublisherPage: publisher.APIsPerPage,
		RevokeURL: cfg.KeyManager.RevokeURL,
	}
}

// firstAdministrator makes the first administrator of an empty home. The
// password is, in this order: the one given to `sluice init`, that of the
// environment variable, admin in the quickstart profile, or a random one that is
// written to a file.
func (s *Server) firstAdministrator(ctx context.Context, plane *control.Plane) error {
	given := filepath.Join(s.cfg.Home, AdminPasswordFile)
	exists, err := plane.HasAdministrator(ctx)
	if err != nil {
		return err
	}
	if exists { // and perhaps the file, where a start ended between the two
		return removeFile(given)
	}
	b, err := os.ReadFile(given)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the administrator's password: %w", err)
	}
	password, temporary := sluice.Secret(strings.TrimSpace(string(b))), false
	if password == "" {
		password = sluice.Secret(os.Getenv(AdminPasswordVariable))
	}
	initial := ""
	switch {
	case password != "":
	case s.cfg.Profile == config.Quickstart:
		password = "admin"
	default:
		password, temporary = sluice.NewSecret(), true
		initial = filepath.Join(s.cfg.Home, InitialPasswordFile)
		if err := removeFile(initial); err != nil { // of a start that did not get further
			return err
		}
		if err := writeNew(initial, []byte(password.Reveal()+"\n")); err != nil {
			return fmt.Errorf("write the administrator's password: %w", err)
		}
	}
	if _, err := plane.EnsureAdministrator(ctx, password, temporary); err != nil {
		return fmt.Errorf("make the first administrator: %w", err)
	}
	if initial != "" {
		s.log.Warn("the first administrator is admin, with a temporary password in a file; set your own with `sluice admin reset`", "file", InitialPasswordFile)
	}
	return removeFile(given)
}

// removeFile removes a file that holds a password, where it is there.
func removeFile(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the administrator's password: %w", err)
	}
	return nil
}

// handleRest answers what no role took on the management port.
func (s *Server) handleRest(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", s.health.brief)
	line := "This is a Sluice control plane. Its REST API is below /api, its Key Manager below /oauth2."
	if s.control == nil {
		line = "This is a Sluice gateway. Its control plane is " + s.cfg.ControlPlane.URL + "."
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/services/") {
			http.Error(w, "There is no such service; gateways use /services/enrolment and /services/bus.", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if r.URL.Path != "/" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte(line + "\n")) // the peer may have gone
	})
}

// managementCertificate returns what the management port presents: the control
// plane's certificate, or the gateway's, or, before it has joined, one of its
// own making that the control plane pins at first contact.
func (s *Server) managementCertificate() func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if s.cfg.TLS.ManagementCertificate != "" {
		return fromFiles(s.cfg.TLS.ManagementCertificate, s.cfg.TLS.ManagementKey)
	}
	if s.control != nil {
		return s.control.cert
	}
	return s.gateway.managementCertificate
}

// pool returns a certificate pool of PEM certificates.
func pool(pem []byte) (*x509.CertPool, error) {
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate could be read")
	}
	return p, nil
}

// runAll runs parts until ctx ends or one fails.
func runAll(ctx context.Context, parts ...func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, part := range parts {
		g.Go(func() error { return part(ctx) })
	}
	return g.Wait()
}

// hostOf returns the host of a URL, "" where it has none.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
