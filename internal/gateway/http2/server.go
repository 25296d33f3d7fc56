package http2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-api/sluice/internal/gateway"
	"github.com/sluice-api/sluice/internal/policy"
)

// ServerOptions are what a Server may be told; the zero value works.
type ServerOptions struct {
	Drain    time.Duration // how long calls may go on once Serve is to end; 0: 10 s
	Progress time.Duration // how long a client may neither send nor take a byte of a body; 0: 30 s
	Log      *slog.Logger  // nil: nothing is logged
}

// Server is the clients' end. It may serve many listeners at once.
type Server struct {
	gateway   *gateway.Gateway
	drain     time.Duration
	progress  time.Duration
	log       *slog.Logger
	exchanges sync.Pool // of *policy.Exchange
	buffers   sync.Pool // of *[]byte
}

// NewServer returns a Server for g.
func NewServer(g *gateway.Gateway, o ServerOptions) *Server {
	if o.Drain == 0 {
		o.Drain = 10 * time.Second
	}
	if o.Progress == 0 {
		o.Progress = 30 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		gateway: g, drain: o.Drain, progress: o.Progress, log: o.Log,
		exchanges: sync.Pool{New: func() any { return new(policy.Exchange) }},
		buffers:   sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }},
	}
}

// Serve serves what l accepts until ctx ends, lets calls under way end for a
// while, and closes l. Where secure is set, l gives *tls.Conn, as of
// tls.NewListener, and a client gets HTTP/2 if the listener's NextProtos has
// "h2". Without it HTTP/1.1 alone is spoken.
func (s *Server) Serve(ctx context.Context, l net.Listener, secure bool) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(secure)
	server := &http.Server{
		Handler:                      &handler{s, secure},
		Protocols:                    protocols,
		MaxHeaderBytes:               maxHeader,
		ReadHeaderTimeout:            headerTimeout,
		IdleTimeout:                  idleTimeout,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReceiveBufferPerStream:     64 << 10,
			MaxReceiveBufferPerConnection: 1 << 20,
		},
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve gateway traffic: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.drain)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		s.log.WarnContext(ctx, "calls were cut at the end", slog.Any("err", err))
		_ = server.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve gateway traffic: %w", err)
	}
	return nil
}

// handler serves the requests of one listener.
type handler struct {
	*Server
	secure bool
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := h.exchanges.Get().(*policy.Exchange)
	defer func() {
		x.Reset()
		h.exchanges.Put(x)
	}()
	body := newRequestBody(w, r, h.progress)
	defer h.recover(x)
	defer body.end()
	fault := fill(x, r, body, h.secure)
	if fault != nil {
		h.gateway.Refuse(x, fault)
	} else {
		h.gateway.Serve(r.Context(), x)
	}
	defer h.gateway.Done(x)
	defer x.Response.Close()
	body.settle(w.Header(), x.Fault == nil && len(x.Request.Target) > 0)
	if err := h.write(w, r, x); err != nil {
		h.log.DebugContext(r.Context(), "answer cut", slog.Any("err", err), slog.String("trace_id", x.TraceID.String()))
		panic(http.ErrAbortHandler)
	}
}

// recover, deferred, logs a panic and cuts the answer. Those of policies never
// come here: the gateway turns them into answers.
func (h *handler) recover(x *policy.Exchange) {
	p := recover()
	if p == nil {
		return
	}
	if p != http.ErrAbortHandler {
		h.log.Error("panic while a call was carried", slog.Any("panic", p),
			slog.String("trace_id", x.TraceID.String()), slog.String("stack", string(debug.Stack())))
	}
	panic(http.ErrAbortHandler)
}

