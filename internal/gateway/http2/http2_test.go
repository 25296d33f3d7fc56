package http2_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/distribution"
	"github.com/sluice-api/sluice/internal/gateway"
	"github.com/sluice-api/sluice/internal/gateway/http2"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// front is a gateway with both listeners before one backend.
type front struct {
	plain, secure string // addresses
	roots         *x509.CertPool
	gateway       *gateway.Gateway
	clients       []*http.Transport
	stop          func() // ends it, and waits
}

// start returns a front before a backend. Everything under /api/1.0 is open.
func start(t *testing.T, backend *httptest.Server, o http2.ServerOptions) *front {
	t.Helper()
	f := &front{roots: x509.NewCertPool()}
	backends := x509.NewCertPool()
	if c := backend.Certificate(); c != nil {
		backends.AddCert(c)
	}
	client := http2.NewClient(http2.ClientOptions{RootCAs: backends})
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	g, err := gateway.New(gateway.Options{Transport: client, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	f.gateway = g
	var u distribution.Update
	api := &artifact.API{
		ID: "api", Environment: sluice.HybridEnvironment, Vhost: "gw.example.com", Context: "/api/1.0", Transports: []string{"http", "https"},
		State: sluice.Published, Production: []sluice.Endpoint{{URL: backend.URL}},
	}
	for _, verb := range []string{"GET", "POST", "PUT"} {
		api.Operations = append(api.Operations, sluice.Operation{Verb: verb, Target: "/*", Auth: sluice.AuthNone})
	}
	for _, it := range []artifact.Item{&artifact.Environment{Vhosts: []sluice.Vhost{{Host: "gw.example.com"}}}, api} {
		body, err := artifact.Encode(it)
		if err != nil {
			t.Fatal(err)
		}
		u.Put = append(u.Put, distribution.Item{ID: it.ItemID(), Digest: artifact.DigestOf(body), Body: body})
	}
	g.Apply(u)
	o.Log = log
	server := http2.NewServer(g, o)
	certificates := httptest.NewUnstartedServer(nil)
	certificates.StartTLS()
	t.Cleanup(certificates.Close)
	f.roots.AddCert(certificates.Certificate())
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	serve := func(secure bool) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		if secure {
			l = tls.NewListener(l, &tls.Config{Certificates: certificates.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12})
		}
		wg.Go(func() {
			if err := server.Serve(ctx, l, secure); err != nil {
				t.Errorf("Serve: %v", err)
			}
		})
		return address
	}
	f.plain, f.secure = serve(false), serve(true)
	f.stop = sync.OnceFunc(func() {
		for _, c := range f.clients {
			c.CloseIdleConnections()
		}
		cancel()
		wg.Wait()
		client.Close()
	})
	t.Cleanup(f.stop)
	return f
}

// ways are the ways to reach a front: each has a client and the address to ask.
func (f *front) ways(t *testing.T) map[string]way {
	t.Helper()
	one, two := new(http.Protocols), new(http.Protocols)
	one.SetHTTP1(true)
	two.SetHTTP2(true)
	ways := make(map[string]way)
	for name, w := range map[string]struct {
		scheme, address string
		protocols       *http.Protocols
	}{"HTTP/1.1": {"http", f.plain, one}, "HTTP/1.1 over TLS": {"https", f.secure, one}, "HTTP/2": {"https", f.secure, two}} {
		transport := &http.Transport{
			Protocols: w.protocols, TLSClientConfig: &tls.Config{RootCAs: f.roots, ServerName: "example.com"}, DisableCompression: true,
			ExpectContinueTimeout: 5 * time.Second,
		}
		f.clients = append(f.clients, transport)
		ways[name] = way{transport, w.scheme + "://" + w.address + "/api/1.0", strings.TrimSuffix(name, " over TLS")}
	}
	return ways
}

type way struct {
	transport *http.Transport
	base      string
	protocol  string
}

// do sends a request and fails the test where that is impossible.
func (w way) do(t *testing.T, method, path string, body io.Reader, header http.Header) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.base+path, body)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	answer, err := w.transport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	if !strings.HasPrefix(answer.Proto, w.protocol) {
		t.Errorf("answer in %s, want %s", answer.Proto, w.protocol)
	}
	return answer
}

