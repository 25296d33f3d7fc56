package policy

import "github.com/sluice-api/sluice"

// checkKeyType keeps production keys from sandbox gateways and the reverse. A
// hybrid gateway takes both, each where the API has an endpoint for it.
func checkKeyType(x *Exchange) *Fault {
	if x.Caller.KeyType == sluice.ProductionKey {
		switch {
		case !x.API.Environment.Takes(sluice.ProductionKey):
			return ProductionKeyRefused
		case len(x.API.Production) == 0:
			return NoProductionEndpoint
		}
		return nil
	}
	switch {
	case !x.API.Environment.Takes(sluice.SandboxKey):
		return SandboxKeyRefused
	case len(x.API.Sandbox) == 0:
		return NoSandboxEndpoint
	}
	return nil
}
