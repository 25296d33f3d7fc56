package control

import (
	"context"
	"unicode/utf8"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// CreateRevision freezes the working copy of an API. An API has at most
// [sluice.MaxRevisions].
func (p *Plane) CreateRevision(ctx context.Context, apiID, description string) (r sluice.Revision, err error) {
	actor, err := allow(ctx, makers...)
	if err != nil {
		return r, err
	}
	if utf8.RuneCountInString(description) > 255 {
		return r, sluice.Errorf(sluice.Invalid, "revision.description", "A description has at most 255 characters.").At("description")
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := readable(tx, actor, apiID)
		if err != nil {
			return err
		}
		list, err := tx.Revisions(apiID)
		if err != nil {
			return err
		}
		if len(list) >= sluice.MaxRevisions {
			return tooManyRevisions()
		}
		r, err = p.freeze(ctx, tx, actor, &a, sluice.NewID(p.now()), description)
		return err
	})
	return r, err
}

func tooManyRevisions() error {
	return sluice.Errorf(sluice.Conflict, "revision.limit", "An API has at most %d revisions; delete one that is not deployed.", sluice.MaxRevisions)
}

// freeze makes a revision of the working copy of an API.
func (p *Plane) freeze(ctx context.Context, tx *database.Tx, actor sluice.Actor, a *sluice.API, id, description string) (sluice.Revision, error) {
	r := sluice.Revision{
		ID: id, APIID: a.ID, Description: description, Digest: digest(a), API: *a, CreatedAt: p.now(), CreatedBy: actor.Name,
	}
	if err := tx.AddRevision(&r); err != nil {
		return r, err
	}
	return r, audit(ctx, tx, "revision.create", "revision", r.ID, a.Name+" "+a.Version, nil, r.Digest)
}

// Revisions returns the revisions of an API, the newest last.
func (p *Plane) Revisions(ctx context.Context, apiID string) (list []sluice.Revision, err error) {
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return nil, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if _, err := readable(tx, actor, apiID); err != nil {
			return err
		}
		list, err = tx.Revisions(apiID)
		return err
	})
	return list, err
}

// Revision returns one revision of an API.
func (p *Plane) Revision(ctx context.Context, apiID, revisionID string) (r sluice.Revision, err error) {
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return r, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if _, err := readable(tx, actor, apiID); err != nil {
			return err
		}
		r, err = tx.Revision(apiID, revisionID)
		return err
	})
	return r, err
}

// DeleteRevision deletes a revision that is deployed nowhere.
func (p *Plane) DeleteRevision(ctx context.Context, apiID, revisionID string) error {
	actor, err := allow(ctx, makers...)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := readable(tx, actor, apiID)
		if err != nil {
			return err
		}
		if err := idle(tx, actor.Organization, apiID); err != nil { // it may be what is gone back to
			return err
		}
		r, err := tx.Revision(apiID, revisionID)
		if err != nil {
			return err
		}
		deployments, err := tx.Deployments(apiID)
		if err != nil {
			return err
		}
		for _, d := range deployments {
			if d.RevisionID == revisionID {
				return sluice.Errorf(sluice.Conflict, "revision.deployed", "Revision %d is deployed; undeploy it first.", r.Number)
			}
		}
		if err := tx.DeleteRevision(apiID, revisionID); err != nil {
			return err
		}
		return audit(ctx, tx, "revision.delete", "revision", r.ID, a.Name+" "+a.Version, r.Digest, nil)
	})
}

// RestoreRevision copies a revision into the working copy of its API; id, owner,
// lifecycle state and deployments stay. What it names and is there no more
// (tiers, categories, roles) is refused by name.
func (p *Plane) RestoreRevision(ctx context.Context, apiID, revisionID string) (a sluice.API, err error) {
	actor, err := allow(ctx, makers...)
	if err != nil {
		return a, err
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		old, err := changeable(tx, actor, apiID, 0)
		if err != nil {
			return err
		}
		r, err := tx.Revision(apiID, revisionID)
		if err != nil {
			return err
		}
		a = r.API
		return p.putAPI(ctx, tx, actor, "api.restore", &old, &a)
	})
	return a, err
}
