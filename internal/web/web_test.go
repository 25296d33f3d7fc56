package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
)

// writeText is the face of these tests.
func writeText(w http.ResponseWriter, _ *http.Request, f Failure) {
	w.WriteHeader(f.Status)
	_, _ = fmt.Fprintf(w, "%s %s", f.Err.Code, f.Err.Message)
}

// serve runs h behind Handler and Wrap and returns the answer and the log.
func serve(t *testing.T, h HandlerFunc, r *http.Request) (*http.Response, string) {
	t.Helper()
	var log bytes.Buffer
	l := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w := httptest.NewRecorder()
	Wrap(Handler(h, writeText, l), l, time.Now).ServeHTTP(w, r)
	return w.Result(), log.String()
}

func TestHandlerErrors(t *testing.T) {
	is := func(k sluice.Kind) error { return sluice.Errorf(k, "some.code", "Some words.") }
	for name, c := range map[string]struct {
		err    error
		status int
		body   string
		level  string
	}{
		"invalid input":             {is(sluice.Invalid), 400, "some.code Some words.", "DEBUG"},
		"nobody":                    {is(sluice.Unauthenticated), 401, "some.code Some words.", "DEBUG"},
		"not allowed":               {is(sluice.Forbidden), 403, "some.code Some words.", "DEBUG"},
		"not there":                 {is(sluice.NotFound), 404, "some.code Some words.", "DEBUG"},
		"in the way":                {is(sluice.Conflict), 409, "some.code Some words.", "DEBUG"},
		"changed by somebody":       {is(sluice.Changed), 412, "some.code Some words.", "DEBUG"},
		"too often":                 {is(sluice.TooMany), 429, "some.code Some words.", "DEBUG"},
		"not at this moment":        {is(sluice.Unavailable), 503, "some.code Some words.", "WARN"},
		"wrapped: the words inside": {fmt.Errorf("query: %w: %w", is(sluice.Unavailable), errors.New("pq: secret")), 503, "some.code Some words.", "WARN"},
		"HTTP's own":                {Refuse(http.StatusMethodNotAllowed, "method", "Only GET."), 405, "method Only GET.", "DEBUG"},
		"ours to mend: nothing shown": {
			errors.New("dial 10.0.0.1: secret"), 500, "internal Something went wrong here. The trace id names the entry in the log.", "ERROR",
		},
		"internal by kind: nothing shown": {
			sluice.Errorf(sluice.Internal, "x", "secret"), 500, "internal Something went wrong here. The trace id names the entry in the log.", "ERROR",
		},
	} {
		t.Run(name, func(t *testing.T) {
			answer, log := serve(t, func(http.ResponseWriter, *http.Request) error { return c.err }, httptest.NewRequest("GET", "/x", nil))
			body, _ := io.ReadAll(answer.Body)
			if answer.StatusCode != c.status || string(body) != c.body {
				t.Errorf("answer = %d %q, want %d %q", answer.StatusCode, body, c.status, c.body)
			}
			if !strings.Contains(log, "level="+c.level+" msg=\"request failed\"") || strings.Count(log, "request failed") != 1 {
				t.Errorf("log = %q, want one line at %s", log, c.level)
			}
		})
	}
}

func TestHandlerPanics(t *testing.T) {
	answer, log := serve(t, func(http.ResponseWriter, *http.Request) error { panic("broken") }, httptest.NewRequest("GET", "/x", nil))
	if answer.StatusCode != http.StatusInternalServerError || !strings.Contains(log, "broken") || !strings.Contains(log, "web_test.go") {
		t.Errorf("answer = %d, log %q, want 500 and the stack in the log", answer.StatusCode, log)
	}
}

// An answer that has begun cannot become an error: its reader must see that it
// is not whole.
func TestHandlerCutsWhatHasBegun(t *testing.T) {
	defer func() {
		if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // this very value
			t.Errorf("panic %v, want http.ErrAbortHandler", p)
		}
	}()
	serve(t, func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = w.Write([]byte("half"))
		return errors.New("lost")
	}, httptest.NewRequest("GET", "/x", nil))
}

func TestWrap(t *testing.T) {
	var inside string
	answer, log := serve(t, func(w http.ResponseWriter, r *http.Request) error {
		inside = TraceID(r.Context())
		return WriteJSON(w, http.StatusCreated, JSON, map[string]int{"a": 1})
	}, httptest.NewRequest("POST", "/apis?token=hidden", nil))
	id := answer.Header.Get(TraceHeader)
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(id) || id != inside {
		t.Errorf("%s = %q, in the context %q, want 32 digits, the same", TraceHeader, id, inside)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
	} {
		if got := answer.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(log, "method=POST path=/apis status=201") || !strings.Contains(log, "trace_id="+id) || strings.Contains(log, "hidden") {
		t.Errorf("log = %q, want one line without the query", log)
	}
}

func TestETag(t *testing.T) {
	for name, c := range map[string]struct {
		ifMatch []string
		version int64
		code    string
	}{
		"none":               {nil, 0, ""},
		"any":                {[]string{"*"}, 0, ""},
		"ours":               {[]string{`"17"`}, 17, ""},
		"a weak one":         {[]string{`W/"17"`}, 0, "changed"},
		"without quotes":     {[]string{`17`}, 0, "changed"},
		"not a number":       {[]string{`"abc"`}, 0, "changed"},
		"a version too low":  {[]string{`"0"`}, 0, "changed"},
		"not as we write it": {[]string{`"017"`}, 0, "changed"},
		"several":            {[]string{`"1", "2"`}, 0, "if_match"},
		"several fields":     {[]string{`"1"`, `"2"`}, 0, "if_match"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("PUT", "/x", nil)
			r.Header["If-Match"] = c.ifMatch
			version, err := IfMatch(r)
			if e, _ := errors.AsType[*sluice.Error](err); version != c.version || (err != nil) != (c.code != "") || e != nil && e.Code != c.code {
				t.Errorf("IfMatch = %d, %v, want %d, %q", version, err, c.version, c.code)
			}
		})
	}
	for field, want := range map[string]bool{"": false, `"17"`: true, `W/"17"`: true, `"16"`: false, `"16", "17"`: true, "*": true} {
		r := httptest.NewRequest("GET", "/x", nil)
		r.Header.Set("If-None-Match", field)
		w := httptest.NewRecorder()
		if got := NotModified(w, r, 17); got != want || w.Header().Get("ETag") != `"17"` || got && w.Code != http.StatusNotModified {
			t.Errorf("NotModified with %q = %t (%d), want %t", field, got, w.Code, want)
		}
	}
}
