package control

import (
	"context"
	"net/url"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// Limits of documents and thumbnails, in bytes.
const (
	MaxDocument  = 10 << 20
	MaxThumbnail = 1 << 20
)

// Documents returns the documents of an API in the Publisher, by name. id may be
// that of a revision: documents are not frozen with it.
func (p *Plane) Documents(ctx context.Context, id string) (list []sluice.Document, err error) {
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return nil, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		a, _, err := readableOrFrozen(tx, actor, id)
		if err != nil {
			return err
		}
		list, err = tx.Documents(a.ID)
		list = filter(list, func(d sluice.Document) bool { return d.Visibility != sluice.DocumentOfOwner || actor.Has(makers...) })
		return err
	})
	return list, err
}

// Document returns one document of an API in the Publisher, with its content.
func (p *Plane) Document(ctx context.Context, id, documentID string) (d sluice.Document, content []byte, err error) {
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return d, nil, err
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		a, _, err := readableOrFrozen(tx, actor, id)
		if err != nil {
			return err
		}
		d, content, err = oneDocument(tx, a.ID, documentID, func(d sluice.Document) bool {
			return d.Visibility != sluice.DocumentOfOwner || actor.Has(makers...)
		})
		return err
	})
	return d, content, err
}

// StoreDocuments returns the documents of an API that the Store shows the actor,
// who may be anonymous, by name.
func (p *Plane) StoreDocuments(ctx context.Context, apiID string) (list []sluice.Document, err error) {
	actor := reader(ctx)
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if err := inStore(tx, actor, apiID); err != nil {
			return err
		}
		list, err = tx.Documents(apiID)
		list = filter(list, func(d sluice.Document) bool { return inStoreShown(d, actor) })
		return err
	})
	return list, err
}

// StoreDocument returns one of them, with its content.
func (p *Plane) StoreDocument(ctx context.Context, apiID, documentID string) (d sluice.Document, content []byte, err error) {
	actor := reader(ctx)
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if err := inStore(tx, actor, apiID); err != nil {
			return err
		}
		d, content, err = oneDocument(tx, apiID, documentID, func(d sluice.Document) bool { return inStoreShown(d, actor) })
		return err
	})
	return d, content, err
}

// inStore returns NotFound where the Store does not show an API to the actor.
func inStore(tx *database.Tx, actor sluice.Actor, apiID string) error {
	a, err := tx.API(actor.Organization, apiID)
	if err == nil && !visible(&a, actor) {
		err = sluice.Errorf(sluice.NotFound, "api.unknown", "There is no such API.")
	}
	return err
}

// inStoreShown reports whether the Store shows a document of an API that it shows.
func inStoreShown(d sluice.Document, actor sluice.Actor) bool {
	return d.Visibility == sluice.DocumentOfAPI || d.Visibility == sluice.DocumentOfMembers && actor.Known()
}

func oneDocument(tx *database.Tx, apiID, id string, see func(sluice.Document) bool) (sluice.Document, []byte, error) {
	d, err := tx.Document(apiID, id)
	if err != nil {
		return d, nil, err
	}
	if !see(d) {
		return sluice.Document{}, nil, sluice.Errorf(sluice.NotFound, "document.unknown", "There is no such document.")
	}
	content, err := tx.DocumentContent(id)
	return d, content, err
}

// filter returns the elements that keep says yes to.
func filter[T any](list []T, keep func(T) bool) (out []T) {
	for _, v := range list {
		if keep(v) {
			out = append(out, v)
		}
	}
	return out
}

// AddDocument makes a document of an API. text is its content where it is
// written here; a file is sent afterwards.
func (p *Plane) AddDocument(ctx context.Context, d sluice.Document, text string) (sluice.Document, error) {
	actor, err := allow(ctx, makers...)
	if err != nil {
		return sluice.Document{}, err
	}
	d.ID, d.FileName, d.CreatedBy, d.UpdatedBy = sluice.NewID(p.now()), "", actor.Name, actor.Name
	d.CreatedAt, d.UpdatedAt = p.now(), p.now()
	content, err := checkDocument(&d, text)
	if err != nil {
		return sluice.Document{}, err
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := changeable(tx, actor, d.APIID, 0)
		if err != nil {
			return err
		}
		list, err := tx.Documents(a.ID)
		if err != nil {
			return err
		}
		if len(list) >= maxDocuments {
			return sluice.Errorf(sluice.Conflict, "document.limit", "An API has at most %d documents.", maxDocuments)
		}
		if err := tx.AddDocument(&d, content); err != nil {
			return err
		}
		return audit(ctx, tx, "document.create", "document", d.ID, a.Name+" "+a.Version+": "+d.Name, nil, d)
	})
	return d, err
}

