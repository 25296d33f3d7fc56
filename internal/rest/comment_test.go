package rest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
)

func TestCommentsOverREST(t *testing.T) {
	p := start(t)
	admin := p.administrator(t)
	sam, tess := p.user(t, sluice.DefaultOrganization, "sam", sluice.Subscriber), p.user(t, sluice.DefaultOrganization, "tess", sluice.Subscriber)
	id := p.api(t, admin, "Weather")
	p.publish(t, admin, id)
	base := storeAPIs + "/" + id + "/comments"

	a := p.do(t, sam, "POST "+base, `{"content":"<script>alert(1)</script>","category":"bug report","createdBy":"admin"}`)
	first := as[commentDocument](t, a, http.StatusCreated)
	if first.CreatedBy != "sam" || first.Content != "<script>alert(1)</script>" || first.Category != "bug report" || first.Entry != "devPortal" || a.header.Get("Location") != base+"/"+first.ID {
		t.Errorf("made %+v at %s", first, a.header.Get("Location"))
	}
	if strings.Contains(string(a.body), "<script>") {
		t.Errorf("the answer holds a script: %s", a.body)
	}
	for range 2 {
		as[commentDocument](t, p.do(t, tess, "POST "+base+"?replyTo="+first.ID, `{"content":"So?"}`), http.StatusCreated)
	}
	found := as[list[commentDocument]](t, p.do(t, "", "GET "+base+"?includeCommenterInfo=true", ""), http.StatusOK)
	if found.Count != 1 || found.Pagination.Total != 1 || found.List[0].Commenter.FullName != "sam" || found.List[0].Replies.Count != 2 || found.List[0].Replies.List[0].ParentID != first.ID {
		t.Errorf("anonymous readers see %+v", found)
	}
	one := as[commentDocument](t, p.do(t, "", "GET "+base+"/"+first.ID+"?replyLimit=1&replyOffset=1", ""), http.StatusOK)
	if one.Commenter != nil || one.Replies.Count != 1 || one.Replies.Pagination.Total != 2 || !strings.HasSuffix(one.Replies.Pagination.Previous, "/replies?limit=1&offset=0") {
		t.Errorf("one comment: %+v, %+v", one, one.Replies)
	}
	replies := as[list[commentDocument]](t, p.do(t, "", "GET "+base+"/"+first.ID+"/replies?limit=1", ""), http.StatusOK)
	if replies.Count != 1 || replies.Pagination.Total != 2 || replies.Pagination.Next == "" || replies.List[0].Replies != nil {
		t.Errorf("answers: %+v", replies)
	}

	p.do(t, "", "POST "+base, `{"content":"a"}`).wantError(t, 401, "token.missing", 0)
	p.do(t, sam, "POST "+base, `{}`).wantError(t, 400, "comment.content", 0)
	p.do(t, sam, "POST "+base+"?replyTo="+replies.List[0].ID, `{"content":"a"}`).wantError(t, 400, "comment.reply", 0)
	p.do(t, sam, "POST "+base+"?replyTo=x", `{"content":"a"}`).wantError(t, 404, "comment.unknown", 901102)
	p.do(t, "", "GET "+base+"/x", "").wantError(t, 404, "comment.unknown", 901102)
	p.do(t, "", "GET "+base+"/"+first.ID+"?replyLimit=-1", "").wantError(t, 400, "page", 0)
	p.do(t, tess, "PATCH "+base+"/"+first.ID, `{"content":"a"}`).wantError(t, 403, "comment.moderator", 901100)
	p.do(t, tess, "DELETE "+base+"/"+first.ID, "").wantError(t, 403, "comment.moderator", 901100)
	p.do(t, sam, "PATCH "+base+"/"+first.ID, `{"content":"a"}`, "If-Match", `"7"`).wantError(t, 412, "changed", 0)
	if got := as[commentDocument](t, p.do(t, sam, "PATCH "+base+"/"+first.ID, `{"content":"Better."}`), http.StatusOK); got.Content != "Better." || got.Category != "bug report" || got.UpdatedTime == "" {
		t.Errorf("changed: %+v", got)
	}
	if got := p.do(t, admin, "DELETE "+base+"/"+first.ID, ""); got.status != http.StatusOK {
		t.Errorf("deleted by an administrator: %d %s", got.status, got.body)
	}
	if got := as[list[commentDocument]](t, p.do(t, "", "GET "+base, ""), http.StatusOK); got.Count != 0 {
		t.Errorf("left: %+v", got)
	}
}

