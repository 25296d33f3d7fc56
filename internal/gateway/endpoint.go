package gateway

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/policy"
)

// Endpoint is the parsed address of a backend. It is immutable.
type Endpoint struct {
	Secure    bool   // https
	Address   string // "host:port", to connect to
	Authority string // value of Host
	Path      string // canonical, without a final slash; often empty

	Authorization sluice.Secret // value of the field that the backend asks for; empty: none
}

// NewEndpoint parses an http or https address. The error is one sentence for
// whoever wrote the address.
func NewEndpoint(rawURL string) (*Endpoint, error) {
	if err := (sluice.Endpoint{URL: rawURL}).Validate(); err != nil {
		return nil, err
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("parse address: %w", err)
	}
	e := &Endpoint{Secure: u.Scheme == "https", Authority: u.Host}
	port := u.Port()
	if port == "" {
		port = "80"
		if e.Secure {
			port = "443"
		}
	}
	e.Address = net.JoinHostPort(u.Hostname(), port)
	if p := strings.TrimRight(u.EscapedPath(), "/"); p != "" {
		canonical, ok := policy.CanonicalPath(nil, []byte(p))
		if !ok {
			return nil, fmt.Errorf("the path of %s can be read in more than one way", u.Redacted())
		}
		e.Path = string(canonical)
	}
	return e, nil
}

// basic returns the value of Authorization for a backend's name and password
// (RFC 7617); nil: none.
func basic(c *artifact.Credentials) sluice.Secret {
	if c == nil {
		return ""
	}
	return sluice.Secret("Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password)))
}

// appendTarget appends the path of a request that goes on to e: its own path
// and the rest of the request's after the context.
func (e *Endpoint) appendTarget(b, rest []byte) []byte {
	if e.Path == "" && len(rest) == 0 {
		return append(b, '/')
	}
	return append(append(b, e.Path...), rest...)
}
