package rest

import (
	"net/http"

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
		Properties: map[string]string{},
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
