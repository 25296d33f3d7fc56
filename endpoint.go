package sluice

import (
	"net/url"
	"strconv"
)

// Endpoint is one address of a backend.
type Endpoint struct {
	URL string `json:"url"` // http or https, with host, without query and fragment
}

// EndpointSecurity is how gateways show a backend who they are: by Basic
// authentication (RFC 7617). The password is sealed under the name that
// package control gives it; it leaves the control plane for gateways alone.
type EndpointSecurity struct {
	Username string `json:"username"`
	Password []byte `json:"password,omitempty"` // sealed
}

// EndpointOverride is what one environment uses instead of an API's endpoints.
// A side without an address there is that of the API.
type EndpointOverride struct {
	EnvironmentID string     `json:"environment_id"`
	Production    []Endpoint `json:"production,omitempty"`
	Sandbox       []Endpoint `json:"sandbox,omitempty"`
}

// Validate reports what is wrong with the address.
func (e Endpoint) Validate() error {
	wrong := func(message string) error { return Errorf(Invalid, "api.endpoint", "%s", message) }
	u, err := url.Parse(e.URL)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return wrong("An endpoint is an address like https://backend.example.com/path.")
	case u.Scheme != "http" && u.Scheme != "https":
		return wrong("An endpoint begins with http:// or https://.")
	case u.User != nil:
		return wrong("An endpoint holds no user name or password; use endpoint security.")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return wrong("An endpoint has no query and no fragment.")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return wrong("The port of an endpoint is between 1 and 65535.")
		}
	}
	return nil
}
