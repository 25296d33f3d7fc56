package keymanager

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/web"
)

// scopeOpenID asks for an id_token, and lets its token read userinfo.
const scopeOpenID = "openid"

// userinfo serves the claims of the user behind an access token with the scope
// openid (OpenID Connect Core 1.0 §5.3).
func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, HEAD, POST")
		s.refuse(w, r, methodNotAllowed())
		return
	}
	lines := r.Header.Values("Authorization")
	if len(lines) != 1 || len(lines[0]) < 7 || !strings.EqualFold(lines[0][:7], "Bearer ") {
		w.Header().Set("WWW-Authenticate", `Bearer realm="Sluice"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	user, ok, err := s.userOf(r.Context(), strings.TrimSpace(lines[0][7:]))
	switch {
	case err != nil:
		s.refuse(w, r, err)
	case !ok:
		w.Header().Set("WWW-Authenticate", `Bearer realm="Sluice", error="invalid_token", scope="openid"`)
		w.WriteHeader(http.StatusUnauthorized)
	default:
		claims := map[string]string{"sub": user.Name, "preferred_username": user.Name}
		if user.Email != "" {
			claims["email"] = user.Email
		}
		_ = web.WriteJSON(w, http.StatusOK, web.JSON, claims) // it cannot fail to be encoded
	}
}

// userOf returns the user behind a valid access token with the scope openid, and
// whether there is one.
func (s *Server) userOf(ctx context.Context, token string) (user sluice.User, ok bool, err error) {
	c, ok := s.signer.verify(token)
	if !ok || c.Kind != userToken || s.now().Unix() >= c.Expires || !slices.Contains(strings.Fields(c.Scope), scopeOpenID) {
		return user, false, nil
	}
	var key sluice.ConsumerKey
	err = s.db.View(ctx, func(tx *database.Tx) error {
		if key, err = tx.ConsumerKey(c.ClientID); err != nil {
			return err
		}
		user, err = tx.UserByName(key.Organization, c.Subject)
		return err
	})
	if sluice.IsNotFound(err) {
		return user, false, nil
	}
	if err != nil {
		return user, false, err
	}
	over, err := s.isRevoked(ctx, key.Organization, c)
	return user, err == nil && !over, err
}
