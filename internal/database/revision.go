package database

import "github.com/sluice-api/sluice"

const revisionColumns = `id, api_id, number, description, digest, document, definition, opaque, row_version, created_at, created_by`

func revisionFields(r *sluice.Revision) []any {
	return []any{
		&r.ID, &r.APIID, &r.Number, &r.Description, &r.Digest,
		asJSON(&r.API), &r.API.Definition, &r.API.Opaque, &r.API.RowVersion, (*instant)(&r.CreatedAt), &r.CreatedBy,
	}
}

// AddRevision stores a new revision and sets its number: one more than the API's
// last ever, also where that one was deleted.
func (tx *Tx) AddRevision(r *sluice.Revision) error {
	number, err := one(tx, "API", func(n *int) []any { return []any{n} },
		`update apis set last_revision = last_revision + 1 where id = $1 returning last_revision`, r.APIID)
	if err != nil {
		return err
	}
	r.Number = number
	return tx.add(`insert into revisions (`+revisionColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		r.ID, r.APIID, r.Number, r.Description, r.Digest, asJSON(apiDocument(&r.API)), r.API.Definition, r.API.Opaque, r.API.RowVersion,
		(*instant)(&r.CreatedAt), r.CreatedBy)
}

// Revision returns a revision of an API.
func (tx *Tx) Revision(apiID, revisionID string) (sluice.Revision, error) {
	return one(tx, "revision", revisionFields, `select `+revisionColumns+` from revisions where api_id = $1 and id = $2`, apiID, revisionID)
}

// RevisionByID returns a revision of any API of the organization.
func (tx *Tx) RevisionByID(org, revisionID string) (sluice.Revision, error) {
	return one(tx, "revision", revisionFields, `select `+revisionColumns+` from revisions
		where id = $1 and api_id in (select id from apis where organization = $2)`, revisionID, org)
}

// Revisions returns the revisions of an API by number, the newest last.
func (tx *Tx) Revisions(apiID string) ([]sluice.Revision, error) {
	return query(tx, revisionFields, `select `+revisionColumns+` from revisions where api_id = $1 order by number`, apiID)
}

// DeleteRevision deletes a revision; Conflict "revision.deployed" where an
// environment has it.
func (tx *Tx) DeleteRevision(apiID, revisionID string) error {
	err := tx.change("revision", `delete from revisions where api_id = $1 and id = $2`, apiID, revisionID)
	return inUse(err, "revision.deployed", "The revision is deployed; undeploy it first.")
}
