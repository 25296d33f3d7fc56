package keymanager

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// managementTTL is how long a token of a management login is valid.
const managementTTL = time.Hour

// passwordHandler serves the password grant (RFC 6749 §4.3). RFC 9700 §2.4
// forbids it, so the library has none; here it is a box to be ticked for a
// consumer key, and a setting for management clients.
func (s *Server) passwordHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, err := s.authenticate(r.Context())
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		token, err := s.password(r.Context(), client, r.PostForm)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		httphelper.MarshalJSON(w, token.response())
	})
}

func (s *Server) password(ctx context.Context, client op.Client, form url.Values) (issued, error) {
	if manager, ok := client.(*managementClient); ok {
		return s.managementLogin(ctx, manager, form)
	}
	if !s.o.PasswordGrant {
		return issued{}, unsupportedGrantType()
	}
	a, err := s.admit(client, sluice.GrantPassword)
	if err != nil {
		return issued{}, err
	}
	requested, err := parseScopes(form.Get("scope"))
	if err != nil {
		return issued{}, err
	}
	user, err := s.login(ctx, a.key.Organization, form)
	if err != nil {
		return issued{}, err
	}
	token, err := s.issue(ctx, a, &user, requested, 0)
	if err == nil {
		err = s.addIDToken(client, user, "", s.now(), &token)
	}
	if err != nil {
		return issued{}, err
	}
	err = s.db.Update(ctx, func(tx *database.Tx) error {
		return s.noteLogin(ctx, tx, client, user, &token)
	})
	return token, err
}

// noteLogin stores what is to be remembered of a token got with a password: the
// refresh token, if the client may use one, and the audit entry.
func (s *Server) noteLogin(ctx context.Context, tx *database.Tx, client op.Client, user sluice.User, token *issued) error {
	if mayRefresh(client) {
		if _, err := s.addRefreshToken(tx, client, user, "", token.scopes, token); err != nil {
			return err
		}
	}
	return auditToken(ctx, tx, "token.issue", user, token.id)
}

// managementLogin gives a management client an opaque token for the management
// API. The user's roles say what it may do; scopes that they do not give are
// dropped.
func (s *Server) managementLogin(ctx context.Context, manager *managementClient, form url.Values) (issued, error) {
	if !s.o.LegacyLogin || !slices.Contains(manager.client.Grants, sluice.GrantPassword) {
		return issued{}, unauthorizedClient("Management logins by password are off. Make a token with `sluice token create` and use it: `apictl login ENV --token TOKEN`.")
	}
	requested, err := parseScopes(form.Get("scope"))
	if err != nil {
		return issued{}, err
	}
	user, err := s.login(ctx, manager.client.Organization, form)
	if err != nil {
		return issued{}, err
	}
	var token issued
	err = s.db.Update(ctx, func(tx *database.Tx) error {
		// Whoever adds sees to it that the expired ones go, so that they stay few.
		if err := tx.DeleteExpiredTokens(s.now()); err != nil {
			return err
		}
		if token, err = s.issueManagement(tx, manager.client, user, requested); err != nil {
			return err
		}
		return s.noteLogin(ctx, tx, manager, user, &token)
	})
	return token, err
}

// issueManagement stores a new token for the management API, with those of the
// requested scopes that the user's roles give.
func (s *Server) issueManagement(tx *database.Tx, client sluice.ManagementClient, user sluice.User, requested []string) (issued, error) {
	earned := s.o.ManagementScopes(user.Roles)
	scopes := slices.DeleteFunc(slices.Clone(requested), func(scope string) bool { return !slices.Contains(earned, scope) })
	if len(scopes) == 0 {
		scopes = []string{defaultScope}
	}
	now := s.now()
	token := issued{id: sluice.NewID(now), token: sluice.NewSecret(), ttl: managementTTL, expires: now.Add(managementTTL), scopes: scopes}
	return token, tx.AddAccessToken(&sluice.AccessToken{
		ID: token.id, Hash: token.token.Hash(), UserID: user.ID, ClientID: client.ID,
		Scopes: scopes, CreatedAt: now, ExpiresAt: token.expires,
	})
}

// login checks the user's password. Unknown users, those of other organizations
// and wrong passwords get one answer.
func (s *Server) login(ctx context.Context, organization string, form url.Values) (sluice.User, error) {
	// Clients add WSO2's name of the first organization to the names of its users.
	name, password := strings.TrimSuffix(form.Get("username"), "@carbon.super"), sluice.Secret(form.Get("password"))
	if name == "" || password == "" {
		return sluice.User{}, invalidRequest("username and password are needed.")
	}
	c := callOf(ctx)
	ctx = sluice.WithActor(ctx, sluice.Actor{Client: c.credentials.id, Address: c.address, TraceID: c.trace})
	user, err := s.o.Login(ctx, name, password)
	switch {
	case err != nil && sluice.KindOf(err) != sluice.Unauthenticated:
		return sluice.User{}, err
	case err != nil || user.Organization != organization:
		return sluice.User{}, invalidGrant("The user name or the password is wrong.")
	case user.MustChange:
		return sluice.User{}, invalidGrant("The password is temporary. Change it first: PUT /api/sluice/v1/users/me/password with Basic authentication.")
	}
	return user, nil
}
