package control

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// comment writes a comment of a user on an API, or an answer.
func (w *world) comment(ctx context.Context, apiID, parent, content string) sluice.Comment {
	w.t.Helper()
	c, err := w.plane.AddComment(ctx, sluice.Comment{APIID: apiID, ParentID: parent, Content: content})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func TestComments(t *testing.T) {
	w := newWorld(t)
	a, other := w.published("Weather"), w.published("Music")
	sam, tess := w.as("sam", sluice.Subscriber), w.as("tess", sluice.Subscriber)
	first := w.comment(sam, a.ID, "", "It is fine.")
	if first.Author != "sam" || first.Category != "general" || first.Entry != "devPortal" || !first.UpdatedAt.IsZero() || first.RowVersion != 1 {
		t.Errorf("made %+v", first)
	}
	w.clock.advance(time.Second)
	reply := w.comment(tess, a.ID, first.ID, "It is not.")
	_, err := w.plane.AddComment(sam, sluice.Comment{APIID: a.ID, ParentID: reply.ID, Content: "It is!"})
	wantCode(t, "an answer to an answer", err, sluice.Invalid, "comment.reply")
	_, err = w.plane.AddComment(sam, sluice.Comment{APIID: other.ID, ParentID: first.ID, Content: "It is!"})
	wantCode(t, "an answer to a comment on another API", err, sluice.NotFound, "comment.unknown")
	for name, content := range map[string]string{
		"nothing": "", "blanks": " \n", "too much": strings.Repeat("ä", 513), "a bell": "a\a", "no text": "a\xff",
	} {
		_, err := w.plane.AddComment(sam, sluice.Comment{APIID: a.ID, Content: content})
		wantCode(t, name, err, sluice.Invalid, "comment.content")
	}
	w.comment(sam, other.ID, "", strings.Repeat("ä", 512))
	_, err = w.plane.AddComment(sam, sluice.Comment{APIID: a.ID, Content: "a", Category: strings.Repeat("a", 51)})
	wantCode(t, "a long category", err, sluice.Invalid, "comment.category")

	list, total, err := w.plane.Comments(t.Context(), a.ID, Page{}, Page{})
	if err != nil || total != 1 || len(list) != 1 || list[0].Comment.ID != first.ID || list[0].Comment.Content != first.Content || list[0].Total != 1 || list[0].Replies[0].ID != reply.ID {
		t.Errorf("an anonymous reader sees %+v, %d, %v", list, total, err)
	}
	if one, err := w.plane.Comment(t.Context(), a.ID, reply.ID, Page{}); err != nil || one.Comment.ID != reply.ID || one.Total != 0 {
		t.Errorf("an answer by itself: %+v, %v", one, err)
	}
	_, err = w.plane.Comment(t.Context(), other.ID, first.ID, Page{})
	wantCode(t, "a comment by another API", err, sluice.NotFound, "comment.unknown")

	// The author changes it; an administrator may only delete it.
	better := "It is very fine."
	for name, ctx := range map[string]context.Context{"another subscriber": tess, "an administrator": w.admin()} {
		_, err = w.plane.ChangeComment(ctx, a.ID, first.ID, &better, nil, 0)
		wantCode(t, "a change by "+name, err, sluice.Forbidden, "comment.moderator")
	}
	changed, err := w.plane.ChangeComment(sam, a.ID, first.ID, &better, nil, 1)
	if err != nil || changed.Content != better || changed.Category != "general" || changed.UpdatedAt.IsZero() || changed.RowVersion != 2 {
		t.Errorf("changed: %+v, %v", changed, err)
	}
	_, err = w.plane.ChangeComment(sam, a.ID, first.ID, &better, nil, 1)
	wantCode(t, "an old row version", err, sluice.Changed, "changed")
	wantCode(t, "deleting by another subscriber", w.plane.DeleteComment(tess, a.ID, first.ID, 0), sluice.Forbidden, "comment.moderator")
	wantCode(t, "deleting by a publisher", w.plane.DeleteComment(w.as("paul", sluice.Publisher, sluice.Subscriber), a.ID, first.ID, 0), sluice.Forbidden, "comment.moderator")
	if err := w.plane.DeleteComment(tess, a.ID, reply.ID, 0); err != nil {
		t.Errorf("deleting by its author: %v", err)
	}
	if err := w.plane.DeleteComment(w.admin(), a.ID, first.ID, 2); err != nil {
		t.Errorf("deleting by an administrator: %v", err)
	}
	if _, total, err := w.plane.Comments(t.Context(), a.ID, Page{}, Page{}); total != 0 || err != nil {
		t.Errorf("left: %d, %v", total, err)
	}
}

func TestRatings(t *testing.T) {
	w := newWorld(t)
	a := w.published("Weather")
	sam, tess := w.as("sam", sluice.Subscriber), w.as("tess", sluice.Subscriber)
	for _, stars := range []int{-1, 6} {
		_, err := w.plane.Rate(sam, a.ID, stars, 0)
		wantCode(t, "strange stars", err, sluice.Invalid, "rating.stars")
	}
	if r, err := w.plane.UserRating(sam, a.ID); err != nil || r != (sluice.Rating{APIID: a.ID, User: "sam"}) {
		t.Errorf("before: %+v, %v", r, err)
	}
	first, err := w.plane.Rate(sam, a.ID, 1, 0)
	if err != nil || first.User != "sam" || first.Stars != 1 || first.RowVersion != 1 {
		t.Errorf("rated: %+v, %v", first, err)
	}
	_, err = w.plane.Rate(sam, a.ID, 2, 9)
	wantCode(t, "another row version", err, sluice.Changed, "changed")
	if again, err := w.plane.Rate(sam, a.ID, 4, 1); err != nil || again.ID != first.ID || again.RowVersion != 2 {
		t.Errorf("rated again: %+v, %v", again, err)
	}
	if _, err := w.plane.Rate(tess, a.ID, 5, 0); err != nil {
		t.Fatal(err)
	}
	if r, err := w.plane.Ratings(sam, a.ID, Page{}); err != nil || r.Total != 2 || len(r.List) != 2 || r.Average != 4.5 || r.Own != 4 {
		t.Errorf("sam sees %+v, %v", r, err)
	}
	if averages, err := w.plane.AverageRatings(t.Context(), []string{a.ID}); err != nil || averages[a.ID] != 4.5 {
		t.Errorf("averages: %v, %v", averages, err)
	}
	for range 2 { // taking back nothing is no error
		if _, err := w.plane.Rate(tess, a.ID, 0, 0); err != nil {
			t.Error(err)
		}
	}
	if r, err := w.plane.Ratings(t.Context(), a.ID, Page{}); err != nil || r.Total != 1 || r.Average != 4 || r.Own != 0 {
		t.Errorf("an anonymous reader sees %+v, %v", r, err)
	}
}

// Who sees an API reads what is said of it; nobody else.
func TestCommentsAreSeenAsTheAPIIs(t *testing.T) {
	w := newWorld(t)
	a := w.published("Weather")
	sam := w.as("sam", sluice.Subscriber)
	c := w.comment(sam, a.ID, "", "It is fine.")
	if _, err := w.plane.Rate(sam, a.ID, 3, 0); err != nil {
		t.Fatal(err)
	}
	w.update(func(tx *database.Tx) error {
		b, err := tx.API(a.Organization, a.ID)
		if err != nil {
			return err
		}
		b.Visibility, b.VisibleRoles = sluice.Restricted, []sluice.Role{"team"}
		return tx.PutAPI(&b)
	})
	calls := map[string]func(ctx context.Context) error{
		"Comments":   func(ctx context.Context) error { _, _, err := w.plane.Comments(ctx, a.ID, Page{}, Page{}); return err },
		"Comment":    func(ctx context.Context) error { _, err := w.plane.Comment(ctx, a.ID, c.ID, Page{}); return err },
		"Ratings":    func(ctx context.Context) error { _, err := w.plane.Ratings(ctx, a.ID, Page{}); return err },
		"UserRating": func(ctx context.Context) error { _, err := w.plane.UserRating(ctx, a.ID); return err },
		"Rate":       func(ctx context.Context) error { _, err := w.plane.Rate(ctx, a.ID, 5, 0); return err },
		"AddComment": func(ctx context.Context) error {
			_, err := w.plane.AddComment(ctx, sluice.Comment{APIID: a.ID, Content: "a"})
			return err
		},
		"ChangeComment": func(ctx context.Context) error {
			_, err := w.plane.ChangeComment(ctx, a.ID, c.ID, nil, nil, 0)
			return err
		},
		"DeleteComment": func(ctx context.Context) error { return w.plane.DeleteComment(ctx, a.ID, c.ID, 0) },
	}
	for name, call := range calls {
		if err := call(sam); !sluice.IsNotFound(err) {
			t.Errorf("%s without the role: %v, want not found", name, err)
		}
		if err := call(w.of("acme", "root", sluice.Administrator)); !sluice.IsNotFound(err) {
			t.Errorf("%s in another organization: %v, want not found", name, err)
		}
	}
	if err := calls["Comment"](w.as("tim", sluice.Subscriber, "team")); err != nil {
		t.Errorf("with the role: %v", err)
	}
	if averages, err := w.plane.AverageRatings(w.of("acme", "root", sluice.Administrator), []string{a.ID}); err != nil || len(averages) != 0 {
		t.Errorf("averages in another organization: %v, %v", averages, err)
	}
}
