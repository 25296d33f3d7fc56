package control

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// Limits of comments, in characters.
const (
	maxComment  = 512
	maxCategory = 50
)

// fromStore is the Entry of a comment that was written in the API Store.
const fromStore = "devPortal"

// Thread is a comment with a page of the answers to it, the oldest first.
type Thread struct {
	Comment sluice.Comment
	Replies []sluice.Comment
	Total   int // how many answers there are
}

// Comments returns a page of the comments on an API that the Store shows the
// actor, who may be anonymous, the newest first and each with a page of the
// answers to it; and how many comments there are.
func (p *Plane) Comments(ctx context.Context, apiID string, page, replies Page) (list []Thread, total int, err error) {
	actor := reader(ctx)
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if err := inStore(tx, actor, apiID); err != nil {
			return err
		}
		var found []sluice.Comment
		if found, total, err = tx.Comments(apiID, page.limit(), page.Offset); err != nil {
			return err
		}
		for _, c := range found {
			t, err := thread(tx, c, replies)
			if err != nil {
				return err
			}
			list = append(list, t)
		}
		return nil
	})
	return list, total, err
}

// Comment returns one of them, or an answer to one.
func (p *Plane) Comment(ctx context.Context, apiID, id string, replies Page) (t Thread, err error) {
	actor := reader(ctx)
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if err := inStore(tx, actor, apiID); err != nil {
			return err
		}
		c, err := tx.Comment(apiID, id)
		if err != nil {
			return err
		}
		t, err = thread(tx, c, replies)
		return err
	})
	return t, err
}

func thread(tx *database.Tx, c sluice.Comment, page Page) (t Thread, err error) {
	t.Comment = c
	if c.ParentID == "" { // answers have none
		t.Replies, t.Total, err = tx.Replies(c.APIID, c.ID, page.limit(), page.Offset)
	}
	return t, err
}

// AddComment writes a comment on an API that the Store shows the actor, who
// becomes its author: APIID, Content and Category ("": general) of c, and in
// answer to the comment ParentID. Answers cannot be answered: Invalid
// "comment.reply".
func (p *Plane) AddComment(ctx context.Context, c sluice.Comment) (sluice.Comment, error) {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return sluice.Comment{}, err
	}
	c.ID, c.Entry, c.Author, c.CreatedAt, c.UpdatedAt = sluice.NewID(p.now()), fromStore, actor.Name, p.now(), sluice.Comment{}.UpdatedAt
	if err := checkComment(&c); err != nil {
		return sluice.Comment{}, err
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := seen(tx, actor, c.APIID)
		if err != nil {
			return err
		}
		if c.ParentID != "" {
			parent, err := tx.Comment(a.ID, c.ParentID)
			if err != nil {
				return err
			}
			if parent.ParentID != "" {
				return sluice.Errorf(sluice.Invalid, "comment.reply", "Answer the comment itself: an answer cannot be answered.").At("replyTo")
			}
		}
		if err := tx.AddComment(&c); err != nil {
			return err
		}
		return audit(ctx, tx, "comment.create", "comment", c.ID, a.Name+" "+a.Version, nil, c)
	})
	return c, err
}

// ChangeComment changes the content and the category of a comment of the actor;
// nil leaves it as it is. Of others' comments it is Forbidden. ifMatch is the row
// version the caller saw; 0: whatever it is.
func (p *Plane) ChangeComment(ctx context.Context, apiID, id string, content, category *string, ifMatch int64) (sluice.Comment, error) {
	var c sluice.Comment
	err := p.onComment(ctx, apiID, id, ifMatch, func(tx *database.Tx, actor sluice.Actor, a *sluice.API, old sluice.Comment) error {
		if old.Author != actor.Name {
			return sluice.Errorf(sluice.Forbidden, "comment.moderator", "Only its author changes a comment.")
		}
		c = old
		if content != nil {
			c.Content = *content
		}
		if category != nil {
			c.Category = *category
		}
		if err := checkComment(&c); err != nil {
			return err
		}
		c.UpdatedAt = p.now()
		if err := tx.PutComment(&c); err != nil {
			return err
		}
		return audit(ctx, tx, "comment.change", "comment", c.ID, a.Name+" "+a.Version, old, c)
	})
	return c, err
}

// DeleteComment deletes a comment with the answers to it. That is for its author
// and for administrators; for others it is Forbidden.
func (p *Plane) DeleteComment(ctx context.Context, apiID, id string, ifMatch int64) error {
	return p.onComment(ctx, apiID, id, ifMatch, func(tx *database.Tx, actor sluice.Actor, a *sluice.API, c sluice.Comment) error {
		if c.Author != actor.Name && !actor.Has() {
			return sluice.Errorf(sluice.Forbidden, "comment.moderator", "Only its author and administrators delete a comment.")
		}
		if err := tx.DeleteComment(a.ID, c.ID); err != nil {
			return err
		}
		return audit(ctx, tx, "comment.delete", "comment", c.ID, a.Name+" "+a.Version, c, nil)
	})
}

// onComment runs f with a comment that the actor can see.
func (p *Plane) onComment(ctx context.Context, apiID, id string, ifMatch int64, f func(tx *database.Tx, actor sluice.Actor, a *sluice.API, c sluice.Comment) error) error {
	actor, err := allow(ctx, subscribers...)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := seen(tx, actor, apiID)
		if err != nil {
			return err
		}
		c, err := tx.Comment(a.ID, id)
		if err != nil {
			return err
		}
		if ifMatch != 0 && ifMatch != c.RowVersion {
			return sluice.Errorf(sluice.Changed, "changed", "Somebody else changed the comment in the meantime; read it again.")
		}
		return f(tx, actor, &a, c)
	})
}

// checkComment reports everything that is wrong with a comment.
func checkComment(c *sluice.Comment) error {
	var p sluice.Problems
	fits := func(s string, least, most int) bool {
		n := utf8.RuneCountInString(s)
		return n >= least && n <= most && utf8.ValidString(s)
	}
	strange := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }
	if !fits(c.Content, 1, maxComment) || strings.TrimSpace(c.Content) == "" || strings.ContainsFunc(c.Content, strange) {
		p.Add("content", "comment.content", "A comment has 1 to %d printable characters.", maxComment)
	}
	if c.Category == "" {
		c.Category = "general"
	}
	if !fits(c.Category, 1, maxCategory) || strings.ContainsFunc(c.Category, unicode.IsControl) {
		p.Add("category", "comment.category", "A category has at most %d printable characters.", maxCategory)
	}
	return p.Err()
}
