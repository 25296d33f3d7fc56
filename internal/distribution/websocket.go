package distribution

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-api/sluice"
)

// Limits of a tunnel.
const (
	insideTimeout = 5 * time.Second  // for the embedded server to take a WebSocket
	stallLimit    = 15 * time.Second // for a gateway to take some of what is sent to it
)

// ServeHTTP hands a gateway's WebSocket on to the embedded server, whose
// listeners nobody else can reach; whether it is let in is decided there, by
// its key. It returns when the connection has ended. Until the Bus is ready it
// answers 503. It needs a connection in HTTP/1.1.
func (b *Bus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e := b.embedded.Load()
	if e == nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "The bus is not ready.", http.StatusServiceUnavailable)
		return
	}
	if r.Method != http.MethodGet || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "Only gateways come here, by WebSocket.", http.StatusUpgradeRequired)
		return
	}
	inside, fromInside, head, err := dialInside(r.Context(), e.websocket, r.Header)
	if err != nil {
		b.o.Log.WarnContext(r.Context(), "bus connection could not be handed on", "err", err)
		http.Error(w, "The bus does not answer.", http.StatusBadGateway)
		return
	}
	outside, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = inside.Close()
		http.Error(w, "The bus needs HTTP/1.1.", http.StatusHTTPVersionNotSupported)
		return
	}
	t := &tunnel{inside: inside, outside: outside}
	if !b.tunnels.add(t) {
		t.close()
		return
	}
	t.carry(head, buffered.Reader, fromInside)
	if id, was := b.tunnels.remove(t); was {
		select {
		case b.gone <- id:
		case <-b.stopped:
		}
	}
}

// dialInside opens a WebSocket to the embedded server with the handshake of the
// request, and nothing else of it. It returns the head of the server's answer.
func dialInside(ctx context.Context, address string, from http.Header) (net.Conn, *bufio.Reader, []byte, error) {
	d := net.Dialer{Timeout: insideTimeout}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, nil, nil, err
	}
	r, head, err := upgrade(conn, address, from)
	if err != nil {
		_ = conn.Close()
		return nil, nil, nil, err
	}
	return conn, r, head, nil
}

func upgrade(conn net.Conn, address string, from http.Header) (*bufio.Reader, []byte, error) {
	var request strings.Builder
	fmt.Fprintf(&request, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", address)
	handshake := http.Header{}
	for _, name := range []string{"Sec-Websocket-Key", "Sec-Websocket-Version"} {
		handshake.Set(name, from.Get(name))
	}
	_ = handshake.Write(&request) // a Builder takes everything
	request.WriteString("\r\n")

	if err := conn.SetDeadline(time.Now().Add(insideTimeout)); err != nil {
		return nil, nil, err
	}
	if _, err := io.WriteString(conn, request.String()); err != nil {
		return nil, nil, err
	}
	r := bufio.NewReader(conn)
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, nil, err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return nil, nil, fmt.Errorf("the handshake was answered %s", answer.Status)
	}
	var head strings.Builder
	head.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = answer.Header.Write(&head)
	head.WriteString("\r\n")
	return r, []byte(head.String()), conn.SetDeadline(time.Time{})
}

// tunnel is one gateway's WebSocket on its way from the control plane's port to
// the embedded server.
type tunnel struct {
	inside, outside net.Conn
	gateway         sluice.Gateway // once admitted; guarded by tunnels.mu
}

// carry copies both ways until either end closes.
func (t *tunnel) carry(head []byte, fromOutside, fromInside io.Reader) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer t.close()
	out := stallWriter{t.outside}
	if _, err := out.Write(head); err != nil {
		return
	}
	wg.Go(func() {
		_, _ = io.Copy(t.inside, fromOutside) // an end of either side is the end of both
		t.close()
	})
	_, _ = io.Copy(out, fromInside)
}

// close ends the connection at both sides. It may be called more than once.
func (t *tunnel) close() {
	_ = t.inside.Close()
	_ = t.outside.Close()
}

// stallWriter writes to a connection that must take some of each write in time:
// a peer that is gone without a word is found even with full buffers.
type stallWriter struct{ conn net.Conn }

func (w stallWriter) Write(b []byte) (int, error) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(stallLimit)); err != nil {
		return 0, err
	}
	return w.conn.Write(b)
}

// tunnels are the connections there are; a gateway has one at most. The zero
// value is ready.
type tunnels struct {
	mu        sync.Mutex         // guards all below, and tunnel.gateway
	byAddress map[string]*tunnel // of inside, as the embedded server sees it
	byGateway map[string]*tunnel // admitted ones
	closed    bool
	running   sync.WaitGroup
}

// add returns false where no more connections are taken.
func (ts *tunnels) add(t *tunnel) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.closed {
		return false
	}
	if ts.byAddress == nil {
		ts.byAddress, ts.byGateway = make(map[string]*tunnel), make(map[string]*tunnel)
	}
	ts.byAddress[t.inside.LocalAddr().String()] = t
	ts.running.Add(1)
	return true
}

// admit gives the connection from an address to a gateway and returns the one
// the gateway had until now, if any. It returns false for an address that no
// tunnel has: that connection did not come through ServeHTTP.
func (ts *tunnels) admit(address string, g sluice.Gateway) (older *tunnel, ok bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.byAddress[address]
	if t == nil || t.gateway.ID != "" {
		return nil, false
	}
	older = ts.byGateway[g.ID]
	t.gateway = g
	ts.byGateway[g.ID] = t
	return older, true
}

// live reports whether a gateway is connected.
func (ts *tunnels) live(gatewayID string) bool {
	return ts.of(gatewayID) != nil
}

// of returns the connection of a gateway, nil where it has none.
func (ts *tunnels) of(gatewayID string) *tunnel {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.byGateway[gatewayID]
}

// cut closes the connection of a gateway.
func (ts *tunnels) cut(gatewayID string) {
	if t := ts.of(gatewayID); t != nil {
		t.close()
	}
}

// remove forgets a tunnel that has ended, and tells which gateway is without a
// connection now.
func (ts *tunnels) remove(t *tunnel) (gatewayID string, was bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	defer ts.running.Done()
	delete(ts.byAddress, t.inside.LocalAddr().String())
	if t.gateway.ID == "" || ts.byGateway[t.gateway.ID] != t {
		return "", false
	}
	delete(ts.byGateway, t.gateway.ID)
	return t.gateway.ID, true
}

// close ends all connections, takes no more, and waits.
func (ts *tunnels) close() {
	ts.mu.Lock()
	ts.closed = true
	all := slices.Collect(maps.Values(ts.byAddress))
	ts.mu.Unlock()
	for _, t := range all {
		t.close()
	}
	ts.running.Wait()
}
