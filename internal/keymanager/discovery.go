package keymanager

import (
	"context"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Discovery returns the metadata of RFC 8414, which OpenID Connect shares. It
// names what works and nothing else; what has no values is left out (§3.2).
func (p *provider) Discovery(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	origin := p.s.origin()
	methods := []oidc.AuthMethod{oidc.AuthMethodBasic, oidc.AuthMethodPost}
	return op.NewResponse(&metadata{IssuerInAnswer: true, DiscoveryConfiguration: oidc.DiscoveryConfiguration{
		Issuer:                                 p.s.o.Issuer,
		TokenEndpoint:                          origin + pathToken,
		RevocationEndpoint:                     origin + pathRevoke,
		IntrospectionEndpoint:                  origin + pathIntrospect,
		JwksURI:                                origin + pathKeys,
		GrantTypesSupported:                    p.s.grants(),
		TokenEndpointAuthMethodsSupported:      methods,
		RevocationEndpointAuthMethodsSupported: methods,
		IntrospectionEndpointAuthMethodsSupported: methods,
		AuthorizationEndpoint:                     origin + pathAuthorize,
		UserinfoEndpoint:                          origin + pathUserinfo,
		ResponseTypesSupported:                    []string{string(oidc.ResponseTypeCode)},
		ResponseModesSupported:                    []string{string(oidc.ResponseModeQuery)},
		CodeChallengeMethodsSupported:             []oidc.CodeChallengeMethod{oidc.CodeChallengeMethodS256},
		SubjectTypesSupported:                     []string{"public"},
		IDTokenSigningAlgValuesSupported:          []string{string(jose.ES256)},
		ScopesSupported:                           []string{scopeOpenID},
		ClaimsSupported:                           []string{"sub", "preferred_username", "email"},
	}}), nil
}

// metadata is the library's, with what it lacks.
type metadata struct {
	oidc.DiscoveryConfiguration
	IssuerInAnswer bool `json:"authorization_response_iss_parameter_supported"` // RFC 9207 §3
}

// Keys returns the public keys that access tokens are signed with (RFC 7517).
func (p *provider) Keys(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	var set jose.JSONWebKeySet
	for _, key := range p.s.signer.trust.Keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{
			Key: p.s.signer.public[key.ID], KeyID: key.ID, Algorithm: key.Algorithm, Use: "sig",
		})
	}
	return op.NewResponse(set), nil
}
