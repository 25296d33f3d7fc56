package gateway

import (
	"bytes"

	"github.com/sluice-api/sluice/internal/policy"
)

// ownCookies begins the names of Sluice's own cookies. Browsers send them to
// every port of a host; backends neither see nor set them.
const ownCookies = "__Host-sluice"

// maxHops is how many proxies a request may have passed, as its Via says; more
// are a loop that does not lead through this process alone.
const maxHops = 20

// receive takes everything out of a request's fields that concerns this hop
// alone (RFC 9110 §7.6.1) or that only a gateway may say, before any policy
// looks at them. So no client can have a field removed that Sluice sets later.
// It reports whether the request is a probe of this process.
func (g *Gateway) receive(x *policy.Exchange) (probe bool, _ *policy.Fault) {
	options, ok := connectionOptions(x.Request.Fields)
	if !ok {
		return false, policy.BadRequest
	}
	kept := x.Request.Fields[:0]
	credentials := 0
	trailers := false
	traces, hops := 0, 0
	for _, f := range x.Request.Fields {
		var buffer [maxKnownName]byte
		switch string(lowerName(&buffer, f.Name)) {
		case "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
			"transfer-encoding", "content-length", "host", "trailer", "upgrade", "http2-settings",
			"forwarded", "x-real-ip", "x-jwt-assertion", "x-trace-id":
			continue
		case "te":
			trailers = trailers || listHas(f.Value, "trailers")
			continue
		case "content_length", "transfer_encoding": // what some backends take for the framing fields
			return false, policy.BadRequest
		case "x-sluice-probe":
			probe = g.isProbe(f.Value)
			continue
		case "via":
			if hops += 1 + bytes.Count(f.Value, []byte(",")); hops > maxHops || bytes.Contains(f.Value, []byte(g.via)) {
				return false, policy.LoopDetected
			}
		case "authorization":
			if credentials++; credentials > 1 {
				return false, policy.BadRequest
			}
		case "traceparent":
			traces++
		}
		if policy.HasPrefixFold(f.Name, "x-forwarded-") || bytes.IndexByte(f.Name, '_') >= 0 || named(options, f.Name) {
			continue
		}
		kept = append(kept, f)
	}
	x.Request.Fields = kept
	if traces > 0 {
		continueTrace(x, traces == 1)
	}
	if trailers {
		x.AddField(&x.Request.Fields, "TE", "trailers")
	}
	return probe, nil
}

// prepare completes the fields of a request that goes on to a backend.
func (g *Gateway) prepare(x *policy.Exchange, removeAuthorization bool) {
	kept := x.Request.Fields[:0]
	for _, f := range x.Request.Fields {
		switch {
		case removeAuthorization && policy.EqualFold(f.Name, "authorization"), policy.IsCredential(x.API, f.Name):
			continue
		case policy.EqualFold(f.Name, "cookie"):
			if f.Value = withoutOwnCookies(x, f.Value); len(f.Value) == 0 {
				continue
			}
		}
		kept = append(kept, f)
	}
	fields := &x.Request.Fields
	*fields = kept
	policy.HideAPIKey(x)
	x.Request.Trailer = cleanTrailer(x.Request.Trailer)
	if a := x.Request.Client.Addr(); a.IsValid() {
		*fields = append(*fields, policy.Field{Name: x.Copy("X-Forwarded-For"), Value: a.Unmap().WithZone("").AppendTo(x.Alloc(40))})
	}
	proto := "http"
	if x.Request.TLS {
		proto = "https"
	}
	x.AddField(fields, "X-Forwarded-Proto", proto)
	*fields = append(*fields, policy.Field{Name: x.Copy("X-Forwarded-Host"), Value: x.Request.Authority})
	via := x.Alloc(len(x.Request.Protocol) + 1 + len(g.via))
	via = append(append(append(via, x.Request.Protocol...), ' '), g.via...)
	*fields = append(*fields,
		policy.Field{Name: x.Copy("Via"), Value: via},
		policy.Field{Name: x.Copy(traceField), Value: append(x.Alloc(len(x.TraceID)), x.TraceID[:]...)})
}

