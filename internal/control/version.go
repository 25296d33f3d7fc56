package control

import (
	"context"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// CopyAPI makes a new version of an API: its working copy, documents and
// thumbnail, in state CREATED and deployed nowhere, owned by the actor. byDefault
// says whether it shall also answer without the version in the path, once it is
// published. Conflict is "api.version_exists".
func (p *Plane) CopyAPI(ctx context.Context, apiID, version string, byDefault bool) (sluice.API, error) {
	actor, err := allow(ctx, creators...)
	if err != nil {
		return sluice.API{}, err
	}
	var a sluice.API
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		if a, err = readable(tx, actor, apiID); err != nil {
			return err
		}
		from := a.ID
		a.ID, a.Owner, a.State, a.Version, a.Default = sluice.NewID(p.now()), actor.Name, sluice.Created, version, byDefault
		a.RowVersion, a.CreatedAt, a.UpdatedAt = 0, p.now(), p.now()
		if err := a.Validate(); err != nil {
			return err
		}
		if err := p.checkEndpoints(tx, &a); err != nil {
			return err
		}
		versions, err := tx.APIVersions(a.Organization, a.Name)
		if err != nil {
			return err
		}
		for _, v := range versions {
			if strings.EqualFold(v.Version, version) {
				return sluice.Errorf(sluice.Conflict, "api.version_exists", "The API %s has a version %s already.", a.Name, v.Version).At("newVersion")
			}
		}
		if err := addAPI(ctx, tx, actor, &a); err != nil {
			return err
		}
		return p.copyDocuments(tx, from, a.ID)
	})
	return a, err
}

// copyDocuments gives an API the documents and the thumbnail of another.
func (p *Plane) copyDocuments(tx *database.Tx, from, to string) error {
	list, err := tx.Documents(from)
	if err != nil {
		return err
	}
	for _, d := range list {
		content, err := tx.DocumentContent(d.ID)
		if err != nil {
			return err
		}
		d.ID, d.APIID = sluice.NewID(p.now()), to
		if err := tx.AddDocument(&d, content); err != nil {
			return err
		}
	}
	t, err := tx.Thumbnail(from)
	if sluice.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	t.APIID = to
	return tx.PutThumbnail(&t)
}

// Taken reports whether an API has all of what is not empty of name, version and
// context. Whether the actor may see that API makes no difference: they could
// not take its place.
func (p *Plane) Taken(ctx context.Context, name, version, path string) (taken bool, err error) {
	actor, err := allow(ctx, creators...)
	if err != nil {
		return false, err
	}
	if name+path == "" {
		return false, sluice.Errorf(sluice.Invalid, "search", "Ask for a name or a context.").At("query")
	}
	f := APIFilter{Organization: actor.Organization, Limit: 1}
	for attribute, value := range map[string]string{"name": name, "version": version, "context": path} {
		if value != "" {
			f.Query = append(f.Query, Term{Attribute: attribute, Value: value, Match: database.Exact})
		}
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		_, n, err := tx.FindAPIs(f)
		taken = n > 0
		return err
	})
	return taken, err
}