func newBackend(t *testing.T, secure bool, f http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(f)
	s.Config.ErrorLog = log.New(t.Output(), "", 0)
	if secure {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// everyWay runs a test over every way to the gateway and both ways to the
// backend.
func everyWay(t *testing.T, handler http.HandlerFunc, test func(t *testing.T, w way)) {
	t.Helper()
	for _, secure := range []bool{false, true} {
		f := start(t, newBackend(t, secure, handler), http2.ServerOptions{})
		for name, w := range f.ways(t) {
			t.Run(fmt.Sprintf("%s, backend in HTTP/2 %v", name, secure), func(t *testing.T) { test(t, w) })
		}
		f.stop()
	}
}

func TestBodies(t *testing.T) {
	everyWay(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Asked", fmt.Sprintf("%s %s %d", r.Method, r.RequestURI, r.ContentLength))
		w.Header()["Content-Type"] = nil
		_ = http.NewResponseController(w).EnableFullDuplex()
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(r.ContentLength))
		}
		_, _ = io.Copy(w, r.Body)
	}, func(t *testing.T, w way) {
		payload := make([]byte, 3<<20)
		for i := range payload {
			payload[i] = byte(rand.Uint32())
		}
		for name, tc := range map[string]struct {
			path   string
			body   io.Reader
			length int
			asked  string
		}{
			"length known":   {"/length", bytes.NewReader(payload), len(payload), fmt.Sprintf("POST /length %d", len(payload))},
			"length unknown": {"/a%2Fb?x=%20", struct{ io.Reader }{bytes.NewReader(payload)}, len(payload), "POST /a%2Fb?x=%20 -1"},
			"no body":        {"/none", nil, 0, "POST /none 0"},
		} {
			answer := w.do(t, "POST", tc.path, tc.body, nil)
			got, err := io.ReadAll(answer.Body)
			if err != nil || !bytes.Equal(got, payload[:tc.length]) {
				t.Errorf("%s: %d bytes back, %v, want the %d that were sent", name, len(got), err, tc.length)
			}
			if a := answer.Header.Get("X-Asked"); a != tc.asked {
				t.Errorf("%s: the backend was asked for %q, want %q", name, a, tc.asked)
			}
			if len(answer.Header["X-Trace-Id"]) != 1 || len(answer.Header["Content-Type"]) != 0 {
				t.Errorf("%s: header %v", name, answer.Header)
			}
		}
	})
}

// TestStreaming checks that nothing is held back: each side sends its next part
// only once it has the other's last one.
func TestStreaming(t *testing.T) {
	everyWay(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		_ = control.Flush()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			_, _ = fmt.Fprintf(w, "echo %s\n", lines.Text())
			_ = control.Flush()
		}
	}, func(t *testing.T, w way) {
		read, write := io.Pipe()
		answer := w.do(t, "POST", "/stream", read, nil)
		lines := bufio.NewScanner(answer.Body)
		for i := range 20 {
			if _, err := fmt.Fprintf(write, "part %d\n", i); err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("echo part %d", i); !lines.Scan() || lines.Text() != want {
				t.Fatalf("got %q, %v, want %q", lines.Text(), lines.Err(), want)
			}
		}
		_ = write.Close()
		if lines.Scan() || lines.Err() != nil {
			t.Errorf("after the end: %q, %v", lines.Text(), lines.Err())
		}
	})
}

func TestTrailers(t *testing.T) {
	everyWay(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
		_ = http.NewResponseController(w).Flush() // or net/http would send the length instead
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		w.Header().Set(http.TrailerPrefix+"X-Back", r.Trailer.Get("X-Sum")+r.Trailer.Get("X-Forwarded-For"))
		w.Header().Set(http.TrailerPrefix+"Set-Cookie", "late=1")
	}, func(t *testing.T, w way) {
		r, err := http.NewRequestWithContext(t.Context(), "POST", w.base+"/x", struct{ io.Reader }{strings.NewReader("hello")})
		if err != nil {
			t.Fatal(err)
		}
		r.Trailer = http.Header{"X-Sum": {"abc"}, "X-Forwarded-For": {"late"}}
		answer, err := w.transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "hello" {
			t.Errorf("body %q, %v", body, err)
		}
		if got := answer.Trailer; got.Get("Grpc-Status") != "0" || got.Get("X-Back") != "abc" || got.Get("Set-Cookie") != "" {
			t.Errorf("trailer %v", got)
		}
	})
}

