package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/gateway"
	"github.com/sluice-api/sluice/internal/gateway/http2"
)

// listening is a world whose gateway has listeners of its own and runs.
type listening struct {
	*world
	changed     chan struct{} // receives after each change of reports
	http, https string        // addresses
	roots       *x509.CertPool
	serveHTTP   func() // begins to serve the HTTP listener
}

// newListening starts a gateway with both listeners. The HTTP one serves only
// once serveHTTP was called.
func newListening(t *testing.T, change ...func(*gateway.Options)) *listening {
	t.Helper()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	plain, secure := listen(), listen()
	certificates := httptest.NewUnstartedServer(nil) // for its certificate, of example.com and 127.0.0.1
	certificates.StartTLS()
	t.Cleanup(certificates.Close)
	l := &listening{changed: make(chan struct{}, 1), http: plain.Addr().String(), https: secure.Addr().String(), roots: x509.NewCertPool()}
	l.roots.AddCert(certificates.Certificate())
	client := http2.NewClient(http2.ClientOptions{RootCAs: l.roots})
	t.Cleanup(client.Close)
	change = append([]func(*gateway.Options){func(o *gateway.Options) {
		o.Probe = gateway.Probe{HTTP: l.http, HTTPS: l.https, Transport: client}
		o.Changed = func() {
			select {
			case l.changed <- struct{}{}:
			default:
			}
		}
	}}, change...)
	l.world = newWorld(t, change...)
	server := http2.NewServer(l.gateway, http2.ServerOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		client.Close()
		wg.Wait()
		_ = plain.Close()
	})
	run := func(f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				t.Errorf("ended: %v", err)
			}
		})
	}
	run(func() error { return l.gateway.Run(ctx) })
	run(func() error {
		config := &tls.Config{Certificates: certificates.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}
		return server.Serve(ctx, tls.NewListener(secure, config), true)
	})
	l.serveHTTP = func() { run(func() error { return server.Serve(ctx, plain, false) }) }
	return l
}

// until waits for reports that satisfy ok.
func (l *listening) until(ok func([]sluice.DeploymentReport) bool) []sluice.DeploymentReport {
	l.Helper()
	limit := time.After(10 * time.Second)
	for {
		list := l.gateway.Reports()
		if ok(list) {
			return list
		}
		select {
		case <-l.changed:
		case <-limit:
			l.Fatalf("reports are still %+v", list)
		}
	}
}

func all(state sluice.DeploymentState) func([]sluice.DeploymentReport) bool {
	return func(list []sluice.DeploymentReport) bool {
		return len(list) > 0 && !slices.ContainsFunc(list, func(r sluice.DeploymentReport) bool { return r.State != state })
	}
}

// TestLive checks that every sort of API is proved on the listeners, and that
// no backend is called for it.
func TestLive(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the backend was asked for %s", r.RequestURI)
	}))
	t.Cleanup(backend.Close)
	l := newListening(t)
	l.serveHTTP()
	e := environment(sluice.HybridEnvironment, "gw.example.com", "::1")
	e.Vhosts[1].Context = "/public"
	items := []artifact.Item{e}
	for i, change := range []func(a *artifact.API){
		func(*artifact.API) {},
		func(a *artifact.API) { a.State = sluice.Blocked },
		func(a *artifact.API) { a.State = sluice.Prototyped },
		func(a *artifact.API) { a.Transports = []string{"https"} },
		func(a *artifact.API) { a.Transports = []string{"http"} },
		func(a *artifact.API) { a.Operations = nil },
		func(a *artifact.API) { a.Vhost = "::1" },
		func(a *artifact.API) {
			a.Operations = []sluice.Operation{{Verb: "DELETE", Target: "/a/{id}/b/{c}.json", Auth: sluice.AuthUser, Scopes: []string{"x"}}}
		},
		func(a *artifact.API) {
			a.Operations = []sluice.Operation{{Verb: "HEAD", Target: "/", Auth: sluice.AuthAny}}
		},
		func(a *artifact.API) {
			a.Operations = []sluice.Operation{{Verb: "OPTIONS", Target: "/", Auth: sluice.AuthAny}}
		},
	} {
		a := weather(backend.URL, backend.URL)
		a.ID, a.Context, a.Revision = fmt.Sprint("api", i), fmt.Sprintf("/api%d/1.0", i), i+1
		change(a)
		items = append(items, a)
	}
	l.apply(items...)
	list := l.until(all(sluice.Live))
	for i, r := range list {
		a := items[i+1].(*artifact.API)
		want := sluice.DeploymentReport{APIID: a.ID, Digest: digestOf(t, a), State: sluice.Live, Revision: a.Revision}
		if diff := cmp.Diff(want, r, withoutTimes); diff != "" || r.Since.IsZero() {
			t.Errorf("report (-want +got):\n%s", diff)
		}
	}
	again := items[1].(*artifact.API)
	again.Revision = 77
	l.apply(again)
	l.until(func(list []sluice.DeploymentReport) bool { return all(sluice.Live)(list) && list[0].Revision == 77 })
	if got := l.gateway.Reports()[1].Since; !got.Equal(list[1].Since) {
		t.Error("an API that did not change was proved again")
	}
}

