package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/openapi"
)

// trap is a server on loopback that counts who connects to it.
type trap struct {
	*httptest.Server
	calls atomic.Int32
}

func newTrap(t *testing.T, h http.HandlerFunc) *trap {
	t.Helper()
	tr := &trap{Server: httptest.NewUnstartedServer(h)}
	tr.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			tr.calls.Add(1)
		}
	}
	tr.Start()
	t.Cleanup(tr.Close)
	return tr
}

func (tr *trap) port() string {
	u, _ := url.Parse(tr.URL)
	return u.Port()
}

// names is a resolver that knows a few hosts, the answers of each in turn.
func names(known map[string][]string) func(context.Context, string, string) ([]netip.Addr, error) {
	asked := map[string]int{}
	return func(_ context.Context, _, host string) ([]netip.Addr, error) {
		answers := known[host]
		if len(answers) == 0 {
			return nil, errors.New("no such host")
		}
		answer := answers[min(asked[host], len(answers)-1)]
		asked[host]++
		var list []netip.Addr
		for a := range strings.SplitSeq(answer, " ") {
			list = append(list, netip.MustParseAddr(a))
		}
		return list, nil
	}
}

// A4, A5: no address that is not public is called, however it is written, found
// or redirected to.
func TestA5AddressesThatAreNotPublic(t *testing.T) {
	tr := newTrap(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(bicycles)) })
	w := newWorld(t, func(o *Options) {
		o.Lookup = names(map[string][]string{
			"localhost": {"127.0.0.1 ::1"}, "inside.example.com": {"10.1.2.3"}, "both.example.com": {"93.184.215.14 127.0.0.1"}, "mapped.example.com": {"::ffff:127.0.0.1"},
		})
	})
	carla := w.as("carla", sluice.Creator)
	for _, host := range []string{
		"127.0.0.1", "localhost", "LOCALHOST", "localhost.", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.0.0.01", "[::1]", "[::ffff:127.0.0.1]",
		"[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "0.0.0.0", "0", "[::]", "255.255.255.255", "10.0.0.1", "172.16.0.1", "192.168.1.1",
		"169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16", "[fe80::1]", "[fc00::1]", "224.0.0.1", "[ff02::1]", "192.0.2.1", "198.18.0.1",
		"inside.example.com", "both.example.com", "mapped.example.com", "4294967296", "1.2.3.256", "09.1.1.1",
	} {
		_, err := w.plane.FetchDefinition(carla, "http://"+host+":"+tr.port()+"/openapi.yaml")
		wantCode(t, host, err, sluice.Forbidden, "import.address")
	}
	for name, address := range map[string]string{
		"a file": "file:///etc/passwd", "gopher": "gopher://example.com/", "no scheme": "example.com/a", "nothing": "", "no host": "http:///a",
		"a user name": "http://u:p@127.0.0.1:" + tr.port(), "a zone": "http://[fe80::1%25lo]/", "an unknown host": "http://unknown.example.com/",
		"a public address in an old form": "http://134744072/", "no port": "http://127.0.0.1:x/",
	} {
		_, err := w.plane.FetchDefinition(carla, address)
		wantCode(t, name, err, sluice.Invalid, "import.fetch")
	}
	if n := tr.calls.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

// What the configuration names may be called; what it leads on to may not.
func TestA5WhatIsAllowed(t *testing.T) {
	secret := newTrap(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("secret")) })
	var tr *trap
	tr = newTrap(t, func(w http.ResponseWriter, r *http.Request) {
		var n int
		switch _, _ = fmt.Sscanf(r.URL.Path, "/hops/%d", &n); {
		case n > 0:
			http.Redirect(w, r, fmt.Sprintf("/hops/%d", n-1), http.StatusFound)
		case r.URL.Path == "/out":
			http.Redirect(w, r, secret.URL, http.StatusFound)
		case r.URL.Path == "/scheme":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		case r.URL.Path == "/user":
			http.Redirect(w, r, "http://u:p@specs.internal:"+tr.port()+"/", http.StatusFound)
		case r.URL.Path == "/missing":
			http.NotFound(w, r)
		case r.URL.Path == "/large":
			for range openapi.MaxSize/1024 + 1 {
				_, _ = w.Write([]byte(strings.Repeat(" ", 1024)))
			}
		default:
			_, _ = w.Write([]byte(bicycles))
		}
	})
	w := newWorld(t, func(o *Options) {
		o.ImportAllow = []string{"specs.internal", "127.0.0.2", "127.0.0.64/26"}
		o.Lookup = names(map[string][]string{
			"specs.internal": {"127.0.0.1"}, "by-network.internal": {"127.0.0.65"}, "rebinds.internal": {"127.0.0.2", "127.0.0.1"}, "other.internal": {"127.0.0.1"},
		})
	})
	carla := w.as("carla", sluice.Creator)
	at := func(host, path string) string { return "http://" + host + ":" + tr.port() + path }
	for _, address := range []string{at("specs.internal", "/"), at("Specs.Internal.", "/"), at("specs.internal", "/hops/3")} {
		if document, err := w.plane.FetchDefinition(carla, address); err != nil || string(document) != bicycles {
			t.Errorf("%s: %q, %v", address, document, err)
		}
	}
	// The trap is on 127.0.0.1 alone: others are called there, and nobody answers.
	// What a name gives the second time is never asked for.
	before := tr.calls.Load()
	for _, address := range []string{at("by-network.internal", "/"), at("127.0.0.2", "/"), at("rebinds.internal", "/")} {
		_, err := w.plane.FetchDefinition(carla, address)
		wantCode(t, address, err, sluice.Invalid, "import.fetch")
	}
	if after := tr.calls.Load(); after != before {
		t.Errorf("%d connections to an address that was not resolved first", after-before)
	}
	for name, c := range map[string]struct {
		address, code string
		kind          sluice.Kind
	}{
		"a name that is not allowed":     {at("other.internal", "/"), "import.address", sluice.Forbidden},
		"an address that is not allowed": {at("127.0.0.1", "/"), "import.address", sluice.Forbidden},
		"a redirect to loopback":         {at("specs.internal", "/out"), "import.address", sluice.Forbidden},
		"a redirect to a file":           {at("specs.internal", "/scheme"), "import.fetch", sluice.Invalid},
		"a redirect with a user name":    {at("specs.internal", "/user"), "import.fetch", sluice.Invalid},
		"four redirects":                 {at("specs.internal", "/hops/4"), "import.fetch", sluice.Invalid},
		"what is not there":              {at("specs.internal", "/missing"), "import.fetch", sluice.Invalid},
		"more than 10 MB":                {at("specs.internal", "/large"), "openapi.too_large", sluice.Invalid},
	} {
		_, err := w.plane.FetchDefinition(carla, c.address)
		wantCode(t, name, err, c.kind, c.code)
	}
	if n := secret.calls.Load(); n != 0 {
		t.Errorf("%d connections where a redirect led", n)
	}
}

// A backend that does not answer is given up after ten seconds.
func TestA5Timeout(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for ten seconds")
	}
	asked := make(chan struct{})
	tr := newTrap(t, func(_ http.ResponseWriter, r *http.Request) { close(asked); <-r.Context().Done() })
	w := newWorld(t, func(o *Options) { o.ImportAllow = []string{"127.0.0.0/8"} })
	_, err := w.plane.FetchDefinition(w.as("carla", sluice.Creator), tr.URL)
	<-asked
	wantCode(t, "an address that hangs", err, sluice.Invalid, "import.fetch")
	if err == nil || !strings.Contains(err.Error(), "longer than 10 seconds") {
		t.Errorf("error = %v", err)
	}
}
