package keymanager

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

func TestMetadata(t *testing.T) {
	f := start(t, nil)
	methods := []any{"client_secret_basic", "client_secret_post"}
	want := map[string]any{
		"issuer":                                         issuer,
		"token_endpoint":                                 "https://localhost:9443/oauth2/token",
		"revocation_endpoint":                            "https://localhost:9443/oauth2/revoke",
		"introspection_endpoint":                         "https://localhost:9443/oauth2/introspect",
		"jwks_uri":                                       "https://localhost:9443/oauth2/jwks",
		"grant_types_supported":                          []any{"authorization_code", "client_credentials", "refresh_token", "password"},
		"token_endpoint_auth_methods_supported":          methods,
		"revocation_endpoint_auth_methods_supported":     methods,
		"introspection_endpoint_auth_methods_supported":  methods,
		"request_uri_parameter_supported":                false,
		"authorization_endpoint":                         "https://localhost:9443/oauth2/authorize",
		"userinfo_endpoint":                              "https://localhost:9443/oauth2/userinfo",
		"response_types_supported":                       []any{"code"},
		"response_modes_supported":                       []any{"query"},
		"code_challenge_methods_supported":               []any{"S256"},
		"subject_types_supported":                        []any{"public"},
		"id_token_signing_alg_values_supported":          []any{"ES256"},
		"scopes_supported":                               []any{"openid"},
		"claims_supported":                               []any{"sub", "preferred_username", "email"},
		"authorization_response_iss_parameter_supported": true,
	}
	for _, path := range []string{
		"/.well-known/openid-configuration",
		"/oauth2/token/.well-known/openid-configuration",
		"/.well-known/oauth-authorization-server",
		"/.well-known/oauth-authorization-server/oauth2/token",
	} {
		a := f.do(f.request(http.MethodGet, path, ""))
		if diff := cmp.Diff(want, a.json); diff != "" {
			t.Errorf("GET %s = %d (-want +got):\n%s", path, a.status, diff)
		}
		f.refused405(path)
	}
}

func (f *fixture) refused405(path string) {
	f.t.Helper()
	a := f.do(f.request(http.MethodPost, path, ""))
	if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET, HEAD" || a.text("error") == "" {
		f.t.Errorf("POST %s = %d %s", path, a.status, a.body)
	}
}

func TestKeySet(t *testing.T) {
	f := start(t, nil)
	a := f.do(f.request(http.MethodGet, pathKeys, ""))
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(a.body), &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("GET %s = %d %s", pathKeys, a.status, a.body)
	}
	key := set.Keys[0]
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if id := base64.RawURLEncoding.EncodeToString(thumbprint); !key.IsPublic() || key.KeyID != id || key.Algorithm != "ES256" || key.Use != "sig" {
		t.Errorf("key = %s, want a public ES256 key with id %s", a.body, id)
	}
	if signed, err := jose.ParseSignedCompact(f.token(f.production, "grant_type=client_credentials"), []jose.SignatureAlgorithm{jose.ES256}); err != nil {
		t.Error(err)
	} else if _, err := signed.Verify(set); err != nil {
		t.Errorf("the key set does not verify a token: %v", err)
	}
	f.refused405(pathKeys)
}

func TestUnknownEndpoints(t *testing.T) {
	f := start(t, nil)
	for _, path := range []string{"/oauth2/", "/oauth2/device", "/oauth2/logout", "/healthz", "/readyz", "/.well-known/other"} {
		if a := f.do(f.request(http.MethodGet, path, "")); a.status != http.StatusNotFound || a.text("error") == "" {
			t.Errorf("GET %s = %d %s, want 404", path, a.status, a.body)
		}
	}
}
