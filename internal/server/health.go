package server

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// health is how the parts of the process are. It may be used by many
// goroutines.
type health struct {
	mu      sync.Mutex // guards waiting and trouble
	waiting map[string]string
	trouble map[string]string
}

func newHealth() *health {
	return &health{waiting: map[string]string{}, trouble: map[string]string{}}
}

// wait says why a part is not ready; "" that it is.
func (h *health) wait(part, why string) { h.set(h.waiting, part, why) }

// degrade says what is wrong with a part that works all the same; "" nothing.
func (h *health) degrade(part, why string) { h.set(h.trouble, part, why) }

func (h *health) set(m map[string]string, part, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if why == "" {
		delete(m, part)
	} else {
		m[part] = why
	}
}

// state returns "ok", "degraded" or "not ready", and the reasons by part.
func (h *health) state() (string, map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	reasons := maps.Clone(h.trouble)
	maps.Copy(reasons, h.waiting)
	switch {
	case len(h.waiting) > 0:
		return "not ready", reasons
	case len(h.trouble) > 0:
		return "degraded", reasons
	}
	return "ok", reasons
}

// brief answers the state alone: for the management port.
func (h *health) brief(w http.ResponseWriter, _ *http.Request) {
	state, _ := h.state()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if state == "not ready" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write([]byte(state + "\n")) // the peer may have gone
}

// full answers the state with its reasons: for the operations port.
func (h *health) full(extra func() map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		state, reasons := h.state()
		body := map[string]any{"state": state, "reasons": reasons}
		maps.Copy(body, extra())
		w.Header().Set("Content-Type", "application/json")
		if state == "not ready" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(body) // the peer may have gone
	}
}

// operations serves the operations port: health with reasons, metrics and
// profiles on loopback; where others reach it, health alone, in short, and the
// rest to who shows the token of operations.token_file.
func (s *Server) operations() http.Handler {
	all := s.everything()
	if onLoopback(s.cfg.Listen.Operations) {
		return all
	}
	short := http.NewServeMux()
	short.HandleFunc("GET /healthz", s.health.brief)
	short.HandleFunc("GET /readyz", s.health.brief)
	token := s.cfg.Operations.Token.Reveal()
	if token == "" {
		return short
	}
	short.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="Sluice operations"`)
		http.Error(w, "The operations port asks for the token of operations.token_file.", http.StatusUnauthorized)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, shown, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if strings.EqualFold(scheme, "Bearer") && same(strings.TrimSpace(shown), token) {
			all.ServeHTTP(w, r)
			return
		}
		short.ServeHTTP(w, r)
	})
}

// everything serves all that the operations port has.
func (s *Server) everything() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health.full(s.details))
	mux.HandleFunc("GET /readyz", s.health.full(s.details))
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.newMetrics(), promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	return mux
}

// details is what the operations port says of the process beside its health.
func (s *Server) details() map[string]any {
	d := map[string]any{"version": s.version, "role": s.cfg.Role}
	if s.gateway != nil {
		d["gateway"] = s.gateway.details()
	}
	return d
}

// watchControl keeps the health of the control plane: whether its database takes
// changes, and whether configured gateways let themselves be enrolled.
func (s *Server) watchControl(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		why := ""
		if err := s.control.db.Trouble(ctx); err != nil {
			why = err.Error()
		}
		s.health.degrade("database", why)
		s.health.degrade("enrolment", strings.Join(s.control.plane.Unenrolled(), "; "))
	}
}

// watchEvery is how often the control plane's health is looked at.
const watchEvery = time.Second

// onLoopback reports whether a listener's address is reached from this machine
// alone.
func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