func TestRatingsOverREST(t *testing.T) {
	p := start(t)
	admin := p.administrator(t)
	sam, tess := p.user(t, sluice.DefaultOrganization, "sam", sluice.Subscriber), p.user(t, sluice.DefaultOrganization, "tess", sluice.Subscriber)
	id := p.api(t, admin, "Weather")
	p.publish(t, admin, id)
	own := storeAPIs + "/" + id + "/user-rating"
	if got := as[ratingDocument](t, p.do(t, sam, "GET "+own, ""), http.StatusOK); got.Stars != 0 || got.User != "sam" {
		t.Errorf("before: %+v", got)
	}
	rated := as[ratingDocument](t, p.do(t, sam, "PUT "+own, `{"rating":4,"ratedBy":"tess"}`), http.StatusOK)
	if rated.Stars != 4 || rated.User != "sam" || rated.APIID != id || rated.ID == "" {
		t.Errorf("rated: %+v", rated)
	}
	as[ratingDocument](t, p.do(t, tess, "PUT "+own, `{"rating":5}`), http.StatusOK)
	all := as[ratingList](t, p.do(t, sam, "GET "+storeAPIs+"/"+id+"/ratings?limit=1", ""), http.StatusOK)
	if all.Average != "4.5" || all.Own != 4 || all.Count != 1 || all.Pagination.Total != 2 {
		t.Errorf("ratings: %+v", all)
	}
	if got := as[storeDocument](t, p.do(t, "", "GET "+storeAPIs+"/"+id, ""), http.StatusOK); got.Rating != "4.5" || got.HasThumbnail {
		t.Errorf("the API says %q, %t", got.Rating, got.HasThumbnail)
	}
	if got := as[list[storeInfo]](t, p.do(t, "", "GET "+storeAPIs, ""), http.StatusOK); got.List[0].Rating != "4.5" || got.List[0].Thumbnail != "" {
		t.Errorf("the list says %+v", got.List[0])
	}
	for _, body := range []string{`{"rating":6}`, `{"rating":-1}`, `{}`} {
		p.do(t, sam, "PUT "+own, body).wantError(t, 400, "rating.stars", 0)
	}
	p.do(t, "", "PUT "+own, `{"rating":1}`).wantError(t, 401, "token.missing", 0)
	p.do(t, sam, "DELETE "+own, "", "If-Match", `"9"`).wantError(t, 412, "changed", 0)
	if got := p.do(t, sam, "DELETE "+own, "", "If-Match", p.do(t, sam, "GET "+own, "").header.Get("ETag")); got.status != http.StatusOK || len(got.body) > 0 {
		t.Errorf("taken back: %d %s", got.status, got.body)
	}
	if got := as[ratingDocument](t, p.do(t, tess, "PUT "+own, `{"rating":0}`), http.StatusOK); got.Stars != 0 {
		t.Errorf("taken back by 0: %+v", got)
	}
	if got := as[ratingList](t, p.do(t, "", "GET "+storeAPIs+"/"+id+"/ratings", ""), http.StatusOK); got.Average != "0.0" || got.Count != 0 {
		t.Errorf("left: %+v", got)
	}
}

// What is said of an API is for those who see the API, of its own organization.
func TestCommentsOfOtherOrganizations(t *testing.T) {
	p := start(t)
	admin := p.administrator(t)
	as[organizationDocument](t, p.do(t, admin, "POST "+sluiceBase+"/organizations", `{"name":"acme"}`), http.StatusCreated)
	stranger := p.user(t, "acme", "eve", sluice.Administrator)
	id := p.api(t, admin, "Weather")
	p.publish(t, admin, id)
	one := storeAPIs + "/" + id
	c := as[commentDocument](t, p.do(t, admin, "POST "+one+"/comments", `{"content":"Fine."}`), http.StatusCreated)
	for call, body := range map[string]string{
		"GET " + one + "/comments": "", "POST " + one + "/comments": `{"content":"a"}`, "GET " + one + "/comments/" + c.ID: "",
		"PATCH " + one + "/comments/" + c.ID: `{"content":"a"}`, "DELETE " + one + "/comments/" + c.ID: "", "GET " + one + "/comments/" + c.ID + "/replies": "",
		"GET " + one + "/ratings": "", "GET " + one + "/user-rating": "", "PUT " + one + "/user-rating": `{"rating":1}`, "DELETE " + one + "/user-rating": "",
	} {
		p.do(t, stranger, call, body).wantError(t, 404, "api.unknown", 900308)
	}
}
