package rest

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/web"
)

// residentKeyManager is the name of the only Key Manager.
const residentKeyManager = "Resident Key Manager"

// keyDocument is a consumer key. The secret is "" where it is not shown again.
type keyDocument struct {
	ID          string            `json:"keyMappingId"`
	KeyManager  string            `json:"keyManager"`
	Key         string            `json:"consumerKey"`
	Secret      string            `json:"consumerSecret"`
	Secrets     []string          `json:"consumerSecrets"` // none but the one above is ever shown
	Grants      []string          `json:"supportedGrantTypes"`
	CallbackURL string            `json:"callbackUrl"`
	State       string            `json:"keyState"`
	Type        string            `json:"keyType"`
	Mode        string            `json:"mode"`
	GroupID     string            `json:"groupId"`
	Token       *tokenDocument    `json:"token"` // only with a new key
	Properties  map[string]string `json:"additionalProperties"`
}

type tokenDocument struct {
	Token    string   `json:"accessToken"`
	Scopes   []string `json:"tokenScopes"`
	Validity int      `json:"validityTime"` // seconds
}

func keyOf(k control.IssuedKey) keyDocument {
	d := keyDocument{
		ID: k.Key.ID, KeyManager: residentKeyManager, Key: k.Key.Key, Secret: k.Secret.Reveal(), Secrets: []string{},
		Grants: some(k.Key.Grants), CallbackURL: k.Key.CallbackURL, State: "APPROVED", Type: string(k.Key.Type), Mode: "CREATED",
		Properties: map[string]string{tokenTTLProperty: strconv.Itoa(int(k.Key.TokenTTL.Seconds()))},
	}
	if k.Token != "" {
		d.Token = &tokenDocument{k.Token.Reveal(), some(k.TokenScopes), int(k.TokenTTL.Seconds())}
	}
	return d
}

func (s *Server) listKeys(w http.ResponseWriter, r *http.Request) error {
	found, err := s.plane.Keys(r.Context(), r.PathValue("applicationId"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listOf(mapped(found, keyOf), nil))
}

func (s *Server) generateKeys(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Type         sluice.KeyType `json:"keyType"`
		Grants       []string       `json:"grantTypesToBeSupported"`
		KeyManager   string         `json:"keyManager"`
		CallbackURL  string         `json:"callbackUrl"`
		Scopes       []string       `json:"scopes"`
		Validity     seconds        `json:"validityTime"`
		ClientID     string         `json:"clientId"`
		ClientSecret string         `json:"clientSecret"`
	}
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return err
	}
	if q.KeyManager != "" && q.KeyManager != residentKeyManager {
		return sluice.Errorf(sluice.Invalid, "key_manager.unknown", "There is one Key Manager, the %s.", residentKeyManager).At("keyManager")
	}
	if q.ClientID != "" || q.ClientSecret != "" {
		return sluice.Errorf(sluice.Invalid, "key.client", "Consumer keys are made here; one of your own cannot be brought along.").At("clientId")
	}
	k, err := s.plane.GenerateKey(r.Context(), r.PathValue("applicationId"), control.KeyRequest{
		Type: q.Type, Grants: q.Grants, CallbackURL: q.CallbackURL, Scopes: q.Scopes, TTL: q.Validity.Duration,
	})
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, keyOf(k))
}

// tokenTTLProperty is the name of a key's validity among its properties.
const tokenTTLProperty = "application_access_token_expiry_time"

func (s *Server) getKey(w http.ResponseWriter, r *http.Request) error {
	k, err := s.plane.Key(r.Context(), r.PathValue("applicationId"), r.PathValue("keyMappingId"))
	if err != nil {
		return err
	}
	return tagged(w, r, k.Key.RowVersion, keyOf(k))
}

func (s *Server) putKey(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Type        sluice.KeyType             `json:"keyType"`
		Grants      []string                   `json:"supportedGrantTypes"`
		CallbackURL string                     `json:"callbackUrl"`
		Properties  map[string]json.RawMessage `json:"additionalProperties"`
	}
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return err
	}
	var ttl seconds
	if text, there := q.Properties[tokenTTLProperty]; there {
		if err := ttl.UnmarshalJSON(text); err != nil {
			return err
		}
	}
	application, id := r.PathValue("applicationId"), r.PathValue("keyMappingId")
	before, err := s.plane.Key(r.Context(), application, id)
	if err != nil {
		return err
	}
	k, err := s.plane.UpdateKey(r.Context(), application, id, control.KeyRequest{
		Type: q.Type, Grants: q.Grants, CallbackURL: q.CallbackURL, Scopes: before.Key.Scopes, TTL: ttl.Duration,
	}, version)
	if err != nil {
		return err
	}
	return tagged(w, r, k.Key.RowVersion, keyOf(k))
}

func (s *Server) regenerateSecret(w http.ResponseWriter, r *http.Request) error {
	k, err := s.plane.RegenerateSecret(r.Context(), r.PathValue("applicationId"), r.PathValue("keyMappingId"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, map[string]string{"consumerKey": k.Key.Key, "consumerSecret": k.Secret.Reveal()})
}

func (s *Server) cleanUpKey(w http.ResponseWriter, r *http.Request) error {
	if err := s.plane.DeleteKey(r.Context(), r.PathValue("applicationId"), r.PathValue("keyMappingId")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) generateToken(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Secret   string   `json:"consumerSecret"`
		Validity seconds  `json:"validityPeriod"`
		Scopes   []string `json:"scopes"`
		Revoke   string   `json:"revokeToken"`
		Grant    string   `json:"grantType"`
	}
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return err
	}
	if q.Grant != "" && q.Grant != "CLIENT_CREDENTIALS" {
		return sluice.Errorf(sluice.Invalid, "token.grant", "The grant type is CLIENT_CREDENTIALS; token exchange is not offered.").At("grantType")
	}
	k, err := s.plane.GenerateToken(r.Context(), r.PathValue("applicationId"), r.PathValue("keyMappingId"), control.TokenRequest{
		Secret: sluice.Secret(q.Secret), Scopes: q.Scopes, TTL: q.Validity.Duration, Revoke: sluice.Secret(q.Revoke),
	})
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, tokenDocument{k.Token.Reveal(), some(k.TokenScopes), int(k.TokenTTL.Seconds())})
}

// mapKeys answers why a client that exists cannot be mapped.
func (s *Server) mapKeys(_ http.ResponseWriter, r *http.Request) error {
	var q struct {
		Key string `json:"consumerKey"`
	}
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return err
	}
	if err := s.plane.MapKey(r.Context(), r.PathValue("applicationId"), q.Key); err != nil {
		return err
	}
	return web.Refuse(http.StatusNotImplemented, "operation.unsupported", "Sluice does not map consumer keys of other Key Managers.")
}
