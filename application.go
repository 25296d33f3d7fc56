package sluice

import (
	"time"
	"unicode/utf8"
)

// Application is a program, or a group of them, that calls APIs.
type Application struct {
	ID           string
	Organization string
	Owner        string            // user name
	Name         string            // unique for its owner, at most 100 characters
	Description  string            // at most 512 characters
	Tier         string            // application tier
	TokenType    string            // "JWT"
	Attributes   map[string]string // at most 50; for the application's people, gateways do not get them
	RowVersion   int64
	CreatedAt    time.Time
}

// Validate reports everything that is wrong with a.
func (a *Application) Validate() error {
	var p Problems
	if n := utf8.RuneCountInString(a.Name); n == 0 || n > 100 || !printable(a.Name) {
		p.Add("name", "application.name", "An application's name has 1 to 100 printable characters.")
	}
	if utf8.RuneCountInString(a.Description) > 512 {
		p.Add("description", "application.description", "A description has at most 512 characters.")
	}
	if a.TokenType != "JWT" {
		p.Add("tokenType", "application.token_type", "The token type is JWT.")
	}
	return p.Err()
}
