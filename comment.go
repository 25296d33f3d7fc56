package sluice

import "time"

// Comment is what a user says about an API in the API Store, or in answer to
// another Comment.
type Comment struct {
	ID        string
	APIID     string
	ParentID  string // the Comment it answers; empty: none
	Content   string // 1 to 512 characters
	Category  string // "general", "feature request", "bug report"; free text
	Entry     string // "devPortal" or "publisher": where it was written
	Author    string // user name
	CreatedAt time.Time
	UpdatedAt time.Time // zero: never changed

	RowVersion int64
}

// Rating is how one user likes an API: 1 to 5 stars.
type Rating struct {
	ID    string
	APIID string
	User  string
	Stars int
	At    time.Time

	RowVersion int64
}

// Tag is a word that APIs carry, and how many do.
type Tag struct {
	Name  string
	Count int
}
