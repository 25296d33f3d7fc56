package policy

import "slices"

// CheckTransport refuses calls of the matched API over a transport that it is
// not offered over. It comes before the operation is looked for, and so is not
// among the steps of one.
func CheckTransport(x *Exchange) *Fault {
	scheme := "http"
	if x.Request.TLS {
		scheme = "https"
	}
	if slices.Contains(x.API.Transports, scheme) {
		return nil
	}
	return TransportForbidden
}
