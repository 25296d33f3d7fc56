package control

import (
	"context"
	"slices"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// maxClientSecrets is how many secrets of a management client stay valid: two
// computers may share the client, and each registration shows a new one.
const maxClientSecrets = 10

// RegisterClient registers a client of the management API for the actor. The
// same user and name always give the same client, with a new secret. Where the
// password grant is off for management clients it is left out of the answer, and
// so is the code grant where the callback is text and no redirect URI.
func (p *Plane) RegisterClient(ctx context.Context, name, callback string, grants []string) (sluice.ManagementClient, sluice.Secret, error) {
	a, err := known(ctx)
	if err != nil {
		return sluice.ManagementClient{}, "", err
	}
	if name == "" || len(name) > 200 || len(callback) > 2000 {
		return sluice.ManagementClient{}, "", sluice.Errorf(sluice.Invalid, "client.name", "A client name of 1 to 200 characters is needed.").At("clientName")
	}
	secret := sluice.NewSecret()
	var c sluice.ManagementClient
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		c, err = tx.ManagementClientByName(a.UserID, name)
		if sluice.IsNotFound(err) {
			c = sluice.ManagementClient{ID: "m_" + newConsumerKey(), Organization: a.Organization, UserID: a.UserID, Name: name, CreatedAt: p.now()}
		} else if err != nil {
			return err
		}
		c.CallbackURL = callback
		c.Grants = slices.DeleteFunc(slices.Clone(grants), func(g string) bool {
			switch g {
			case sluice.GrantPassword:
				return !p.o.LegacyLogin
			case sluice.GrantAuthorizationCode:
				return !sluice.IsRedirectURI(callback)
			}
			return g != sluice.GrantRefreshToken
		})
		c.SecretHashes = append([]string{secret.Hash()}, c.SecretHashes...)
		c.SecretHashes = c.SecretHashes[:min(len(c.SecretHashes), maxClientSecrets)]
		if err := tx.PutManagementClient(&c); err != nil {
			return err
		}
		return audit(ctx, tx, "client.register", "management_client", c.ID, name, nil, c.Grants)
	})
	return c, secret, err
}
