package http2

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/sluice-api/sluice/internal/gateway"
	"github.com/sluice-api/sluice/internal/policy"
)

// ClientOptions are what a Client may be told; the zero value works.
type ClientOptions struct {
	RootCAs       *x509.CertPool                                                       // nil: the system's
	ServerName    string                                                               // that certificates must have; empty: the host of the endpoint
	Dial          func(ctx context.Context, network, address string) (net.Conn, error) // nil: net.Dialer, with 10 s
	HeaderTimeout time.Duration                                                        // from the end of a request to the head of its answer; 0: 60 s
}

// Client is the backends' end: a gateway.Transport. It keeps connections, never
// follows a redirect, never uses a proxy and hands bodies on as they are. It may
// be used by many goroutines.
type Client struct{ transport *http.Transport }

// NewClient returns a Client. It dials when something is to be sent.
func NewClient(o ClientOptions) *Client {
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: connectTimeout}).DialContext
	}
	if o.HeaderTimeout == 0 {
		o.HeaderTimeout = 60 * time.Second
	}
	d := &dialer{dial: o.Dial, tls: &tls.Config{
		RootCAs: o.RootCAs, ServerName: o.ServerName, MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"}, ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}}
	return &Client{&http.Transport{
		DialContext:            d.plain,
		DialTLSContext:         d.secure,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConns:           4096,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        30 * time.Second,
		ResponseHeaderTimeout:  o.HeaderTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxResponseHeader,
	}}
}

// dialer makes connections, and tells apart what can go wrong with them.
type dialer struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	tls  *tls.Config
}

func (d *dialer) plain(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", gateway.ErrConnect, err)
	}
	return conn, nil
}

func (d *dialer) secure(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.plain(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config := d.tls
	if config.ServerName == "" {
		config = config.Clone()
		if config.ServerName, _, err = net.SplitHostPort(address); err != nil {
			config.ServerName = address
		}
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%w: %w", gateway.ErrTLS, err)
	}
	return secured, nil
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Send implements gateway.Transport.
func (c *Client) Send(ctx context.Context, to *gateway.Endpoint, x *policy.Exchange) error {
	request, body := outgoing(ctx, to, x)
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return classify(ctx, body, err)
	}
	p := &x.Response
	p.Status, p.Length, p.Body = response.StatusCode, response.ContentLength, response.Body
	p.Fields = appendHeader(x, p.Fields, response.Header)
	p.Trailer = func() policy.Fields { return fieldsOf(response.Trailer) }
	return nil
}

// outgoing returns the request for x. Everything in it is a copy: net/http may
// hold it for longer than the exchange lasts.
func outgoing(ctx context.Context, to *gateway.Endpoint, x *policy.Exchange) (*http.Request, *sentBody) {
	q := &x.Request
	address := &url.URL{Scheme: "http", Host: to.Address, Opaque: string(q.Target), RawQuery: string(q.Query), ForceQuery: q.HasQuery}
	if to.Secure {
		address.Scheme = "https"
	}
	request := (&http.Request{
		Method: string(q.Method), URL: address, Host: to.Authority, Header: make(http.Header, len(q.Fields)+1),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	addFields(request.Header, q.Fields, "")
	if _, set := request.Header["User-Agent"]; !set {
		request.Header["User-Agent"] = []string{""} // none of net/http's own
	}
	if q.Body == nil {
		return request, nil
	}
	body := &sentBody{Reader: q.Body}
	if q.Trailer != nil {
		body.trailer, body.names = q.Trailer, make(http.Header)
		for _, f := range q.Trailer() {
			body.names[http.CanonicalHeaderKey(string(f.Name))] = nil
		}
		request.Trailer = body.names
	}
	request.Body, request.ContentLength = body, q.Length
	return request, body
}

// sentBody is the body of a request on its way to a backend. It notes why it
// ended, and at its end fills in the trailer.
type sentBody struct {
	io.Reader
	trailer func() policy.Fields
	names   http.Header // of the request
	failed  atomic.Pointer[error]
}

// Read implements io.Reader.
func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	switch {
	case err == nil:
	case !errors.Is(err, io.EOF):
		b.failed.Store(&err)
	case b.trailer != nil:
		clear(b.names)
		addFields(b.names, b.trailer(), "")
	}
	return n, err
}

// Close implements io.Closer. The body is closed by whoever it belongs to.
func (*sentBody) Close() error { return nil }

// classify wraps err so that the gateway can tell what went wrong.
func classify(ctx context.Context, body *sentBody, err error) error {
	if body != nil {
		if cause := body.failed.Load(); cause != nil {
			if timeout, ok := errors.AsType[net.Error](*cause); ok && timeout.Timeout() {
				return fmt.Errorf("%w: %w", gateway.ErrSlowBody, err)
			}
			return fmt.Errorf("%w: %w", gateway.ErrBody, err)
		}
	}
	if cause := ctx.Err(); cause != nil {
		if errors.Is(cause, context.DeadlineExceeded) {
			return fmt.Errorf("%w: %w", gateway.ErrTimeout, err)
		}
		return fmt.Errorf("send request: %w", cause)
	}
	kind := gateway.ErrProtocol
	switch timeout, ok := errors.AsType[net.Error](err); {
	case errors.Is(err, gateway.ErrConnect), errors.Is(err, gateway.ErrTLS):
		return err
	case ok && timeout.Timeout():
		kind = gateway.ErrTimeout
	case isClosed(err):
		kind = gateway.ErrClosed
	}
	return fmt.Errorf("%w: %w", kind, err)
}

// isClosed reports whether err says that the backend closed or reset the
// connection, rather than sent something wrong.
func isClosed(err error) bool {
	_, operation := errors.AsType[*net.OpError](err)
	return operation || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