// cleanResponse takes out of a response's fields what concerns this hop alone
// and what only Sluice may say. It returns false where the fields contradict
// the framing.
func cleanResponse(x *policy.Exchange) bool {
	options, ok := connectionOptions(x.Response.Fields)
	if !ok {
		return false
	}
	kept := x.Response.Fields[:0]
	for _, f := range x.Response.Fields {
		var buffer [maxKnownName]byte
		switch string(lowerName(&buffer, f.Name)) {
		case "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "transfer-encoding", "content-length",
			"te", "trailer", "upgrade", "x-jwt-assertion", "x-sluice-probe", "x-trace-id":
			continue
		case "set-cookie":
			if policy.HasPrefixFold(bytes.TrimLeft(f.Value, " \t"), ownCookies) {
				continue
			}
		}
		if !named(options, f.Name) {
			kept = append(kept, f)
		}
	}
	x.Response.Fields = kept
	x.Response.Trailer = cleanTrailer(x.Response.Trailer)
	return true
}

// cleanTrailer returns trailer without the fields that must not come after a
// body: those of framing, routing, authentication and content (RFC 9110
// §6.5.1), and those that only Sluice may say.
func cleanTrailer(trailer func() policy.Fields) func() policy.Fields {
	if trailer == nil {
		return nil
	}
	return func() policy.Fields {
		fields := trailer()
		kept := fields[:0]
		for _, f := range fields {
			var buffer [maxKnownName]byte
			switch string(lowerName(&buffer, f.Name)) {
			case "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "transfer-encoding",
				"content-length", "host", "trailer", "te", "upgrade", "via", "forwarded", "x-real-ip", "x-jwt-assertion",
				"authorization", "www-authenticate", "cookie", "set-cookie", "cache-control", "expect", "max-forwards", "range",
				"content-type", "content-encoding", "content-range", "location", "x-trace-id", "x-sluice-probe":
				continue
			}
			if !policy.HasPrefixFold(f.Name, "x-forwarded-") && bytes.IndexByte(f.Name, '_') < 0 {
				kept = append(kept, f)
			}
		}
		return kept
	}
}

// connectionOptions returns the options of all Connection fields that name a
// field to be removed. Fields for the whole way cannot be removed so; a
// message that names a framing field is refused.
func connectionOptions(fields policy.Fields) (options policy.Fields, ok bool) {
	for _, f := range fields {
		if !policy.EqualFold(f.Name, "connection") {
			continue
		}
		for rest := f.Value; rest != nil; {
			var option []byte
			option, rest = policy.NextElement(rest)
			var buffer [maxKnownName]byte
			switch string(lowerName(&buffer, option)) {
			case "", "close", "keep-alive", "upgrade", "te",
				"authorization", "cookie", "set-cookie", "via", "date", "allow", "location", "vary", "retry-after", "www-authenticate",
				"cache-control", "content-type", "content-encoding", "content-range", "content-location", "range", "expect":
				continue
			case "host", "content-length", "transfer-encoding", "trailer":
				return nil, false
			}
			options = append(options, policy.Field{Name: option})
		}
	}
	return options, true
}

// named reports whether a field is among the options of Connection.
func named(options policy.Fields, name []byte) bool {
	for i := range options {
		if bytes.EqualFold(options[i].Name, name) {
			return true
		}
	}
	return false
}

// maxKnownName is longer than every field name that is compared with.
const maxKnownName = 32

// lowerName returns a field name in lower case, in buffer; nothing where it is
// too long to be known.
func lowerName(buffer *[maxKnownName]byte, name []byte) []byte {
	if len(name) > len(buffer) {
		return nil
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		buffer[i] = c
	}
	return buffer[:len(name)]
}

// listHas reports whether a list value has an element, parameters aside.
func listHas(list []byte, element string) bool {
	for rest := list; rest != nil; {
		var e []byte
		e, rest = policy.NextElement(rest)
		e, _, _ = bytes.Cut(e, []byte{';'})
		if policy.EqualFold(bytes.TrimRight(e, " \t"), element) {
			return true
		}
	}
	return false
}

// withoutOwnCookies returns a Cookie value without Sluice's own cookies.
func withoutOwnCookies(x *policy.Exchange, value []byte) []byte {
	if !bytes.Contains(value, []byte("__")) {
		return value
	}
	kept := x.Alloc(len(value))
	for rest := value; rest != nil; {
		pair, after, more := bytes.Cut(rest, []byte{';'})
		if rest = nil; more {
			rest = after
		}
		pair = bytes.Trim(pair, " \t")
		if len(pair) == 0 || policy.HasPrefixFold(pair, ownCookies) {
			continue
		}
		if len(kept) > 0 {
			kept = append(kept, "; "...)
		}
		kept = append(kept, pair...)
	}
	return kept
}
