package control

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/database"
)

// BackendJWT says whether and how gateways tell backends who calls.
type BackendJWT struct {
	Enabled  bool
	Header   string // that carries the JWT; empty: X-JWT-Assertion
	Dialect  string // before the names of claims; empty: http://wso2.org/claims
	OmitUser bool   // tokens of applications name no user
}

// sealedBackendJWT is where the installation's settings and key of backend JWTs
// are kept. The key stays when they are switched off: backends that have it go on
// knowing it. Package keymanager publishes the public half, under the same name.
const sealedBackendJWT = "backend-jwt"

// syncBackendJWT takes the configured settings over into the database, and tells
// gateways where they changed.
func (p *Plane) syncBackendJWT(tx *database.Tx) error {
	before, enabled, err := backendJWTItem(tx)
	if err != nil {
		return err
	}
	o := p.o.BackendJWT
	if before == nil && !o.Enabled {
		return nil
	}
	now := artifact.BackendJWT{Issuer: p.o.ManagementURL, Header: o.Header, Dialect: strings.TrimRight(o.Dialect, "/"), OmitUser: o.OmitUser}
	if now.Header == "" {
		now.Header = "X-JWT-Assertion"
	}
	if now.Dialect == "" {
		now.Dialect = "http://wso2.org/claims"
	}
	if before != nil {
		now.KeyID, now.Key = before.KeyID, before.Key
	} else if now.KeyID, now.Key, err = newBackendJWTKey(); err != nil {
		return err
	}
	if before != nil && enabled == o.Enabled && digest(before) == digest(&now) {
		return nil
	}
	body, err := json.Marshal(storedBackendJWT{o.Enabled, now})
	if err != nil {
		return err
	}
	if err := tx.PutSealed(sealedBackendJWT, body); err != nil {
		return err
	}
	return emit(tx, "", sluice.BackendJWTChanged, now.ItemID(), nil)
}

// storedBackendJWT is the sealed value; package keymanager reads item.key and
// item.key_id.
type storedBackendJWT struct {
	Enabled bool                `json:"enabled"`
	Item    artifact.BackendJWT `json:"item"`
}

func newBackendJWTKey() (id string, der []byte, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", nil, fmt.Errorf("make the key of backend JWTs: %w", err)
	}
	if der, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return "", nil, fmt.Errorf("encode the key of backend JWTs: %w", err)
	}
	sum := sha256.Sum256(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	return base64.RawURLEncoding.EncodeToString(sum[:16]), der, nil
}

// backendJWTItem returns the item of backend JWTs, nil where there never was
// one, and whether gateways are to have it.
func backendJWTItem(tx *database.Tx) (item *artifact.BackendJWT, enabled bool, err error) {
	body, err := tx.Sealed(sealedBackendJWT)
	if sluice.IsNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	var stored storedBackendJWT
	if err := json.Unmarshal(body, &stored); err != nil {
		return nil, false, fmt.Errorf("read the settings of backend JWTs: %w", err)
	}
	return &stored.Item, stored.Enabled, nil
}
