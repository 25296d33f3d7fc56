package keymanager

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// clockLeeway is the most by which a gateway may take a token after it expired;
// a revocation must outlive that.
const clockLeeway = time.Minute

// Revocation ends a token of the calling client (RFC 7009). A token that is
// unknown, foreign or over gets the same answer and nothing happens.
func (p *provider) Revocation(ctx context.Context, r *op.ClientRequest[oidc.RevocationRequest]) (*op.Response, error) {
	if err := p.s.revoke(ctx, r.Client, sluice.Secret(r.Data.Token)); err != nil {
		return nil, p.s.refused(ctx, err)
	}
	return op.NewResponse(nil), nil
}

// revoke ends the token if it is the client's. When it returns nil the
// revocation is on disk, and on its way to the gateways where it concerns them.
func (s *Server) revoke(ctx context.Context, client op.Client, token sluice.Secret) error {
	if c, ok := s.signer.verify(token.Reveal()); ok {
		return s.revokeSigned(ctx, client.GetID(), c)
	}
	found, err := s.revokeRefresh(ctx, client, token.Hash())
	if err != nil || found {
		return err
	}
	return s.revokeOpaque(ctx, client.GetID(), token.Hash())
}

// revokeSigned ends an access token that gateways take.
func (s *Server) revokeSigned(ctx context.Context, clientID string, c claims) error {
	if c.ClientID != clientID {
		return nil
	}
	return s.db.Update(ctx, func(tx *database.Tx) error {
		key, err := tx.ConsumerKey(clientID)
		if err != nil {
			return err
		}
		added, err := s.revokeOnce(tx, c.ID, time.Unix(c.Expires, 0).UTC().Add(clockLeeway))
		if err != nil || !added {
			return err
		}
		return auditToken(ctx, tx, "token.revoke", sluice.User{Organization: key.Organization}, c.ID)
	})
}

// revokeOnce tells the gateways of the end of an access token that one of them
// may take until then, and reports whether that is news: the token's id is the
// revocation's too, so that a token is revoked once, however often it is asked
// for.
func (s *Server) revokeOnce(tx *database.Tx, id string, until time.Time) (added bool, err error) {
	now := s.now()
	if !now.Before(until) {
		return false, nil
	}
	if _, err := tx.Revocation(id); !sluice.IsNotFound(err) {
		return false, err
	}
	revocation := sluice.Revocation{ID: id, Kind: sluice.RevokedToken, Subject: id, CreatedAt: now, ExpiresAt: until}
	body, err := json.Marshal(revocation)
	if err != nil {
		return false, err
	}
	if err := tx.AddRevocation(&revocation); err != nil {
		return false, err
	}
	return true, tx.Emit(sluice.Event{Kind: sluice.RevocationAdded, Subject: id, Body: body})
}

// revokeRefresh ends a refresh token with its family, and reports whether there
// was one.
func (s *Server) revokeRefresh(ctx context.Context, client op.Client, hash string) (found bool, err error) {
	token, _, err := s.refreshToken(ctx, client, hash)
	if err != nil || token.ID == "" {
		return false, err
	}
	return true, s.db.Update(ctx, func(tx *database.Tx) error {
		token, err := tx.RefreshTokenByHash(hash)
		if sluice.IsNotFound(err) { // ended meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		return s.endFamily(ctx, tx, client, token, "token.revoke")
	})
}

// refreshToken returns the client's refresh token of that hash and its user; a
// zero token where there is none, or where it is of somebody else.
func (s *Server) refreshToken(ctx context.Context, client op.Client, hash string) (token sluice.RefreshToken, user sluice.User, err error) {
	err = s.db.View(ctx, func(tx *database.Tx) error {
		found, err := tx.RefreshTokenByHash(hash)
		if err != nil || found.ClientID != client.GetID() {
			return err
		}
		token = found
		user, err = tx.User(organizationOf(client), found.UserID)
		return err
	})
	if sluice.IsNotFound(err) {
		return sluice.RefreshToken{}, sluice.User{}, nil
	}
	return token, user, err
}

// revokeOpaque ends a token for the management API.
func (s *Server) revokeOpaque(ctx context.Context, clientID, hash string) error {
	token, user, err := s.opaqueToken(ctx, clientID, hash)
	if err != nil || token.ID == "" {
		return err
	}
	return s.db.Update(ctx, func(tx *database.Tx) error {
		found, err := tx.DeleteAccessTokenByHash(hash)
		if err != nil || !found {
			return err
		}
		return auditToken(ctx, tx, "token.revoke", user, token.ID)
	})
}

// opaqueToken returns the client's token of that hash and its user; a zero token
// where there is none, or where it is of somebody else.
func (s *Server) opaqueToken(ctx context.Context, clientID, hash string) (token sluice.AccessToken, user sluice.User, err error) {
	err = s.db.View(ctx, func(tx *database.Tx) error {
		client, err := tx.ManagementClient(clientID)
		if err != nil {
			return err
		}
		found, err := tx.AccessTokenByHash(hash)
		if err != nil || found.ClientID != clientID {
			return err
		}
		token = found
		user, err = tx.User(client.Organization, found.UserID)
		return err
	})
	if sluice.IsNotFound(err) {
		return sluice.AccessToken{}, sluice.User{}, nil
	}
	return token, user, err
}

// Inspect returns what an access token says that this Key Manager signed, expired
// or not, and whether it is one.
func (s *Server) Inspect(token sluice.Secret) (id, consumerKey string, expires time.Time, ok bool) {
	c, ok := s.signer.verify(token.Reveal())
	return c.ID, c.ClientID, time.Unix(c.Expires, 0).UTC(), ok
}

// revocations returns those in force.
func (s *Server) revocations(ctx context.Context) (list []sluice.Revocation, err error) {
	err = s.db.View(ctx, func(tx *database.Tx) error {
		list, err = tx.Revocations(s.now())
		return err
	})
	return list, err
}
