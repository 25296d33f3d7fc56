package policy

import (
	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

func needsTokenType(a *artifact.API, o *sluice.Operation) bool {
	return needsToken(a, o) && o.Auth != sluice.AuthAny
}

// checkTokenType tells tokens of applications from tokens of users, where the
// operation takes only one of them.
func checkTokenType(x *Exchange) *Fault {
	switch {
	case x.Caller.Test:
	case x.Operation.Auth == sluice.AuthUser && !x.Caller.UserToken:
		return NeedsUserToken
	case x.Operation.Auth == sluice.AuthApplication && x.Caller.UserToken:
		return NeedsApplicationToken
	}
	return nil
}
