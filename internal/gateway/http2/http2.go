// Package http2 carries calls between clients, a gateway.Gateway and backends
// by means of net/http: HTTP/2, and HTTP/1.1 as strictly as net/http reads it.
//
// [Server] is the clients' end: it fills a policy.Exchange from each request,
// has the gateway serve it and writes the answer, streaming bodies and trailers
// both ways. [Client] is the backends' end, a gateway.Transport. Either copies
// what it takes into memory of the exchange, so that no text of net/http's
// outlives its request.
//
// An answer that cannot be completed is cut (http.ErrAbortHandler): HTTP/1.1
// closes without the last chunk or byte, HTTP/2 resets the stream. Upgrades to
// other protocols are refused with 501.
package http2

import (
	"net/http"
	"time"

	"github.com/sluice-api/sluice/internal/policy"
)

const (
	maxHeader         = 32 << 10         // bytes of a request's header
	maxResponseHeader = 64 << 10         // bytes of a response's header
	maxStreams        = 100              // of an HTTP/2 connection
	headerTimeout     = 10 * time.Second // for a request's header
	idleTimeout       = 60 * time.Second // between requests
	lingerTimeout     = 2 * time.Second  // for a body that nobody wants any more
	graceTimeout      = 50 * time.Millisecond
	connectTimeout    = 10 * time.Second // to a backend; and as long again for TLS
)

// appendHeader appends the fields of h to f in memory of x.
func appendHeader(x *policy.Exchange, f policy.Fields, h http.Header) policy.Fields {
	for name, values := range h {
		for _, v := range values {
			x.AddField(&f, name, v)
		}
	}
	return f
}

// fieldsOf returns the fields of h in memory of their own.
func fieldsOf(h http.Header) policy.Fields {
	var f policy.Fields
	for name, values := range h {
		if len(values) == 0 { // announced
			f = append(f, policy.Field{Name: []byte(name)})
		}
		for _, v := range values {
			f.Add(name, v)
		}
	}
	return f
}

// addFields adds fields to h, each name in net/http's spelling after prefix. It
// leaves out what was announced and never came.
func addFields(h http.Header, f policy.Fields, prefix string) {
	for _, field := range f {
		if field.Value == nil {
			continue
		}
		name := prefix + http.CanonicalHeaderKey(string(field.Name))
		h[name] = append(h[name], string(field.Value))
	}
}
