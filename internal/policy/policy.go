// Package policy holds what a gateway checks and does with a call on its way,
// one file a policy, definition and code together. Policies see an [Exchange],
// which is of no HTTP version, and answer with a [Fault] where the call ends.
//
// The package knows no network, no database and no control plane: it runs
// inside gateways, on the request path, and allocates nothing that is not
// proportional to the request. Which steps an operation has is decided when the
// gateway's table is built ([Bind]); whom they let pass is looked up in the
// [Directory] that the call began with.
//
// Order and answers of the built-in checks are those every gateway gives, and
// every fault has its row in fault.go. To add a policy: one file with its Step,
// and its line in Builtin.
package policy

import (
	"slices"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

// Step is one check or change on the way of a call. It returns the Fault that
// ends the call, or nil to go on. A Step is shared by all calls: it may change
// the Exchange and the counts of the Directory, and nothing else.
type Step func(x *Exchange) *Fault

// Definition is one policy that operations have without being told.
type Definition struct {
	Name    string
	Applies func(a *artifact.API, o *sluice.Operation) bool
	Step    Step
}

// Builtin are the checks of every gateway. Of two faults the one of the earlier
// row answers.
var Builtin = [...]Definition{
	{"blocked", isBlocked, refuseBlocked},
	{"authentication", needsToken, authenticate},
	{"token_type", needsTokenType, checkTokenType},
	{"key_type", needsToken, checkKeyType},
	{"subscription", needsToken, checkSubscription},
	{"scope", needsScope, checkScope},
	{"ratelimit", isLimited, checkLimits},
	{"backend_jwt", always, tellBackend},
}

// Bind returns the steps of an operation, in their order.
func Bind(a *artifact.API, o *sluice.Operation) []Step {
	var steps []Step
	for _, d := range Builtin {
		if d.Applies(a, o) {
			steps = append(steps, d.Step)
		}
	}
	return slices.Clip(steps)
}

// needsToken reports whether calls of o are authenticated at all: those of
// prototypes are not.
func needsToken(a *artifact.API, o *sluice.Operation) bool {
	return a.State != sluice.Prototyped && o.Auth != sluice.AuthNone
}
