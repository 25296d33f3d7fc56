package sluice

import (
	"net/url"
	"strconv"
	"strings"
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

// validate adds what is wrong with the name to p. What there is to be said of the
// password is package control's business: it may be one that is stored.
func (s *EndpointSecurity) validate(p *Problems, side string) {
	field := "endpointConfig.endpoint_security." + side
	if s.Username == "" || len(s.Username) > 255 || strings.Contains(s.Username, ":") || !printable(s.Username) {
		p.Add(field, "api.endpoint_security", "Basic authentication needs a user name of 1 to 255 bytes without a colon and control characters.")
	}
	if len(s.Password) > 4096 {
		p.Add(field, "api.endpoint_security", "The password of a backend has at most 4000 bytes.")
	}
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