// TestCutAnswer checks that an answer that is not complete never looks so.
func TestCutAnswer(t *testing.T) {
	everyWay(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", "100")
		}
		_, _ = w.Write([]byte("begin"))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}, func(t *testing.T, w way) {
		for _, path := range []string{"/length", "/chunked"} {
			answer := w.do(t, "GET", path, nil, nil)
			body, err := io.ReadAll(answer.Body)
			if err == nil {
				t.Errorf("%s: %q looks complete", path, body)
			}
		}
	})
}

// TestCutRequest checks that a request that is not complete never looks so to
// the backend.
func TestCutRequest(t *testing.T) {
	seen := make(chan error, 1)
	f := start(t, newBackend(t, false, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		seen <- err
	}), http2.ServerOptions{})
	for name, head := range map[string]string{"length": "Content-Length: 100\r\n\r\nhello", "chunked": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"} {
		c := dial(t, f.plain)
		_, _ = c.Write([]byte("POST /api/1.0/x HTTP/1.1\r\nHost: gw\r\n" + head))
		_ = c.(*net.TCPConn).CloseWrite()
		if err := <-seen; err == nil {
			t.Errorf("%s: the backend took the body for complete", name)
		}
	}
}

func TestClientGoes(t *testing.T) {
	begun, gone := make(chan struct{}), make(chan struct{})
	everyWay(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		begun <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	}, func(t *testing.T, w way) {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, "GET", w.base+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := w.transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		<-begun
		cancel()
		_ = answer.Body.Close()
		<-gone // the backend hears of it
	})
}

// TestEarlyAnswer checks that a backend may answer before it has read the
// request, and that the client's next request is not disturbed.
func TestEarlyAnswer(t *testing.T) {
	everyWay(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			_, _ = w.Write([]byte("fine"))
			return
		}
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte("no"))
	}, func(t *testing.T, w way) {
		for range 3 {
			read, write := io.Pipe()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for {
					if _, err := write.Write(make([]byte, 1000)); err != nil {
						return
					}
				}
			}()
			answer := w.do(t, "POST", "/x", read, nil)
			if body, err := io.ReadAll(answer.Body); answer.StatusCode != 403 || err != nil && w.protocol == "HTTP/2" || err == nil && string(body) != "no" {
				t.Errorf("status %d, body %q, %v", answer.StatusCode, body, err)
			}
			_ = answer.Body.Close()
			_ = read.Close()
			<-ended
			answer = w.do(t, "GET", "/x", nil, nil)
			if body, err := io.ReadAll(answer.Body); answer.StatusCode != 200 || err != nil || string(body) != "fine" {
				t.Errorf("the next request: status %d, body %q, %v", answer.StatusCode, body, err)
			}
		}
	})
}

func TestExpectContinue(t *testing.T) {
	everyWay(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/take" {
			_, _ = io.Copy(w, r.Body)
			return
		}
		w.WriteHeader(http.StatusExpectationFailed)
	}, func(t *testing.T, w way) {
		expect := http.Header{"Expect": {"100-continue"}}
		answer := w.do(t, "POST", "/take", strings.NewReader("hello"), expect)
		if body, err := io.ReadAll(answer.Body); answer.StatusCode != 200 || err != nil || string(body) != "hello" {
			t.Errorf("status %d, body %q, %v", answer.StatusCode, body, err)
		}
		unread := &countingReader{Reader: strings.NewReader("hello")}
		if answer = w.do(t, "POST", "/refuse", unread, expect); answer.StatusCode != 417 {
			t.Errorf("status %d, want 417", answer.StatusCode)
		}
		if unread.n != 0 && w.protocol == "HTTP/1.1" {
			t.Errorf("the client sent %d bytes that nobody wants", unread.n)
		}
	})
}

