package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/config"
	"github.com/sluice-api/sluice/internal/distribution"
)

// enrolmentState answers whether the gateway waits to be enrolled.
func (r *gatewayRole) enrolmentState(w http.ResponseWriter, _ *http.Request) {
	if r.id() != nil {
		http.Error(w, errAlready.Message, http.StatusConflict)
		return
	}
	_, _ = fmt.Fprintln(w, "waiting for a join token") // the peer may have gone
}

// enrol takes a join token from the control plane that names this gateway's
// management port as an environment's ServerURL. The caller must show the
// credentials of this gateway's own file; the gateway then joins at the control
// plane that file names, whoever called.
func (r *gatewayRole) enrol(w http.ResponseWriter, req *http.Request) {
	if wait := r.guesses.wait(); wait > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int(wait.Seconds())+1))
		http.Error(w, "Too many wrong credentials.", http.StatusTooManyRequests)
		return
	}
	user, password, _ := req.BasicAuth()
	c := r.s.cfg.ControlPlane
	given := c.Username != "" && c.Password != "" // where the file has none, no caller has the right ones
	if !given || !same(user, c.Username) || !same(password, c.Password.Reveal()) {
		if failures := r.guesses.failed(); failures == 1 || failures%freeGuesses == 0 {
			r.s.log.Warn("enrolment was refused: the Username or Password is not that of this gateway's file",
				"failures", failures, "caller", req.RemoteAddr, "from", c.From)
			if failures%freeGuesses == 0 {
				r.s.health.degrade("enrolment credentials", fmt.Sprintf("%d callers of /services/enrolment showed wrong ones, the last from %s; those of this gateway are in %s",
					failures, req.RemoteAddr, c.From))
			}
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="Sluice enrolment"`)
		http.Error(w, "The Username or Password is not that of this gateway's AuthManager.", http.StatusUnauthorized)
		return
	}
	var body struct{ Token, Environment string }
	if err := json.NewDecoder(http.MaxBytesReader(w, req.Body, 16<<10)).Decode(&body); err != nil || body.Token == "" {
		http.Error(w, "The body must be JSON with a token.", http.StatusBadRequest)
		return
	}
	switch err := r.join(req.Context(), sluice.Secret(body.Token)); {
	case err == nil:
		r.s.log.Info("gateway joined; the Password in its file is no longer needed", "environment", body.Environment, "from", c.From)
		_, _ = fmt.Fprintln(w, "joined") // the peer may have gone
	case errors.Is(err, errAlready):
		http.Error(w, errAlready.Message, http.StatusConflict)
	default:
		r.s.log.Warn("joining was refused", "control_plane", c.URL, "from", c.From, "err", err)
		http.Error(w, fmt.Sprintf("The gateway could not join at %s: %v", c.URL, err), http.StatusBadGateway)
	}
}

// join enrols the gateway at its control plane and keeps the identity.
func (r *gatewayRole) join(ctx context.Context, token sluice.Secret) error {
	r.joining.Lock()
	defer r.joining.Unlock()
	if r.id() != nil {
		return errAlready
	}
	id, err := r.s.joinAt(ctx, r.s.cfg.ControlPlane.URL, token)
	if err != nil {
		return err
	}
	if err := id.Save(r.dir); err != nil {
		return fmt.Errorf("keep the identity: %w", err)
	}
	r.mu.Lock()
	r.identity = id
	r.mu.Unlock()
	close(r.joined)
	r.s.health.degrade("enrolment credentials", "")
	return nil
}

// joinOwn enrols the gateway of a process with all roles in the environment that
// names this process, with a token of its own control plane, until it has joined.
func (r *gatewayRole) joinOwn(ctx context.Context) error {
	s := r.s
	own := slices.IndexFunc(s.cfg.Environments, func(e config.Environment) bool { return e.Own })
	name := s.cfg.Environments[own].Name
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, longestJoinPause) {
		token, err := s.control.plane.OwnJoinToken(ctx, name)
		if err == nil {
			err = r.join(ctx, token)
		}
		if err == nil || errors.Is(err, errAlready) || ctx.Err() != nil {
			return nil
		}
		s.log.Warn("the own gateway has not joined yet; trying again", "environment", name, "control_plane", s.cfg.ControlPlane.URL, "err", err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// longestJoinPause is the longest pause between two tries to join.
const longestJoinPause = 5 * time.Second

// joinAt enrols this home's gateway at a control plane.
func (s *Server) joinAt(ctx context.Context, controlURL string, token sluice.Secret) (*distribution.Identity, error) {
	return distribution.Join(ctx, distribution.JoinOptions{
		ControlURL: controlURL, Token: token, Name: s.cfg.Gateway.Name, Version: s.version,
		CAFile: s.cfg.ControlPlane.CAFile, Fingerprint: s.cfg.ControlPlane.Fingerprint, PinFirst: s.local(hostOf(controlURL)),
		Listeners: []string{"http://" + s.cfg.Listen.HTTP, "https://" + s.cfg.Listen.HTTPS, "https://" + s.cfg.Listen.Management},
		Hosts:     []string{s.cfg.Host}, Dial: s.dial, Log: s.log,
	})
}

// temporaryCertificate is what a gateway presents before it has joined.
func temporaryCertificate(hosts []string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "Sluice gateway that has not joined"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(365 * 24 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if h != "" {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// same compares two credentials in a time that says nothing of them.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// guesses slows down those who try credentials. It may be used by many
// goroutines.
type guesses struct {
	now func() time.Time

	mu       sync.Mutex // guards failures and until
	failures int
	until    time.Time
}

const (
	freeGuesses = 5
	guessPause  = 5 * time.Second
)

func (g *guesses) wait() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.until.Sub(g.now())
}

// failed counts a wrong guess and returns how many there were.
func (g *guesses) failed() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failures++
	if g.failures%freeGuesses == 0 {
		g.until = g.now().Add(guessPause)
	}
	return g.failures
}
