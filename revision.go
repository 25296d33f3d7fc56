package sluice

import "time"

// MaxRevisions is how many revisions of one API are kept.
const MaxRevisions = 5

// Revision is an API frozen. Its number grows with every revision of the API
// and is never used again.
type Revision struct {
	ID          string
	APIID       string
	Number      int
	Description string // at most 255 characters
	Digest      string // SHA-256 of the frozen API, hexadecimal
	API         API    // as it was
	CreatedAt   time.Time
	CreatedBy   string
}
