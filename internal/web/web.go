// Package web is the HTTP plumbing of the management side, shared by the REST
// API, the portals and the Key Manager. It knows no operation and no page.
//
// A handler is a [HandlerFunc]: it returns an error instead of writing one.
// [Handler] logs that error once and has the face's [ErrorWriter] put it in the
// form its readers expect; [StatusOf] holds the only table from a sluice.Kind
// to an HTTP status, and [Refusal] is for what is HTTP's own (405, 413, 415,
// 428, 501). [Wrap] stands around everything: the trace id (X-Trace-Id), the
// headers that every answer has, the access log.
//
// body.go and json.go read what strangers send, within limits and without
// guessing; etag.go holds the conditional requests of RFC 9110 §13.
package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"

	"github.com/sluice-api/sluice"
)

// HandlerFunc serves a request, or returns why it did not. An error is returned
// before anything was written; after that it only cuts the connection.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// Failure is what may be shown of an error.
type Failure struct {
	Status  int
	Err     *sluice.Error // never nil
	TraceID string
}

// ErrorWriter writes a Failure in the form of one face: a JSON body, a problem
// document, a page.
type ErrorWriter func(w http.ResponseWriter, r *http.Request, f Failure)

// Handler makes an http.Handler of h. An error, or a panic, is logged once:
// ERROR where it is a fault of Sluice, WARN where something is unavailable,
// else DEBUG. Nothing is shown of an error that is not a sluice.Error.
func Handler(h HandlerFunc, write ErrorWriter, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := recorderOf(w)
		err := call(h, rec, r)
		if err == nil {
			return
		}
		f := Failure{Status: StatusOf(err), Err: shown(err), TraceID: TraceID(r.Context())}
		level := slog.LevelDebug
		switch f.Status {
		case http.StatusInternalServerError:
			level = slog.LevelError
		case http.StatusServiceUnavailable:
			level = slog.LevelWarn
		}
		log.Log(r.Context(), level, "request failed", "method", r.Method, "path", r.URL.Path,
			"status", f.Status, "code", f.Err.Code, "err", err, "trace_id", f.TraceID)
		if rec.status != 0 { // a part is out already: the reader must see that it is not all
			panic(http.ErrAbortHandler)
		}
		write(rec, r, f)
	})
}

// call runs h and turns a panic into an error.
func call(h HandlerFunc, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if e, ok := p.(error); ok && errors.Is(e, http.ErrAbortHandler) {
			panic(p)
		}
		err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}()
	return h(w, r)
}

// StatusOf returns the HTTP status of an error.
func StatusOf(err error) int {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Status
	}
	switch sluice.KindOf(err) {
	case sluice.Invalid:
		return http.StatusBadRequest
	case sluice.Unauthenticated:
		return http.StatusUnauthorized
	case sluice.Forbidden:
		return http.StatusForbidden
	case sluice.NotFound:
		return http.StatusNotFound
	case sluice.Conflict:
		return http.StatusConflict
	case sluice.Changed:
		return http.StatusPreconditionFailed
	case sluice.TooMany:
		return http.StatusTooManyRequests
	case sluice.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// shown returns what a reader may know of err.
func shown(err error) *sluice.Error {
	if e, ok := errors.AsType[*sluice.Error](err); ok && e.Kind != sluice.Internal {
		return e
	}
	return sluice.Errorf(sluice.Internal, "internal", "Something went wrong here. The trace id names the entry in the log.")
}

// Refusal is an error that is HTTP's own and no sluice.Kind has a status for.
type Refusal struct {
	Status int
	Err    *sluice.Error
}

// Error returns the message.
func (r *Refusal) Error() string { return r.Err.Message }

// Unwrap returns what is shown.
func (r *Refusal) Unwrap() error { return r.Err }

// Refuse returns a Refusal.
func Refuse(status int, code, format string, args ...any) *Refusal {
	return &Refusal{Status: status, Err: sluice.Errorf(sluice.Invalid, code, format, args...)}
}

// Media types of answers.
const (
	JSON    = "application/json"
	Problem = "application/problem+json" // RFC 9457
)

// WriteJSON answers with v as JSON. The Content-Type carries no charset, which
// JSON does not have (RFC 8259 §11).
func WriteJSON(w http.ResponseWriter, status int, contentType string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away is not an error
	return nil
}

// ClientAddress returns the address of the peer, without its port.
func ClientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
