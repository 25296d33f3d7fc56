package sluice

import (
	"errors"
	"fmt"
	"strings"
)

// Kind says what sort of mistake an Error is; every face of Sluice answers a
// kind in its own way (package web holds the statuses).
type Kind uint8

// Kinds of errors. The list is closed.
const (
	Internal        Kind = iota // a fault of Sluice; nothing of it is shown
	Invalid                     // the input breaks a rule
	Unauthenticated             // nobody, or not who they say
	Forbidden                   // known, and not allowed
	NotFound                    // not there, or not for this actor to see
	Conflict                    // clashes with what exists
	Changed                     // somebody else changed it first
	TooMany                     // too often
	Unavailable                 // cannot be done at this moment
)

// String returns the kind's name as it is written in logs.
func (k Kind) String() string {
	names := [...]string{"internal", "invalid", "unauthenticated", "forbidden", "not found", "conflict", "changed", "too many", "unavailable"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// Error is a mistake that its reader can do something about. Everything in it
// may be shown.
type Error struct {
	Kind     Kind
	Code     string   // stable, "area.reason"; for programs
	Message  string   // one plain sentence; for people
	Field    string   // the input at fault, as the interface names it; may be empty
	Problems []*Error // every problem found, where there are several
}

// Errorf returns an Error without a field.
func Errorf(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...)}
}

// At names the input at fault and returns e.
func (e *Error) At(field string) *Error {
	e.Field = field
	return e
}

// Error returns the message; with several problems, all of theirs.
func (e *Error) Error() string {
	if len(e.Problems) == 0 {
		return e.Message
	}
	all := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		all[i] = p.Error()
	}
	return e.Message + " " + strings.Join(all, " ")
}

// KindOf returns the kind of the first Error in err's chain, Internal where
// there is none. It must not be asked of nil.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// Problems collects what is wrong with one input, so that all of it is
// reported together. The zero value is ready to use.
type Problems struct{ list []*Error }

// Add notes one problem at a field.
func (p *Problems) Add(field, code, format string, args ...any) {
	p.list = append(p.list, Errorf(Invalid, code, format, args...).At(field))
}

// Err returns nil where nothing was noted, the problem where there is one, and
// else an Invalid Error that holds all of them.
func (p *Problems) Err() error {
	switch len(p.list) {
	case 0:
		return nil
	case 1:
		return p.list[0]
	}
	e := Errorf(Invalid, "invalid", "%d things must be corrected.", len(p.list))
	e.Problems = p.list
	return e
}

// IsNotFound reports whether err says that something is not there.
func IsNotFound(err error) bool { return err != nil && KindOf(err) == NotFound }
