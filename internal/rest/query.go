package rest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/web"
)

// Page sizes.
const (
	defaultLimit = 25
	maxLimit     = 1000 // a larger one is cut
)

// list is a list as every operation answers it; Count is the number of elements
// in this list, not the total.
type list[T any] struct {
	Count      int         `json:"count"`
	List       []T         `json:"list"`
	Pagination *pagination `json:"pagination,omitempty"`
}

// pagination says where in the whole list this page is. Next and Previous are
// paths below the base, "" where there is none.
type pagination struct {
	Offset   int    `json:"offset"`
	Limit    int    `json:"limit"`
	Total    int    `json:"total"`
	Next     string `json:"next"`
	Previous string `json:"previous"`
}

// listOf makes a list of one page; nil pagination for lists that have none.
func listOf[T any](items []T, p *pagination) list[T] {
	if items == nil {
		items = []T{}
	}
	return list[T]{Count: len(items), List: items, Pagination: p}
}

// mapped returns f of each element.
func mapped[T, U any](items []T, f func(T) U) []U {
	out := make([]U, len(items))
	for i, v := range items {
		out[i] = f(v)
	}
	return out
}

// pageOf reads limit and offset.
func pageOf(r *http.Request) (control.Page, error) { return pageNamed(r, "limit", "offset") }

// pageNamed reads them from parameters of other names.
func pageNamed(r *http.Request, limit, offset string) (control.Page, error) {
	p := control.Page{Limit: defaultLimit}
	var problems sluice.Problems
	read := func(name string, to *int) {
		text := r.URL.Query().Get(name)
		if text == "" {
			return
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			problems.Add(name, "page", "The %s is a number of at least 0.", name)
			return
		}
		*to = n
	}
	read(limit, &p.Limit)
	read(offset, &p.Offset)
	if p.Limit == 0 {
		p.Limit = defaultLimit
	}
	p.Limit = min(p.Limit, maxLimit)
	return p, problems.Err()
}

// paginate returns the pagination of a page of a list with total elements.
func paginate(r *http.Request, p control.Page, total int) *pagination {
	out := &pagination{Offset: p.Offset, Limit: p.Limit, Total: total}
	at := func(offset int) string {
		q := r.URL.Query()
		q.Set("limit", strconv.Itoa(p.Limit))
		q.Set("offset", strconv.Itoa(offset))
		u := url.URL{Path: strings.TrimPrefix(r.URL.Path, callOf(r).base), RawQuery: q.Encode()}
		return u.String()
	}
	if p.Offset+p.Limit < total {
		out.Next = at(p.Offset + p.Limit)
	}
	if p.Offset > 0 {
		out.Previous = at(max(p.Offset-p.Limit, 0))
	}
	return out
}

// cut returns one page of a list that is held whole.
func cut[T any](items []T, p control.Page) []T {
	from := min(p.Offset, len(items))
	return items[from:min(from+p.Limit, len(items))]
}

// Limits of a search.
const (
	maxQuery = 1000 // bytes
	maxTerms = 10
)

// searchOf reads the parameter query: terms separated by blanks, all of which
// must hold. attr:value contains, attr:"value" is exact, attr:value* begins
// with; without attr it is the name. nothing is true where a term asks for a
// kind of thing that does not exist here, so that no API fits.
func searchOf(r *http.Request) (terms []control.Term, nothing bool, err error) {
	text := r.URL.Query().Get("query")
	if len(text) > maxQuery {
		return nil, false, badQuery("A query has at most %d bytes.", maxQuery)
	}
	for text = strings.TrimLeft(text, " "); text != ""; text = strings.TrimLeft(text, " ") {
		t := control.Term{Attribute: "name", Match: "contains"}
		if i := strings.IndexAny(text, `: "`); i > 0 && text[i] == ':' {
			t.Attribute, text = text[:i], text[i+1:]
		}
		if quoted, ok := strings.CutPrefix(text, `"`); ok {
			if t.Value, text, ok = strings.Cut(quoted, `"`); !ok {
				return nil, false, badQuery("The query has a quotation mark without its end.")
			}
			t.Match = "exact"
		} else {
			t.Value, text, _ = strings.Cut(text, " ")
			if begin, ok := strings.CutSuffix(t.Value, "*"); ok {
				t.Value, t.Match = begin, "prefix"
			}
		}
		switch t.Attribute {
		case "name", "version", "context", "provider", "status", "description", "tag", "doc", "api-category":
			switch t.Attribute {
			case "doc":
				t.Attribute = "document"
			case "api-category":
				t.Attribute = "category"
			}
			if t.Value != "" || t.Match == "exact" {
				terms = append(terms, t)
			}
		case "type": // every API is of type HTTP
			nothing = nothing || !strings.Contains("http", strings.ToLower(t.Value))
		default:
			return nil, false, badQuery("APIs cannot be searched by that; the attributes are name, version, context, provider, status, description, tag, doc, type and api-category.")
		}
		if len(terms) > maxTerms {
			return nil, false, badQuery("A query has at most %d terms.", maxTerms)
		}
	}
	return terms, nothing, nil
}

func badQuery(format string, args ...any) error {
	return sluice.Errorf(sluice.Invalid, "search", format, args...).At("query")
}

// sortOf reads sortBy and sortOrder of a list of APIs.
func sortOf(r *http.Request, f *control.APIFilter) error {
	by := map[string]string{"": "", "apiName": "name", "version": "version", "createdTime": "created", "status": "status"}
	q := r.URL.Query()
	sort, known := by[q.Get("sortBy")]
	order := strings.ToLower(q.Get("sortOrder"))
	if !known || order != "" && order != "asc" && order != "desc" {
		return sluice.Errorf(sluice.Invalid, "search.sort", "Sort by apiName, version, createdTime or status, asc or desc.").At("sortBy")
	}
	f.Sort, f.Order = sort, order
	return nil
}

// required returns a query parameter that must be there.
func required(r *http.Request, name string) (string, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return "", sluice.Errorf(sluice.Invalid, "parameter.missing", "The parameter %s is needed.", name).At(name)
	}
	return v, nil
}

// stamp returns a time as it is written in answers; "" for the zero time.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// answer writes v as JSON.
func answer(w http.ResponseWriter, status int, v any) error {
	return web.WriteJSON(w, status, web.JSON, v)
}

// created answers 201 with v and its place.
func created(w http.ResponseWriter, r *http.Request, place string, v any) error {
	w.Header().Set("Location", callOf(r).base+place)
	return answer(w, http.StatusCreated, v)
}

// tagged writes v with the entity tag of its row version, or 304.
func tagged(w http.ResponseWriter, r *http.Request, version int64, v any) error {
	if web.NotModified(w, r, version) {
		return nil
	}
	return answer(w, http.StatusOK, v)
}

// some returns list, empty instead of nil: clients expect an array.
func some(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