// TestListenerOpensLater checks that an API stays active until its listener
// answers.
func TestListenerOpensLater(t *testing.T) {
	l := newListening(t, func(o *gateway.Options) { o.Probe.Timeout = 50 * time.Millisecond })
	l.apply(environment(sluice.HybridEnvironment), weather("http://127.0.0.1:1", ""))
	list := l.until(func(list []sluice.DeploymentReport) bool { return len(list) == 1 && list[0].Reason != "" })
	if list[0].State != sluice.Active || list[0].Reason != "the HTTP listener cannot be reached yet" {
		t.Errorf("before: %+v", list[0])
	}
	l.serveHTTP()
	if list = l.until(all(sluice.Live)); list[0].Reason != "" {
		t.Errorf("after: %+v", list[0])
	}
}

func TestNobodyListens(t *testing.T) {
	l := newListening(t, func(o *gateway.Options) { o.Probe.HTTP = "127.0.0.1:1" })
	l.apply(environment(sluice.HybridEnvironment), weather("http://127.0.0.1:1", ""))
	list := l.until(func(list []sluice.DeploymentReport) bool { return len(list) == 1 && list[0].Reason != "" })
	if list[0].State != sluice.Active {
		t.Errorf("report %+v", list[0])
	}
}

// TestNotProved holds the reasons why an API does not become live.
func TestNotProved(t *testing.T) {
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Sluice-Probe", r.Header.Get("X-Sluice-Probe"))
	}))
	t.Cleanup(foreign.Close)
	silent := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(silent.Close)
	for name, tc := range map[string]struct {
		options func(*gateway.Options)
		reason  string
	}{
		"another process on the port": {func(o *gateway.Options) { o.Probe.HTTP = strings.TrimPrefix(silent.URL, "http://") }, "the HTTP listener answered with status 404"},
		"one that echoes":             {func(o *gateway.Options) { o.Probe.HTTP = strings.TrimPrefix(foreign.URL, "http://") }, "the HTTP listener answered for another revision"},
		"transport not open":          {func(o *gateway.Options) { o.Probe.HTTP = "" }, "none of the API's transports is open on this gateway"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newListening(t, tc.options)
			api := weather("http://127.0.0.1:1", "")
			api.Transports = []string{"http"}
			l.apply(environment(sluice.HybridEnvironment), api)
			list := l.until(func(list []sluice.DeploymentReport) bool { return list[0].State == sluice.Failed })
			if list[0].Reason != tc.reason || list[0].Serving != "" {
				t.Errorf("report %+v, want reason %q", list[0], tc.reason)
			}
		})
	}
}

// TestProbeRepeated checks that a deployment that failed its proof is tried
// again, and becomes live.
func TestProbeRepeated(t *testing.T) {
	front := make(chan string, 1)
	relay := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case address := <-front: // from the second time on: the gateway's own listener
			front <- address
			probe, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+address+r.RequestURI, nil)
			if err != nil {
				t.Error(err)
				return
			}
			probe.Host, probe.Header = r.Host, r.Header
			answer, err := http.DefaultTransport.RoundTrip(probe)
			if err != nil {
				t.Error(err)
				return
			}
			_ = answer.Body.Close()
			w.Header().Set("X-Sluice-Probe", answer.Header.Get("X-Sluice-Probe"))
		default:
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(relay.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	l := newListening(t, func(o *gateway.Options) { o.Probe.HTTP, o.Probe.HTTPS = strings.TrimPrefix(relay.URL, "http://"), "" })
	l.serveHTTP()
	l.apply(environment(sluice.HybridEnvironment), weather("http://127.0.0.1:1", ""))
	l.until(all(sluice.Failed))
	front <- l.http
	l.until(all(sluice.Live))
}

// TestManyAPIs proves a thousand APIs, and one more that comes while they wait.
func TestManyAPIs(t *testing.T) {
	l := newListening(t)
	l.serveHTTP()
	const count = 1000
	items := []artifact.Item{environment(sluice.HybridEnvironment)}
	for i := range count {
		a := weather("http://127.0.0.1:1", "")
		a.ID, a.Context = fmt.Sprintf("api%04d", i), fmt.Sprintf("/api%d/1.0", i)
		items = append(items, a)
	}
	l.apply(items...)
	urgent := weather("http://127.0.0.1:1", "")
	l.apply(urgent)
	list := l.until(func(list []sluice.DeploymentReport) bool { return list[count].State == sluice.Live })
	waiting := 0
	for _, r := range list {
		if r.State == sluice.Active {
			waiting++
		}
	}
	if waiting == 0 {
		t.Log("all were proved before the last one was seen; its turn was not tested")
	}
	l.until(all(sluice.Live))
}
