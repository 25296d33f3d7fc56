package gateway

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/sluice-api/sluice/internal/policy"
)

const traceField = "X-Trace-Id"

// newTraceID returns a random id. It need not be hard to guess.
func newTraceID() (t policy.TraceID) {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(b[8:], rand.Uint64())
	hex.Encode(t[:], b[:])
	return t
}

// traceparent is the field of W3C Trace Context: version 00, trace id, the id of
// the caller's span, flags.
const (
	traceparent       = "traceparent"
	traceparentLength = 2 + 1 + 32 + 1 + 16 + 1 + 2
)

// continueTrace takes the trace id over that a client sent, and makes the
// gateway's own span the parent of the backend's. What is not valid, or there
// more than once (valid is false), goes no further, nor does its tracestate.
func continueTrace(x *policy.Exchange, valid bool) {
	f := &x.Request.Fields
	v, _ := f.Value(traceparent)
	valid = valid && len(v) >= traceparentLength && isHex(v[:2]) && string(v[:2]) != "ff" && v[2] == '-' &&
		(len(v) == traceparentLength || string(v[:2]) != "00" && v[traceparentLength] == '-') &&
		isHex(v[3:35]) && !allZero(v[3:35]) && v[35] == '-' && isHex(v[36:52]) && !allZero(v[36:52]) && v[52] == '-' && isHex(v[53:55])
	f.Remove(traceparent)
	if !valid {
		f.Remove("tracestate")
		return
	}
	copy(x.TraceID[:], v[3:35])
	var span [8]byte
	binary.LittleEndian.PutUint64(span[:], rand.Uint64()|1)
	parent := append(append(x.Alloc(traceparentLength), "00-"...), v[3:36]...)
	parent = append(append(hex.AppendEncode(parent, span[:]), '-'), v[53:55]...)
	*f = append(*f, policy.Field{Name: x.Copy(traceparent), Value: parent})
}

// isHex reports whether b has digits and the small letters a to f alone.
func isHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != '0' {
			return false
		}
	}
	return true
}

// complete adds what every answer has, whoever made it.
func complete(x *policy.Exchange) {
	x.CORS.AddFields(x)
	f := &x.Response.Fields
	*f = append(*f, policy.Field{Name: x.Copy(traceField), Value: append(x.Alloc(len(x.TraceID)), x.TraceID[:]...)})
}

// refuse makes f the answer of x, in the form that the request asks for.
func refuse(x *policy.Exchange, f *policy.Fault) {
	refuseIn(x, f, policy.Accepted(x.Request.Fields))
}

// refuseIn makes f the answer of x. Fields that are there already stay: Allow,
// for one, depends on the resource.
func refuseIn(x *policy.Exchange, f *policy.Fault, format policy.Format) {
	x.Fault = f
	fields := &x.Response.Fields
	x.AddField(fields, "Content-Type", format.ContentType())
	if challenge := f.Challenge(x.Caller.Token != nil); challenge != "" {
		x.AddField(fields, "WWW-Authenticate", challenge)
	}
	wait := f.RetryAfter
	if !x.NextAccess.IsZero() {
		wait = int((x.NextAccess.Sub(x.Start) + time.Second - 1) / time.Second)
	}
	if wait > 0 {
		x.AddField(fields, "Retry-After", strconv.Itoa(wait))
	}
	x.Answer(f.Status, f.Append(x.Alloc(512), format, x))
}

// recover, deferred, turns a panic into an answer for this call alone.
func (g *Gateway) recover(ctx context.Context, x *policy.Exchange) {
	p := recover()
	if p == nil {
		return
	}
	g.log.ErrorContext(ctx, "panic while serving a call", slog.Any("panic", p),
		slog.String("trace_id", x.TraceID.String()), slog.String("stack", string(debug.Stack())))
	x.Response.Close() // whatever it was, it is not the answer
	x.Response = policy.Response{Fields: x.Response.Fields[:0]}
	refuse(x, policy.InternalError)
	complete(x)
}
