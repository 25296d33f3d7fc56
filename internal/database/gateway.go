package database

import (
	"time"

	"github.com/sluice-api/sluice"
)

const gatewayColumns = `id, environment_id, name, public_key, address, server_url, version, enrolled_at, display_name, row_version`

func gatewayFields(g *sluice.Gateway) []any {
	return []any{&g.ID, &g.EnvironmentID, &g.Name, &g.PublicKey, &g.Address, &g.ServerURL, &g.Version, (*instant)(&g.EnrolledAt), &g.DisplayName, &g.RowVersion}
}

// AddGateway stores a new gateway and sets its row version; Conflict
// "gateway.exists" where one has its public key.
func (tx *Tx) AddGateway(g *sluice.Gateway) error {
	g.RowVersion = 1
	return tx.add(`insert into gateways (`+gatewayColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, gatewayFields(g)...)
}

// PutGateway stores a gateway's display name, where g.RowVersion is that of the
// stored one; else it returns Changed. It sets the new row version.
func (tx *Tx) PutGateway(g *sluice.Gateway) error {
	err := tx.put(func() error { _, err := tx.Gateway(g.ID); return err },
		`update gateways set display_name = $2, row_version = row_version + 1 where id = $1 and row_version = $3`, &g.ID, &g.DisplayName, &g.RowVersion)
	if err == nil {
		g.RowVersion++
	}
	return err
}

// Gateway returns the gateway with the id.
func (tx *Tx) Gateway(id string) (sluice.Gateway, error) {
	return one(tx, "gateway", gatewayFields, `select `+gatewayColumns+` from gateways where id = $1`, id)
}

// GatewayByKey returns the gateway with the public key.
func (tx *Tx) GatewayByKey(publicKey string) (sluice.Gateway, error) {
	return one(tx, "gateway", gatewayFields, `select `+gatewayColumns+` from gateways where public_key = $1`, publicKey)
}

// Gateways returns the gateways of an environment, of all where it is "", by name.
func (tx *Tx) Gateways(environmentID string) ([]sluice.Gateway, error) {
	return query(tx, gatewayFields, `select `+gatewayColumns+` from gateways where $1 in ('', environment_id) order by name, id`, environmentID)
}

// DeleteGateway deletes a gateway.
func (tx *Tx) DeleteGateway(id string) error {
	return tx.change("gateway", `delete from gateways where id = $1`, id)
}

const enrolmentTokenColumns = `id, environment_id, name, hash, server_url, created_by, created_at, expires_at, used_at`

func enrolmentTokenFields(t *sluice.EnrolmentToken) []any {
	return []any{
		&t.ID, &t.EnvironmentID, &t.Name, &t.Hash, &t.ServerURL, &t.CreatedBy,
		(*instant)(&t.CreatedAt), (*instant)(&t.ExpiresAt), (*instant)(&t.UsedAt),
	}
}

// AddEnrolmentToken stores a new enrolment token.
func (tx *Tx) AddEnrolmentToken(t *sluice.EnrolmentToken) error {
	return tx.add(`insert into enrolment_tokens (`+enrolmentTokenColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, enrolmentTokenFields(t)...)
}

// UseEnrolmentToken marks the token with the hash as used at now and returns it.
// One that is unknown, used or expired is the same Unauthenticated
// "enrolment.token": nobody learns which.
func (tx *Tx) UseEnrolmentToken(hash string, now time.Time) (sluice.EnrolmentToken, error) {
	list, err := query(tx, enrolmentTokenFields, `update enrolment_tokens set used_at = $1
		where hash = $2 and used_at = 0 and expires_at > $1 returning `+enrolmentTokenColumns, instant(now), hash)
	switch {
	case err != nil:
		return sluice.EnrolmentToken{}, err
	case len(list) == 0:
		return sluice.EnrolmentToken{}, sluice.Errorf(sluice.Unauthenticated, "enrolment.token", "The enrolment token is unknown, used or expired.")
	}
	return list[0], nil
}

// EnrolmentTokens returns all enrolment tokens, the newest first.
func (tx *Tx) EnrolmentTokens() ([]sluice.EnrolmentToken, error) {
	return query(tx, enrolmentTokenFields, `select `+enrolmentTokenColumns+` from enrolment_tokens order by created_at desc, id desc`)
}

// EnrolmentToken returns the enrolment token with the id, used and expired ones
// too.
func (tx *Tx) EnrolmentToken(id string) (sluice.EnrolmentToken, error) {
	return one(tx, "enrolment", enrolmentTokenFields, `select `+enrolmentTokenColumns+` from enrolment_tokens where id = $1`, id)
}

// DeleteEnrolmentToken deletes an enrolment token.
func (tx *Tx) DeleteEnrolmentToken(id string) error {
	return tx.change("enrolment", `delete from enrolment_tokens where id = $1`, id)
}
