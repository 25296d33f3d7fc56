package sluice

import (
	"strings"
	"time"
)

// Lifecycle is the state of an API: what the API Store shows of it and who may
// subscribe. Where it runs is a matter of its deployments.
type Lifecycle string

// Lifecycle states.
const (
	Created    Lifecycle = "CREATED"
	Prototyped Lifecycle = "PROTOTYPED"
	Published  Lifecycle = "PUBLISHED"
	Blocked    Lifecycle = "BLOCKED"
	Deprecated Lifecycle = "DEPRECATED"
	Retired    Lifecycle = "RETIRED"
)

// Move is one legal step of an API's lifecycle.
type Move struct {
	Event string // as people and clients call it
	To    Lifecycle
}

// Moves returns the steps that are legal from l, in the order they are shown.
func (l Lifecycle) Moves() []Move {
	switch l {
	case Created:
		return []Move{{"Publish", Published}, {"Deploy as a Prototype", Prototyped}}
	case Prototyped:
		return []Move{{"Publish", Published}, {"Demote to Created", Created}, {"Deploy as a Prototype", Prototyped}}
	case Published:
		return []Move{{"Block", Blocked}, {"Deploy as a Prototype", Prototyped}, {"Demote to Created", Created}, {"Deprecate", Deprecated}, {"Publish", Published}}
	case Blocked:
		return []Move{{"Re-Publish", Published}, {"Deprecate", Deprecated}}
	case Deprecated:
		return []Move{{"Retire", Retired}}
	}
	return nil
}

// Move returns the state that event leads to. The error names the events that
// are allowed.
func (l Lifecycle) Move(event string) (Lifecycle, error) {
	var allowed []string
	for _, m := range l.Moves() {
		if m.Event == event {
			return m.To, nil
		}
		allowed = append(allowed, m.Event)
	}
	if len(allowed) == 0 {
		return l, Errorf(Conflict, "api.lifecycle", "An API in state %s cannot be moved.", l).At("action")
	}
	return l, Errorf(Conflict, "api.lifecycle", "An API in state %s can: %s.", l, strings.Join(allowed, ", ")).At("action")
}

// Deployable reports whether an API in this state may be deployed. An API that
// was only created may be: it is then tried out before it is published.
func (l Lifecycle) Deployable() bool { return l != Retired }

// LifecycleChange is one move that an API has made.
type LifecycleChange struct {
	APIID string
	From  Lifecycle // empty: it was made
	To    Lifecycle
	Actor string
	At    time.Time
}

// Publishable reports everything that a needs before it may be published.
func (a *API) Publishable() error {
	var p Problems
	if len(a.Production) == 0 && len(a.Sandbox) == 0 {
		p.Add("endpointConfig", "api.endpoint", "Publishing needs a production or a sandbox endpoint.")
	}
	if len(a.Tiers) == 0 {
		p.Add("policies", "api.tiers", "Publishing needs at least one tier that subscribers can choose.")
	}
	return p.Err()
}
