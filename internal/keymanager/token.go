package keymanager

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// token sends a token request where its grant is served: to the library, or
// past it for the grant that the library does not know.
func (s *Server) token(library http.Handler) http.Handler {
	password := s.passwordHandler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch grant := r.PostForm.Get("grant_type"); {
		case grant == "":
			s.refuse(w, r, invalidRequest("grant_type is missing."))
		case grant == sluice.GrantPassword:
			password.ServeHTTP(w, r)
		case slices.Contains(s.grants(), oidc.GrantType(grant)):
			library.ServeHTTP(w, r)
		default:
			s.refuse(w, r, unsupportedGrantType())
		}
	})
}

// grants are the grants that consumer keys may have, as the metadata shows them.
func (s *Server) grants() []oidc.GrantType {
	grants := []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeClientCredentials, oidc.GrantTypeRefreshToken}
	if s.o.PasswordGrant {
		grants = append(grants, sluice.GrantPassword)
	}
	return grants
}

// admission is a consumer key that may use a grant. Only admit makes one, and
// nothing is issued without one, so that no grant can pass the check by.
type admission struct {
	key   sluice.ConsumerKey
	grant string
}

// admit checks that the client may use the grant to call APIs.
func (s *Server) admit(client op.Client, grant string) (admission, error) {
	application, ok := client.(*applicationClient)
	if !ok {
		return admission{}, unauthorizedClient("A management client gets tokens for its user only.")
	}
	if !slices.Contains(application.key.Grants, grant) {
		return admission{}, unauthorizedClient("This grant type is not ticked for the consumer key.")
	}
	return admission{key: application.key, grant: grant}, nil
}

// issued is a new access token.
type issued struct {
	id      string
	token   sluice.Secret
	ttl     time.Duration
	expires time.Time
	scopes  []string
	refresh sluice.Secret // empty: it cannot be renewed
	idToken sluice.Secret // empty: openid was not among the scopes
}

// issue signs an access token with those of the requested scopes that can be
// had, for the user, or for the application itself where user is nil.
func (s *Server) issue(ctx context.Context, a admission, user *sluice.User, requested []string, ttl time.Duration) (issued, error) {
	scopes, err := s.grantScopes(ctx, a.key, user, requested)
	if err != nil {
		return issued{}, err
	}
	return s.sign(a, user, scopes, ttl)
}

// sign makes an access token for the user, or for the application itself where
// user is nil. It is valid for ttl, as long as the key says where ttl is 0, and
// never for longer than the installation allows.
func (s *Server) sign(a admission, user *sluice.User, scopes []string, ttl time.Duration) (issued, error) {
	for _, other := range []time.Duration{a.key.TokenTTL, s.o.AccessTokenTTL} {
		if ttl <= 0 {
			ttl = other
		}
	}
	ttl = min(ttl, s.o.MaxAccessTokenTTL).Truncate(time.Second)

	now := s.now()
	c := claims{
		Issuer: s.o.Issuer, Subject: a.key.Key, Audience: tokenAudience,
		Expires: now.Unix() + int64(ttl/time.Second), IssuedAt: now.Unix(), NotBefore: now.Unix(),
		ID: sluice.NewID(now), ClientID: a.key.Key, Scope: strings.Join(scopes, " "),
		KeyType: a.key.Type, Kind: applicationToken,
	}
	if user != nil {
		c.Subject, c.Kind = user.Name, userToken
	}
	token, err := s.signer.sign(c)
	return issued{id: c.ID, token: token, ttl: ttl, expires: time.Unix(c.Expires, 0).UTC(), scopes: scopes}, err
}

// response is the successful answer of RFC 6749 §5.1.
func (i issued) response() *oidc.AccessTokenResponse {
	return &oidc.AccessTokenResponse{
		AccessToken: i.token.Reveal(), TokenType: oidc.BearerToken,
		ExpiresIn: uint64(i.ttl / time.Second), Scope: i.scopes, RefreshToken: i.refresh.Reveal(), IDToken: i.idToken.Reveal(),
	}
}

// auditToken notes an act of the calling client on a token, for the user where
// one is named. The user's organization must be set in any case.
func auditToken(ctx context.Context, tx *database.Tx, action string, user sluice.User, tokenID string) error {
	c := callOf(ctx)
	return tx.Audit(sluice.AuditEntry{
		Organization: user.Organization, Actor: cmp.Or(user.Name, c.credentials.id),
		Client: c.credentials.id, Address: c.address, TraceID: c.trace,
		Action: action, ObjectType: "token", ObjectID: tokenID, Result: "ok",
	})
}

// addIDToken puts an id_token beside the access token of an application's user,
// where openid is among its scopes (OpenID Connect Core 1.0 §2).
func (s *Server) addIDToken(client op.Client, user sluice.User, nonce string, at time.Time, i *issued) error {
	if _, application := client.(*applicationClient); !application || !slices.Contains(i.scopes, scopeOpenID) {
		return nil
	}
	now := s.now()
	half := sha256.Sum256([]byte(i.token.Reveal()))
	var err error
	i.idToken, err = s.signer.signID(idClaims{
		Issuer: s.o.Issuer, Subject: user.Name, Audience: client.GetID(), Expires: now.Unix() + int64(s.o.IDTokenTTL/time.Second),
		IssuedAt: now.Unix(), AuthTime: at.Unix(), Nonce: nonce, TokenHash: base64.RawURLEncoding.EncodeToString(half[:16]),
	})
	return err
}
