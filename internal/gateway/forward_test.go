package gateway_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/gateway"
	"github.com/sluice-api/sluice/internal/gateway/http2"
	"github.com/sluice-api/sluice/internal/policy"
)

// TestRequestFields checks what a backend sees of the fields that a client
// sends.
func TestRequestFields(t *testing.T) {
	seen := make(chan *http.Request, 1)
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r }))
	t.Cleanup(backend.Close)
	w := newWorld(t)
	api := weather(backend.URL, "")
	w.apply(append(w.callers(api.ID), environment(sluice.HybridEnvironment), api)...)
	for name, tc := range map[string]struct {
		request request
		want    map[string]string // "": the backend must not see it
	}{
		"ordinary fields": {
			request{header: http.Header{"Accept": {"text/plain"}, "X-Custom": {"1"}, "Cookie": {"a=1; b=2"}}},
			map[string]string{"Accept": "text/plain", "X-Custom": "1", "Cookie": "a=1; b=2", "User-Agent": "", "Accept-Encoding": ""},
		},
		"hop-by-hop": {
			request{header: http.Header{
				"Connection": {"close, X-Own", "x-other"}, "X-Own": {"1"}, "X-Other": {"1"}, "Keep-Alive": {"5"}, "Proxy-Connection": {"x"}, "Upgrade": {"h2c"},
				"Proxy-Authorization": {"Basic x"}, "Te": {"gzip"}, "Transfer-Encoding": {"chunked"}, "Trailer": {"X"}, "Http2-Settings": {"x"},
			}},
			map[string]string{
				"Connection": "", "X-Own": "", "X-Other": "", "Keep-Alive": "", "Proxy-Connection": "", "Upgrade": "",
				"Proxy-Authorization": "", "Te": "", "Transfer-Encoding": "", "Trailer": "", "Http2-Settings": "",
			},
		},
		"trailers wanted": {
			request{header: http.Header{"Te": {"gzip, trailers;q=0.5"}, "Connection": {"te"}}},
			map[string]string{"Te": "trailers"},
		},
		"Connection names what it must not": {
			request{header: http.Header{"Connection": {"Cookie, Content-Type, Via"}, "Cookie": {"a=1"}, "Content-Type": {"text/x"}, "Via": {"1.0 p"}}},
			map[string]string{"Cookie": "a=1", "Content-Type": "text/x"},
		},
		"Connection names what Sluice sets": {
			request{header: http.Header{"Connection": {"X-Forwarded-For, X-JWT-Assertion, X-Forwarded-Proto, X-Trace-Id"}}},
			map[string]string{"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"},
		},
		"forwarded group": {
			request{header: http.Header{
				"X-Forwarded-For": {"10.0.0.1"}, "X-Forwarded-Proto": {"ftp"}, "X-Forwarded-Host": {"evil"}, "X-Forwarded-Port": {"1"}, "X-Forwarded-Prefix": {"/x"},
				"Forwarded": {"for=10.0.0.1"}, "X-Real-Ip": {"10.0.0.1"}, "X-Jwt-Assertion": {"x"}, "Wso2_am_api_default_version": {"x"}, "X-Trace-Id": {"mine"},
			}},
			map[string]string{
				"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "gw.example.com:8243", "X-Forwarded-Port": "", "X-Forwarded-Prefix": "",
				"Forwarded": "", "X-Real-Ip": "", "X-Jwt-Assertion": "", "Wso2_am_api_default_version": "",
			},
		},
		"plain HTTP from IPv4 in IPv6": {
			request{plain: true, client: "::ffff:198.51.100.9"},
			map[string]string{"X-Forwarded-Proto": "http", "X-Forwarded-For": "198.51.100.9"},
		},
		"underscores":          {request{header: http.Header{"X_user": {"admin"}, "X-User": {"1"}}}, map[string]string{"X_user": "", "X-User": "1"}},
		"Sluice's own cookies": {request{header: http.Header{"Cookie": {"a=1;__Host-sluice_session=secret ; b=2"}}}, map[string]string{"Cookie": "a=1; b=2"}},
		"nothing but them":     {request{header: http.Header{"Cookie": {"__host-SLUICE=x"}}}, map[string]string{"Cookie": ""}},
		"cookies alike":        {request{header: http.Header{"Cookie": {"x__Host-sluice=1; __Host-other=2"}}}, map[string]string{"Cookie": "x__Host-sluice=1; __Host-other=2"}},
		"the token":            {request{path: "/weather/1.0/today", token: w.token(nil)}, map[string]string{"Authorization": ""}},
		"a foreign probe":      {request{header: http.Header{"X-Sluice-Probe": {"00"}}}, map[string]string{"X-Sluice-Probe": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.request.path == "" {
				tc.request.path = "/weather/1.0/open"
			}
			a := w.call(tc.request)
			if a.status != 200 {
				t.Fatalf("status %d, %s", a.status, a.body)
			}
			got := <-seen
			for field, want := range tc.want {
				if v := strings.Join(got.Header.Values(field), " | "); v != want {
					t.Errorf("%s = %q, want %q", field, v, want)
				}
			}
			if got.Host != strings.TrimPrefix(backend.URL, "http://") {
				t.Errorf("Host = %q", got.Host)
			}
			if trace := got.Header.Values("X-Trace-Id"); len(trace) != 1 || trace[0] != a.header.Get("X-Trace-Id") {
				t.Errorf("the backend was told trace id %q, the client %q", trace, a.header.Get("X-Trace-Id"))
			}
			via := got.Header.Values("Via")
			if last := via[len(via)-1]; !strings.HasPrefix(last, "1.1 sluice-") {
				t.Errorf("Via = %q", via)
			}
		})
	}
}

