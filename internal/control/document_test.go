package control

import (
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
)

// gif is the beginning of a picture.
const gif = "GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9"

// document makes a document that everybody sees.
func (w *world) document(apiID, name string, source sluice.DocumentSource) sluice.Document {
	w.t.Helper()
	d, err := w.plane.AddDocument(w.admin(), sluice.Document{
		APIID: apiID, Name: name, Type: sluice.DocumentHowTo, Source: source, Visibility: sluice.DocumentOfAPI,
	}, "text of "+name)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func TestDocuments(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production")
	r := w.revision(a.ID)
	carla := w.as("carla", sluice.Creator)
	d := w.document(a.ID, "Guide", sluice.DocumentInline)
	if d.CreatedBy != "root" || d.MediaType != "text/plain; charset=utf-8" || d.RowVersion != 1 {
		t.Errorf("made %+v", d)
	}
	if _, content, err := w.plane.Document(carla, r.ID, d.ID); err != nil || string(content) != "text of Guide" {
		t.Errorf("by the id of a revision: %q, %v", content, err)
	}

	// It keeps its text unless it is given another, and loses it with its source.
	d.Summary = "all about it"
	changed, err := w.plane.ChangeDocument(carla, d, nil, 1)
	if err != nil || changed.UpdatedBy != "carla" || changed.CreatedBy != "root" || changed.RowVersion != 2 {
		t.Errorf("changed: %+v, %v", changed, err)
	}
	if _, content, _ := w.plane.Document(carla, a.ID, d.ID); string(content) != "text of Guide" {
		t.Errorf("text after a change: %q", content)
	}
	_, err = w.plane.ChangeDocument(carla, d, nil, 1)
	wantCode(t, "an old row version", err, sluice.Changed, "changed")
	d.Source = sluice.DocumentFile
	if _, err := w.plane.ChangeDocument(carla, d, nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, content, _ := w.plane.Document(carla, a.ID, d.ID); len(content) != 0 {
		t.Errorf("content after another source: %q", content)
	}
	file, err := w.plane.PutDocumentContent(carla, a.ID, d.ID, 0, "page.html", []byte("<script>"))
	if err != nil || file.FileName != "page.html" || file.MediaType != "application/octet-stream" {
		t.Errorf("a page as a file: %+v, %v; want a type that no browser shows", file, err)
	}
	if kept, err := w.plane.ChangeDocument(carla, d, nil, 0); err != nil || kept.FileName != "page.html" {
		t.Errorf("a change of a file's document: %+v, %v", kept, err)
	}
	for _, name := range []string{"../x", "a/b", `a\b`, "..", "a\x00b", "", "a\nb", strings.Repeat("a", 300)} {
		_, err := w.plane.PutDocumentContent(carla, a.ID, d.ID, 0, name, []byte("x"))
		wantCode(t, "a file called "+name, err, sluice.Invalid, "document.file")
	}
	if err := w.plane.DeleteDocument(carla, a.ID, d.ID, 0); err != nil {
		t.Error(err)
	}
	_, _, err = w.plane.Document(carla, a.ID, d.ID)
	wantCode(t, "a deleted document", err, sluice.NotFound, "document.unknown")
}

func TestDocumentRefusals(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production")
	w.document(a.ID, "Taken", sluice.DocumentInline)
	for name, c := range map[string]struct {
		change func(d *sluice.Document)
		code   string
	}{
		"no name":               {func(d *sluice.Document) { d.Name = "" }, "document.name"},
		"a long name":           {func(d *sluice.Document) { d.Name = strings.Repeat("a", 61) }, "document.name"},
		"folders in the name":   {func(d *sluice.Document) { d.Name = "../../etc" }, "document.name"},
		"another type":          {func(d *sluice.Document) { d.Type = "NOVEL" }, "document.type"},
		"other without a name":  {func(d *sluice.Document) { d.Type = sluice.DocumentOther }, "document.otherTypeName"},
		"another source":        {func(d *sluice.Document) { d.Source = "TAPE" }, "document.source"},
		"another visibility":    {func(d *sluice.Document) { d.Visibility = "ALL" }, "document.visibility"},
		"a script as address":   {func(d *sluice.Document) { d.Source, d.URL = sluice.DocumentURL, "javascript:alert(1)" }, "document.url"},
		"an address with login": {func(d *sluice.Document) { d.Source, d.URL = sluice.DocumentURL, "https://a:b@example.com" }, "document.url"},
	} {
		d := sluice.Document{APIID: a.ID, Name: "D", Type: sluice.DocumentHowTo, Source: sluice.DocumentInline, Visibility: sluice.DocumentOfAPI}
		c.change(&d)
		_, err := w.plane.AddDocument(w.admin(), d, "")
		wantCode(t, name, err, sluice.Invalid, c.code)
	}
	_, err := w.plane.AddDocument(w.admin(), sluice.Document{APIID: a.ID, Name: "Taken", Type: sluice.DocumentHowTo, Source: sluice.DocumentInline, Visibility: sluice.DocumentOfAPI}, "")
	wantCode(t, "a name that is taken", err, sluice.Conflict, "document.exists")
	_, err = w.plane.PutThumbnail(w.admin(), a.ID, 0, []byte("<svg onload='alert(1)'></svg>     "))
	wantCode(t, "a drawing with a script", err, sluice.Invalid, "thumbnail.type")
	_, err = w.plane.PutThumbnail(w.admin(), a.ID, 0, append([]byte(gif), make([]byte, MaxThumbnail)...))
	wantCode(t, "a large picture", err, sluice.Invalid, "thumbnail.size")
}

// Who sees which documents, in the Store and in the Publisher.
func TestDocumentVisibility(t *testing.T) {
	w := newWorld(t)
	a := w.published("Weather")
	ids := map[sluice.DocumentVisibility]string{}
	for _, v := range []sluice.DocumentVisibility{sluice.DocumentOfAPI, sluice.DocumentOfMembers, sluice.DocumentOfOwner} {
		d, err := w.plane.AddDocument(w.admin(), sluice.Document{APIID: a.ID, Name: string(v), Type: sluice.DocumentHowTo, Source: sluice.DocumentInline, Visibility: v}, "x")
		if err != nil {
			t.Fatal(err)
		}
		ids[v] = d.ID
	}
	for name, see := range map[string]struct {
		n    int
		list func() ([]sluice.Document, error)
		one  func(id string) error
	}{
		"an anonymous reader": {
			1, func() ([]sluice.Document, error) { return w.plane.StoreDocuments(t.Context(), a.ID) },
			func(id string) error { _, _, err := w.plane.StoreDocument(t.Context(), a.ID, id); return err },
		},
		"a subscriber": {
			2, func() ([]sluice.Document, error) { return w.plane.StoreDocuments(w.as("sam", sluice.Subscriber), a.ID) },
			func(id string) error {
				_, _, err := w.plane.StoreDocument(w.as("sam", sluice.Subscriber), a.ID, id)
				return err
			},
		},
		"an observer": {
			2, func() ([]sluice.Document, error) { return w.plane.Documents(w.as("olga", sluice.Observer), a.ID) },
			func(id string) error {
				_, _, err := w.plane.Document(w.as("olga", sluice.Observer), a.ID, id)
				return err
			},
		},
		"a creator": {
			3, func() ([]sluice.Document, error) { return w.plane.Documents(w.as("carla", sluice.Creator), a.ID) },
			func(id string) error {
				_, _, err := w.plane.Document(w.as("carla", sluice.Creator), a.ID, id)
				return err
			},
		},
	} {
		list, err := see.list()
		one := 0
		for _, id := range ids {
			if err := see.one(id); err == nil {
				one++
			} else if !sluice.IsNotFound(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(list) != see.n || one != see.n || err != nil {
			t.Errorf("%s sees %d in the list and %d one by one, %v; want %d", name, len(list), one, err, see.n)
		}
	}
	w.move(a.ID, "Demote to Created")
	if _, err := w.plane.StoreDocuments(t.Context(), a.ID); !sluice.IsNotFound(err) {
		t.Errorf("documents of an API that is not in the Store: %v", err)
	}
	if _, err := w.plane.StoreThumbnail(t.Context(), a.ID); !sluice.IsNotFound(err) {
		t.Errorf("thumbnail of an API that is not in the Store: %v", err)
	}
}

func TestCategories(t *testing.T) {
	w := newWorld(t)
	c, err := w.plane.AddCategory(w.admin(), "Finance", "money")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.plane.AddCategory(w.admin(), "finance", "")
	wantCode(t, "the name in another case", err, sluice.Conflict, "category.exists")
	_, err = w.plane.AddCategory(w.admin(), "a\nb", "")
	wantCode(t, "a name of two lines", err, sluice.Invalid, "category.name")
	a := w.api("Bank")
	a.Categories = []string{"Finance", "Sport"}
	_, err = w.plane.UpdateAPI(w.admin(), a.ID, 0, a)
	wantCode(t, "an unknown category", err, sluice.Invalid, "category.unknown")
	a.Categories = []string{"Finance"}
	if _, err := w.plane.UpdateAPI(w.admin(), a.ID, 0, a); err != nil {
		t.Fatal(err)
	}
	if list, uses, err := w.plane.CategoryUses(w.admin()); err != nil || len(list) != 1 || uses[0] != 1 {
		t.Errorf("uses: %v, %v, %v", list, uses, err)
	}
	_, err = w.plane.ChangeCategory(w.admin(), c.ID, "Money", "")
	wantCode(t, "another name while it is used", err, sluice.Conflict, "category.in_use")
	wantCode(t, "deleting it while it is used", w.plane.DeleteCategory(w.admin(), c.ID, 0), sluice.Conflict, "category.in_use")
	if c, err = w.plane.ChangeCategory(w.admin(), c.ID, "Finance", "all about money"); err != nil || c.RowVersion != 2 {
		t.Errorf("changed: %+v, %v", c, err)
	}
	if err := w.plane.DeleteAPI(w.admin(), a.ID, 0); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "an old row version", w.plane.DeleteCategory(w.admin(), c.ID, 1), sluice.Changed, "changed")
	if err := w.plane.DeleteCategory(w.admin(), c.ID, 2); err != nil {
		t.Error(err)
	}
	if list, err := w.plane.Categories(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}
