package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/gateway"
)

// countOf returns the count of one API, or of what no API answered.
func countOf(g *gateway.Gateway, id string) gateway.Count {
	for _, c := range g.Counts() {
		if c.ID == id {
			return c.Count
		}
	}
	return gateway.Count{}
}

// sink is a writer that can be read while it is written, and can fail.
type sink struct {
	mu     sync.Mutex
	text   bytes.Buffer
	broken bool
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return 0, errors.New("no space left on device")
	}
	return s.text.Write(p)
}

func (s *sink) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Split(strings.TrimSuffix(s.text.String(), "\n"), "\n")
}

// TestAccessLog holds that every call leaves one line of JSON without any
// secret, whatever the request is made of.
func TestAccessLog(t *testing.T) {
	backend := newBackend(t, "production")
	out := &sink{}
	access := gateway.NewAccessLog(out, slog.New(slog.DiscardHandler))
	w := newWorld(t, func(o *gateway.Options) { o.AccessLog = access })
	w.apply(environment(sluice.HybridEnvironment), weather(backend.URL, ""))
	for _, r := range []request{
		{path: "/weather/1.0/open?token=in-the-query"},
		{path: "/weather/1.0/open/%22%5Cquoted%C3%A4"},
		{path: "/nothing"},
		{path: "/weather/1.0/today", token: "in-the-header"},
	} {
		w.call(r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := access.Run(ctx); err != nil { // writes what waits
		t.Fatal(err)
	}
	lines := out.lines()
	if len(lines) != 4 {
		t.Fatalf("%d lines, want 4:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	var all []map[string]any
	for _, line := range lines {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		if strings.Contains(line, "in-the-") {
			t.Errorf("a secret is in the log: %s", line)
		}
		all = append(all, m)
	}
	if m := all[0]; m["status"] != 200.0 || m["api"] != "Weather" || m["backend_status"] != 200.0 || m["operation"] == "" || m["trace_id"] == "" {
		t.Errorf("line of an answered call: %s", lines[0])
	}
	if m := all[2]; m["status"] != 404.0 || m["code"] != "404" || m["check"] != "api" || m["path"] != "/nothing" {
		t.Errorf("line of an unknown path: %s", lines[2])
	}
	if m := all[3]; m["status"] != 500.0 || m["check"] != "authentication" {
		t.Errorf("line of a refused call: %s", lines[3])
	}
}

// TestF25AccessLogFails holds that calls do not care whether the log can be
// written, and that what is lost is counted.
func TestF25AccessLogFails(t *testing.T) {
	backend := newBackend(t, "production")
	out := &sink{broken: true}
	access := gateway.NewAccessLog(out, slog.New(slog.DiscardHandler))
	w := newWorld(t, func(o *gateway.Options) { o.AccessLog = access })
	w.apply(environment(sluice.HybridEnvironment), weather(backend.URL, ""))
	const calls = 10_000 // nobody reads: more than wait
	for range calls {
		if got := w.call(request{path: "/weather/1.0/open"}); got.status != 200 {
			t.Fatalf("status %d", got.status)
		}
	}
	overflown := access.Lost()
	if overflown == 0 || overflown >= calls {
		t.Errorf("%d lines lost before the writer ran", overflown)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := access.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got := access.Lost(); got != calls {
		t.Errorf("%d lines counted as lost, want %d", got, calls)
	}
}

// TestTraces holds what is remembered of refused and failed calls, and that
// those that went well are not.
func TestTraces(t *testing.T) {
	backend := newBackend(t, "production")
	now := time.Now()
	w := newWorld(t, func(o *gateway.Options) { o.Now = func() time.Time { return now } })
	w.apply(environment(sluice.HybridEnvironment), weather(backend.URL, ""))
	good := w.call(request{path: "/weather/1.0/open"})
	if _, there := w.gateway.Trace(good.header.Get("X-Trace-Id")); there {
		t.Error("a call that went well is remembered")
	}
	refused := w.call(request{path: "/weather/1.0/today"})
	id := refused.header.Get("X-Trace-Id")
	trace, there := w.gateway.Trace(id)
	if !there || trace.ID != id || trace.Check != "authentication" || trace.Code != "900902" || trace.Status != 401 ||
		trace.APIName != "Weather" || trace.Operation != "GET /today" || trace.Reason == "" || trace.BackendTime != 0 {
		t.Errorf("Trace = %+v, %v", trace, there)
	}
	if got := w.gateway.Faults()[[2]string{"authentication", "900902"}]; got != 1 {
		t.Errorf("%d calls counted under the fault, want 1", got)
	}
	now = now.Add(sluice.TraceLife + time.Second)
	if _, there := w.gateway.Trace(id); there {
		t.Error("a call is remembered for longer than a day")
	}
}