const maxDocuments = 200 // of an API

// ChangeDocument stores a document anew; with another source it loses its
// content. text nil keeps what is written here. ifMatch is the row version the
// caller saw; 0: whatever it is.
func (p *Plane) ChangeDocument(ctx context.Context, d sluice.Document, text *string, ifMatch int64) (sluice.Document, error) {
	return p.changeDocument(ctx, d.APIID, d.ID, ifMatch, func(old *sluice.Document) ([]byte, bool, error) {
		replaces := text != nil || d.Source != old.Source
		if text == nil {
			text = new(string)
		}
		d.CreatedBy, d.CreatedAt, d.RowVersion = old.CreatedBy, old.CreatedAt, old.RowVersion
		fileName, mediaType := old.FileName, old.MediaType
		content, err := checkDocument(&d, *text)
		if d.Source == sluice.DocumentFile && !replaces {
			d.FileName, d.MediaType = fileName, mediaType
		}
		*old = d
		return content, replaces, err
	})
}

// PutDocumentContent stores the content of a document: a file with its name, or
// text where the document is written here.
func (p *Plane) PutDocumentContent(ctx context.Context, apiID, id string, ifMatch int64, fileName string, content []byte) (sluice.Document, error) {
	return p.changeDocument(ctx, apiID, id, ifMatch, func(d *sluice.Document) ([]byte, bool, error) {
		if len(content) > MaxDocument {
			return nil, false, sluice.Errorf(sluice.Invalid, "document.size", "A document has at most %d MB.", MaxDocument>>20)
		}
		switch d.Source {
		case sluice.DocumentURL:
			return nil, false, sluice.Errorf(sluice.Invalid, "document.source", "The document is at an address; it has no content here.").At("sourceType")
		case sluice.DocumentFile:
			if fileName == "" {
				return nil, false, sluice.Errorf(sluice.Invalid, "document.file", "The document is a file; send one, with its name.").At("file")
			}
			if err := checkFileName(fileName); err != nil {
				return nil, false, err
			}
			d.FileName, d.MediaType = fileName, safeMediaType(fileName)
			return content, true, nil
		}
		if fileName != "" {
			return nil, false, sluice.Errorf(sluice.Invalid, "document.source", "The document is text; send inlineContent.").At("file")
		}
		text, err := checkText(string(content))
		return text, true, err
	})
}

// changeDocument changes a document of an API, and its content where change
// says so.
func (p *Plane) changeDocument(ctx context.Context, apiID, id string, ifMatch int64, change func(d *sluice.Document) (content []byte, replaces bool, err error)) (sluice.Document, error) {
	actor, err := allow(ctx, makers...)
	if err != nil {
		return sluice.Document{}, err
	}
	var d sluice.Document
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := changeable(tx, actor, apiID, 0)
		if err != nil {
			return err
		}
		if d, err = seenDocument(tx, apiID, id, ifMatch); err != nil {
			return err
		}
		before := d
		content, replaces, err := change(&d)
		if err != nil {
			return err
		}
		d.UpdatedBy, d.UpdatedAt = actor.Name, p.now()
		if err := tx.PutDocument(&d); err != nil {
			return err
		}
		if replaces {
			if err := tx.PutDocumentContent(d.ID, content); err != nil {
				return err
			}
		}
		return audit(ctx, tx, "document.change", "document", d.ID, a.Name+" "+a.Version+": "+d.Name, before, d)
	})
	return d, err
}

func seenDocument(tx *database.Tx, apiID, id string, ifMatch int64) (sluice.Document, error) {
	d, err := tx.Document(apiID, id)
	if err == nil && ifMatch != 0 && ifMatch != d.RowVersion {
		err = sluice.Errorf(sluice.Changed, "changed", "Somebody else changed the document in the meantime; read it again.")
	}
	return d, err
}