// fill fills the request of x. It returns a fault for what net/http lets pass
// and a gateway must not.
func fill(x *policy.Exchange, r *http.Request, body *requestBody, secure bool) *policy.Fault {
	q := &x.Request
	q.Method, q.Authority = x.Copy(r.Method), x.Copy(r.Host)
	q.TLS, q.Protocol = secure, "1.1"
	if r.ProtoMajor == 2 {
		q.Protocol = "2.0"
	}
	q.Client = clientOf(r)
	path, query, hasQuery := strings.Cut(target(r), "?")
	q.Path, q.Query, q.HasQuery = x.Copy(path), x.Copy(query), hasQuery
	q.Fields = appendHeader(x, q.Fields, r.Header)
	if q.Length = r.ContentLength; q.Length != 0 {
		q.Body = body
	}
	if len(r.Trailer) > 0 {
		q.Trailer = func() policy.Fields { return fieldsOf(r.Trailer) }
	}
	switch {
	case r.Method == http.MethodConnect, upgrades(r):
		return policy.NotImplemented
	}
	for _, host := range r.Header["Host"] { // HTTP/2, beside :authority
		if host != r.Host {
			return policy.BadRequest
		}
	}
	return nil
}

// target returns path and query of the request line as they were sent. Of a
// target in absolute form (RFC 9112 §3.2.2) net/http has taken the authority.
func target(r *http.Request) string {
	raw := r.RequestURI
	if strings.HasPrefix(raw, "/") {
		return raw
	}
	_, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return raw // "*", or the authority of CONNECT: no path
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		if rest = rest[i:]; rest[0] == '?' {
			rest = "/" + rest
		}
		return rest
	}
	return "/"
}

// upgrades reports whether a request asks for WebSocket. Other protocols it may
// ask for are ignored, as RFC 9110 §7.8 allows.
func upgrades(r *http.Request) bool {
	for _, v := range r.Header["Upgrade"] {
		if strings.EqualFold(strings.TrimSpace(v), "websocket") {
			return true
		}
	}
	return false
}

// write sends the answer.
func (h *handler) write(w http.ResponseWriter, r *http.Request, x *policy.Exchange) error {
	p := &x.Response
	addFields(w.Header(), p.Fields, "")
	bodiless := r.Method == http.MethodHead || p.Status == http.StatusNoContent || p.Status == http.StatusNotModified
	if p.Length >= 0 && p.Status != http.StatusNoContent && (p.Length > 0 || !bodiless) {
		w.Header().Set("Content-Length", strconv.FormatInt(p.Length, 10))
	}
	if _, set := w.Header()["Content-Type"]; !set {
		w.Header()["Content-Type"] = nil // what the backend did not say is not guessed
	}
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(h.progress)) // a connection that has no deadlines has to do without
	w.WriteHeader(p.Status)
	if p.Body == nil || bodiless {
		return nil
	}
	if err := h.copy(w, control, p); err != nil {
		return err
	}
	if p.Trailer != nil {
		addFields(w.Header(), p.Trailer(), http.TrailerPrefix)
	}
	return nil
}

// copy sends the body of p. Each part is sent as soon
// as it is there; the last one when the handler ends.
func (h *handler) copy(w io.Writer, control *http.ResponseController, p *policy.Response) error {
	buffer := h.buffers.Get().(*[]byte)
	defer h.buffers.Put(buffer)
	if p.Length < 0 { // its first part may take long
		if err := control.Flush(); err != nil {
			return fmt.Errorf("write header: %w", err)
		}
	}
	for {
		n, err := p.Body.Read(*buffer)
		if n > 0 {
			_ = control.SetWriteDeadline(time.Now().Add(h.progress))
			if _, err := w.Write((*buffer)[:n]); err != nil {
				return fmt.Errorf("write body: %w", err)
			}
			if p.Sent += int64(n); p.Sent != p.Length {
				if err := control.Flush(); err != nil {
					return fmt.Errorf("write body: %w", err)
				}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read body: %w", err)
		}
	}
}

func clientOf(r *http.Request) netip.AddrPort {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{} // not an address of IP
	}
	return a
}
