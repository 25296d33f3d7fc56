package sluice

import (
	"errors"
	"net/url"
	"strconv"
)

// Validate says what is wrong with the address, in one sentence.
func (e Endpoint) Validate() error {
	u, err := url.Parse(e.URL)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return errors.New("An endpoint is an address like https://backend.example.com/path.")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("An endpoint begins with http:// or https://.")
	case u.User != nil:
		return errors.New("An endpoint holds no user name or password; use endpoint security.")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("An endpoint has no query and no fragment.")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return errors.New("The port of an endpoint is between 1 and 65535.")
		}
	}
	return nil
}
