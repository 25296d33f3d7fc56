package distribution

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/sluice-api/sluice"
)

// The embedded server. A connection that does not answer pings is cut after
// (maxPings + 1) × pingEvery, at either end.
const (
	pingEvery     = 4 * time.Second
	maxPings      = 2
	authTimeout   = 5 * time.Second
	writeDeadline = time.Minute // a large message on a slow line; a dead peer is found by pings
	maxPending    = 20 << 20    // bytes waiting for one gateway; more, and it is cut and catches up
	controlUser   = "control"
)

// embedded is the NATS server in this process, and the control plane's own
// connection to it.
type embedded struct {
	server    *server.Server
	control   *nats.Conn
	websocket string // host:port of the WebSocket listener, on loopback
}

// startEmbedded starts a server whose listeners are on loopback, but for that of
// a cluster's routes, and connects to it. Gateways are let in by admit alone.
func startEmbedded(ctx context.Context, log *slog.Logger, ping time.Duration, cluster *ClusterOptions, admit admission) (*embedded, error) {
	password := sluice.NewSecret()
	o := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT,
		Websocket:         server.WebsocketOpts{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoTLS: true, AuthTimeout: authTimeout.Seconds()},
		MaxPayload:        maxPayload,
		MaxPending:        maxPending,
		MaxClosedClients:  100,
		PingInterval:      ping,
		MaxPingsOut:       maxPings,
		AuthTimeout:       authTimeout.Seconds(),
		WriteDeadline:     writeDeadline,
		NoSystemAccount:   true,
		NoSigs:            true,
		AlwaysEnableNonce: true,
		CustomClientAuthentication: &authentication{
			password: password, admit: admit, log: log,
		},
	}
	if cluster != nil {
		if err := cluster.route(o, ping); err != nil {
			return nil, fmt.Errorf("routes to other control planes: %w", err)
		}
	}
	ns, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("embedded bus: %w", err)
	}
	ns.SetLoggerV2(natsLog{log}, false, false, false)
	ns.Start()
	e := &embedded{server: ns}
	if !ns.ReadyForConnections(10 * time.Second) {
		e.stop()
		return nil, errors.New("embedded bus: its listeners did not open within 10 s")
	}
	e.websocket = ns.WebsocketURL()[len("ws://"):]
	e.control, err = nats.Connect("", nats.InProcessServer(ns), nats.UserInfo(controlUser, password.Reveal()),
		nats.Name("control plane"), nats.NoEcho(), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.WarnContext(ctx, "bus error", "err", err) }))
	if err != nil {
		e.stop()
		return nil, fmt.Errorf("embedded bus: %w", err)
	}
	return e, nil
}

// stop closes all connections and waits for the server to end.
func (e *embedded) stop() {
	if e.control != nil {
		e.control.Close()
	}
	e.server.Shutdown()
	e.server.WaitForShutdown()
}

// admission decides on a connection from an address whose key has signed the
// nonce.
type admission func(publicKey, address string) (sluice.Gateway, bool)

// authentication lets the control plane in by its password, and gateways by a
// signature over the nonce of this very connection.
type authentication struct {
	password sluice.Secret
	admit    admission
	log      *slog.Logger
}

// Check implements server.Authentication.
func (a *authentication) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	if o.Username != "" {
		if o.Username != controlUser || subtle.ConstantTimeCompare([]byte(o.Password), []byte(a.password.Reveal())) != 1 {
			return false
		}
		c.RegisterUser(&server.User{Username: controlUser})
		return true
	}
	if !signedNonce(o.Nkey, o.Sig, c.GetNonce()) {
		a.log.Debug("bus connection without a key's signature refused")
		return false
	}
	g, ok := a.admit(o.Nkey, c.RemoteAddress().String())
	if !ok {
		return false
	}
	c.RegisterUser(&server.User{Username: g.ID, Permissions: permissions(g.EnvironmentID, g.ID)})
	return true
}

// signedNonce reports whether signature, base64 of either alphabet, is that of
// a user's public NKey over nonce.
func signedNonce(publicKey, signature string, nonce []byte) bool {
	if len(nonce) == 0 || !nkeys.IsValidPublicUserKey(publicKey) {
		return false
	}
	key, err := nkeys.FromPublicKey(publicKey)
	if err != nil {
		return false
	}
	sig, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		if sig, err = base64.StdEncoding.DecodeString(signature); err != nil {
			return false
		}
	}
	return key.Verify(nonce, sig) == nil
}

// natsLog writes what the server has to say. Gateways come and go, so little of
// it is for an operator; what is, the Bus says itself.
type natsLog struct{ log *slog.Logger }

func (l natsLog) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l natsLog) Warnf(format string, v ...any)   { l.say(slog.LevelDebug, format, v) }
func (l natsLog) Debugf(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
func (l natsLog) Tracef(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
func (l natsLog) Errorf(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
func (l natsLog) Fatalf(format string, v ...any)  { l.say(slog.LevelError, format, v) }

func (l natsLog) say(level slog.Level, format string, v []any) {
	l.log.Log(context.Background(), level, "embedded bus", "message", fmt.Sprintf(format, v...))
}
