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
