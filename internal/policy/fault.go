package policy

import (
	"strconv"
	"strings"
	"time"
)

// Fault is an answer that ends a call in the gateway. All there are stand in
// this file. They are shared by all calls and never changed.
type Fault struct {
	Status      int
	Code        string // as WSO2 numbers them
	Message     string // the short text that belongs to Code
	Description string // one sentence for the caller; it names nothing of the request
	RetryAfter  int    // seconds; 0: not said
}

// Faults of the request itself.
var (
	BadRequest        = &Fault{Status: 400, Code: "400", Message: "Bad Request", Description: "The request is not valid HTTP, or its path can be read in more than one way."}
	IncompletePayload = &Fault{Status: 400, Code: "102511", Message: "Incomplete payload", Description: "The request ended before its body was complete."}
	RequestTimeout    = &Fault{Status: 408, Code: "408", Message: "Request Timeout", Description: "The request did not arrive in time."}
	ContentTooLarge   = &Fault{Status: 413, Code: "413", Message: "Content Too Large", Description: "The body of the request is larger than this gateway takes."}
	URITooLong        = &Fault{Status: 414, Code: "414", Message: "URI Too Long", Description: "The address of the request is longer than this gateway takes."}
	HeaderTooLarge    = &Fault{Status: 431, Code: "431", Message: "Request Header Fields Too Large", Description: "The header of the request is larger than this gateway takes."}
	NotImplemented    = &Fault{Status: 501, Code: "501", Message: "Not Implemented", Description: "This gateway does not support what the request asks for: CONNECT, or another protocol on the same connection."}
	LoopDetected      = &Fault{Status: 508, Code: "508", Message: "Loop Detected", Description: "The request came back to the gateway that sent it on, or went from proxy to proxy for too long."}
)

// Faults of matching.
var (
	UnknownAPI         = &Fault{Status: 404, Code: "404", Message: "Not Found", Description: "No API answers at this path on this gateway."}
	UnknownResource    = &Fault{Status: 404, Code: "404", Message: "Not Found", Description: "The API has no such resource."}
	TransportForbidden = &Fault{Status: 403, Code: "403", Message: "Forbidden", Description: "The API is not offered over this transport."}
	MethodNotAllowed   = &Fault{Status: 405, Code: "405", Message: "Method Not Allowed", Description: "The resource does not take this method."}
	APIBlocked         = &Fault{Status: 503, Code: "700700", Message: "API blocked", Description: "The API is blocked by its publisher.", RetryAfter: 60}
)

// Faults of authentication and subscription.
var (
	AuthenticationFailure = &Fault{Status: 500, Code: "900900", Message: "Unclassified Authentication Failure", Description: "The authentication could not be carried out."}
	InvalidCredentials    = &Fault{Status: 401, Code: "900901", Message: "Invalid Credentials", Description: "The access token is not valid."}
	MissingCredentials    = &Fault{Status: 401, Code: "900902", Message: "Missing Credentials", Description: "The request needs an access token: Authorization: Bearer."}
	InvalidAPIKey         = &Fault{Status: 401, Code: "900901", Message: "Invalid Credentials", Description: "The API key is not valid."}
	MissingAPIKey         = &Fault{Status: 401, Code: "900902", Message: "Missing Credentials", Description: "The request needs an API key, or an access token where the API takes one."}
	APIKeyExpired         = &Fault{Status: 401, Code: "900903", Message: "Access Token Expired", Description: "The API key has expired."}
	APIKeyElsewhere       = &Fault{Status: 403, Code: "900908", Message: "Resource forbidden", Description: "The API key may not be used from this address, or from this page."}
	TokenExpired          = &Fault{Status: 401, Code: "900903", Message: "Access Token Expired", Description: "The access token has expired."}
	NeedsUserToken        = &Fault{Status: 401, Code: "900905", Message: "Incorrect Access Token Type", Description: "The resource takes tokens of users, and this is a token of an application."}
	NeedsApplicationToken = &Fault{Status: 401, Code: "900905", Message: "Incorrect Access Token Type", Description: "The resource takes tokens of applications, and this is a token of a user."}
	SubscriptionBlocked   = &Fault{Status: 401, Code: "900907", Message: "API temporarily blocked", Description: "The application's subscription to the API is blocked."}
	NotSubscribed         = &Fault{Status: 403, Code: "900908", Message: "Resource forbidden", Description: "The application does not subscribe to the API."}
	SubscriptionInactive  = &Fault{Status: 401, Code: "900909", Message: "Subscription inactive", Description: "The application's subscription to the API is not active."}
	ScopeMissing          = &Fault{Status: 403, Code: "900910", Message: "Scope missing", Description: "The access token has none of the scopes that the resource asks for."}
)

// Faults of a key on a gateway it is not for.
var (
	SandboxKeyRefused    = &Fault{Status: 401, Code: "900901", Message: "Invalid Credentials", Description: "A sandbox key cannot be used on a production gateway."}
	ProductionKeyRefused = &Fault{Status: 401, Code: "900901", Message: "Invalid Credentials", Description: "A production key cannot be used on a sandbox gateway."}
	NoProductionEndpoint = &Fault{Status: 403, Code: "900901", Message: "Invalid Credentials", Description: "The API has no production endpoint here."}
	NoSandboxEndpoint    = &Fault{Status: 403, Code: "900901", Message: "Invalid Credentials", Description: "The API has no sandbox endpoint here."}
)

