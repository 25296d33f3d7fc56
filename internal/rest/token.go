package rest

import (
	"net/http"
	"slices"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/web"
)

// accessTokenLife is the validity of a personal access token that asks for none.
const accessTokenLife = 30 * 24 * time.Hour

// accessToken is a personal access token. Token is in the answer that makes it,
// and in no other.
type accessToken struct {
	ID        string   `json:"tokenId"`
	Name      string   `json:"name"`
	Token     string   `json:"token,omitempty"`
	Scopes    []string `json:"scopes"`
	CreatedAt string   `json:"createdAt"`
	ExpiresAt string   `json:"expiresAt"`
}

func accessTokenOf(t sluice.AccessToken) accessToken {
	return accessToken{ID: t.ID, Name: t.Name, Scopes: some(t.Scopes), CreatedAt: stamp(t.CreatedAt), ExpiresAt: stamp(t.ExpiresAt)}
}

func (s *Server) listAccessTokens(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	var found []sluice.AccessToken
	if id := r.URL.Query().Get("userId"); id == "" || id == sluice.ActorFrom(r.Context()).UserID {
		found, err = s.plane.AccessTokens(r.Context())
	} else if err = needs(r, "sluice:user_manage"); err == nil {
		found, err = s.plane.UserAccessTokens(r.Context(), id)
	}
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listOf(mapped(cut(found, page), accessTokenOf), paginate(r, page, len(found))))
}

// createAccessToken makes a token with no scope that the token it is asked with
// lacks: who holds a narrow token must not get a wide one for it.
func (s *Server) createAccessToken(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Name      string   `json:"name"`
		Scopes    []string `json:"scopes"`
		ExpiresIn int64    `json:"expiresIn"` // seconds
	}
	if err := readOwn(r, &q); err != nil {
		return err
	}
	granted := callOf(r).granted
	for _, sc := range q.Scopes {
		if !slices.Contains(granted, sc) {
			return sluice.Errorf(sluice.Forbidden, "token.scope", "The token of this request does not have the scope %q itself.", sc).At("scopes")
		}
	}
	ttl, err := validity(q.ExpiresIn, accessTokenLife)
	if err != nil {
		return err
	}
	t, secret, err := s.plane.CreateAccessToken(r.Context(), q.Name, q.Scopes, ttl)
	if err != nil {
		return err
	}
	out := accessTokenOf(t)
	out.Token = secret.Reveal()
	return created(w, r, "/access-tokens/"+t.ID, out)
}

func (s *Server) deleteAccessToken(w http.ResponseWriter, r *http.Request) error {
	end := s.plane.DeleteAccessToken
	if slices.Contains(callOf(r).granted, "sluice:user_manage") {
		end = s.plane.EndAccessToken // anybody's
	}
	if err := end(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// needs refuses a token without a scope that a part of an operation takes.
func needs(r *http.Request, scope string) error {
	if slices.Contains(callOf(r).granted, scope) {
		return nil
	}
	return sluice.Errorf(sluice.Forbidden, "scope.missing", "The access token has none of the scopes that are accepted here: %s.", scope)
}

// readOwn reads the JSON body of an operation of our own: a member it does not
// know is an error.
func readOwn(r *http.Request, v any) error {
	return web.ReadKnownJSON(r, maxJSON, v)
}

// validity returns seconds from a request as a duration; 0 is the default.
func validity(seconds int64, byDefault time.Duration) (time.Duration, error) {
	const most = int64(10 * 365 * 24 * time.Hour / time.Second) // no overflow; control knows the real limit
	switch {
	case seconds == 0:
		return byDefault, nil
	case seconds < 0 || seconds > most:
		return 0, sluice.Errorf(sluice.Invalid, "validity", "The validity is a number of seconds above 0 and within the limit.").At("expiresIn")
	}
	return time.Duration(seconds) * time.Second, nil
}
