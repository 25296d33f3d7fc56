package database

import (
	"time"

	"github.com/sluice-api/sluice"
)

const revocationColumns = `id, kind, subject, organization, before, created_at, expires_at`

func revocationFields(r *sluice.Revocation) []any {
	return []any{&r.ID, &r.Kind, &r.Subject, &r.Organization, (*instant)(&r.Before), (*instant)(&r.CreatedAt), (*instant)(&r.ExpiresAt)}
}

// AddRevocation stores a new revocation.
func (tx *Tx) AddRevocation(r *sluice.Revocation) error {
	return tx.add(`insert into revocations (`+revocationColumns+`) values ($1, $2, $3, $4, $5, $6, $7)`, revocationFields(r)...)
}

// Revocation returns the revocation with the id, also where it has expired.
func (tx *Tx) Revocation(id string) (sluice.Revocation, error) {
	return one(tx, "revocation", revocationFields, `select `+revocationColumns+` from revocations where id = $1`, id)
}

// Revocations returns the revocations that have not expired at now, the oldest
// first.
func (tx *Tx) Revocations(now time.Time) ([]sluice.Revocation, error) {
	return query(tx, revocationFields, `select `+revocationColumns+` from revocations where expires_at > $1 order by created_at, id`, instant(now))
}

// ExpiredRevocations returns the revocations that have expired at now.
func (tx *Tx) ExpiredRevocations(now time.Time) ([]sluice.Revocation, error) {
	return query(tx, revocationFields, `select `+revocationColumns+` from revocations where expires_at <= $1 order by created_at, id`, instant(now))
}

// DeleteRevocation deletes a revocation.
func (tx *Tx) DeleteRevocation(id string) error {
	return tx.change("revocation", `delete from revocations where id = $1`, id)
}

const revocationActColumns = `id, organization, kind, subject, actor, environments, everywhere, created_at`

func revocationActFields(a *sluice.RevocationAct) []any {
	return []any{
		&a.ID, &a.Organization, &a.Kind, &a.Subject, &a.Actor, asJSON(&a.Environments), (*instant)(&a.EverywhereAt), (*instant)(&a.CreatedAt),
	}
}

// AddRevocationAct stores a new act.
func (tx *Tx) AddRevocationAct(a *sluice.RevocationAct) error {
	return tx.add(`insert into revocation_acts (`+revocationActColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8)`, revocationActFields(a)...)
}

// PutRevocationAct stores what gateways have proved of an act.
func (tx *Tx) PutRevocationAct(a *sluice.RevocationAct) error {
	return tx.change("revocation", `update revocation_acts set environments = $1, everywhere = $2 where id = $3`,
		asJSON(&a.Environments), instant(a.EverywhereAt), a.ID)
}

// RevocationAct returns an act of an organization.
func (tx *Tx) RevocationAct(org, id string) (sluice.RevocationAct, error) {
	return one(tx, "revocation", revocationActFields, `select `+revocationActColumns+` from revocation_acts where organization = $1 and id = $2`, org, id)
}

// RevocationActs returns the acts of all organizations after a time, the oldest
// first.
func (tx *Tx) RevocationActs(after time.Time) ([]sluice.RevocationAct, error) {
	return query(tx, revocationActFields, `select `+revocationActColumns+` from revocation_acts where created_at > $1 order by created_at, id`, instant(after))
}

// DeleteRevocationActs deletes the acts up to a time.
func (tx *Tx) DeleteRevocationActs(until time.Time) error {
	_, err := tx.exec(`delete from revocation_acts where created_at <= $1`, instant(until))
	return err
}
