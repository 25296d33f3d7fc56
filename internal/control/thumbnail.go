package control

import (
	"bytes"
	"context"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// Thumbnail returns the picture of an API, or of the API of a revision, in the
// Publisher.
func (p *Plane) Thumbnail(ctx context.Context, id string) (t sluice.Thumbnail, err error) {
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return t, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		a, _, err := readableOrFrozen(tx, actor, id)
		if err != nil {
			return err
		}
		t, err = tx.Thumbnail(a.ID)
		return err
	})
	return t, err
}

// StoreThumbnail returns the picture of an API that the Store shows the actor.
func (p *Plane) StoreThumbnail(ctx context.Context, apiID string) (t sluice.Thumbnail, err error) {
	actor := reader(ctx)
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if err := inStore(tx, actor, apiID); err != nil {
			return err
		}
		t, err = tx.Thumbnail(apiID)
		return err
	})
	return t, err
}

// WithThumbnail returns which of the APIs with the ids have a picture; they are
// those that the caller was shown.
func (p *Plane) WithThumbnail(ctx context.Context, ids []string) (with []string, err error) {
	actor := reader(ctx)
	err = p.db.View(ctx, func(tx *database.Tx) error {
		with, err = tx.WithThumbnail(actor.Organization, ids)
		return err
	})
	return with, err
}

// PutThumbnail stores the picture of an API: PNG, JPEG, GIF or BMP, which its
// first bytes say, of at most [MaxThumbnail].
func (p *Plane) PutThumbnail(ctx context.Context, apiID string, ifMatch int64, picture []byte) (t sluice.Thumbnail, err error) {
	actor, err := allow(ctx, makers...)
	if err != nil {
		return t, err
	}
	if len(picture) > MaxThumbnail {
		return t, sluice.Errorf(sluice.Invalid, "thumbnail.size", "A thumbnail has at most %d MB.", MaxThumbnail>>20).At("file")
	}
	kind := pictureType(picture)
	if kind == "" {
		return t, sluice.Errorf(sluice.Invalid, "thumbnail.type", "A thumbnail is a picture: PNG, JPEG, GIF or BMP.").At("file")
	}
	t = sluice.Thumbnail{APIID: apiID, MediaType: kind, Body: picture, UpdatedAt: p.now()}
	return t, p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := changeable(tx, actor, apiID, ifMatch)
		if err != nil {
			return err
		}
		if err := tx.PutThumbnail(&t); err != nil {
			return err
		}
		a.UpdatedAt = p.now() // who has read the API reads it again: it has a picture
		if err := tx.PutAPI(&a); err != nil {
			return err
		}
		return audit(ctx, tx, "thumbnail.change", "api", a.ID, a.Name+" "+a.Version, nil, t)
	})
}

// pictureType returns the media type of a picture, "" for all else.
func pictureType(b []byte) string {
	for _, k := range []struct{ begin, kind string }{
		{"\x89PNG\r\n\x1a\n", "image/png"}, {"\xff\xd8\xff", "image/jpeg"}, {"GIF87a", "image/gif"}, {"GIF89a", "image/gif"}, {"BM", "image/bmp"},
	} {
		if bytes.HasPrefix(b, []byte(k.begin)) && len(b) > 20 {
			return k.kind
		}
	}
	return ""
}
