package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// neighbour is a gateway's management port, as far as its enrolment goes.
type neighbour struct {
	*httptest.Server

	mu       sync.Mutex // guards what follows
	joined   bool
	refuse   int // status of the POSTs that are refused
	refusals int // how many of them there are still to be
	calls    []string
	tokens   []sluice.Secret           // that were offered
	take     func(token sluice.Secret) // joins with the one that is taken
}

func newNeighbour(t *testing.T) *neighbour {
	n := &neighbour{}
	n.Server = httptest.NewTLSServer(n)
	t.Cleanup(n.Close)
	return n
}

// ServeHTTP implements http.Handler.
func (n *neighbour) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	user, password, sent := r.BasicAuth()
	call := r.Method + " " + r.URL.Path
	if sent {
		call += " " + user + ":" + password
	}
	n.calls = append(n.calls, call)
	if n.joined {
		w.WriteHeader(http.StatusConflict)
		return
	}
	if r.Method == http.MethodGet {
		return
	}
	var body struct{ Token, Environment string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Environment != production {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	n.tokens = append(n.tokens, sluice.Secret(body.Token))
	if n.refusals > 0 {
		n.refusals--
		w.WriteHeader(n.refuse)
		return
	}
	n.joined = true
	n.take(sluice.Secret(body.Token))
}

// configured is the production environment with a ServerURL.
func configured(url string) ConfiguredEnvironment {
	e := environment(production, sluice.ProductionEnvironment, "prod.example.com")
	e.ServerURL, e.Username, e.Password = url+"/", "admin", "pa:ss"
	return e
}

func (w *world) enrolmentTokens() (list []sluice.EnrolmentToken) {
	w.t.Helper()
	w.view(func(tx *database.Tx) (err error) {
		list, err = tx.EnrolmentTokens()
		return err
	})
	return list
}

func TestGatewayAtAServerURLIsOfferedAToken(t *testing.T) {
	w := newWorld(t)
	n := newNeighbour(t)
	e := configured(n.URL)
	n.take = func(token sluice.Secret) {
		if _, err := w.plane.Enrol(w.from("127.0.0.1"), enrolment(t, token, "gw")); err != nil {
			t.Error(err)
		}
	}
	ctx := sluice.WithActor(t.Context(), sluice.System())
	if done, err := w.plane.enrolOnce(ctx, e, &joinOffer{}); !done || err != nil {
		t.Fatalf("enrolOnce = %t, %v", done, err)
	}
	if got := strings.Join(n.calls, ", "); got != "GET /services/enrolment, POST /services/enrolment admin:pa:ss" {
		t.Errorf("calls: %s; want no password before the gateway was found", got)
	}
	gateways, err := w.plane.Gateways(w.admin(), w.environment(production).ID)
	if err != nil || len(gateways) != 1 || gateways[0].Gateway.ServerURL != e.ServerURL {
		t.Fatalf("gateways = %+v, %v", gateways, err)
	}

	// It has joined and will connect; once it has, nobody calls it.
	if done, err := w.plane.enrolOnce(ctx, e, &joinOffer{}); !done || err != nil || len(n.calls) != 3 {
		t.Errorf("once it has joined: %t, %v, %d calls", done, err, len(n.calls))
	}
	w.says(gateways[0].Gateway.ID, 1)
	if done, err := w.plane.enrolOnce(ctx, e, &joinOffer{}); !done || err != nil || len(n.calls) != 3 {
		t.Errorf("once it is connected: %t, %v, %d calls", done, err, len(n.calls))
	}

	// A gateway that was removed here has to be told so by its administrator.
	if err := w.plane.RemoveGateway(w.admin(), gateways[0].Gateway.ID, 0); err != nil {
		t.Fatal(err)
	}
	if done, err := w.plane.enrolOnce(ctx, e, &joinOffer{}); done || !errors.Is(err, errEnrolled) {
		t.Errorf("once it was removed: %t, %v, want what is to be done", done, err)
	}
}

// A wrong password is tried again with the same token, for as long as it lasts.
func TestRefusedOfferMakesNoMoreTokens(t *testing.T) {
	w := newWorld(t)
	n := newNeighbour(t)
	n.refuse, n.refusals = http.StatusUnauthorized, 100
	e, offer := configured(n.URL), &joinOffer{}
	ctx := sluice.WithActor(t.Context(), sluice.System())
	before := w.counts()
	for range 5 {
		if done, err := w.plane.enrolOnce(ctx, e, offer); done || err == nil || !strings.Contains(err.Error(), "AuthManager") || strings.Contains(err.Error(), "pa:ss") {
			t.Errorf("enrolOnce = %t, %v", done, err)
		}
	}
	if got, after := w.enrolmentTokens(), w.counts(); len(got) != 1 || after[1] != before[1]+1 {
		t.Errorf("five tries left %d tokens and %d audit entries", len(got), after[1]-before[1])
	}
	for _, token := range n.tokens {
		if token != n.tokens[0] {
			t.Error("another token is offered")
		}
	}
	w.clock.advance(joinTokenLife - enrolTimeout)
	if _, err := w.plane.enrolOnce(ctx, e, offer); err == nil || len(w.enrolmentTokens()) != 2 {
		t.Errorf("a token that is about to expire is offered again: %v", err)
	}
	// One that was used, though the answer said nothing of it, is not.
	n.refuse = http.StatusBadGateway
	if _, err := w.plane.Enrol(w.from("127.0.0.1"), enrolment(t, n.tokens[len(n.tokens)-1], "gw")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.plane.enrolOnce(ctx, e, offer); err == nil || !strings.Contains(err.Error(), "502") || len(w.enrolmentTokens()) != 3 {
		t.Errorf("a used token is offered again: %v, %d tokens", err, len(w.enrolmentTokens()))
	}
}

// No password goes to another machine, nor to who does not answer as a gateway.
func TestPasswordStaysHere(t *testing.T) {
	n := newNeighbour(t)
	w := newWorld(t, func(o *Options) { o.LocalHost = func(string) bool { return false } })
	if err := w.plane.enrolConfigured(t.Context(), configured(n.URL)); err != nil || len(n.calls) != 0 {
		t.Errorf("enrolConfigured = %v with the calls %q", err, n.calls)
	}
	stranger := httptest.NewTLSServer(http.NotFoundHandler())
	defer stranger.Close()
	if done, err := w.plane.enrolOnce(t.Context(), configured(stranger.URL), &joinOffer{}); done || err == nil || len(w.enrolmentTokens()) != 0 {
		t.Errorf("what is no gateway: %t, %v, %d tokens", done, err, len(w.enrolmentTokens()))
	}
	w = newWorld(t, func(o *Options) { o.Dial = noDial })
	if done, err := w.plane.enrolOnce(t.Context(), configured(n.URL), &joinOffer{}); done || err == nil || len(n.calls) != 0 {
		t.Errorf("with a Dial that refuses: %t, %v", done, err)
	}
}

// The gateway may be up first or last.
func TestEnrolmentIsTriedUntilItSucceeds(t *testing.T) {
	w := newWorldAt(t)
	n := newNeighbour(t)
	n.refuse, n.refusals = http.StatusServiceUnavailable, 2
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	n.take = func(token sluice.Secret) {
		if _, err := w.plane.Enrol(w.from("127.0.0.1"), enrolment(t, token, "gw")); err != nil {
			t.Error(err)
		}
		stop()
	}
	if err := w.plane.enrolConfigured(ctx, configured(n.URL)); err != nil || !n.joined || len(n.tokens) != 3 {
		t.Errorf("enrolConfigured = %v, joined %t after %d offers, want the third to be taken", err, n.joined, len(n.tokens))
	}
}
