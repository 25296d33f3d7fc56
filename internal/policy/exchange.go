package policy

import (
	"io"
	"net/netip"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

// Exchange is one request on its way through a gateway, and its response on the
// way back, in the terms of RFC 9110 and of no HTTP version. It belongs to the
// goroutine that serves it and is used again for the next request: nothing may
// keep it, or a slice taken from it, once Serve and the writing of the response
// are over.
type Exchange struct {
	API       *artifact.API     // shared and immutable; nil until matched
	Operation *sluice.Operation // shared and immutable; nil until matched
	Directory *Directory        // who may call, as known when the call began; immutable
	Caller    Caller            // zero until authenticated
	Request   Request
	Response  Response
	CORS      *CORS     // what browsers are told with the answer; nil: nothing, or no API matched
	Backend   Backend   // zero: it was not called
	Fault     *Fault    // what ended the call in the gateway; nil: the answer is the backend's
	Probe     bool      // the gateway's own call, to prove that it serves an API
	Start     time.Time // when Serve began
	TraceID   TraceID

	NextAccess time.Time // when a caller who has reached a limit may call again; zero: none was reached

	memory []byte // what Copy and Alloc give away
	text   text   // body of an answer made here
}

// Caller is who calls, as far as it is known.
type Caller struct {
	Token        []byte                 // as sent; nil: none
	TokenID      string                 // jti
	User         string                 // resource owner; the application's owner for an application token
	UserToken    bool                   // a person stands behind the token
	Test         bool                   // a publisher tries the API out
	ConsumerKey  string                 // empty for an API key
	KeyType      sluice.KeyType         // empty for an operation without authentication
	Scopes       []string               // shared and immutable
	Application  *artifact.Application  // nil until found
	Subscription *artifact.Subscription // nil until found
}

// Request is what the client asked. All slices belong to the connection.
type Request struct {
	Method    []byte
	Authority []byte        // Host, with the port if it was sent
	Path      []byte        // as sent, until Serve has made it canonical: what is matched and checked, with a leading slash
	Target    []byte        // path at the backend, in canonical form; empty until the request is sent on
	Query     []byte        // raw, without the question mark
	HasQuery  bool          // a question mark was sent
	Fields    Fields        // without Host and Content-Length
	Body      io.Reader     // nil: none
	Length    int64         // of the body; -1: not known before its end
	Trailer   func() Fields // nil: none announced; before Body has ended the fields have names alone
	Client    netip.AddrPort
	TLS       bool
	Protocol  string // version as Via names it: "1.1", "2.0"
}

// Response is the answer. The transport or a step fills in the head; the server
// that called Serve writes head, body and trailer, and closes Body.
type Response struct {
	Status  int           // 0 until there is one
	Fields  Fields        // without Content-Length
	Body    io.ReadCloser // nil: none
	Length  int64         // of the body; -1: not known before its end
	Trailer func() Fields // nil: none; may be called once Body has ended
	Sent    int64         // bytes of the body that went out; the server counts them
}

// Backend is how the call went beyond the gateway.
type Backend struct {
	Status int           // of its answer; 0: there was none
	Time   time.Duration // until its answer's head, or the failure
}

// Close closes the body, if there is one.
func (p *Response) Close() {
	if p.Body != nil {
		_ = p.Body.Close() // nobody could do anything about an error
	}
}

// TraceID names one exchange, in lower-case hexadecimal.
type TraceID [32]byte

// String returns the id as text.
func (t TraceID) String() string { return string(t[:]) }

// maxKept is how much memory an Exchange keeps for the next request.
const maxKept = 64 << 10

// Reset makes x ready for the next request. It keeps memory of ordinary size.
func (x *Exchange) Reset() {
	memory, request, response := x.memory[:0], x.Request.Fields, x.Response.Fields
	if cap(memory) > maxKept {
		memory = nil
	}
	clear(request)
	clear(response)
	*x = Exchange{memory: memory}
	x.Request.Fields, x.Response.Fields = request[:0], response[:0]
}

// Alloc returns an empty slice with room for n bytes that lives as long as the
// exchange.
func (x *Exchange) Alloc(n int) []byte {
	used := len(x.memory)
	if cap(x.memory)-used < n {
		// What was given away stays valid: it holds the old memory.
		x.memory, used = make([]byte, 0, max(n, 2*cap(x.memory), 2048)), 0
	}
	x.memory = x.memory[:used+n]
	return x.memory[used : used : used+n]
}

// Copy returns the bytes of s in memory that lives as long as the exchange.
func (x *Exchange) Copy(s string) []byte { return append(x.Alloc(len(s)), s...) }

// AddField appends a field to f in memory of the exchange.
func (x *Exchange) AddField(f *Fields, name, value string) {
	*f = append(*f, Field{x.Copy(name), x.Copy(value)})
}

// Answer makes the whole response of a status and a body. The body may be in
// memory of the exchange. Fields that are there already stay.
func (x *Exchange) Answer(status int, body []byte) {
	x.text = body
	x.Response.Status = status
	x.Response.Body = &x.text
	x.Response.Length = int64(len(body))
	x.Response.Trailer = nil
}

// text is a body in memory.
type text []byte

// Read implements io.Reader.
func (t *text) Read(p []byte) (int, error) {
	if len(*t) == 0 {
		return 0, io.EOF
	}
	n := copy(p, *t)
	*t = (*t)[n:]
	return n, nil
}

// Close implements io.Closer.
func (*text) Close() error { return nil }