type countingReader struct {
	io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func TestNoBody(t *testing.T) {
	everyWay(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(http.StatusNoContent)
		case "/304":
			w.Header().Set("Etag", `"x"`)
			w.WriteHeader(http.StatusNotModified)
		default:
			w.Header().Set("Content-Length", "5")
			_, _ = w.Write([]byte("hello"))
		}
	}, func(t *testing.T, w way) {
		for _, tc := range []struct {
			method, path string
			status       int
			length       int64
			body         string
		}{{"GET", "/204", 204, 0, ""}, {"GET", "/304", 304, 0, ""}, {"HEAD", "/x", 200, 5, ""}, {"GET", "/x", 200, 5, "hello"}} {
			answer := w.do(t, tc.method, tc.path, nil, nil)
			body, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != tc.status || string(body) != tc.body || tc.status == 200 && answer.ContentLength != tc.length {
				t.Errorf("%s %s: status %d, length %d, body %q, %v", tc.method, tc.path, answer.StatusCode, answer.ContentLength, body, err)
			}
		}
	})
}

func TestFaults(t *testing.T) {
	everyWay(t, func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the backend was asked for %s", r.RequestURI)
	}, func(t *testing.T, w way) {
		w.base = strings.TrimSuffix(w.base, "/api/1.0")
		for _, tc := range []struct {
			method, path string
			header       http.Header
			status       int
			code         string
		}{
			{"GET", "/nothing", nil, 404, "404"},
			{"DELETE", "/api/1.0/x", nil, 405, "405"},
			{"GET", "/api/1.0/%252e", nil, 400, "400"},
			{"POST", "/nothing", nil, 404, "404"},
			{"GET", "/api/1.0/x", http.Header{"Content_length": {"1"}}, 400, "400"},
		} {
			answer := w.do(t, tc.method, tc.path, strings.NewReader(strings.Repeat("body", 1000)), tc.header)
			var body map[string]string
			if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != tc.status || body["code"] != tc.code || body["traceId"] != answer.Header.Get("X-Trace-Id") {
				t.Errorf("%s %s: status %d, body %v, header %v", tc.method, tc.path, answer.StatusCode, body, answer.Header)
			}
		}
	})
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// TestRawRequests sends bytes that no client library would.
func TestRawRequests(t *testing.T) {
	f := start(t, newBackend(t, false, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Asked", r.RequestURI)
	}), http2.ServerOptions{Progress: 200 * time.Millisecond})
	for name, tc := range map[string]struct {
		request string
		status  int
		asked   string
	}{
		"absolute form":           {"GET http://gw/api/1.0/a?b HTTP/1.1\r\nHost: gw\r\n\r\n", 200, "/a?b"},
		"absolute, no path":       {"GET http://gw HTTP/1.1\r\nHost: gw\r\n\r\n", 404, ""},
		"absolute, query alone":   {"GET http://gw?x HTTP/1.1\r\nHost: gw\r\n\r\n", 404, ""},
		"encoded as it is":        {"GET /api/1.0/a%2fb%7e HTTP/1.1\r\nHost: gw\r\n\r\n", 200, "/a%2Fb~"},
		"dot segments":            {"GET /api/1.0/../1.0/a HTTP/1.1\r\nHost: gw\r\n\r\n", 400, ""},
		"two slashes":             {"GET //api/1.0/a HTTP/1.1\r\nHost: gw\r\n\r\n", 400, ""},
		"asterisk":                {"OPTIONS * HTTP/1.1\r\nHost: gw\r\n\r\n", 400, ""},
		"CONNECT":                 {"CONNECT gw:443 HTTP/1.1\r\nHost: gw:443\r\n\r\n", 501, ""},
		"WebSocket":               {"GET /api/1.0/a HTTP/1.1\r\nHost: gw\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", 501, ""},
		"h2c":                     {"GET /api/1.0/a HTTP/1.1\r\nHost: gw\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", 200, "/a"},
		"header of 64 KiB":        {"GET /api/1.0/a HTTP/1.1\r\nHost: gw\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", 431, ""},
		"header of 30 KiB":        {"GET /api/1.0/a HTTP/1.1\r\nHost: gw\r\nX: " + strings.Repeat("a", 30<<10) + "\r\n\r\n", 200, "/a"},
		"no host":                 {"GET /api/1.0/a HTTP/1.1\r\n\r\n", 400, ""},
		"two hosts":               {"GET /api/1.0/a HTTP/1.1\r\nHost: gw\r\nHost: gw\r\n\r\n", 400, ""},
		"two lengths":             {"POST /api/1.0/a HTTP/1.1\r\nHost: gw\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, ""},
		"coding unknown":          {"POST /api/1.0/a HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: xchunked\r\n\r\n", 501, ""},
		"Expect of another thing": {"POST /api/1.0/a HTTP/1.1\r\nHost: gw\r\nExpect: x\r\nContent-Length: 0\r\n\r\n", 417, ""},
		"body that does not come": {"POST /api/1.0/a HTTP/1.1\r\nHost: gw\r\nContent-Length: 9\r\n\r\nab", 408, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, f.plain)
			if _, err := c.Write([]byte(tc.request)); err != nil {
				t.Fatal(err)
			}
			answer, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if answer.StatusCode != tc.status || answer.Header.Get("X-Asked") != tc.asked {
				t.Errorf("status %d, asked %q, want %d, %q", answer.StatusCode, answer.Header.Get("X-Asked"), tc.status, tc.asked)
			}
			if name == "body that does not come" && !answer.Close {
				t.Error("the connection goes on after a body that is not complete")
			}
		})
	}
}

