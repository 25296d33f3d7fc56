package control

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

const (
	firstEnrolPause   = 100 * time.Millisecond
	longestEnrolPause = 5 * time.Second
	enrolTimeout      = 15 * time.Second
)

// errEnrolled says that the gateway at a ServerURL has joined already. It is
// shown where the environment knows no gateway.
var errEnrolled = errors.New("the gateway there has joined already, but not this environment; to let it join here, stop it and remove the folder state/gateway of its home")

// enrolTarget is what one gateway is enrolled by.
type enrolTarget struct {
	environment, serverURL, username string
	password                         sluice.Secret
	from                             string
}

// enrolAll enrols the gateways of the configuration, of a new one too, until ctx
// ends.
func (p *Plane) enrolAll(ctx context.Context) error {
	type work struct {
		stop context.CancelFunc
		done chan struct{} // closed when it has ended
	}
	running := map[enrolTarget]work{}
	for {
		wanted := map[enrolTarget]ConfiguredEnvironment{}
		for _, e := range p.settings.Load().Environments {
			if e.ServerURL != "" && e.Username != "" {
				wanted[enrolTarget{e.Name, e.ServerURL, e.Username, e.Password, e.From}] = e
			}
		}
		for t, w := range running {
			if _, stays := wanted[t]; !stays || ctx.Err() != nil {
				w.stop()
				<-w.done
				delete(running, t)
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		for t, e := range wanted {
			if _, works := running[t]; works {
				continue
			}
			own, stop := context.WithCancel(ctx)
			w := work{stop, make(chan struct{})}
			running[t] = w
			go func() {
				defer close(w.done)
				if err := p.enrolConfigured(own, e); err != nil {
					p.log.Error("gateway cannot be enrolled", "environment", e.Name, "err", err)
				}
			}()
		}
		select {
		case <-ctx.Done():
		case <-p.reconfigured:
		}
	}
}

// enrolConfigured calls the gateway at an environment's ServerURL, with the
// environment's credentials and a join token, until one has joined there;
// whichever side is up first. The gateway checks the credentials against its own
// file and joins at the control plane that file names.
func (p *Plane) enrolConfigured(ctx context.Context, e ConfiguredEnvironment) error {
	defer p.unenrolled.set(e, nil)
	u, err := url.Parse(e.ServerURL)
	if err != nil {
		return fmt.Errorf("%s: ServerURL: %w", e.From, err)
	}
	if !p.o.LocalHost(u.Hostname()) {
		p.log.Warn("the gateway of this environment is on another machine, where no password is sent before trust is pinned; run `sluice gateway join` there with a join token",
			"environment", e.Name, "server_url", e.ServerURL, "from", e.From)
		return nil
	}
	ctx = sluice.WithActor(ctx, sluice.System())
	pause, told := firstEnrolPause, ""
	var offer joinOffer
	for ctx.Err() == nil {
		done, err := p.enrolOnce(ctx, e, &offer)
		if ctx.Err() != nil {
			break
		}
		p.unenrolled.set(e, err)
		switch {
		case err != nil && err.Error() != told:
			told = err.Error()
			p.log.Warn("gateway is not enrolled yet; trying again", "environment", e.Name, "server_url", e.ServerURL, "from", e.From, "err", err)
		case err == nil && done:
			told = ""
		}
		pause = min(pause*3/2, longestEnrolPause)
		if done {
			pause = longestEnrolPause // and look now and then whether it still is
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// joinOffer is the join token that a gateway is offered until it has used it, so
// that a wrong password does not fill the database with tokens.
type joinOffer struct {
	sluice.EnrolmentToken
	secret sluice.Secret
}

// stands reports whether the token can still be used at a time.
func (o *joinOffer) stands(tx *database.Tx, at time.Time) (bool, error) {
	tokens, err := tx.EnrolmentTokens()
	i := slices.IndexFunc(tokens, func(t sluice.EnrolmentToken) bool { return t.ID == o.ID })
	return i >= 0 && tokens[i].UsedAt.IsZero() && at.Before(o.ExpiresAt), err
}

// enrolOnce reports whether a gateway is enrolled at the ServerURL; where none
// is connected it asks there.
func (p *Plane) enrolOnce(ctx context.Context, e ConfiguredEnvironment, offer *joinOffer) (bool, error) {
	var env sluice.Environment
	enrolled, connected, offered := false, false, false
	err := p.db.View(ctx, func(tx *database.Tx) (err error) {
		if env, err = tx.EnvironmentByName(e.Name); err != nil {
			return err
		}
		gateways, err := tx.Gateways(env.ID)
		if err != nil {
			return err
		}
		for _, g := range gateways {
			connected = connected || g.ServerURL == e.ServerURL && p.status.connected(g.ID)
		}
		enrolled = len(gateways) > 0 // by token, perhaps
		offered, err = offer.stands(tx, p.now().Add(enrolTimeout))
		return err
	})
	if err != nil || connected {
		return connected, err
	}
	if err := p.callGateway(ctx, http.MethodGet, e, nil); err != nil {
		if errors.Is(err, errEnrolled) && enrolled {
			return true, nil // it will connect
		}
		return false, err
	}
	if !offered {
		offer.EnrolmentToken, offer.secret, err = p.newJoinToken(ctx, sluice.System().Name, env.ID, e.Name, e.ServerURL, joinTokenLife)
		if err != nil {
			return false, err
		}
	}
	body, err := json.Marshal(map[string]string{"token": offer.secret.Reveal(), "environment": e.Name})
	if err != nil {
		return false, err
	}
	if err := p.callGateway(ctx, http.MethodPost, e, body); err != nil {
		return false, err
	}
	return true, nil
}

// callGateway calls /services/enrolment of the gateway. GET asks whether it
// waits to be enrolled; POST brings the token. The certificate there is not
// known yet: this is an address of the own machine, pinned at first contact.
func (p *Plane) callGateway(ctx context.Context, method string, e ConfiguredEnvironment, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, enrolTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(e.ServerURL, "/")+"/services/enrolment", bytes.NewReader(body))
	if err != nil {
		return err
	}
	if method == http.MethodPost { // the password goes nowhere before GET found a gateway
		req.SetBasicAuth(e.Username, e.Password.Reveal())
		req.Header.Set("Content-Type", "application/json")
	}
	transport := &http.Transport{
		DialContext:       p.o.Dial,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, // see above
		DisableKeepAlives: true,
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusConflict:
		return errEnrolled
	case http.StatusUnauthorized:
		return errors.New("the gateway refuses the Username and Password of this environment; they must be those of AuthManager in its own file")
	}
	return fmt.Errorf("the gateway answered %d: %s", resp.StatusCode, strings.TrimSpace(string(text)))
}

// unenrolled is which configured gateways could not be enrolled, and why. The
// zero value is ready; it may be used by many goroutines.
type unenrolled struct {
	mu  sync.Mutex        // guards why
	why map[string]string // by environment
}

// set notes how the last try went; an error of nil means well.
func (u *unenrolled) set(e ConfiguredEnvironment, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.why, e.Name)
	if err == nil {
		return
	}
	if u.why == nil {
		u.why = map[string]string{}
	}
	u.why[e.Name] = fmt.Sprintf("the gateway of %s at %s (%s) is not enrolled: %v", e.Name, e.ServerURL, e.From, err)
}

// Unenrolled says of each configured gateway that could not be enrolled at the
// last try why not, for whoever runs the process.
func (p *Plane) Unenrolled() []string {
	p.unenrolled.mu.Lock()
	defer p.unenrolled.mu.Unlock()
	return slices.Sorted(maps.Values(p.unenrolled.why))
}
