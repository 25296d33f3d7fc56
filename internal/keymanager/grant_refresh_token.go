package keymanager

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// repeatFor is how long a request gets the same answer again, for clients that
// the first one did not reach.
const repeatFor = 5 * time.Second

// RefreshToken serves the refresh_token grant (RFC 6749 §6).
func (p *provider) RefreshToken(ctx context.Context, r *op.ClientRequest[oidc.RefreshTokenRequest]) (*op.Response, error) {
	answer, err := p.s.refresh(ctx, r.Client, r.PostForm)
	if err != nil {
		return nil, p.s.refused(ctx, err)
	}
	return op.NewResponse(answer), nil
}

// refresh answers a refresh token with a new pair. Tokens are used up one after
// another, since that is how Updates run: of two uses at the same time the second
// is a repetition.
func (s *Server) refresh(ctx context.Context, client op.Client, form url.Values) (answer json.RawMessage, err error) {
	if err := s.admitRefresh(client); err != nil {
		return nil, err
	}
	requested, err := parseScopes(form.Get("scope"))
	if err != nil {
		return nil, err
	}
	presented := sluice.Secret(form.Get("refresh_token"))
	reused := false
	err = s.db.Update(ctx, func(tx *database.Tx) error {
		now := s.now()
		token, err := tx.RefreshTokenByHash(presented.Hash())
		switch {
		case sluice.IsNotFound(err) || err == nil && (token.ClientID != client.GetID() || !now.Before(token.ExpiresAt)):
			return invalidRefreshToken()
		case err != nil:
			return err
		case token.RepeatUntil.IsZero():
			answer, err = s.rotate(ctx, tx, client, token, presented, requested)
			return err
		case now.Before(token.RepeatUntil):
			var same bool
			if answer, same = openAnswer(presented, token, requested); same {
				return nil
			}
		}
		reused = true
		return s.endFamily(ctx, tx, client, token, "token.reuse")
	})
	if err == nil && reused {
		err = invalidRefreshToken()
	}
	return answer, err
}

// admitRefresh checks that the client may use the grant at all.
func (s *Server) admitRefresh(client op.Client) error {
	if manager, ok := client.(*managementClient); ok {
		logsIn := s.o.LegacyLogin || slices.Contains(manager.client.Grants, sluice.GrantAuthorizationCode)
		if !logsIn || !slices.Contains(manager.client.Grants, sluice.GrantRefreshToken) {
			return unauthorizedClient("This management client may not renew tokens.")
		}
		return nil
	}
	a, err := s.admit(client, sluice.GrantRefreshToken)
	if err == nil && !s.o.PasswordGrant && !slices.Contains(a.key.Grants, sluice.GrantAuthorizationCode) { // what refresh tokens come from
		err = unsupportedGrantType()
	}
	return err
}

// rotate uses the token up and returns the answer with the new pair. The user's
// rights are those of now; scopes may be narrowed for this access token, while
// the next refresh token keeps those of the old one (RFC 6749 §6).
func (s *Server) rotate(ctx context.Context, tx *database.Tx, client op.Client, old sluice.RefreshToken, presented sluice.Secret, requested []string) (json.RawMessage, error) {
	now := s.now()
	// Whoever adds sees to it that the expired ones go, so that they stay few.
	if err := tx.DeleteExpiredTokens(now); err != nil {
		return nil, err
	}
	user, err := tx.User(organizationOf(client), old.UserID)
	if sluice.IsNotFound(err) || err == nil && (user.MustChange || passwordDigest(user) != old.PasswordDigest) {
		return nil, invalidRefreshToken()
	}
	if err != nil {
		return nil, err
	}
	scopes := old.Scopes
	if len(requested) > 0 {
		scopes = slices.DeleteFunc(slices.Clone(requested), func(scope string) bool { return !slices.Contains(old.Scopes, scope) })
	}
	fresh, err := s.reissue(tx, client, sluice.GrantRefreshToken, user, scopes)
	if err != nil {
		return nil, err
	}
	if _, err := s.addRefreshToken(tx, client, user, old.Family, old.Scopes, &fresh); err != nil {
		return nil, err
	}
	answer, err := json.Marshal(fresh.response())
	if err != nil {
		return nil, err
	}
	old.RepeatUntil = now.Add(repeatFor)
	if old.Answer, err = sealAnswer(presented, old, requested, answer); err != nil {
		return nil, err
	}
	if err := tx.UseRefreshToken(&old); err != nil {
		return nil, err
	}
	return answer, auditToken(ctx, tx, "token.refresh", user, fresh.id)
}

// reissue returns an access token for the user with what is left of scopes.
func (s *Server) reissue(tx *database.Tx, client op.Client, grant string, user sluice.User, scopes []string) (issued, error) {
	if manager, ok := client.(*managementClient); ok {
		return s.issueManagement(tx, manager.client, user, scopes)
	}
	a, err := s.admit(client, grant)
	if err != nil {
		return issued{}, err
	}
	earned, err := earnedScopes(tx, a.key, &user)
	if err != nil {
		return issued{}, err
	}
	return s.sign(a, &user, s.cutScopes(scopes, earned), 0)
}

// invalidRefreshToken is the one answer to whatever is wrong with the token.
func invalidRefreshToken() *oauthError {
	return invalidGrant("The refresh token is unknown, over, or was used before.")
}