func TestAuthorizationStays(t *testing.T) {
	seen := make(chan string, 1)
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header.Get("Authorization") }))
	t.Cleanup(backend.Close)
	w := newWorld(t, func(o *gateway.Options) { o.RemoveAuthorization = false })
	api := weather(backend.URL, "")
	w.apply(append(w.callers(api.ID), environment(sluice.HybridEnvironment), api)...)
	token := w.token(nil)
	w.call(request{path: "/weather/1.0/today", token: token})
	if got := <-seen; got != "Bearer "+token {
		t.Errorf("Authorization = %q", got)
	}
}

// TestLoop sends a request on to the gateway itself (A15).
func TestLoop(t *testing.T) {
	w := newWorld(t)
	var requests int
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		requests++
		a := w.call(request{path: "/weather/1.0/open", header: http.Header{"Via": r.Header.Values("Via")}})
		rw.Header().Set("X-Code", a.code)
		rw.WriteHeader(a.status)
	}))
	t.Cleanup(front.Close)
	w.apply(environment(sluice.HybridEnvironment), weather(front.URL, ""))
	if a := w.call(request{path: "/weather/1.0/open"}); a.status != 508 || a.header.Get("X-Code") != "508" || requests != 1 {
		t.Errorf("status %d after %d requests, want 508 after 1", a.status, requests)
	}
	for hops, want := range map[int]int{20: 200, 21: 508} { // through proxies that are not this one
		w.apply(weather(newBackend(t, "any").URL, ""))
		via := strings.TrimSuffix(strings.Repeat("1.1 other, ", hops-1), ", ")
		if a := w.call(request{path: "/weather/1.0/open", header: http.Header{"Via": {via, "1.1 last"}}}); a.status != want {
			t.Errorf("after %d proxies: status %d, want %d", hops, a.status, want)
		}
	}
}

func TestResponseFields(t *testing.T) {
	backend := newRawBackend(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Hop, Set-Cookie\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\n"+
		"Proxy-Authenticate: x\r\nX-Trace-Id: theirs\r\nX-Jwt-Assertion: x\r\nX-Sluice-Probe: x\r\nSet-Cookie: a=1\r\nSet-Cookie: __Host-sluice_session=x; Path=/\r\n"+
		"Location: /somewhere\r\nX_Under: 1\r\nServer: b\r\n\r\nok")
	w := newWorld(t)
	w.apply(environment(sluice.HybridEnvironment), weather(backend, ""))
	a := w.call(request{path: "/weather/1.0/open"})
	a.header.Del("X-Trace-Id") // that there is one alone is checked by call
	want := http.Header{"Set-Cookie": {"a=1"}, "Location": {"/somewhere"}, "X_under": {"1"}, "Server": {"b"}, "Access-Control-Allow-Origin": {"*"}}
	if diff := cmp.Diff(want, a.header); diff != "" || a.status != 200 || a.body != "ok" {
		t.Errorf("status %d, body %q, fields (-want +got):\n%s", a.status, a.body, diff)
	}
}

