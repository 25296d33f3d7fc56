package rest

import (
	"net/http"
	"strconv"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/web"
)

// commentDocument is a comment on an API. Replies is left out of an answer to
// another comment.
type commentDocument struct {
	ID          string                 `json:"id"`
	Content     string                 `json:"content"`
	CreatedTime string                 `json:"createdTime"`
	CreatedBy   string                 `json:"createdBy"`
	UpdatedTime string                 `json:"updatedTime,omitempty"`
	Category    string                 `json:"category"`
	ParentID    string                 `json:"parentCommentId,omitempty"`
	Entry       string                 `json:"entryPoint"`
	Commenter   *commenter             `json:"commenterInfo,omitempty"`
	Replies     *list[commentDocument] `json:"replies,omitempty"`
}

// commenter is all that is known of an author: users have one name.
type commenter struct {
	FirstName string `json:"firstName"`
	LastName  string `json:"lastName"`
	FullName  string `json:"fullName"`
}

func commentOf(r *http.Request, c sluice.Comment) commentDocument {
	d := commentDocument{
		ID: c.ID, Content: c.Content, CreatedTime: stamp(c.CreatedAt), CreatedBy: c.Author, UpdatedTime: stamp(c.UpdatedAt),
		Category: c.Category, ParentID: c.ParentID, Entry: c.Entry,
	}
	if r.URL.Query().Get("includeCommenterInfo") == "true" {
		d.Commenter = &commenter{FullName: c.Author}
	}
	return d
}

// threadOf returns a comment with a page of its answers.
func threadOf(r *http.Request, t control.Thread, page control.Page) commentDocument {
	d := commentOf(r, t.Comment)
	if t.Comment.ParentID == "" {
		of := func(c sluice.Comment) commentDocument { return commentOf(r, c) }
		replies := listOf(mapped(t.Replies, of), &pagination{Offset: page.Offset, Limit: page.Limit, Total: t.Total})
		path := "/apis/" + t.Comment.APIID + "/comments/" + t.Comment.ID + "/replies?limit=" + strconv.Itoa(page.Limit) + "&offset="
		if next := page.Offset + page.Limit; next < t.Total {
			replies.Pagination.Next = path + strconv.Itoa(next)
		}
		if page.Offset > 0 {
			replies.Pagination.Previous = path + strconv.Itoa(max(page.Offset-page.Limit, 0))
		}
		d.Replies = &replies
	}
	return d
}

func (s *Server) listComments(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	replies := control.Page{Limit: defaultLimit}
	found, total, err := s.plane.Comments(r.Context(), r.PathValue("apiId"), page, replies)
	if err != nil {
		return err
	}
	of := func(t control.Thread) commentDocument { return threadOf(r, t, replies) }
	return answer(w, http.StatusOK, listOf(mapped(found, of), paginate(r, page, total)))
}

func (s *Server) getComment(w http.ResponseWriter, r *http.Request) error {
	page, err := pageNamed(r, "replyLimit", "replyOffset")
	if err != nil {
		return err
	}
	t, err := s.plane.Comment(r.Context(), r.PathValue("apiId"), r.PathValue("commentId"), page)
	if err != nil {
		return err
	}
	shown := threadOf(r, t, page)
	w.Header().Set("ETag", web.ETag(t.Comment.RowVersion)) // of the comment: its answers are not in it
	return answer(w, http.StatusOK, shown)
}

func (s *Server) listReplies(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	t, err := s.plane.Comment(r.Context(), r.PathValue("apiId"), r.PathValue("commentId"), page)
	if err != nil {
		return err
	}
	of := func(c sluice.Comment) commentDocument { return commentOf(r, c) }
	return answer(w, http.StatusOK, listOf(mapped(t.Replies, of), paginate(r, page, t.Total)))
}

// commentBody is what is sent of a comment.
type commentBody struct {
	Content  *string `json:"content"`
	Category *string `json:"category"`
}

func (s *Server) createComment(w http.ResponseWriter, r *http.Request) error {
	var q commentBody
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return err
	}
	c := sluice.Comment{APIID: r.PathValue("apiId"), ParentID: r.URL.Query().Get("replyTo")}
	if q.Content != nil {
		c.Content = *q.Content
	}
	if q.Category != nil {
		c.Category = *q.Category
	}
	c, err := s.plane.AddComment(r.Context(), c)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(c.RowVersion))
	return created(w, r, "/apis/"+c.APIID+"/comments/"+c.ID, commentOf(r, c))
}

func (s *Server) changeComment(w http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	var q commentBody
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return err
	}
	c, err := s.plane.ChangeComment(r.Context(), r.PathValue("apiId"), r.PathValue("commentId"), q.Content, q.Category, version)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(c.RowVersion))
	return answer(w, http.StatusOK, commentOf(r, c))
}

func (s *Server) deleteComment(_ http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	return s.plane.DeleteComment(r.Context(), r.PathValue("apiId"), r.PathValue("commentId"), version)
}