// DeleteDocument deletes a document of an API.
func (p *Plane) DeleteDocument(ctx context.Context, apiID, id string, ifMatch int64) error {
	actor, err := allow(ctx, makers...)
	if err != nil {
		return err
	}
	return p.db.Update(ctx, func(tx *database.Tx) error {
		a, err := changeable(tx, actor, apiID, 0)
		if err != nil {
			return err
		}
		d, err := seenDocument(tx, apiID, id, ifMatch)
		if err != nil {
			return err
		}
		if err := tx.DeleteDocument(apiID, id); err != nil {
			return err
		}
		return audit(ctx, tx, "document.delete", "document", d.ID, a.Name+" "+a.Version+": "+d.Name, d, nil)
	})
}

// checkDocument reports everything that is wrong with a document, clears what
// its source has no use for, and returns its text.
func checkDocument(d *sluice.Document, text string) ([]byte, error) {
	var p sluice.Problems
	line := func(field, what, s string, least, most int) {
		if n := utf8.RuneCountInString(s); n < least || n > most || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
			p.Add(field, "document."+field, "A %s has %d to %d printable characters.", what, least, most)
		}
	}
	line("name", "document's name", d.Name, 1, 60)
	if strings.ContainsAny(d.Name, `/\`) || d.Name == "." || d.Name == ".." {
		p.Add("name", "document.name", "A document's name has no slashes.")
	}
	if utf8.RuneCountInString(d.Summary) > 32766 || !utf8.ValidString(d.Summary) || strings.ContainsRune(d.Summary, 0) {
		p.Add("summary", "document.summary", "A summary has at most 32766 characters.")
	}
	switch d.Type {
	case sluice.DocumentOther:
		line("otherTypeName", "name of another type", d.OtherType, 1, 60)
	case sluice.DocumentHowTo, sluice.DocumentSamples, sluice.DocumentPublicForum, sluice.DocumentSupportForum, sluice.DocumentMessageFormat, sluice.DocumentSwagger:
		d.OtherType = ""
	default:
		p.Add("type", "document.type", "The type is HOWTO, SAMPLES, PUBLIC_FORUM, SUPPORT_FORUM, API_MESSAGE_FORMAT, SWAGGER_DOC or OTHER.")
	}
	switch d.Visibility {
	case sluice.DocumentOfAPI, sluice.DocumentOfOwner, sluice.DocumentOfMembers:
	default:
		p.Add("visibility", "document.visibility", "The visibility is API_LEVEL, OWNER_ONLY or PRIVATE.")
	}
	var content []byte
	where := d.URL
	d.URL, d.FileName, d.MediaType = "", "", ""
	switch d.Source {
	case sluice.DocumentInline, sluice.DocumentMarkdown:
		d.MediaType = "text/plain; charset=utf-8"
		if d.Source == sluice.DocumentMarkdown {
			d.MediaType = "text/markdown; charset=utf-8"
		}
		var err error
		if content, err = checkText(text); err != nil {
			p.Add("inlineContent", "document.text", "%s", err.Error())
		}
	case sluice.DocumentURL:
		u, err := url.Parse(where)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || len(where) > 2000 || strings.ContainsFunc(where, unicode.IsControl) {
			p.Add("sourceUrl", "document.url", "The address is a URL that begins with http:// or https://, without a user.")
		}
		d.URL = where
	case sluice.DocumentFile:
	default:
		p.Add("sourceType", "document.source", "The source is INLINE, MARKDOWN, URL or FILE.")
	}
	return content, p.Err()
}

func checkText(text string) ([]byte, error) {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) || len(text) > MaxDocument {
		return nil, sluice.Errorf(sluice.Invalid, "document.text", "The content is text in UTF-8 of at most %d MB.", MaxDocument>>20).At("inlineContent")
	}
	return []byte(text), nil
}

// checkFileName takes names that mean the same on every system.
func checkFileName(name string) error {
	if len(name) > 255 || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.ContainsAny(name, `/\:*?"<>|`) || strings.Trim(name, ". ") == "" {
		return sluice.Errorf(sluice.Invalid, "document.file", "The name of a file has at most 255 characters, and no folders.").At("file")
	}
	return nil
}

// safeMediaType says what a file is, by its name, where a browser does no harm
// with it.
func safeMediaType(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".pdf":
		return "application/pdf"
	case ".txt", ".md", ".csv", ".log", ".yaml", ".yml":
		return "text/plain; charset=utf-8"
	case ".json":
		return "application/json"
	case ".zip":
		return "application/zip"
	case ".png":
		return "image/png"
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".gif":
		return "image/gif"
	}
	return "application/octet-stream"
}
