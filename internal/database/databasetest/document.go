package databasetest

import (
	"errors"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// newDocument returns a document with a value in every field.
func newDocument(id, apiID, name string) *sluice.Document {
	return &sluice.Document{
		ID: id, APIID: apiID, Name: name, Type: sluice.DocumentOther, OtherType: "Recipe", Summary: "How it is DONE",
		Source: sluice.DocumentFile, URL: "https://example.com", FileName: "a.pdf", MediaType: "application/pdf",
		Visibility: sluice.DocumentOfMembers, CreatedBy: "anna", UpdatedBy: "bert", CreatedAt: start(), UpdatedAt: start().Add(time.Second),
	}
}

func testDocuments(t *testing.T, db *database.DB) {
	one, two := newDocument("d1", "a1", "Zebra"), newDocument("d2", "a1", "Ant")
	all(t, db, addAPI("a1", "weather"), addAPI("a2", "pizza"), func(tx *database.Tx) error {
		return errors.Join(tx.AddDocument(one, []byte{0, 1}), tx.AddDocument(two, nil), tx.AddDocument(newDocument("d3", "a2", "Ant"), nil))
	})
	same(t, "Document", read(t, db, func(tx *database.Tx) (sluice.Document, error) { return tx.Document("a1", "d1") }), *one)
	same(t, "Documents", read(t, db, func(tx *database.Tx) ([]sluice.Document, error) { return tx.Documents("a1") }), []sluice.Document{*two, *one})
	content := func(id string) []byte {
		return read(t, db, func(tx *database.Tx) ([]byte, error) { return tx.DocumentContent(id) })
	}
	same(t, "content", content("d1"), []byte{0, 1})
	same(t, "no content", len(content("d2")), 0)

	one.Name, one.Summary, one.UpdatedBy = "Bee", "", "carl"
	update(t, db, func(tx *database.Tx) error {
		return errors.Join(tx.PutDocument(one), tx.PutDocumentContent("d1", []byte("x")))
	})
	same(t, "row version", one.RowVersion, int64(2))
	same(t, "Document after Put", read(t, db, func(tx *database.Tx) (sluice.Document, error) { return tx.Document("a1", "d1") }), *one)
	same(t, "content after Put", content("d1"), []byte("x"))
	refused(t, db, sluice.Conflict, "document.exists", func(tx *database.Tx) error { return tx.AddDocument(newDocument("d4", "a1", "Ant"), nil) })
	refused(t, db, sluice.NotFound, "document.unknown", func(tx *database.Tx) error { _, err := tx.Document("a2", "d1"); return err })
	refused(t, db, sluice.NotFound, "document.unknown", func(tx *database.Tx) error { return tx.DeleteDocument("a2", "d1") })
	refused(t, db, sluice.NotFound, "document.unknown", func(tx *database.Tx) error { return tx.PutDocumentContent("d9", nil) })
	refused(t, db, sluice.Changed, "changed", func(tx *database.Tx) error { old := *one; old.RowVersion = 1; return tx.PutDocument(&old) })

	all(t, db, func(tx *database.Tx) error { return tx.DeleteDocument("a1", "d1") }, func(tx *database.Tx) error { return tx.DeleteAPI(org, "a2") })
	refused(t, db, sluice.NotFound, "document.unknown", func(tx *database.Tx) error { _, err := tx.Document("a2", "d3"); return err })
}

func testFindDocuments(t *testing.T, db *database.DB) {
	guarded := newAPI("a2", "pizza")
	guarded.AccessControl = []sluice.Role{"team"}
	second := newDocument("d2", "a1", "Guide")
	second.Summary, second.Visibility = "100% done", sluice.DocumentOfAPI
	all(t, db, addAPI("a1", "weather"), func(tx *database.Tx) error {
		return errors.Join(tx.AddAPI(guarded), tx.AddDocument(newDocument("d1", "a1", "Sample"), nil), tx.AddDocument(second, nil), tx.AddDocument(newDocument("d3", "a2", "Guide"), nil))
	})
	found := func(f database.APIFilter, words []string, visible ...sluice.DocumentVisibility) (ids []string) {
		f.Organization = org
		list := read(t, db, func(tx *database.Tx) ([]sluice.Document, error) {
			list, total, err := tx.FindDocuments(f, words, visible...)
			if f.Limit == 0 {
				same(t, "total", total, len(list))
			}
			return list, err
		})
		return names(list, func(d sluice.Document) string { return d.ID })
	}
	same(t, "all", found(database.APIFilter{}, nil), []string{"d2", "d3", "d1"})
	same(t, "by a word", found(database.APIFilter{}, []string{"gUI"}), []string{"d2", "d3"})
	same(t, "by two words", found(database.APIFilter{}, []string{"guide", "0%"}), []string{"d2"})
	same(t, "with a role", found(database.APIFilter{AccessRoles: []sluice.Role{}}, []string{"guide"}), []string{"d2"})
	same(t, "of a visibility", found(database.APIFilter{}, nil, sluice.DocumentOfAPI, sluice.DocumentOfOwner), []string{"d2"})
	same(t, "a page", found(database.APIFilter{Offset: 1, Limit: 1}, nil), []string{"d3"})
	list, _ := find(t, db, database.APIFilter{Organization: org, Query: []database.Term{{Attribute: "document", Value: "SAMP"}}})
	same(t, "APIs by their documents", apiIDs(list), []string{"a1"})
}

func testThumbnails(t *testing.T, db *database.DB) {
	picture := sluice.Thumbnail{APIID: "a1", MediaType: "image/png", Body: []byte{1, 0, 2}, UpdatedAt: start()}
	all(t, db, addAPI("a1", "weather"), addAPI("a2", "pizza"), func(tx *database.Tx) error { return tx.PutThumbnail(&picture) })
	picture.MediaType, picture.Body = "image/gif", []byte{3}
	update(t, db, func(tx *database.Tx) error { return tx.PutThumbnail(&picture) })
	same(t, "Thumbnail", read(t, db, func(tx *database.Tx) (sluice.Thumbnail, error) { return tx.Thumbnail("a1") }), picture)
	with := func(org string, ids ...string) []string {
		return read(t, db, func(tx *database.Tx) ([]string, error) { return tx.WithThumbnail(org, ids) })
	}
	same(t, "WithThumbnail", with(org, "a2", "a1", "a9"), []string{"a1"})
	same(t, "WithThumbnail elsewhere", with("o2", "a1"), []string(nil))
	same(t, "WithThumbnail of none", with(org), []string(nil))
	refused(t, db, sluice.NotFound, "thumbnail.unknown", func(tx *database.Tx) error { _, err := tx.Thumbnail("a2"); return err })
}

func testCategories(t *testing.T, db *database.DB) {
	money := &sluice.Category{ID: "c1", Organization: org, Name: "Money", Description: "about it"}
	art := &sluice.Category{ID: "c2", Organization: org, Name: "art"}
	foreign := &sluice.Category{ID: "c3", Organization: "o2", Name: "Money"}
	update(t, db, func(tx *database.Tx) error {
		return errors.Join(tx.AddCategory(money), tx.AddCategory(art), tx.AddCategory(foreign))
	})
	money.Description = "changed"
	update(t, db, func(tx *database.Tx) error { return tx.PutCategory(money) })
	same(t, "Category", read(t, db, func(tx *database.Tx) (sluice.Category, error) { return tx.Category(org, "c1") }), *money)
	same(t, "Categories", read(t, db, func(tx *database.Tx) ([]sluice.Category, error) { return tx.Categories(org) }), []sluice.Category{*art, *money})
	refused(t, db, sluice.Conflict, "category.exists", func(tx *database.Tx) error {
		return tx.AddCategory(&sluice.Category{ID: "c4", Organization: org, Name: "MONEY"})
	})
	refused(t, db, sluice.Changed, "changed", func(tx *database.Tx) error { old := *money; old.RowVersion = 1; return tx.PutCategory(&old) })
	refused(t, db, sluice.NotFound, "category.unknown", func(tx *database.Tx) error { return tx.DeleteCategory("o2", "c1") })
	update(t, db, func(tx *database.Tx) error { return tx.DeleteCategory(org, "c1") })
	refused(t, db, sluice.NotFound, "category.unknown", func(tx *database.Tx) error { _, err := tx.Category(org, "c1"); return err })
}
