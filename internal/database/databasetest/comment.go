package databasetest

import (
	"errors"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// newComment returns a comment with a value in every field but that it answers
// no other; n says how many seconds after start it was made.
func newComment(id, apiID string, n int) *sluice.Comment {
	return &sluice.Comment{
		ID: id, APIID: apiID, Content: "It is\nfine.", Category: "general", Entry: "devPortal", Author: "anna", CreatedAt: start().Add(time.Duration(n) * time.Second),
	}
}

func testComments(t *testing.T, db *database.DB) {
	first, second, elsewhere := newComment("c1", "a1", 0), newComment("c2", "a1", 1), newComment("c3", "a2", 0)
	early, late := newComment("r1", "a1", 2), newComment("r2", "a1", 3)
	early.ParentID, late.ParentID = "c1", "c1"
	all(t, db, addAPI("a1", "weather"), addAPI("a2", "pizza"), func(tx *database.Tx) error {
		return errors.Join(tx.AddComment(first), tx.AddComment(second), tx.AddComment(elsewhere), tx.AddComment(late), tx.AddComment(early))
	})
	same(t, "Comment", read(t, db, func(tx *database.Tx) (sluice.Comment, error) { return tx.Comment("a1", "r1") }), *early)
	page := func(get func(tx *database.Tx) ([]sluice.Comment, int, error)) (ids []string, total int) {
		list := read(t, db, func(tx *database.Tx) (list []sluice.Comment, err error) { list, total, err = get(tx); return list, err })
		return names(list, func(c sluice.Comment) string { return c.ID }), total
	}
	ids, total := page(func(tx *database.Tx) ([]sluice.Comment, int, error) { return tx.Comments("a1", 0, 0) })
	same(t, "Comments", ids, []string{"c2", "c1"})
	same(t, "number of Comments", total, 2)
	ids, total = page(func(tx *database.Tx) ([]sluice.Comment, int, error) { return tx.Comments("a1", 1, 1) })
	same(t, "a page of Comments", ids, []string{"c1"})
	same(t, "number of Comments beside a page", total, 2)
	ids, total = page(func(tx *database.Tx) ([]sluice.Comment, int, error) { return tx.Replies("a1", "c1", 0, 0) })
	same(t, "Replies", ids, []string{"r1", "r2"})
	same(t, "number of Replies", total, 2)
	ids, total = page(func(tx *database.Tx) ([]sluice.Comment, int, error) { return tx.Replies("a1", "c1", 1, 1) })
	same(t, "a page of Replies", ids, []string{"r2"})
	same(t, "number of Replies beside a page", total, 2)
	_, total = page(func(tx *database.Tx) ([]sluice.Comment, int, error) { return tx.Replies("a2", "c1", 0, 0) })
	same(t, "Replies by another API", total, 0)

	first.Content, first.Category, first.UpdatedAt = "It is not.", "bug report", start().Add(time.Minute)
	update(t, db, func(tx *database.Tx) error { return tx.PutComment(first) })
	same(t, "row version", first.RowVersion, int64(2))
	same(t, "Comment after Put", read(t, db, func(tx *database.Tx) (sluice.Comment, error) { return tx.Comment("a1", "c1") }), *first)
	refused(t, db, sluice.Changed, "changed", func(tx *database.Tx) error { old := *first; old.RowVersion = 1; return tx.PutComment(&old) })
	for name, f := range map[string]func(tx *database.Tx) error{
		"Comment":       func(tx *database.Tx) error { _, err := tx.Comment("a2", "c1"); return err },
		"PutComment":    func(tx *database.Tx) error { return tx.PutComment(newComment("c1", "a2", 0)) },
		"DeleteComment": func(tx *database.Tx) error { return tx.DeleteComment("a2", "c1") },
	} {
		t.Run(name+" by another API", func(t *testing.T) { refused(t, db, sluice.NotFound, "comment.unknown", f) })
	}

	// A comment takes its answers with it, an API its comments.
	all(t, db, func(tx *database.Tx) error { return tx.DeleteComment("a1", "c1") }, func(tx *database.Tx) error { return tx.DeleteAPI(org, "a2") })
	for id, api := range map[string]string{"c1": "a1", "r1": "a1", "c3": "a2"} {
		refused(t, db, sluice.NotFound, "comment.unknown", func(tx *database.Tx) error { _, err := tx.Comment(api, id); return err })
	}
}

func testRatings(t *testing.T, db *database.DB) {
	rate := func(id, api, user string, stars, second int) sluice.Rating {
		var r sluice.Rating
		update(t, db, func(tx *database.Tx) (err error) {
			r, err = tx.PutRating(sluice.Rating{ID: id, APIID: api, User: user, Stars: stars, At: start().Add(time.Duration(second) * time.Second)})
			return err
		})
		return r
	}
	all(t, db, addAPI("a1", "weather"), addAPI("a2", "pizza"), addAPI("a3", "music"))
	rate("r1", "a1", "anna", 1, 0)
	rate("r2", "a1", "bert", 4, 1)
	rate("r3", "a2", "anna", 2, 0)
	again := rate("r4", "a1", "anna", 5, 2)
	same(t, "another rating", again, sluice.Rating{ID: "r1", APIID: "a1", User: "anna", Stars: 5, At: start().Add(2 * time.Second), RowVersion: 2})
	same(t, "Rating", read(t, db, func(tx *database.Tx) (sluice.Rating, error) { return tx.Rating("a1", "anna") }), again)
	total := 0
	ratings := func(limit, offset int) []string {
		list := read(t, db, func(tx *database.Tx) (list []sluice.Rating, err error) {
			list, total, err = tx.Ratings("a1", limit, offset)
			return list, err
		})
		return names(list, func(r sluice.Rating) string { return r.ID })
	}
	same(t, "Ratings", ratings(0, 0), []string{"r1", "r2"})
	same(t, "a page of Ratings", ratings(1, 1), []string{"r2"})
	same(t, "number of Ratings", total, 2)
	average := func(org string, ids ...string) map[string]float64 {
		return read(t, db, func(tx *database.Tx) (map[string]float64, error) { return tx.AverageRatings(org, ids) })
	}
	same(t, "AverageRatings", average(org, "a1", "a2", "a3"), map[string]float64{"a1": 4.5, "a2": 2})
	same(t, "AverageRatings elsewhere", average("o2", "a1"), map[string]float64{})
	same(t, "AverageRatings of none", average(org), map[string]float64{})

	refused(t, db, sluice.NotFound, "rating.unknown", func(tx *database.Tx) error { return tx.DeleteRating("a2", "bert") })
	all(t, db, func(tx *database.Tx) error { return tx.DeleteRating("a1", "bert") }, func(tx *database.Tx) error { return tx.DeleteAPI(org, "a2") })
	refused(t, db, sluice.NotFound, "rating.unknown", func(tx *database.Tx) error { _, err := tx.Rating("a2", "anna"); return err })
	same(t, "Ratings left", ratings(0, 0), []string{"r1"})
}

func testTags(t *testing.T, db *database.DB) {
	one, two, restricted := newAPI("a1", "weather"), newAPI("a2", "pizza"), newAPI("a3", "music")
	one.Tags, two.Tags, restricted.Tags = []string{"b", "a"}, []string{"b"}, []string{"c"}
	restricted.Visibility, restricted.VisibleRoles = sluice.Restricted, []sluice.Role{"team"}
	update(t, db, func(tx *database.Tx) error { return errors.Join(tx.AddAPI(one), tx.AddAPI(two), tx.AddAPI(restricted)) })
	tags := func(f database.APIFilter) []sluice.Tag {
		return read(t, db, func(tx *database.Tx) ([]sluice.Tag, error) { return tx.Tags(f) })
	}
	same(t, "Tags", tags(database.APIFilter{Organization: org, StoreRoles: []sluice.Role{}}), []sluice.Tag{{Name: "a", Count: 1}, {Name: "b", Count: 2}})
	same(t, "Tags with a role", tags(database.APIFilter{Organization: org, StoreRoles: []sluice.Role{"team"}})[2:], []sluice.Tag{{Name: "c", Count: 1}})
	same(t, "Tags elsewhere", tags(database.APIFilter{Organization: "o2"}), []sluice.Tag{})
}
