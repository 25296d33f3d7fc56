package sluice

import "time"

// Document is something to read about an API.
type Document struct {
	ID         string
	APIID      string
	Name       string // unique for its API, at most 60 characters
	Type       DocumentType
	OtherType  string // what DocumentOther is
	Summary    string
	Source     DocumentSource
	URL        string // where Source is DocumentURL
	FileName   string // where Source is DocumentFile
	MediaType  string // of the content
	Visibility DocumentVisibility
	CreatedBy  string
	UpdatedBy  string
	CreatedAt  time.Time
	UpdatedAt  time.Time
	RowVersion int64
}

// DocumentType says what a Document is for.
type DocumentType string

// Document types.
const (
	DocumentHowTo         DocumentType = "HOWTO"
	DocumentSamples       DocumentType = "SAMPLES"
	DocumentPublicForum   DocumentType = "PUBLIC_FORUM"
	DocumentSupportForum  DocumentType = "SUPPORT_FORUM"
	DocumentMessageFormat DocumentType = "API_MESSAGE_FORMAT"
	DocumentSwagger       DocumentType = "SWAGGER_DOC"
	DocumentOther         DocumentType = "OTHER"
)

// DocumentSource says where a Document's content is.
type DocumentSource string

// Document sources.
const (
	DocumentInline   DocumentSource = "INLINE"   // text, kept here
	DocumentMarkdown DocumentSource = "MARKDOWN" // text, kept here
	DocumentURL      DocumentSource = "URL"      // elsewhere
	DocumentFile     DocumentSource = "FILE"     // a file, kept here
)

// DocumentVisibility says who reads a Document.
type DocumentVisibility string

// Document visibilities.
const (
	DocumentOfAPI     DocumentVisibility = "API_LEVEL"  // whoever sees the API
	DocumentOfOwner   DocumentVisibility = "OWNER_ONLY" // whoever may change the API
	DocumentOfMembers DocumentVisibility = "PRIVATE"    // users of the organization
)

// Thumbnail is the picture of an API.
type Thumbnail struct {
	APIID     string
	MediaType string // image/png, image/jpeg, image/gif or image/bmp
	Body      []byte // at most 1 MB
	UpdatedAt time.Time
}

// Category is a name under which an organization files its APIs.
type Category struct {
	ID           string
	Organization string
	Name         string // unique in the organization
	Description  string
	RowVersion   int64
}
