// Package keymanager is the Key Manager: the OAuth 2.0 server whose access
// tokens the gateways take. Tokens for APIs are signed and not stored (RFC
// 9068), so that a gateway judges them alone.
//
// Consumer keys of applications get those. Management clients, such as apictl,
// get opaque tokens for the management API instead, for the user who logs in.
// Both may get refresh tokens with them (family.go).
//
// github.com/zitadel/oidc speaks the protocol and calls provider. In front of
// it, request.go refuses what can be read in two ways, and settles which client
// is calling.
//
// One grant is one file, grant_<name>.go: a method of provider (or, where the
// library does not know the grant, a case in token), named in grants. It passes
// through the phases of token.go: admit, issue, response.
package keymanager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/web"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Paths of the endpoints.
const (
	pathToken      = "/oauth2/token"
	pathRevoke     = "/oauth2/revoke"
	pathIntrospect = "/oauth2/introspect"
	pathKeys       = "/oauth2/jwks"
	pathAuthorize  = "/oauth2/authorize"
	pathLogin      = "/oauth2/login"
	pathUserinfo   = "/oauth2/userinfo"
)

// Options is what a Server is made of.
type Options struct {
	DB *database.DB

	// Issuer names this Key Manager in tokens and metadata: an https URL without
	// query and fragment. It is compared as text and never asked for anything;
	// the endpoints in the metadata have its scheme and host.
	Issuer string

	// KeepIssuer lets the issuer stand that the database has already: that of
	// another control plane, whose tokens must be good here too.
	KeepIssuer bool

	// Login checks a user's password and slows down guessing. It returns an
	// Unauthenticated or TooMany error. Its ctx has an Actor without a name, with
	// the Client, Address and TraceID of the request.
	Login func(ctx context.Context, name string, password sluice.Secret) (sluice.User, error)

	// Refused is told of each client that did not authenticate itself: "client.refused",
	// its client_id as it was given, and its address. It must be quick. nil: nobody is.
	Refused func(action, account, address string)

	// ManagementScopes returns the scopes that roles give for the management API.
	ManagementScopes func(roles []sluice.Role) []string

	PasswordGrant bool // consumer keys may use the password grant, if it is ticked for them
	LegacyLogin   bool // management clients may use the password grant
	RevealSecrets bool // consumer secrets are kept encrypted too; tokens are issued by their hashes either way

	AccessTokenTTL    time.Duration // of keys that set none; default 1 h
	MaxAccessTokenTTL time.Duration // the most any access token gets; default 24 h
	RefreshTokenTTL   time.Duration // of each, from its issue; default 24 h
	IDTokenTTL        time.Duration // default 1 h

	ApplicationScope string   // added to client_credentials tokens; may be empty
	ScopeWhitelist   []string // regular expressions; a scope that one matches whole is granted unchecked

	Log *slog.Logger     // default: nothing is logged
	Now func() time.Time // default: time.Now
}

// Server is the Key Manager. Many goroutines may use it.
type Server struct {
	o         Options
	db        *database.DB
	log       *slog.Logger
	now       func() time.Time // UTC
	issuer    *url.URL
	whitelist []*regexp.Regexp
	signer    *signer
	failures  *limiter
	clients   clientCache
	handler   http.Handler
}

