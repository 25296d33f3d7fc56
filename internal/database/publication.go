package database

import (
	"math"
	"time"

	"github.com/sluice-api/sluice"
)

const publicationColumns = `id, organization, api_id, action, mode, state, reason, revision_id, revision_number, plan_digest, reverts, actor, undo, targets, created_at, committed_at, finished_at`

func publicationFields(p *sluice.Publication) []any {
	return []any{
		&p.ID, &p.Organization, &p.APIID, &p.Action, &p.Mode, &p.State, &p.Reason, &p.RevisionID, &p.RevisionNumber, &p.PlanDigest, &p.Reverts, &p.Actor,
		asJSON(&p.Undo), asJSON(&p.Targets), (*instant)(&p.CreatedAt), (*instant)(&p.CommittedAt), (*instant)(&p.FinishedAt),
	}
}

// AddPublication stores a new publication.
func (tx *Tx) AddPublication(p *sluice.Publication) error {
	return tx.add(`insert into publications (`+publicationColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`, publicationFields(p)...)
}

// PutPublication stores all of a publication that exists.
func (tx *Tx) PutPublication(p *sluice.Publication) error {
	return tx.change("publication", `update publications set (`+publicationColumns+`) = ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
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

// PublicationFilter says which publications FindPublications returns. What is zero
// does not matter.
type PublicationFilter struct {
	Organization  string // must be given
	APIID         string // of the publication, or one of its targets
	EnvironmentID string // one of its targets
	State         string
	From, To      time.Time // when it was made: From itself, but not To
	Offset        int
	Limit         int // zero: all
}

// FindPublications returns a page of publications, the newest first, and how many
// there are on all pages.
func (tx *Tx) FindPublications(f PublicationFilter) (list []sluice.Publication, total int, err error) {
	const where = `organization = $1 and ($2 in ('', api_id) or targets like $7 escape '\') and $3 in ('', state) and created_at >= $4 and created_at < $5 and targets like $6 escape '\'`
	to, target := int64(math.MaxInt64), "%"
	if !f.To.IsZero() {
		to = f.To.UnixMicro()
	}
	if f.EnvironmentID != "" {
		target = containing(`"environment_id":"` + f.EnvironmentID + `"`)
	}
	args := []any{f.Organization, f.APIID, f.State, instant(f.From), to, target, containing(`"api_id":"` + f.APIID + `"`)}
	count, err := tx.number(`select count(*) from publications where `+where, args...)
	if err != nil {
		return nil, 0, err
	}
	list, err = query(tx, publicationFields, `select `+publicationColumns+` from publications where `+where+`
		order by created_at desc, id desc limit $8 offset $9`, append(args, atMost(f.Limit), f.Offset)...)
	return list, int(count), err
}

// UnfinishedPublications returns the publications of all organizations that are
// not final, the oldest first.
func (tx *Tx) UnfinishedPublications() ([]sluice.Publication, error) {
	return query(tx, publicationFields, `select `+publicationColumns+` from publications where state in ($1, $2, $3) order by created_at, id`,
		string(sluice.Preparing), string(sluice.Confirming), string(sluice.Reverting))
}