// newRawBackend returns the address of a backend that answers with just these
// bytes and closes; with none, it closes at once.
func newRawBackend(t testing.TB, raw string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			var b [4096]byte
			for n := 0; !strings.Contains(string(b[:n]), "\r\n\r\n"); {
				m, err := c.Read(b[n:])
				if n += m; err != nil {
					break
				}
			}
			_, _ = c.Write([]byte(raw))
			_ = c.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

// TestBackendFaults holds what a client is told when a backend fails (CONTRACT
// 10-11).
func TestBackendFaults(t *testing.T) {
	closed := newRawBackend(t, "")
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(hanging.Close)
	plain := newBackend(t, "plain")
	w := newWorld(t, func(o *gateway.Options) {
		client := http2.NewClient(http2.ClientOptions{HeaderTimeout: 100 * time.Millisecond})
		t.Cleanup(client.Close)
		o.Transport = client
	})
	for name, tc := range map[string]struct {
		backend string
		status  int
		code    string
	}{
		"nobody listens":                 {"http://127.0.0.1:1", 502, "101503"},
		"name does not exist":            {"http://backend.invalid", 502, "101503"},
		"certificate of nobody":          {untrusted.URL, 502, "101500"},
		"no TLS where it is expected":    {strings.Replace(plain.URL, "http:", "https:", 1), 502, "101500"},
		"hangs":                          {hanging.URL, 504, "101504"},
		"closes before an answer":        {closed, 502, "101505"},
		"closes in the header":           {newRawBackend(t, "HTTP/1.1 200 OK\r\nContent-Le"), 502, "101506"},
		"garbage":                        {newRawBackend(t, "hello\r\n\r\n"), 502, "101506"},
		"two lengths":                    {newRawBackend(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"), 502, "101506"},
		"negative length":                {newRawBackend(t, "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nabc"), 502, "101506"},
		"status 099":                     {newRawBackend(t, "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"), 502, "101506"},
		"status 999":                     {newRawBackend(t, "HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n"), 502, "101506"},
		"status 2000":                    {newRawBackend(t, "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"), 502, "101506"},
		"101 that nobody asked for":      {newRawBackend(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), 502, "101506"},
		"Connection names the length":    {newRawBackend(t, "HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 2\r\n\r\nok"), 502, "101506"},
		"header of 2 MB":                 {newRawBackend(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("a", 2<<20)+"\r\n\r\n"), 502, "101506"},
		"interim answers without an end": {newRawBackend(t, strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 5000)), 502, "101506"},
	} {
		t.Run(name, func(t *testing.T) {
			w.gateway.Apply(update(t, true, environment(sluice.HybridEnvironment), weather(tc.backend, "")))
			a := w.call(request{path: "/weather/1.0/open"})
			if a.status != tc.status || a.code != tc.code {
				t.Errorf("status %d, %s, want %d, code %s", a.status, a.body, tc.status, tc.code)
			}
		})
	}
}

// TestSeveralEndpoints checks that endpoints take turns, and that one without a
// listener costs no call.
func TestSeveralEndpoints(t *testing.T) {
	one, two := newBackend(t, "one"), newBackend(t, "two")
	w := newWorld(t)
	api := weather(one.URL, "")
	api.Production = []sluice.Endpoint{{URL: one.URL}, {URL: "http://127.0.0.1:1"}, {URL: two.URL}}
	w.apply(environment(sluice.HybridEnvironment), api)
	counts := make(map[string]int)
	for i := range 30 {
		a := w.call(request{path: fmt.Sprint("/weather/1.0/", i), method: "POST", body: "x"})
		if a.status != 200 || a.body != "x" {
			t.Fatalf("call %d: status %d, %s", i, a.status, a.body)
		}
		counts[a.header.Get("X-Backend")]++
	}
	if counts["one"] != 10 || counts["two"] != 20 {
		t.Errorf("calls by backend: %v", counts)
	}
}

// TestNoBypass tries to reach a secured operation past an open one beside it,
// at a backend that drops path parameters, decodes twice and resolves dots.
func TestNoBypass(t *testing.T) {
	var reached []string
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached = append(reached, r.RequestURI)
	}))
	t.Cleanup(backend.Close)
	w := newWorld(t)
	api := weather(backend.URL, "")
	api.Context = "/shop/1.0"
	api.Operations = []sluice.Operation{
		{Verb: "GET", Target: "/*", Auth: sluice.AuthNone},
		{Verb: "GET", Target: "/pets/*", Auth: sluice.AuthNone},
		{Verb: "GET", Target: "/pets/{id}", Auth: sluice.AuthNone},
		{Verb: "GET", Target: "/pets/admin", Auth: sluice.AuthAny},
	}
	w.apply(append(w.callers(api.ID), environment(sluice.HybridEnvironment), api)...)
	dots := []string{".", "..", "%2e", "%2E%2e", ".%2e", "%252e", "%252e%252e", "..;", "..;a=b", "%2e%2e;", ".;", "..%3b", "%c0%ae%c0%ae", "..%00", "..%5c"}
	paths := []string{
		"/pets/admin", "/pets/%61dmin", "/pets/admin/", "/pets/admin;x", "/pets;x/admin", "/pets/admin;x/", "/pets//admin", "//pets/admin", "/pets/;/admin",
		`/pets\admin`, "/pets%5cadmin", "/pets/admin%00", "/pets/admin%00.png", "/pets/admin%0d", "/pets/%2561dmin/..", "/pets/admin#x",
	}
	for _, d := range dots {
		paths = append(paths, "/pets/"+d+"/admin", "/pets/x/"+d+"/admin", "/pets/admin/x/"+d, "/x/"+d+"/pets/admin", "/pets/"+d+"%2Fadmin", "/"+d+"/pets/admin")
	}
	for _, p := range paths {
		a := w.call(request{path: "/shop/1.0" + p})
		if a.status != 400 && a.status != 401 && a.status != 404 {
			plain := reached[len(reached)-1]
			for range 2 {
				if decoded, err := url.PathUnescape(plain); err == nil {
					plain = decoded
				}
			}
			read := path.Clean(string(policy.WithoutParameters(nil, []byte(strings.ReplaceAll(plain, `\`, "/")))))
			if strings.HasPrefix(read, "/pets/admin") {
				t.Errorf("%s: status %d, and the backend was asked for %s", p, a.status, plain)
			}
		}
	}
}
