package rest

import (
	"net/http"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/web"
)

// userDocument is a user's account.
type userDocument struct {
	ID           string        `json:"userId"`
	Name         string        `json:"name"`
	Login        string        `json:"login"` // what the user logs in as: name, or name@organization
	Organization string        `json:"organization"`
	Email        string        `json:"email"`
	Roles        []sluice.Role `json:"roles"`
	MustChange   bool          `json:"passwordTemporary"`
	CreatedAt    string        `json:"createdAt"`
}

func userOf(u sluice.User) userDocument {
	d := userDocument{
		ID: u.ID, Name: u.Name, Login: u.Name, Organization: u.Organization, Email: u.Email, Roles: u.Roles,
		MustChange: u.MustChange, CreatedAt: stamp(u.CreatedAt),
	}
	if u.Organization != sluice.DefaultOrganization {
		d.Login += "@" + u.Organization
	}
	if d.Roles == nil {
		d.Roles = []sluice.Role{}
	}
	return d
}

func (s *Server) listUsers(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	found, total, err := s.plane.Users(r.Context(), q.Get("organization"), q.Get("query"), page)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listOf(mapped(found, userOf), paginate(r, page, total)))
}

func (s *Server) createUser(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Name         string        `json:"name"`
		Email        string        `json:"email"`
		Roles        []sluice.Role `json:"roles"`
		Organization string        `json:"organization"`
		Password     string        `json:"password"`
	}
	if err := readOwn(r, &q); err != nil {
		return err
	}
	u := sluice.User{Name: q.Name, Email: q.Email, Roles: q.Roles, Organization: q.Organization}
	if err := s.plane.CreateUser(r.Context(), &u, sluice.Secret(q.Password)); err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(u.RowVersion))
	return created(w, r, "/users/"+u.ID, userOf(u))
}

func (s *Server) getUser(w http.ResponseWriter, r *http.Request) error {
	u, err := s.plane.User(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return tagged(w, r, u.RowVersion, userOf(u))
}

func (s *Server) changeUser(w http.ResponseWriter, r *http.Request) error {
	version, err := mustMatch(r)
	if err != nil {
		return err
	}
	var q struct {
		Email *string        `json:"email"`
		Roles *[]sluice.Role `json:"roles"`
	}
	if err := readOwn(r, &q); err != nil {
		return err
	}
	u, err := s.plane.ChangeUser(r.Context(), r.PathValue("id"), control.UserChange(q), version)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(u.RowVersion))
	return answer(w, http.StatusOK, userOf(u))
}

func (s *Server) deleteUser(w http.ResponseWriter, r *http.Request) error {
	version, err := mustMatch(r)
	if err != nil {
		return err
	}
	if err := s.plane.DeleteUser(r.Context(), r.PathValue("id"), version); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// putPassword changes the own password, by the old one, or gives another user a
// temporary one. Who has only a temporary password gets no token: Basic
// authentication, with the id me, is for them.
func (s *Server) putPassword(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Old      string `json:"oldPassword"`
		Password string `json:"password"`
	}
	id := r.PathValue("id")
	if name, old, basic := r.BasicAuth(); basic {
		if id != "me" || unprintable(name) {
			return sluice.Errorf(sluice.Forbidden, "user.basic", "By user name and password only the own password can be changed, at /users/me/password.")
		}
		if err := readOwn(r, &q); err != nil {
			return err
		}
		ctx := r.Context()
		u, err := s.plane.Login(ctx, userName(name), sluice.Secret(old))
		if err != nil {
			return err
		}
		actor := sluice.ActorFrom(ctx) // has the address already
		actor.UserID, actor.Name, actor.Organization, actor.Roles = u.ID, u.Name, u.Organization, u.Roles
		if err := s.plane.ChangePassword(sluice.WithActor(ctx, actor), sluice.Secret(old), sluice.Secret(q.Password)); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	r, err := s.identify(w, r, face{base: sluiceBase}, route{scopes: anyone})
	if err != nil {
		return err
	}
	if err := readOwn(r, &q); err != nil {
		return err
	}
	actor := sluice.ActorFrom(r.Context())
	if id == "me" || id == actor.UserID {
		err = s.plane.ChangePassword(r.Context(), sluice.Secret(q.Old), sluice.Secret(q.Password))
	} else if err = needs(r, "sluice:user_manage"); err == nil {
		err = s.plane.SetPassword(r.Context(), id, sluice.Secret(q.Password))
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
