package control

import (
	"context"
	"slices"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// maxAccessTokenLife is the longest validity of a personal access token.
const maxAccessTokenLife = 90 * 24 * time.Hour

// Authenticate returns the actor behind a token of the management API, and the
// scopes it was given that its user's roles still give.
func (p *Plane) Authenticate(ctx context.Context, token sluice.Secret) (sluice.Actor, []string, error) {
	var t sluice.AccessToken
	var u sluice.User
	err := p.db.View(ctx, func(tx *database.Tx) (err error) {
		if t, err = tx.AccessTokenByHash(token.Hash()); err != nil {
			return err
		}
		u, err = tx.User("", t.UserID)
		return err
	})
	switch {
	case sluice.IsNotFound(err) || err == nil && !t.ExpiresAt.After(p.now()):
		return sluice.Actor{}, nil, sluice.Errorf(sluice.Unauthenticated, "token", "The access token is not known, has expired or was revoked.")
	case err != nil:
		return sluice.Actor{}, nil, err
	}
	earned := p.o.Scopes(u.Roles)
	scopes := slices.DeleteFunc(slices.Clone(t.Scopes), func(s string) bool { return !slices.Contains(earned, s) })
	return sluice.Actor{UserID: u.ID, Name: u.Name, Organization: u.Organization, Roles: u.Roles, Client: t.ClientID}, scopes, nil
}

// CreateAccessToken makes a personal access token of the actor with a subset of
// the scopes its roles give. The token itself is returned once.
func (p *Plane) CreateAccessToken(ctx context.Context, name string, scopes []string, ttl time.Duration) (sluice.AccessToken, sluice.Secret, error) {
	a, err := known(ctx)
	if err != nil {
		return sluice.AccessToken{}, "", err
	}
	var problems sluice.Problems
	if name == "" || len(name) > 100 {
		problems.Add("name", "token.name", "A name of 1 to 100 characters is needed.")
	}
	if ttl <= 0 || ttl > maxAccessTokenLife {
		problems.Add("expiresIn", "token.validity", "A token is valid for at most 90 days.")
	}
	earned := p.o.Scopes(a.Roles)
	for _, s := range scopes {
		if !slices.Contains(earned, s) {
			problems.Add("scopes", "token.scope", "Your roles do not give the scope %q.", s)
		}
	}
	if len(scopes) == 0 {
		problems.Add("scopes", "token.scope", "Name at least one scope.")
	}
	if err := problems.Err(); err != nil {
		return sluice.AccessToken{}, "", err
	}
	secret := "slm_" + sluice.NewSecret()
	t := sluice.AccessToken{
		ID: sluice.NewID(p.now()), Hash: secret.Hash(), Name: name, UserID: a.UserID,
		Scopes: scopes, CreatedAt: p.now(), ExpiresAt: p.now().Add(ttl),
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		if err := tx.AddAccessToken(&t); err != nil {
			return err
		}
		return audit(ctx, tx, "token.create", "access_token", t.ID, name, nil, scopes)
	})
	return t, secret, err
}

// CreateAccessTokenFor makes a personal access token for the named user without
// a login. It is for the command line on the control plane's own home.
func (p *Plane) CreateAccessTokenFor(ctx context.Context, user, name string, scopes []string, ttl time.Duration) (sluice.AccessToken, sluice.Secret, error) {
	var u sluice.User
	err := p.db.View(ctx, func(tx *database.Tx) (err error) {
		u, err = tx.UserByName(sluice.DefaultOrganization, user)
		return err
	})
	if err != nil {
		return sluice.AccessToken{}, "", err
	}
	if len(scopes) == 0 {
		scopes = p.o.Scopes(u.Roles)
	}
	actor := sluice.Actor{UserID: u.ID, Name: u.Name, Organization: u.Organization, Roles: u.Roles, Client: "cli"}
	return p.CreateAccessToken(sluice.WithActor(ctx, actor), name, scopes, ttl)
}

// AccessTokens returns the actor's personal access tokens.
func (p *Plane) AccessTokens(ctx context.Context) ([]sluice.AccessToken, error) {
	a, err := known(ctx)
	if err != nil {
		return nil, err
	}
	var list []sluice.AccessToken
	err = p.db.View(ctx, func(tx *database.Tx) (err error) {
		list, err = tx.AccessTokens(a.UserID)
		return err
	})
	return slices.DeleteFunc(list, func(t sluice.AccessToken) bool { return t.Name == "" }), err
}

// UserAccessTokens returns the personal access tokens of a user that the actor
// looks after as an administrator.
func (p *Plane) UserAccessTokens(ctx context.Context, userID string) (list []sluice.AccessToken, err error) {
	actor, err := allow(ctx)
	if err != nil {
		return nil, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if _, err := account(tx, actor, userID); err != nil {
			return err
		}
		list, err = tx.AccessTokens(userID)
		return err
	})
	return slices.DeleteFunc(list, func(t sluice.AccessToken) bool { return t.Name == "" }), err
}

// EndAccessToken ends, as an administrator, an access token of any user at once.
func (p *Plane) EndAccessToken(ctx context.Context, id string) error {
	actor, err := allow(ctx)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		t, err := tx.AccessToken(id)
		if err != nil {
			return err
		}
		switch _, err := account(tx, actor, t.UserID); {
		case sluice.IsNotFound(err): // the token of another organization's user
			return sluice.Errorf(sluice.NotFound, "token.unknown", "There is no such token.")
		case err != nil:
			return err
		}
		if err := tx.DeleteAccessToken(t.UserID, id); err != nil {
			return err
		}
		return audit(ctx, tx, "token.delete", "access_token", id, t.Name, nil, nil)
	})
}

// DeleteAccessToken ends one of the actor's personal access tokens at once.
func (p *Plane) DeleteAccessToken(ctx context.Context, id string) error {
	a, err := known(ctx)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		if err := tx.DeleteAccessToken(a.UserID, id); err != nil {
			return err
		}
		return audit(ctx, tx, "token.delete", "access_token", id, "", nil, nil)
	})
}
