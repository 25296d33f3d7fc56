package rest

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/web"
)

// registrationRequest is what a management client says of itself.
type registrationRequest struct {
	Name      string `json:"clientName"`
	Callback  string `json:"callbackUrl"` // clients send what is no URI: it is text
	Owner     string `json:"owner"`
	GrantType string `json:"grantType"` // separated by blanks
	TokenType string `json:"tokenType"`
	SaaS      bool   `json:"saasApp"`
}

// registrationAnswer is the client as it was registered. The callback's name
// differs from the request's, and JSON is a string of JSON: clients rely on both.
type registrationAnswer struct {
	ID        string `json:"clientId"`
	Secret    string `json:"clientSecret"`
	Name      string `json:"clientName"`
	Callback  string `json:"callBackURL"`
	SaaS      bool   `json:"isSaasApplication"`
	Owner     string `json:"appOwner"`
	JSON      string `json:"jsonString"`
	Attribute string `json:"jsonAppAttribute"`
	TokenType string `json:"tokenType"`
}

// register registers a management client for the user that logs in by Basic
// authentication. The same user and name always get the same client.
func (s *Server) register(w http.ResponseWriter, r *http.Request) error {
	name, password, ok := r.BasicAuth()
	if !ok || unprintable(name) {
		w.Header().Set("WWW-Authenticate", `Basic realm="sluice", charset="UTF-8"`)
		return sluice.Errorf(sluice.Unauthenticated, "login.missing", "Log in with user name and password (Basic authentication).")
	}
	var q registrationRequest
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return err
	}
	ctx := r.Context()
	u, err := s.plane.Login(ctx, userName(name), sluice.Secret(password))
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Basic realm="sluice", charset="UTF-8"`)
		return err
	}
	if u.MustChange {
		return sluice.Errorf(sluice.Forbidden, "user.password_temporary", "The password is temporary. Change it first: PUT %s/users/me/password with Basic authentication and {\"password\":\"NEW\"}.", sluiceBase)
	}
	actor := sluice.ActorFrom(ctx) // has the address already
	actor.UserID, actor.Name, actor.Organization, actor.Roles = u.ID, u.Name, u.Organization, u.Roles
	if q.Owner != "" && userName(q.Owner) != u.Name {
		return sluice.Errorf(sluice.Forbidden, "client.owner", "A client is registered by its owner.").At("owner")
	}
	client, secret, err := s.plane.RegisterClient(sluice.WithActor(ctx, actor), q.Name, q.Callback, strings.Fields(q.GrantType))
	if err != nil {
		return err
	}
	attributes, err := json.Marshal(map[string]string{
		"grant_types": strings.Join(client.Grants, " "), "client_name": client.Name, "redirect_uris": client.CallbackURL,
	})
	if err != nil {
		return err
	}
	tokenType := q.TokenType
	if tokenType == "" {
		tokenType = "DEFAULT"
	}
	return answer(w, http.StatusOK, registrationAnswer{
		ID: client.ID, Secret: secret.Reveal(), Name: client.Name, Callback: client.CallbackURL, SaaS: q.SaaS,
		Owner: u.Name, JSON: string(attributes), Attribute: "{}", TokenType: tokenType,
	})
}
