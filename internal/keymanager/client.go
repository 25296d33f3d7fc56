package keymanager

import (
	"context"
	"crypto/subtle"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// applicationClient is a consumer key that has authenticated itself.
type applicationClient struct {
	confidential
	key sluice.ConsumerKey
}

// managementClient is a management client that has authenticated itself.
type managementClient struct {
	confidential
	client sluice.ManagementClient
}

// VerifyClient authenticates the client. Which credentials count was settled
// before the library read the request.
func (p *provider) VerifyClient(ctx context.Context, _ *op.Request[op.ClientCredentials]) (op.Client, error) {
	client, err := p.s.authenticate(ctx)
	if err != nil {
		return nil, p.s.refused(ctx, err)
	}
	return client, nil
}

// authenticate checks the credentials of ctx's call. An unknown client and a
// wrong secret get the same answer.
func (s *Server) authenticate(ctx context.Context) (op.Client, error) {
	c := callOf(ctx)
	client, hashes, err := s.findClient(ctx, c.credentials.id)
	if err != nil {
		return nil, err
	}
	if matchesAny(c.credentials.secret, hashes) {
		return client, nil
	}
	s.o.Refused("client.refused", c.credentials.id, c.address)
	if wait := s.failures.fail(c.credentials.id, c.address); wait > 0 {
		return nil, tooMany(wait)
	}
	return nil, invalidClient("The client is unknown or its secret is wrong.")
}

// matchesAny compares with all hashes, and with each in constant time.
func matchesAny(secret sluice.Secret, hashes []string) bool {
	got := []byte(secret.Hash())
	found := 0
	for _, hash := range hashes {
		found |= subtle.ConstantTimeCompare(got, []byte(hash))
	}
	return found == 1
}

// confidential is what the library wants to know of a client, by its id. There
// are only confidential clients without redirects.
type confidential string

// GetID returns the client_id.
func (c confidential) GetID() string { return string(c) }

// AuthMethod and the methods below it implement op.Client.
func (confidential) AuthMethod() oidc.AuthMethod { return oidc.AuthMethodBasic }

// GrantTypes allows all: the grants are checked in token.go, where no grant can
// go past the check and a refusal has a description of ours.
func (confidential) GrantTypes() []oidc.GrantType { return oidc.AllGrantTypes }

func (confidential) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (confidential) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }
func (confidential) RedirectURIs() []string              { return nil }
func (confidential) PostLogoutRedirectURIs() []string    { return nil }
func (confidential) ResponseTypes() []oidc.ResponseType  { return nil }
func (confidential) LoginURL(string) string              { return "" }
func (confidential) IDTokenLifetime() time.Duration      { return 0 }
func (confidential) ClockSkew() time.Duration            { return 0 }
func (confidential) DevMode() bool                       { return false }
func (confidential) IsScopeAllowed(string) bool          { return false }

func (confidential) IDTokenUserinfoClaimsAssertion() bool { return false }

func (confidential) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func([]string) []string { return nil }
}

func (confidential) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func([]string) []string { return nil }
}
