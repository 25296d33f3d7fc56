package policy

import (
	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

func isBlocked(a *artifact.API, _ *sluice.Operation) bool { return a.State == sluice.Blocked }

// refuseBlocked ends every call of an API that its publisher has blocked.
func refuseBlocked(*Exchange) *Fault { return APIBlocked }
