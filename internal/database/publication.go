package database

import "github.com/sluice-api/sluice"

const publicationColumns = `id, organization, api_id, action, mode, state, reason, revision_id, revision_number, actor, targets, created_at, committed_at, finished_at`

func publicationFields(p *sluice.Publication) []any {
	return []any{
		&p.ID, &p.Organization, &p.APIID, &p.Action, &p.Mode, &p.State, &p.Reason, &p.RevisionID, &p.RevisionNumber, &p.Actor,
		asJSON(&p.Targets), (*instant)(&p.CreatedAt), (*instant)(&p.CommittedAt), (*instant)(&p.FinishedAt),
	}
}

// AddPublication stores a new publication.
func (tx *Tx) AddPublication(p *sluice.Publication) error {
	return tx.add(`insert into publications (`+publicationColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`, publicationFields(p)...)
}

// PutPublication stores all of a publication that exists.
func (tx *Tx) PutPublication(p *sluice.Publication) error {
	return tx.change("publication", `update publications set (`+publicationColumns+`) = ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
		where id = $1 and organization = $2`, publicationFields(p)...)
}

// Publication returns the publication with the id.
func (tx *Tx) Publication(org, id string) (sluice.Publication, error) {
	return one(tx, "publication", publicationFields, `select `+publicationColumns+` from publications where organization = $1 and id = $2`, org, id)
}

// Publications returns the publications of an API (of all where apiID is "") in a
// state (in any where it is ""), the newest first; all where limit is zero.
func (tx *Tx) Publications(org, apiID, state string, offset, limit int) ([]sluice.Publication, error) {
	return query(tx, publicationFields, `select `+publicationColumns+` from publications
		where organization = $1 and $2 in ('', api_id) and $3 in ('', state) order by created_at desc, id desc limit $4 offset $5`,
		org, apiID, state, atMost(limit), offset)
}

// UnfinishedPublications returns the publications of all organizations that are
// not final, the oldest first.
func (tx *Tx) UnfinishedPublications() ([]sluice.Publication, error) {
	return query(tx, publicationFields, `select `+publicationColumns+` from publications where state = $1 order by created_at, id`, string(sluice.Confirming))
}
