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
	validateAttributes(&p, "attributes", "application.attributes", a.Attributes)
	return p.Err()
}

// validateAttributes applies the rules that attributes of applications and tiers
// share.
func validateAttributes(p *Problems, field, code string, attributes map[string]string) {
	if len(attributes) > 50 {
		p.Add(field, code, "There are at most 50 attributes.")
		return
	}
	for name, value := range attributes {
		if n := utf8.RuneCountInString(name); n == 0 || n > 100 || !printable(name) {
			p.Add(field, code, "An attribute's name has 1 to 100 printable characters.")
		}
		if utf8.RuneCountInString(value) > 1000 {
			p.Add(field, code, "An attribute's value has at most 1000 characters.")
		}
	}
}
