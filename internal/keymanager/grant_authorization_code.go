package keymanager

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// codeTTL is how long a code can be used.
const codeTTL = 300 * time.Second

// issueCode stores a new code for the user who has logged in.
func (s *Server) issueCode(ctx context.Context, a authorization, user sluice.User) (sluice.Secret, error) {
	code, now := sluice.NewSecret(), s.now()
	err := s.db.Update(ctx, func(tx *database.Tx) error {
		// Whoever adds sees to it that the expired ones go, so that they stay few.
		if err := tx.DeleteExpiredTokens(now); err != nil {
			return err
		}
		err := tx.AddCode(&sluice.AuthorizationCode{
			Hash: code.Hash(), ClientID: a.client.GetID(), UserID: user.ID, PasswordDigest: passwordDigest(user),
			RedirectURI: a.redirectURI, Challenge: a.challenge, Scopes: a.scopes, Nonce: a.nonce, CreatedAt: now, ExpiresAt: now.Add(codeTTL),
		})
		if err != nil {
			return err
		}
		return auditCode(tx, callOf(ctx), a.client, user, code.Hash()[:16])
	})
	return code, err
}

// CodeExchange serves the authorization_code grant (RFC 6749 §4.1.3).
func (p *provider) CodeExchange(ctx context.Context, r *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	token, err := p.s.exchange(ctx, r.Client, sluice.Secret(r.Data.Code), r.Data.RedirectURI, r.Data.CodeVerifier)
	if err != nil {
		return nil, p.s.refused(ctx, err)
	}
	return op.NewResponse(token.response()), nil
}

// exchange answers a code with tokens. A second use of it ends what the first
// gave; a use that does not fit ends the code.
func (s *Server) exchange(ctx context.Context, client op.Client, presented sluice.Secret, redirectURI, verifier string) (token issued, err error) {
	if err := admitCode(client); err != nil {
		return issued{}, err
	}
	spoiled := false
	err = s.db.Update(ctx, func(tx *database.Tx) error {
		now := s.now()
		code, err := tx.Code(presented.Hash())
		switch {
		case sluice.IsNotFound(err) || err == nil && code.ClientID != client.GetID():
			return invalidCode()
		case err != nil:
			return err
		case !code.UsedAt.IsZero():
			spoiled = true
			return s.endCode(ctx, tx, client, code)
		case !now.Before(code.ExpiresAt) || code.RedirectURI != redirectURI || !verifies(verifier, code.Challenge):
			spoiled = true
			return tx.DeleteCode(code.Hash)
		}
		user, err := tx.User(organizationOf(client), code.UserID)
		if sluice.IsNotFound(err) || err == nil && (user.MustChange || passwordDigest(user) != code.PasswordDigest) {
			return invalidCode()
		}
		if err != nil {
			return err
		}
		if token, err = s.reissue(tx, client, sluice.GrantAuthorizationCode, user, code.Scopes); err != nil {
			return err
		}
		if err := s.addIDToken(client, user, code.Nonce, code.CreatedAt, &token); err != nil {
			return err
		}
		code.UsedAt, code.AccessTokenID, code.AccessUntil = now, token.id, token.expires.Add(clockLeeway)
		if mayRefresh(client) {
			if code.Family, err = s.addRefreshToken(tx, client, user, "", token.scopes, &token); err != nil {
				return err
			}
		}
		if err := tx.UseCode(&code); err != nil {
			return err
		}
		return auditToken(ctx, tx, "token.issue", user, token.id)
	})
	if err == nil && spoiled {
		err = invalidCode()
	}
	return token, err
}

// admitCode checks that the client may use the grant at all.
func admitCode(client op.Client) error {
	grants := []string(nil)
	switch c := client.(type) {
	case *applicationClient:
		grants = c.key.Grants
	case *managementClient:
		grants = c.client.Grants
	}
	if !slices.Contains(grants, sluice.GrantAuthorizationCode) {
		return unauthorizedClient("The grant type authorization_code is not ticked for the client.")
	}
	return nil
}

// verifies reports whether a PKCE verifier is the one of an S256 challenge (RFC
// 7636 §4.6).
func verifies(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// endCode ends what the first use of a code gave.
func (s *Server) endCode(ctx context.Context, tx *database.Tx, client op.Client, code sluice.AuthorizationCode) error {
	if err := tx.DeleteCode(code.Hash); err != nil {
		return err
	}
	family, err := tx.RefreshFamily(code.Family)
	if err != nil {
		return err
	}
	if code.Family != "" && len(family) > 0 {
		return s.endFamily(ctx, tx, client, family[0], "code.reuse")
	}
	if _, management := client.(*managementClient); management {
		err = tx.DeleteAccessToken(code.UserID, code.AccessTokenID)
	} else {
		_, err = s.revokeOnce(tx, code.AccessTokenID, code.AccessUntil)
	}
	if err != nil && !sluice.IsNotFound(err) {
		return err
	}
	user, err := tx.User("", code.UserID)
	if err != nil {
		return err
	}
	return auditToken(ctx, tx, "code.reuse", user, code.AccessTokenID)
}

// invalidCode is the one answer to whatever is wrong with a code.
func invalidCode() *oauthError {
	return invalidGrant("The code is unknown, over, was used before, or does not fit this request.")
}
