package keymanager

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
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

// Keys returns the public keys that access tokens are signed with (RFC 7517),
// and the one of the JWTs by which gateways tell backends who calls.
func (p *provider) Keys(ctx context.Context, _ *op.Request[struct{}]) (*op.Response, error) {
	var set jose.JSONWebKeySet
	for _, key := range p.s.signer.trust.Keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{
			Key: p.s.signer.public[key.ID], KeyID: key.ID, Algorithm: key.Algorithm, Use: "sig",
		})
	}
	backend, err := p.s.backendKey(ctx)
	if err != nil {
		return nil, err
	}
	set.Keys = append(set.Keys, backend...)
	return op.NewResponse(set), nil
}

// backendKey returns the public key of backend JWTs, if there is one. The control
// plane keeps it, sealed under this name.
func (s *Server) backendKey(ctx context.Context) ([]jose.JSONWebKey, error) {
	var body []byte
	err := s.o.DB.View(ctx, func(tx *database.Tx) (err error) {
		body, err = tx.Sealed("backend-jwt")
		return err
	})
	if sluice.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var stored struct {
		Item struct {
			KeyID string `json:"key_id"`
			Key   []byte `json:"key"`
		} `json:"item"`
	}
	if err := json.Unmarshal(body, &stored); err != nil {
		return nil, fmt.Errorf("read the key of backend JWTs: %w", err)
	}
	key, err := x509.ParsePKCS8PrivateKey(stored.Item.Key)
	if err != nil {
		return nil, fmt.Errorf("read the key of backend JWTs: %w", err)
	}
	pair, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key of backend JWTs cannot sign")
	}
	return []jose.JSONWebKey{{Key: pair.Public(), KeyID: stored.Item.KeyID, Algorithm: "RS256", Use: "sig"}}, nil
}
