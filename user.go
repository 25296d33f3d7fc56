package sluice

import (
	"context"
	"slices"
	"time"
)

// Role is what a user may do.
type Role string

// Roles that exist from the first start.
const (
	Administrator  Role = "admin"
	Creator        Role = "Internal/creator"
	Publisher      Role = "Internal/publisher"
	Subscriber     Role = "Internal/subscriber"
	Devops         Role = "Internal/devops"
	Observer       Role = "Internal/observer"
	IntegrationDev Role = "Internal/integration_dev"
)

// Roles returns the roles that exist from the first start.
func Roles() []Role {
	return []Role{Administrator, Creator, Publisher, Subscriber, Devops, Observer, IntegrationDev}
}

// User is a person with an account.
type User struct {
	ID           string
	Organization string
	Name         string // unique in the organization
	Email        string
	Roles        []Role
	PasswordHash string // argon2id, in its own text form
	MustChange   bool   // the password is temporary
	RowVersion   int64
	CreatedAt    time.Time
}

// Actor is who does something: a user, and from where. Everything in package
// control asks it first.
type Actor struct {
	UserID       string
	Name         string
	Organization string
	Roles        []Role
	Client       string // what was used: "rest", "cli", a client id
	Address      string // remote address
	TraceID      string
}

// Has reports whether the actor has one of the roles. An administrator has all.
func (a Actor) Has(roles ...Role) bool {
	if slices.Contains(a.Roles, Administrator) {
		return true
	}
	return slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(a.Roles, r) })
}

// Known reports whether the actor is somebody; the zero Actor is anonymous.
func (a Actor) Known() bool { return a.Name != "" }

// System is the actor of what the platform does by itself.
func System() Actor {
	return Actor{Name: "system", Organization: DefaultOrganization, Roles: []Role{Administrator}, Client: "system"}
}

type actorKey struct{}

// WithActor returns ctx with the Actor on whose behalf things are done.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorFrom returns the Actor of ctx, the anonymous one where there is none.
func ActorFrom(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	return a
}
