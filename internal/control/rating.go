package control

import (
	"context"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// maxStars is the best rating.
const maxStars = 5

// Ratings is a page of what users say of an API.
type Ratings struct {
	List    []sluice.Rating // the newest first
	Total   int
	Average float64 // of all of them; 0 where there are none
	Own     int     // stars that the actor gave; 0: none
}

// Ratings returns a page of the ratings of an API that the Store shows the actor,
// who may be anonymous.
func (p *Plane) Ratings(ctx context.Context, apiID string, page Page) (r Ratings, err error) {
	actor := reader(ctx)
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if err := inStore(tx, actor, apiID); err != nil {
			return err
		}
		if r.List, r.Total, err = tx.Ratings(apiID, page.limit(), page.Offset); err != nil {
			return err
		}
		averages, err := tx.AverageRatings(actor.Organization, []string{apiID})
		if err != nil {
			return err
		}
		r.Average = averages[apiID]
		own, err := ownRating(tx, actor, apiID)
		r.Own = own.Stars
		return err
	})
	return r, err
}

// ownRating returns what the actor said of an API; without stars where that is
// nothing.
func ownRating(tx *database.Tx, actor sluice.Actor, apiID string) (sluice.Rating, error) {
	none := sluice.Rating{APIID: apiID, User: actor.Name}
	if !actor.Known() {
		return none, nil
	}
	r, err := tx.Rating(apiID, actor.Name)
	if sluice.IsNotFound(err) {
		return none, nil
	}
	return r, err
}

// AverageRatings returns the average number of stars of those of the APIs with
// the ids that were rated; they are those that the caller was shown.
func (p *Plane) AverageRatings(ctx context.Context, ids []string) (averages map[string]float64, err error) {
	actor := reader(ctx)
	err = p.db.View(ctx, func(tx *database.Tx) error {
		averages, err = tx.AverageRatings(actor.Organization, ids)
		return err
	})
	return averages, err
}

// UserRating returns what the actor said of an API that the Store shows them;
// without an id and stars where that is nothing.
func (p *Plane) UserRating(ctx context.Context, apiID string) (r sluice.Rating, err error) {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return r, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if err := inStore(tx, actor, apiID); err != nil {
			return err
		}
		r, err = ownRating(tx, actor, apiID)
		return err
	})
	return r, err
}

// Rate stores how the actor likes an API that the Store shows them: 1 to 5 stars;
// 0 takes back what they said. ifMatch is the row version the caller saw; 0:
// whatever it is.
func (p *Plane) Rate(ctx context.Context, apiID string, stars int, ifMatch int64) (r sluice.Rating, err error) {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return r, err
	}
	if stars < 0 || stars > maxStars {
		return r, sluice.Errorf(sluice.Invalid, "rating.stars", "A rating is 1 to %d; 0 takes it back.", maxStars).At("rating")
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := seen(tx, actor, apiID)
		if err != nil {
			return err
		}
		old, err := ownRating(tx, actor, a.ID)
		if err != nil {
			return err
		}
		if ifMatch != 0 && ifMatch != old.RowVersion {
			return sluice.Errorf(sluice.Changed, "changed", "You changed the rating elsewhere in the meantime; read it again.")
		}
		r = sluice.Rating{APIID: a.ID, User: actor.Name}
		switch {
		case stars == 0 && old.Stars == 0:
			return nil
		case stars == 0:
			if err := tx.DeleteRating(a.ID, actor.Name); err != nil {
				return err
			}
			return audit(ctx, tx, "rating.delete", "rating", old.ID, a.Name+" "+a.Version, old, nil)
		}
		r.ID, r.Stars, r.At = sluice.NewID(p.now()), stars, p.now()
		if r, err = tx.PutRating(r); err != nil {
			return err
		}
		return audit(ctx, tx, "rating.change", "rating", r.ID, a.Name+" "+a.Version, old, r)
	})
	return r, err
}
