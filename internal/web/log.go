package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"time"
)

// TraceHeader carries the trace id in every answer.
const TraceHeader = "X-Trace-Id"

// Wrap puts around next what every answer of the management side has: a trace
// id, headers that keep browsers from guessing, and one DEBUG line in log.
// Wrapped twice, only the outer one acts. A handler may overwrite the headers.
func Wrap(next http.Handler, log *slog.Logger, now func() time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if TraceID(r.Context()) != "" {
			next.ServeHTTP(w, r)
			return
		}
		start, id := now(), newTraceID()
		h := w.Header()
		h.Set(TraceHeader, id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store")
		rec := &recorder{ResponseWriter: w}
		ctx := context.WithValue(r.Context(), traceKey{}, id)
		defer func() { // also of a request that is cut
			log.DebugContext(ctx, "request", "method", r.Method, "path", r.URL.Path, "status", rec.status,
				"duration", now().Sub(start), "trace_id", id)
		}()
		next.ServeHTTP(rec, r.WithContext(ctx))
	})
}

type traceKey struct{}

// TraceID returns the trace id of the request that ctx belongs to: 32
// hexadecimal digits, "" outside of Wrap.
func TraceID(ctx context.Context) string {
	id, _ := ctx.Value(traceKey{}).(string)
	return id
}

// newTraceID returns a random trace id. Those that requests bring along are not
// taken over: the id names entries of the audit log, and must be ours.
func newTraceID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int // 0: nothing written yet
}

// recorderOf returns w itself where it is a recorder already.
func recorderOf(w http.ResponseWriter) *recorder {
	if rec, ok := w.(*recorder); ok {
		return rec
	}
	return &recorder{ResponseWriter: w}
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
