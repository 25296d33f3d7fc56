package keymanager

import (
	"context"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Introspect tells a client about a token of its own (RFC 7662). Of any other it
// learns that the token is not active, and nothing else.
func (p *provider) Introspect(ctx context.Context, r *op.Request[op.IntrospectionRequest]) (*op.Response, error) {
	client, err := p.s.authenticate(ctx)
	if err != nil {
		return nil, p.s.refused(ctx, err)
	}
	answer, err := p.s.introspect(ctx, client, sluice.Secret(r.Data.Token))
	if err != nil {
		return nil, p.s.refused(ctx, err)
	}
	return op.NewResponse(answer), nil
}

func (s *Server) introspect(ctx context.Context, client op.Client, token sluice.Secret) (*oidc.IntrospectionResponse, error) {
	clientID := client.GetID()
	if c, ok := s.signer.verify(token.Reveal()); ok {
		return s.introspectSigned(ctx, clientID, organizationOf(client), c)
	}
	found, user, err := s.opaqueToken(ctx, clientID, token.Hash())
	if err == nil && found.ID == "" {
		return s.introspectRefresh(ctx, client, token.Hash())
	}
	if err != nil || !s.now().Before(found.ExpiresAt) {
		return &oidc.IntrospectionResponse{}, err
	}
	return &oidc.IntrospectionResponse{
		Active: true, TokenType: oidc.BearerToken, ClientID: clientID, Scope: found.Scopes,
		Subject: user.Name, Username: user.Name,
		IssuedAt: oidc.FromTime(found.CreatedAt), Expiration: oidc.FromTime(found.ExpiresAt),
	}, nil
}

func (s *Server) introspectSigned(ctx context.Context, clientID, organization string, c claims) (*oidc.IntrospectionResponse, error) {
	if c.ClientID != clientID || s.now().Unix() >= c.Expires {
		return &oidc.IntrospectionResponse{}, nil
	}
	if over, err := s.isRevoked(ctx, organization, c); err != nil || over {
		return &oidc.IntrospectionResponse{}, err
	}
	answer := &oidc.IntrospectionResponse{
		Active: true, TokenType: oidc.BearerToken, ClientID: c.ClientID, Scope: strings.Fields(c.Scope),
		Subject: c.Subject, Audience: oidc.Audience{c.Audience}, Issuer: c.Issuer, JWTID: c.ID,
		IssuedAt: oidc.Time(c.IssuedAt), NotBefore: oidc.Time(c.NotBefore), Expiration: oidc.Time(c.Expires),
	}
	if c.Kind == userToken {
		answer.Username = c.Subject
	}
	return answer, nil
}

// introspectRefresh tells of a refresh token that can be used. It has no token
// type: it is not for calling anything.
func (s *Server) introspectRefresh(ctx context.Context, client op.Client, hash string) (*oidc.IntrospectionResponse, error) {
	found, user, err := s.refreshToken(ctx, client, hash)
	valid := found.ID != "" && found.RepeatUntil.IsZero() && s.now().Before(found.ExpiresAt) && found.PasswordDigest == passwordDigest(user)
	if err != nil || !valid {
		return &oidc.IntrospectionResponse{}, err
	}
	return &oidc.IntrospectionResponse{
		Active: true, ClientID: client.GetID(), Scope: found.Scopes, Subject: user.Name, Username: user.Name,
		IssuedAt: oidc.FromTime(found.CreatedAt), Expiration: oidc.FromTime(found.ExpiresAt),
	}, nil
}

// revokedBy reports whether r ends the token with these claims.
func (c claims) revokedBy(r sluice.Revocation, organization string) bool {
	issuedBefore := c.issued() <= r.Before.UnixMilli()
	switch r.Kind {
	case sluice.RevokedToken:
		return r.Subject == c.ID
	case sluice.RevokedConsumerKey:
		return r.Subject == c.ClientID && issuedBefore
	case sluice.RevokedUser:
		return r.Subject == c.Subject && c.Kind == userToken && issuedBefore && (r.Organization == "" || r.Organization == organization)
	}
	return false
}

// issued returns when the token was made, in Unix milliseconds: its id has the
// time.
func (c claims) issued() int64 {
	if at, ok := sluice.IDTime(c.ID); ok && at.Unix() == c.IssuedAt {
		return at.UnixMilli()
	}
	return c.IssuedAt * 1000
}

// isRevoked reports whether the token of a key of the organization was ended.
func (s *Server) isRevoked(ctx context.Context, organization string, c claims) (bool, error) {
	revocations, err := s.revocations(ctx)
	return slices.ContainsFunc(revocations, func(r sluice.Revocation) bool { return c.revokedBy(r, organization) }), err
}
