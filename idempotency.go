package sluice

import "time"

// KeptAnswer is what a user's request was answered that named a key by which it
// may be repeated: the same request with the same key gets the same answer.
type KeptAnswer struct {
	UserID    string
	Key       string
	Digest    string // of the request: method, path and body
	Status    int    // of HTTP; 0: the first request is under way, or did not come to its end
	Answer    []byte
	CreatedAt time.Time
}
