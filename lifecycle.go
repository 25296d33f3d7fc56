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

// CompareVersions compares two versions of an API as people count: runs of
// digits by their value, all else by its characters, so that "1.9" is before
// "1.10" and "v1" before "v2". The result is below, at or above zero.
func CompareVersions(a, b string) int {
	for a != "" && b != "" {
		x, restA := versionPart(a)
		y, restB := versionPart(b)
		order := strings.Compare(x, y)
		if digit(x[0]) && digit(y[0]) {
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if order = len(x) - len(y); order == 0 {
				order = strings.Compare(x, y)
			}
		}
		if order != 0 {
			return order
		}
		a, b = restA, restB
	}
	return len(a) - len(b)
}

// versionPart cuts a run of digits, or of other characters, off a version.
func versionPart(s string) (part, rest string) {
	i := 1
	for i < len(s) && digit(s[i]) == digit(s[0]) {
		i++
	}
	return s[:i], s[i:]
}

func digit(b byte) bool { return '0' <= b && b <= '9' }
