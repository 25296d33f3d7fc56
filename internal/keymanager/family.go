package keymanager

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// A family is all the refresh tokens that came of one login, each in exchange for
// the one before. One of them alone can be used; the others are kept to recognize
// a stolen one, and to find the access tokens that were issued with them.

// mayRefresh reports whether the client gets refresh tokens.
func mayRefresh(client op.Client) bool {
	switch c := client.(type) {
	case *applicationClient:
		return slices.Contains(c.key.Grants, sluice.GrantRefreshToken)
	case *managementClient:
		return slices.Contains(c.client.Grants, sluice.GrantRefreshToken)
	}
	return false
}

// organizationOf returns the organization of a client.
func organizationOf(client op.Client) string {
	switch c := client.(type) {
	case *applicationClient:
		return c.key.Organization
	case *managementClient:
		return c.client.Organization
	}
	return ""
}

// passwordDigest tells the user's password from every other one.
func passwordDigest(user sluice.User) string { return sluice.Secret(user.PasswordHash).Hash() }

// addRefreshToken puts a refresh token beside the user's new access token: the
// next one of the family, or where that is "" the first of a new one. It returns
// the family.
func (s *Server) addRefreshToken(tx *database.Tx, client op.Client, user sluice.User, family string, scopes []string, i *issued) (string, error) {
	now := s.now()
	id := sluice.NewID(now)
	i.refresh = sluice.NewSecret()
	until := i.expires
	if _, signed := client.(*applicationClient); signed {
		until = until.Add(clockLeeway)
	}
	family = cmp.Or(family, id)
	return family, tx.AddRefreshToken(&sluice.RefreshToken{
		ID: id, Hash: i.refresh.Hash(), Family: family, ClientID: client.GetID(), UserID: user.ID,
		PasswordDigest: passwordDigest(user), Scopes: scopes, AccessTokenID: i.id, AccessUntil: until,
		CreatedAt: now, ExpiresAt: now.Add(s.o.RefreshTokenTTL),
	})
}

// endFamily ends the token, all others of its family, and the access tokens that
// were issued with them. The audit log names the family.
func (s *Server) endFamily(ctx context.Context, tx *database.Tx, client op.Client, token sluice.RefreshToken, action string) error {
	user, err := tx.User("", token.UserID)
	if err != nil {
		return err
	}
	family, err := tx.RefreshFamily(token.Family)
	if err != nil {
		return err
	}
	_, management := client.(*managementClient)
	for _, member := range family {
		if management {
			err = tx.DeleteAccessToken(member.UserID, member.AccessTokenID)
		} else {
			_, err = s.revokeOnce(tx, member.AccessTokenID, member.AccessUntil)
		}
		if err != nil && !sluice.IsNotFound(err) { // it may be over already
			return err
		}
	}
	if err := tx.DeleteRefreshFamily(token.Family); err != nil {
		return err
	}
	return auditToken(ctx, tx, action, user, token.Family)
}

// sealAnswer encrypts the answer to the use of a refresh token so that it opens
// to that token and the same scope parameter only. The database has the token's
// hash, from which the key cannot be had.
func sealAnswer(presented sluice.Secret, token sluice.RefreshToken, requested []string, answer []byte) ([]byte, error) {
	aead, err := answerCipher(presented)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, answer, answerContext(token, requested)), nil
}

// openAnswer returns the answer that the token's use got, and whether this is the
// same request.
func openAnswer(presented sluice.Secret, token sluice.RefreshToken, requested []string) (json.RawMessage, bool) {
	aead, err := answerCipher(presented)
	if err != nil {
		return nil, false
	}
	answer, err := aead.Open(nil, nil, token.Answer, answerContext(token, requested))
	return answer, err == nil
}

func answerCipher(presented sluice.Secret) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(presented.Reveal()), nil, "sluice refresh token answer", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func answerContext(token sluice.RefreshToken, requested []string) []byte {
	return []byte(token.ID + " " + strings.Join(requested, " "))
}
