package gateway

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/sluice-api/sluice/internal/policy"
)

// keyManagerTimeout is how long the Key Manager may take for the whole answer.
const keyManagerTimeout = 60 * time.Second

// oauthPath is a path of every gateway that leads to the Key Manager.
type oauthPath struct {
	verb, allow string
	target      string // at the Key Manager
}

var (
	tokenPath     = &oauthPath{"POST", "POST", "/oauth2/token"}
	revokePath    = &oauthPath{"POST", "POST", "/oauth2/revoke"}
	authorizePath = &oauthPath{"GET", "GET, HEAD", "/oauth2/authorize"}
	userinfoPath  = &oauthPath{"GET", "GET, HEAD", "/oauth2/userinfo"}
)

// oauthPathOf returns what a path below a host leads to at the Key Manager, nil
// where it leads to an API or nowhere.
func oauthPathOf(path []byte) *oauthPath {
	switch string(path) {
	case "/token":
		return tokenPath
	case "/revoke":
		return revokePath
	case "/authorize":
		return authorizePath
	case "/userinfo":
		return userinfoPath
	}
	return nil
}

// serveOAuth sends x to the Key Manager, credentials and all.
func (g *Gateway) serveOAuth(ctx context.Context, x *policy.Exchange, o *oauthPath) *policy.Fault {
	if !x.Request.TLS && !(g.o.PlainOAuth && x.Request.Client.Addr().Unmap().IsLoopback()) {
		refuseOAuth(x, 403, `{"error":"invalid_request","error_description":"Secrets are not sent in clear: use https."}`)
		return nil
	}
	if m := string(x.Request.Method); m != o.verb && !(m == "HEAD" && o.verb == "GET") {
		x.AddField(&x.Response.Fields, "Allow", o.allow)
		refuseOAuth(x, 405, `{"error":"invalid_request","error_description":"The method is not allowed here."}`)
		return nil
	}
	var e *Endpoint
	if g.o.KeyManager != nil {
		e = g.o.KeyManager()
	}
	if e == nil {
		refuseUnavailable(x)
		return nil
	}
	g.prepare(x, false)
	x.Request.Target = e.appendTarget(x.Alloc(len(e.Path)+len(o.target)), []byte(o.target))
	ctx, cancel := context.WithTimeout(ctx, keyManagerTimeout)
	err := g.o.KeyManagerTransport.Send(ctx, e, x)
	switch fault := received(x, err); {
	case fault == nil && x.Response.Body != nil:
		x.Response.Body = &timedBody{x.Response.Body, cancel}
		return nil
	case fault == policy.IncompletePayload, fault == policy.RequestTimeout:
		cancel()
		return fault
	case fault != nil:
		g.log.WarnContext(ctx, "key manager does not answer", slog.Any("err", err), slog.String("trace_id", x.TraceID.String()))
		refuseUnavailable(x)
	}
	cancel()
	return nil
}

func refuseUnavailable(x *policy.Exchange) {
	x.AddField(&x.Response.Fields, "Retry-After", "5")
	refuseOAuth(x, 503, `{"error":"temporarily_unavailable","error_description":"The Key Manager cannot be reached at this moment."}`)
}

// refuseOAuth answers in the form of RFC 6749 §5.2.
func refuseOAuth(x *policy.Exchange, status int, body string) {
	x.AddField(&x.Response.Fields, "Content-Type", "application/json")
	x.AddField(&x.Response.Fields, "Cache-Control", "no-store")
	x.AddField(&x.Response.Fields, "Pragma", "no-cache")
	x.Answer(status, x.Copy(body))
}

// timedBody is a body that may be read until a time; closing it ends the time.
type timedBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (b *timedBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
