package database

import (
	"fmt"
	"strings"

	"github.com/sluice-api/sluice"
)

const commentColumns = `id, api_id, coalesce(parent_id, ''), content, category, entry, author, created_at, updated_at, row_version`

func commentFields(c *sluice.Comment) []any {
	return []any{
		&c.ID, &c.APIID, &c.ParentID, &c.Content, &c.Category, &c.Entry, &c.Author, (*instant)(&c.CreatedAt), (*instant)(&c.UpdatedAt), &c.RowVersion,
	}
}

// AddComment stores a new comment on an API and sets its row version.
func (tx *Tx) AddComment(c *sluice.Comment) error {
	c.RowVersion = 1
	return tx.add(`insert into comments (id, api_id, parent_id, content, category, entry, author, created_at, updated_at, row_version)
		values ($1, $2, nullif($3, ''), $4, $5, $6, $7, $8, $9, $10)`, commentFields(c)...)
}

// PutComment stores the content and category of a comment and when it was
// changed, where c.RowVersion is that of the stored one; else it returns Changed.
// It sets the new row version.
func (tx *Tx) PutComment(c *sluice.Comment) error {
	err := tx.put(func() error { _, err := tx.Comment(c.APIID, c.ID); return err },
		`update comments set content = $3, category = $4, updated_at = $5, row_version = row_version + 1
		where id = $1 and api_id = $2 and row_version = $6`, c.ID, c.APIID, c.Content, c.Category, (*instant)(&c.UpdatedAt), c.RowVersion)
	if err == nil {
		c.RowVersion++
	}
	return err
}

// Comment returns a comment on an API.
func (tx *Tx) Comment(apiID, id string) (sluice.Comment, error) {
	return one(tx, "comment", commentFields, `select `+commentColumns+` from comments where api_id = $1 and id = $2`, apiID, id)
}

// Comments returns a page of the comments on an API that answer no other, the
// newest first, and how many there are.
func (tx *Tx) Comments(apiID string, limit, offset int) (list []sluice.Comment, total int, err error) {
	count, err := tx.number(`select count(*) from comments where api_id = $1 and parent_id is null`, apiID)
	if err != nil {
		return nil, 0, err
	}
	list, err = query(tx, commentFields, `select `+commentColumns+` from comments where api_id = $1 and parent_id is null
		order by created_at desc, id desc limit $2 offset $3`, apiID, atMost(limit), offset)
	return list, int(count), err
}

// Replies returns a page of the answers to a comment, the oldest first, and how
// many there are.
func (tx *Tx) Replies(apiID, id string, limit, offset int) (list []sluice.Comment, total int, err error) {
	count, err := tx.number(`select count(*) from comments where api_id = $1 and parent_id = $2`, apiID, id)
	if err != nil || count == 0 {
		return nil, 0, err
	}
	list, err = query(tx, commentFields, `select `+commentColumns+` from comments where api_id = $1 and parent_id = $2
		order by created_at, id limit $3 offset $4`, apiID, id, atMost(limit), offset)
	return list, int(count), err
}

// DeleteComment deletes a comment on an API with the answers to it.
func (tx *Tx) DeleteComment(apiID, id string) error {
	return tx.change("comment", `delete from comments where api_id = $1 and id = $2`, apiID, id)
}

const ratingColumns = `id, api_id, user_name, stars, at, row_version`

func ratingFields(r *sluice.Rating) []any {
	return []any{&r.ID, &r.APIID, &r.User, &r.Stars, (*instant)(&r.At), &r.RowVersion}
}

// PutRating stores how a user likes an API, in place of what they said before,
// whose id it keeps. It returns what is stored.
func (tx *Tx) PutRating(r sluice.Rating) (sluice.Rating, error) {
	r.RowVersion = 1
	return one(tx, "rating", ratingFields, `insert into ratings (`+ratingColumns+`) values ($1, $2, $3, $4, $5, $6)
		on conflict (api_id, user_name) do update set stars = excluded.stars, at = excluded.at, row_version = ratings.row_version + 1
		returning `+ratingColumns, ratingFields(&r)...)
}

// Rating returns how a user likes an API; NotFound where they did not say.
func (tx *Tx) Rating(apiID, user string) (sluice.Rating, error) {
	return one(tx, "rating", ratingFields, `select `+ratingColumns+` from ratings where api_id = $1 and user_name = $2`, apiID, user)
}

// Ratings returns a page of the ratings of an API, the newest first, and how many
// there are.
func (tx *Tx) Ratings(apiID string, limit, offset int) (list []sluice.Rating, total int, err error) {
	count, err := tx.number(`select count(*) from ratings where api_id = $1`, apiID)
	if err != nil {
		return nil, 0, err
	}
	list, err = query(tx, ratingFields, `select `+ratingColumns+` from ratings where api_id = $1
		order by at desc, id desc limit $2 offset $3`, apiID, atMost(limit), offset)
	return list, int(count), err
}

// DeleteRating deletes what a user said of an API; NotFound where that is nothing.
func (tx *Tx) DeleteRating(apiID, user string) error {
	return tx.change("rating", `delete from ratings where api_id = $1 and user_name = $2`, apiID, user)
}

// AverageRatings returns the average number of stars of those of the APIs of an
// organization that were rated, by their ids.
func (tx *Tx) AverageRatings(org string, ids []string) (map[string]float64, error) {
	averages := map[string]float64{}
	if len(ids) == 0 {
		return averages, nil
	}
	args, names := []any{org}, make([]string, len(ids))
	for i, id := range ids {
		args = append(args, id)
		names[i] = fmt.Sprintf("$%d", len(args))
	}
	type sum struct {
		api          string
		stars, count int64
	}
	list, err := query(tx, func(s *sum) []any { return []any{&s.api, &s.stars, &s.count} },
		`select api_id, cast(sum(stars) as bigint), count(*) from ratings where api_id in
		(select id from apis where organization = $1 and id in (`+strings.Join(names, ", ")+`)) group by api_id`, args...)
	for _, s := range list {
		averages[s.api] = float64(s.stars) / float64(s.count)
	}
	return averages, err
}
