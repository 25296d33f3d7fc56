package keymanager

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// ClientCredentialsExchange serves the client_credentials grant (RFC 6749 §4.4).
// It writes nothing.
func (p *provider) ClientCredentialsExchange(ctx context.Context, r *op.ClientRequest[oidc.ClientCredentialsRequest]) (*op.Response, error) {
	ttl, err := p.s.parseValidity(r.PostForm.Get("validity_period"))
	if err != nil {
		return nil, p.s.refused(ctx, err)
	}
	token, err := p.s.clientCredentials(ctx, r.Client, r.PostForm.Get("scope"), ttl)
	if err != nil {
		return nil, p.s.refused(ctx, err)
	}
	return op.NewResponse(token.response()), nil
}

func (s *Server) clientCredentials(ctx context.Context, client op.Client, scope string, ttl time.Duration) (issued, error) {
	a, err := s.admit(client, sluice.GrantClientCredentials)
	if err != nil {
		return issued{}, err
	}
	requested, err := parseScopes(scope)
	if err != nil {
		return issued{}, err
	}
	return s.issue(ctx, a, nil, requested, ttl)
}

// parseValidity reads the parameter validity_period: whole seconds, cut to the
// installation's maximum. A token that never expires (-1) cannot be had.
func (s *Server) parseValidity(parameter string) (time.Duration, error) {
	if parameter == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseInt(parameter, 10, 64)
	if err != nil || seconds <= 0 {
		return 0, invalidRequest("validity_period is a positive number of whole seconds.")
	}
	return time.Duration(min(seconds, int64(s.o.MaxAccessTokenTTL/time.Second))) * time.Second, nil
}

// IssueApplicationToken returns an access token as the client_credentials grant
// gives it to the consumer key, its validity and its scopes. A ttl of 0 means
// the key's own. It fails with NotFound where there is no such key, and with
// Invalid where the key lacks the grant or a scope is malformed. It sees what is
// committed, so it is not for use inside the transaction that makes the key.
func (s *Server) IssueApplicationToken(ctx context.Context, consumerKey string, scopes []string, ttl time.Duration) (sluice.Secret, time.Duration, []string, error) {
	client := &applicationClient{confidential: confidential(consumerKey)}
	err := s.db.View(ctx, func(tx *database.Tx) (err error) {
		client.key, err = tx.ConsumerKey(consumerKey)
		return err
	})
	if err != nil {
		return "", 0, nil, err
	}
	token, err := s.clientCredentials(ctx, client, strings.Join(scopes, " "), ttl)
	if refusal, ok := errors.AsType[*oauthError](err); ok {
		err = sluice.Errorf(sluice.Invalid, "token."+string(refusal.body.ErrorType), "%s", refusal.body.Description)
	}
	return token.token, token.ttl, token.scopes, err
}
