package database

import (
	"fmt"
	"strings"

	"github.com/sluice-api/sluice"
)

const documentColumns = `id, api_id, name, type, other_type, summary, source, url, file_name, media_type, visibility,
	created_by, updated_by, created_at, updated_at, row_version`

func documentFields(d *sluice.Document) []any {
	return []any{
		&d.ID, &d.APIID, &d.Name, &d.Type, &d.OtherType, &d.Summary, &d.Source, &d.URL, &d.FileName, &d.MediaType, &d.Visibility,
		&d.CreatedBy, &d.UpdatedBy, (*instant)(&d.CreatedAt), (*instant)(&d.UpdatedAt), &d.RowVersion,
	}
}

func documentText(d *sluice.Document) string { return fold(d.Name + "\n" + d.Summary) }

// AddDocument stores a new document of an API, with its content (nil: none), and
// sets its row version; Conflict "document.exists" where the API has one of that
// name.
func (tx *Tx) AddDocument(d *sluice.Document, content []byte) error {
	d.RowVersion = 1
	return tx.add(`insert into documents (`+documentColumns+`, search_text, content)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		append(documentFields(d), documentText(d), content)...)
}

// PutDocument stores all of a document but its content, where d.RowVersion is
// that of the stored one; else it returns Changed. It sets the new row version.
// Conflicts are those of AddDocument.
func (tx *Tx) PutDocument(d *sluice.Document) error {
	err := tx.put(func() error { _, err := tx.Document(d.APIID, d.ID); return err },
		`update documents set name = $3, type = $4, other_type = $5, summary = $6, source = $7, url = $8, file_name = $9, media_type = $10,
			visibility = $11, created_by = $12, updated_by = $13, created_at = $14, updated_at = $15, row_version = row_version + 1, search_text = $17
		where id = $1 and api_id = $2 and row_version = $16`, append(documentFields(d), documentText(d))...)
	if err == nil {
		d.RowVersion++
	}
	return err
}

// PutDocumentContent stores the content of a document; nil: it has none.
func (tx *Tx) PutDocumentContent(id string, content []byte) error {
	return tx.change("document", `update documents set content = $2 where id = $1`, id, content)
}

// Document returns a document of an API.
func (tx *Tx) Document(apiID, id string) (sluice.Document, error) {
	return one(tx, "document", documentFields, `select `+documentColumns+` from documents where api_id = $1 and id = $2`, apiID, id)
}

// DocumentContent returns the content of a document; nil where it has none.
func (tx *Tx) DocumentContent(id string) ([]byte, error) {
	return one(tx, "document", func(b *[]byte) []any { return []any{b} }, `select content from documents where id = $1`, id)
}

// Documents returns the documents of an API by name.
func (tx *Tx) Documents(apiID string) ([]sluice.Document, error) {
	return query(tx, documentFields, `select `+documentColumns+` from documents where api_id = $1 order by name`, apiID)
}

// DeleteDocument deletes a document of an API.
func (tx *Tx) DeleteDocument(apiID, id string) error {
	return tx.change("document", `delete from documents where api_id = $1 and id = $2`, apiID, id)
}

// FindDocuments returns a page of the documents of the APIs that f finds, whose
// name or summary contains every word, by name; and how many there are. Of f the
// order, offset and limit are for documents. Visibilities names those found;
// empty: any.
func (tx *Tx) FindDocuments(f APIFilter, words []string, visibilities ...sluice.DocumentVisibility) (list []sluice.Document, total int, err error) {
	where, args, err := f.where()
	if err != nil {
		return nil, 0, err
	}
	where = `api_id in (select id from apis where ` + where + `)`
	for _, w := range words {
		args = append(args, containing(fold(w)))
		where += fmt.Sprintf(` and search_text like $%d escape '\'`, len(args))
	}
	if len(visibilities) > 0 {
		names := make([]string, len(visibilities))
		for i, v := range visibilities {
			args = append(args, string(v))
			names[i] = fmt.Sprintf("$%d", len(args))
		}
		where += ` and visibility in (` + strings.Join(names, ", ") + `)`
	}
	count, err := tx.number(`select count(*) from documents where `+where, args...)
	if err != nil {
		return nil, 0, err
	}
	list, err = query(tx, documentFields, fmt.Sprintf(`select %s from documents where %s order by name, id limit $%d offset $%d`,
		documentColumns, where, len(args)+1, len(args)+2), append(args, atMost(f.Limit), f.Offset)...)
	return list, int(count), err
}

func thumbnailFields(t *sluice.Thumbnail) []any {
	return []any{&t.APIID, &t.MediaType, &t.Body, (*instant)(&t.UpdatedAt)}
}

// PutThumbnail stores the picture of an API, in place of the one it may have.
func (tx *Tx) PutThumbnail(t *sluice.Thumbnail) error {
	return tx.add(`insert into thumbnails (api_id, media_type, body, updated_at) values ($1, $2, $3, $4)
		on conflict (api_id) do update set media_type = excluded.media_type, body = excluded.body, updated_at = excluded.updated_at`, thumbnailFields(t)...)
}

// Thumbnail returns the picture of an API.
func (tx *Tx) Thumbnail(apiID string) (sluice.Thumbnail, error) {
	return one(tx, "thumbnail", thumbnailFields, `select api_id, media_type, body, updated_at from thumbnails where api_id = $1`, apiID)
}

// WithThumbnail returns those of the APIs of an organization that have a picture.
func (tx *Tx) WithThumbnail(org string, ids []string) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	args, names := []any{org}, make([]string, len(ids))
	for i, id := range ids {
		args = append(args, id)
		names[i] = fmt.Sprintf("$%d", len(args))
	}
	return query(tx, func(id *string) []any { return []any{id} }, `select api_id from thumbnails where api_id in
		(select id from apis where organization = $1 and id in (`+strings.Join(names, ", ")+`))`, args...)
}
