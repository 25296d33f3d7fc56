package rest

import (
	"context"
	"mime"
	"net/http"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/web"
)

// docDocument is a document of an API. (An API document, which package rest has
// too, is the JSON of an API: document.go.)
type docDocument struct {
	ID          string  `json:"documentId"`
	Name        string  `json:"name"`
	Type        string  `json:"type"`
	Summary     string  `json:"summary"`
	Source      string  `json:"sourceType"`
	URL         string  `json:"sourceUrl"`
	FileName    string  `json:"fileName"`
	Text        *string `json:"inlineContent,omitempty"`
	OtherType   string  `json:"otherTypeName"`
	Visibility  string  `json:"visibility"`
	CreatedTime string  `json:"createdTime"`
	CreatedBy   string  `json:"createdBy"`
	UpdatedTime string  `json:"lastUpdatedTime"`
	UpdatedBy   string  `json:"lastUpdatedBy"`
}

func docOf(d sluice.Document) docDocument {
	return docDocument{
		ID: d.ID, Name: d.Name, Type: string(d.Type), Summary: d.Summary, Source: string(d.Source), URL: d.URL, FileName: d.FileName,
		OtherType: d.OtherType, Visibility: string(d.Visibility), CreatedTime: stamp(d.CreatedAt), CreatedBy: d.CreatedBy,
		UpdatedTime: stamp(d.UpdatedAt), UpdatedBy: d.UpdatedBy,
	}
}

// readDoc reads the document that is the body of a request; what only Sluice
// sets is not taken.
func readDoc(r *http.Request) (d sluice.Document, text *string, err error) {
	var q docDocument
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return d, nil, err
	}
	return sluice.Document{
		ID: r.PathValue("documentId"), APIID: r.PathValue("apiId"), Name: q.Name, Type: sluice.DocumentType(q.Type), OtherType: q.OtherType, Summary: q.Summary,
		Source: sluice.DocumentSource(q.Source), URL: q.URL, Visibility: sluice.DocumentVisibility(q.Visibility),
	}, q.Text, nil
}

// listDocs answers with the documents that find returns; getDoc and getContent
// with one of them. They serve the Publisher and the Store.
func listDocs(find func(ctx context.Context, apiID string) ([]sluice.Document, error)) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		page, err := pageOf(r)
		if err != nil {
			return err
		}
		found, err := find(r.Context(), r.PathValue("apiId"))
		if err != nil {
			return err
		}
		return answer(w, http.StatusOK, listOf(mapped(cut(found, page), docOf), paginate(r, page, len(found))))
	}
}

type docFinder func(ctx context.Context, apiID, documentID string) (sluice.Document, []byte, error)

func getDoc(find docFinder) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		d, _, err := find(r.Context(), r.PathValue("apiId"), r.PathValue("documentId"))
		if err != nil {
			return err
		}
		return tagged(w, r, d.RowVersion, docOf(d))
	}
}

// getContent answers with the bytes of a document, or sends to where it is. A
// file is for saving, not for showing: it may be anything.
func getContent(find docFinder) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		d, content, err := find(r.Context(), r.PathValue("apiId"), r.PathValue("documentId"))
		if err != nil {
			return err
		}
		if d.Source == sluice.DocumentURL {
			w.Header().Set("Location", d.URL)
			w.WriteHeader(http.StatusSeeOther)
			return nil
		}
		if d.Source == sluice.DocumentFile && d.FileName == "" {
			return sluice.Errorf(sluice.NotFound, "document.content", "No file was sent for this document.")
		}
		if web.NotModified(w, r, d.RowVersion) {
			return nil
		}
		if d.Source == sluice.DocumentFile {
			w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": d.FileName}))
		}
		return writeBytes(w, d.MediaType, content)
	}
}

// writeBytes answers with bytes that strangers sent: nothing in them runs.
func writeBytes(w http.ResponseWriter, mediaType string, body []byte) error {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	_, _ = w.Write(body) // a client that went away is not an error
	return nil
}

func (s *Server) createDoc(w http.ResponseWriter, r *http.Request) error {
	d, text, err := readDoc(r)
	if err != nil {
		return err
	}
	if text == nil {
		text = new(string)
	}
	if d, err = s.plane.AddDocument(r.Context(), d, *text); err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(d.RowVersion))
	return created(w, r, "/apis/"+d.APIID+"/documents/"+d.ID, docOf(d))
}

func (s *Server) updateDoc(w http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	d, text, err := readDoc(r)
	if err != nil {
		return err
	}
	if d, err = s.plane.ChangeDocument(r.Context(), d, text, version); err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(d.RowVersion))
	return answer(w, http.StatusOK, docOf(d))
}

func (s *Server) deleteDoc(_ http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	return s.plane.DeleteDocument(r.Context(), r.PathValue("apiId"), r.PathValue("documentId"), version)
}

// putContent takes a file, or text.
func (s *Server) putContent(w http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	parts, fileName, err := readFile(r, map[string]int64{"file": control.MaxDocument, "inlineContent": control.MaxDocument})
	if err != nil {
		return err
	}
	file, isFile := parts["file"]
	text, isText := parts["inlineContent"]
	if isFile == isText {
		return sluice.Errorf(sluice.Invalid, "document.content", "Send the content once, as file or as inlineContent.").At("file")
	}
	if isText {
		file, fileName = text, ""
	} else if fileName == "" {
		return sluice.Errorf(sluice.Invalid, "document.file", "The file needs a name.").At("file")
	}
	d, err := s.plane.PutDocumentContent(r.Context(), r.PathValue("apiId"), r.PathValue("documentId"), version, fileName, file)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(d.RowVersion))
	return answer(w, http.StatusOK, docOf(d))
}

// getThumbnail answers with the picture that find returns.
func getThumbnail(find func(ctx context.Context, apiID string) (sluice.Thumbnail, error)) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		t, err := find(r.Context(), r.PathValue("apiId"))
		if err != nil || web.NotModified(w, r, t.UpdatedAt.UnixMicro()) {
			return err
		}
		return writeBytes(w, t.MediaType, t.Body)
	}
}

func (s *Server) putThumbnail(w http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	parts, err := readForm(r, map[string]int64{"file": control.MaxThumbnail})
	if err != nil {
		return err
	}
	t, err := s.plane.PutThumbnail(r.Context(), r.PathValue("apiId"), version, parts["file"])
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, struct {
		Path      string `json:"relativePath"`
		MediaType string `json:"mediaType"`
	}{"apis/" + t.APIID + "/thumbnail", t.MediaType})
}