// Faults of limits and deny lists.
var (
	APIThrottled          = &Fault{Status: 429, Code: "900800", Message: "Message throttled out", Description: "The API was called more often than it may be."}
	BackendLimitReached   = &Fault{Status: 503, Code: "900801", Message: "API Limit Reached", Description: "The API's backend takes no more calls at this moment.", RetryAfter: 1}
	ResourceThrottled     = &Fault{Status: 429, Code: "900802", Message: "Message throttled out", Description: "The resource was called more often than it may be."}
	ApplicationThrottled  = &Fault{Status: 429, Code: "900803", Message: "Message throttled out", Description: "The application has used up its calls for now."}
	SubscriptionThrottled = &Fault{Status: 429, Code: "900804", Message: "Message throttled out", Description: "The subscription has used up its calls for now."}
	MessageBlocked        = &Fault{Status: 403, Code: "900805", Message: "Message blocked", Description: "The call is on the deny list of this gateway."}
	CustomThrottled       = &Fault{Status: 429, Code: "900806", Message: "Message throttled out", Description: "A policy of this gateway allows no more calls for now."}
	BurstThrottled        = &Fault{Status: 429, Code: "900807", Message: "Message throttled out", Description: "The calls follow each other too quickly."}
)

// Faults of backends and of the gateway itself.
var (
	BackendUnreachable = &Fault{Status: 502, Code: "101503", Message: "Backend unavailable", Description: "The backend could not be reached."}
	BackendUntrusted   = &Fault{Status: 502, Code: "101500", Message: "Backend unavailable", Description: "No secure connection to the backend could be made."}
	BackendTimeout     = &Fault{Status: 504, Code: "101504", Message: "Backend timed out", Description: "The backend did not answer in time."}
	BackendClosed      = &Fault{Status: 502, Code: "101505", Message: "Backend failed", Description: "The backend closed the connection before it had answered."}
	BackendProtocol    = &Fault{Status: 502, Code: "101506", Message: "Backend failed", Description: "The backend's answer was not valid HTTP."}
	BackendSuspended   = &Fault{Status: 503, Code: "303001", Message: "Backend suspended", Description: "The backend failed repeatedly and is not called for a while.", RetryAfter: 5}
	Overloaded         = &Fault{Status: 503, Code: "503", Message: "Service Unavailable", Description: "The gateway has too much to do at this moment.", RetryAfter: 1}
	InternalError      = &Fault{Status: 500, Code: "500", Message: "Internal Server Error", Description: "The gateway made a mistake; its log has the trace id."}
)

// Append appends the fault's body as the answer of x to b, in a format.
func (f *Fault) Append(b []byte, format Format, x *Exchange) []byte {
	if format == JSON {
		return f.appendJSON(b, x)
	}
	return f.appendXML(b, x)
}

// nextAccess is the form in which a body says when to call again. It has whole
// seconds: a time is rounded up first.
const nextAccess = "2006-Jan-02 15:04:05-0700 MST"

func appendNextAccess(b []byte, t time.Time) []byte {
	return t.Add(time.Second-1).Truncate(time.Second).UTC().AppendFormat(b, nextAccess)
}

// appendJSON appends the form of WSO2 4.x with a trace id: an object whose
// values are all strings.
func (f *Fault) appendJSON(b []byte, x *Exchange) []byte {
	b = append(b, `{"code":`...)
	b = strconv.AppendQuote(b, f.Code)
	b = append(b, `,"message":`...)
	b = strconv.AppendQuote(b, f.Message)
	b = append(b, `,"description":`...)
	b = strconv.AppendQuote(b, f.Description)
	b = append(b, `,"traceId":"`...)
	b = append(b, x.TraceID[:]...)
	if !x.NextAccess.IsZero() {
		b = appendNextAccess(append(b, `","nextAccessTime":"`...), x.NextAccess)
	}
	return append(b, `"}`...)
}

// appendXML appends the form of WSO2 2.x. Root and namespace tell the classes of
// codes apart. The trace id is in the header alone: the form has no place for it.
func (f *Fault) appendXML(b []byte, x *Exchange) []byte {
	prefix, namespace := "am", "http://wso2.org/apimanager"
	switch {
	case strings.HasPrefix(f.Code, "9009"):
		prefix, namespace = "ams", "http://wso2.org/apimanager/security"
	case strings.HasPrefix(f.Code, "9008"):
		prefix, namespace = "amt", "http://wso2.org/apimanager/throttling"
	}
	b = append(append(append(b, '<'), prefix...), ":fault xmlns:"...)
	b = append(append(append(append(b, prefix...), `="`...), namespace...), `">`...)
	b = appendElement(b, prefix, "code", f.Code)
	b = appendElement(b, prefix, "message", f.Message)
	b = appendElement(b, prefix, "description", f.Description)
	if !x.NextAccess.IsZero() {
		var text [64]byte
		b = appendElement(b, prefix, "nextAccessTime", string(appendNextAccess(text[:0], x.NextAccess)))
	}
	return append(append(append(b, "</"...), prefix...), ":fault>"...)
}

// appendElement appends an XML element with a text in it.
func appendElement(b []byte, prefix, name, text string) []byte {
	b = append(append(append(append(append(b, '<'), prefix...), ':'), name...), '>')
	for _, c := range []byte(text) {
		switch c {
		case '&':
			b = append(b, "&amp;"...)
		case '<':
			b = append(b, "&lt;"...)
		case '>':
			b = append(b, "&gt;"...)
		default:
			b = append(b, c)
		}
	}
	return append(append(append(append(append(b, "</"...), prefix...), ':'), name...), '>')
}

// Challenge returns the WWW-Authenticate value that belongs to the fault
// (RFC 6750 §3), empty where it has none. tokenSent says whether the request
// carried a token.
func (f *Fault) Challenge(tokenSent bool) string {
	switch {
	case f.Status != 401:
		return ""
	case tokenSent:
		return `Bearer realm="Sluice", error="invalid_token"`
	}
	return `Bearer realm="Sluice"`
}