// TestConnectionGoesOn checks that a refused request leaves the connection
// usable, its body read and dropped.
func TestConnectionGoesOn(t *testing.T) {
	f := start(t, newBackend(t, false, func(http.ResponseWriter, *http.Request) {}), http2.ServerOptions{})
	c := dial(t, f.plain)
	r := bufio.NewReader(c)
	for _, want := range []int{404, 200, 404, 200} {
		path := map[int]string{404: "/nothing", 200: "/api/1.0/x"}[want]
		_, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: gw\r\nContent-Length: 30\r\n\r\nGET /poison HTTP/1.1\r\nHost: a\r\n", path)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != want || answer.Close {
			t.Fatalf("status %d, close %v, want %d", answer.StatusCode, answer.Close, want)
		}
	}
}

// TestDrain checks that calls under way end well when the server is to end.
func TestDrain(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	f := start(t, newBackend(t, false, func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-release
		_, _ = w.Write([]byte("whole"))
	}), http2.ServerOptions{})
	w := f.ways(t)["HTTP/1.1"]
	answers := make(chan error, 1)
	go func() {
		r, err := http.NewRequest("GET", w.base+"/x", nil)
		if err != nil {
			answers <- err
			return
		}
		answer, err := w.transport.RoundTrip(r)
		if err != nil {
			answers <- err
			return
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err == nil && string(body) != "whole" {
			err = errors.New("got " + string(body))
		}
		answers <- err
	}()
	<-begun
	stopped := make(chan struct{})
	go func() { f.stop(); close(stopped) }()
	for { // until the listener is closed
		c, err := net.Dial("tcp", f.plain)
		if err != nil {
			break
		}
		_ = c.Close()
	}
	close(release)
	if err := <-answers; err != nil {
		t.Error(err)
	}
	<-stopped
}

func TestCounts(t *testing.T) {
	f := start(t, newBackend(t, false, func(http.ResponseWriter, *http.Request) {}), http2.ServerOptions{})
	w := f.ways(t)["HTTP/2"]
	for range 5 {
		w.do(t, "GET", "/x", nil, nil)
	}
	f.stop()
	if got := countOf(f.gateway, "api"); got != (gateway.Count{Calls: 5}) {
		t.Errorf("counts = %+v, want 5 calls", got)
	}
}

// countOf returns the count of one API, or of what no API answered.
func countOf(g *gateway.Gateway, id string) gateway.Count {
	for _, c := range g.Counts() {
		if c.ID == id {
			return c.Count
		}
	}
	return gateway.Count{}
}