// New returns a Server. At the first start it makes the signing key and emits
// TokenTrustChanged for all environments; later it loads that key, and fails
// where the database cannot open it.
func New(ctx context.Context, o Options) (*Server, error) {
	if o.DB == nil || o.Login == nil || o.ManagementScopes == nil {
		return nil, errors.New("the key manager needs a database, a login and management scopes")
	}
	if o.AccessTokenTTL == 0 {
		o.AccessTokenTTL = time.Hour
	}
	if o.MaxAccessTokenTTL == 0 {
		o.MaxAccessTokenTTL = 24 * time.Hour
	}
	if o.RefreshTokenTTL == 0 {
		o.RefreshTokenTTL = 24 * time.Hour
	}
	if o.IDTokenTTL == 0 {
		o.IDTokenTTL = time.Hour
	}
	if o.RefreshTokenTTL < time.Second || o.IDTokenTTL < time.Second {
		return nil, fmt.Errorf("refresh token validity %s or id_token validity %s is less than 1s", o.RefreshTokenTTL, o.IDTokenTTL)
	}
	if o.AccessTokenTTL < time.Second || o.AccessTokenTTL > o.MaxAccessTokenTTL {
		return nil, fmt.Errorf("access token validity %s is not between 1s and the maximum %s", o.AccessTokenTTL, o.MaxAccessTokenTTL)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Refused == nil {
		o.Refused = func(string, string, string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	now := func() time.Time { return o.Now().UTC() }

	issuer, err := url.Parse(o.Issuer)
	if err != nil || issuer.Scheme != "https" || issuer.Host == "" || issuer.RawQuery != "" || issuer.Fragment != "" {
		return nil, fmt.Errorf("issuer %q is not an https URL without query and fragment", o.Issuer)
	}
	whitelist := make([]*regexp.Regexp, len(o.ScopeWhitelist))
	for i, expression := range o.ScopeWhitelist {
		if whitelist[i], err = regexp.Compile(`^(?:` + expression + `)$`); err != nil {
			return nil, fmt.Errorf("scope whitelist: %w", err)
		}
	}
	signer, err := openSigner(ctx, o.DB, o.Issuer, o.KeepIssuer)
	if err != nil {
		return nil, fmt.Errorf("token signing key: %w", err)
	}
	o.Issuer = signer.trust.Issuer
	if issuer, err = url.Parse(o.Issuer); err != nil {
		return nil, fmt.Errorf("issuer in the database: %w", err)
	}
	s := &Server{
		o: o, db: o.DB, log: o.Log, now: now, issuer: issuer,
		whitelist: whitelist, signer: signer, failures: newLimiter(now),
	}
	s.handler = s.routes()
	return s, nil
}

// Trust returns what gateways need to judge this Server's tokens.
func (s *Server) Trust() sluice.TokenTrust { return s.signer.trust }

// provider is the library's view of a Server.
type provider struct {
	op.UnimplementedServer
	s *Server
}

// Handler returns the endpoints below /oauth2/ and the metadata at its
// well-known paths. It needs to be mounted at /oauth2/ and /.well-known/, and
// below the path of the issuer where that is elsewhere.
func (s *Server) Handler() http.Handler { return s.handler }

// routes puts the library behind our own checks.
func (s *Server) routes() http.Handler {
	library := op.RegisterServer(&provider{s: s}, op.Endpoints{
		Token:         op.NewEndpoint(pathToken),
		Revocation:    op.NewEndpoint(pathRevoke),
		Introspection: op.NewEndpoint(pathIntrospect),
		JwksURI:       op.NewEndpoint(pathKeys),
	}, op.WithServerCORSOptions(nil))

	mux := http.NewServeMux()
	mux.Handle(pathToken, s.form(s.token(library)))
	mux.Handle(pathRevoke, s.form(library))
	mux.Handle(pathIntrospect, s.form(library))
	mux.Handle(pathKeys, s.document(library))
	mux.HandleFunc(pathAuthorize, s.authorize)
	mux.Handle(pathLogin, s.loginHandler())
	mux.HandleFunc(pathUserinfo, s.userinfo)
	for path := range s.metadataPaths() {
		mux.Handle(path, s.document(at(oidc.DiscoveryEndpoint, library)))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, notFound())
	})
	return web.Wrap(s.begin(mux), s.log, s.now)
}

// metadataPaths are where clients look for the metadata: below the issuer
// (OpenID Connect Discovery 1.0 §4), between host and path of the issuer (RFC
// 8414 §3.1), and at the root, for those who know only the host.
func (s *Server) metadataPaths() map[string]bool {
	path := strings.TrimSuffix(s.issuer.Path, "/")
	return map[string]bool{
		path + "/.well-known/openid-configuration":       true,
		"/.well-known/oauth-authorization-server" + path: true,
		"/.well-known/openid-configuration":              true,
		"/.well-known/oauth-authorization-server":        true,
	}
}

// at returns a handler that passes every request to next under another path.
func at(path string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		there := r.Clone(r.Context())
		there.URL.Path, there.URL.RawPath = path, ""
		next.ServeHTTP(w, there)
	})
}
