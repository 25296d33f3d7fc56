package control

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/distribution"
)

// Names of the environments that every world has.
const (
	production = "Production Gateway"
	sandbox    = "Sandbox Gateway"
	both       = "Production and Sandbox"
)

// clock is a clock that moves when it is told to.
type clock struct {
	mu sync.Mutex // guards at
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// world is a control plane on a database of its own. Its bus does not run.
type world struct {
	t     testing.TB
	db    *database.DB
	plane *Plane
	clock *clock
	o     Options
	heard map[string]sluice.Report // what gateways were made to say

	mu      sync.Mutex                        // guards answers
	answers map[string][]distribution.Refusal // of gateways that are asked whether they can take a change; others can
	silent  map[string]bool                   // those that do not answer
}

// prepare answers as connected gateways do that are asked whether they can take a
// change.
func (w *world) prepare(ctx context.Context, c distribution.Change, heard func(string, []distribution.Refusal) bool) error {
	var ids []string
	w.view(func(tx *database.Tx) error {
		list, err := tx.Gateways(c.EnvironmentID)
		for _, g := range list {
			ids = append(ids, g.ID)
		}
		return err
	})
	w.mu.Lock()
	answers, silent := maps.Clone(w.answers), maps.Clone(w.silent)
	w.mu.Unlock()
	for _, id := range ids {
		if w.plane.status.connected(id) && !silent[id] && !heard(id, answers[id]) {
			return nil
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// newWorld returns a world with a clock of its own.
func newWorld(t testing.TB, change ...func(*Options)) *world {
	c := &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 678912345, time.UTC)} // finer than the database keeps
	w := newWorldAt(t, append([]func(*Options){func(o *Options) { o.Now = c.now }}, change...)...)
	w.clock = c
	return w
}

// newWorldAt returns a world whose clock is the one of the options, time.Now
// where they name none.
func newWorldAt(t testing.TB, change ...func(*Options)) *world {
	t.Helper()
	w := &world{t: t, heard: map[string]sluice.Report{}}
	w.o = Options{
		ManagementURL: "https://control.example.com:9443", PasswordGrant: true, LegacyLogin: true, RevealSecrets: true,
		AccessTokenTTL: time.Hour, MaxAccessTokenTTL: 24 * time.Hour,
		LocalHost: func(string) bool { return true }, Scopes: roleScopes,
		InspectToken: func(sluice.Secret) (t SignedToken, ok bool) { return t, false },
		IssueToken: func(_ context.Context, key string, scopes []string, _ time.Duration) (sluice.Secret, time.Duration, []string, error) {
			return sluice.Secret("token of " + key), time.Hour, scopes, nil
		},
		Settings: Settings{Environments: []ConfiguredEnvironment{
			environment(production, sluice.ProductionEnvironment, "prod.example.com"),
			environment(sandbox, sluice.SandboxEnvironment, "sand.example.com"),
			environment(both, sluice.HybridEnvironment, "both.example.com", "other.example.com"),
		}},
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), Now: time.Now,
	}
	for _, f := range change {
		f(&w.o)
	}
	var err error
	w.db, err = database.Open(t.Context(), database.Options{URL: filepath.Join(t.TempDir(), "sluice.db"), Key: [32]byte{1}, Log: w.o.Log, Now: w.o.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.db.Close(); err != nil {
			t.Error(err)
		}
	})
	w.o.DB = w.db
	w.restart()
	return w
}

// restart makes the control plane anew over the same database, with the options
// as they are now.
func (w *world) restart() {
	w.t.Helper()
	if w.plane != nil {
		w.end(w.plane)
	}
	plane, err := New(w.t.Context(), w.o)
	if err != nil {
		w.t.Fatal(err)
	}
	plane.prepare = w.prepare
	w.plane = plane
	w.t.Cleanup(func() { w.end(plane) })
}

// end stops the control plane: publications under way stay as they are.
func (w *world) end(plane *Plane) {
	plane.end()
	plane.acts.Wait()
}

func environment(name string, kind sluice.EnvironmentType, hosts ...string) ConfiguredEnvironment {
	e := sluice.Environment{Name: name, Type: kind, Console: true}
	for _, h := range hosts {
		e.Vhosts = append(e.Vhosts, sluice.Vhost{Host: h, HTTPPort: 8280, HTTPSPort: 8243})
	}
	return ConfiguredEnvironment{Environment: e, From: "sluice.yaml:1"}
}

// roleScopes gives every role one scope of its name.
func roleScopes(roles []sluice.Role) []string {
	scopes := make([]string, len(roles))
	for i, r := range roles {
		scopes[i] = "scope:" + string(r)
	}
	return scopes
}

// as returns the context of a user of the default organization.
func (w *world) as(name string, roles ...sluice.Role) context.Context {
	return w.of(sluice.DefaultOrganization, name, roles...)
}

func (w *world) of(org, name string, roles ...sluice.Role) context.Context {
	return sluice.WithActor(w.t.Context(), sluice.Actor{
		UserID: "user-" + org + "-" + name, Name: name, Organization: org, Roles: roles, Client: "test", Address: "192.0.2.1", TraceID: "t1",
	})
}

// admin returns the context of an administrator.
func (w *world) admin() context.Context { return w.as("root", sluice.Administrator) }

// update changes the database as the Key Manager does, beside the Plane.
func (w *world) update(f func(tx *database.Tx) error) {
	w.t.Helper()
	if err := w.db.Update(w.t.Context(), f); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) view(f func(tx *database.Tx) error) {
	w.t.Helper()
	if err := w.db.View(w.t.Context(), f); err != nil {
		w.t.Fatal(err)
	}
}

// lastEvent returns the sequence number of the newest event.
func (w *world) lastEvent() (n int64) {
	w.t.Helper()
	w.view(func(tx *database.Tx) (err error) {
		n, err = tx.LastEvent()
		return err
	})
	return n
}

// eventsAfter returns the outbox after a sequence number.
func (w *world) eventsAfter(n int64) (list []sluice.Event) {
	w.t.Helper()
	w.view(func(tx *database.Tx) (err error) {
		list, err = tx.Events(n, 0)
		return err
	})
	return list
}

// emitted runs f and returns the events it left, each as its environment's name,
// its kind and + or, where the thing is gone, -.
func (w *world) emitted(f func()) []string {
	w.t.Helper()
	before := w.lastEvent()
	f()
	names := map[string]string{}
	w.view(func(tx *database.Tx) error {
		list, err := tx.Environments()
		for _, e := range list {
			names[e.ID] = e.Name
		}
		return err
	})
	lines := []string{}
	for _, e := range w.eventsAfter(before) {
		sign := "+"
		if len(e.Body) == 0 {
			sign = "-"
		}
		lines = append(lines, fmt.Sprintf("%s%s @ %s", sign, e.Kind, names[e.EnvironmentID]))
	}
	slices.Sort(lines)
	return lines
}

// counts returns how many rows there are of what refused requests must not
// leave behind.
func (w *world) counts() (n [3]int) {
	w.t.Helper()
	w.view(func(tx *database.Tx) error {
		publications, err := tx.Publications(sluice.DefaultOrganization, "", "", 0, 0)
		if err != nil {
			return err
		}
		entries, err := tx.AuditEntries(sluice.DefaultOrganization, 0, 0)
		n = [3]int{len(publications), len(entries), len(w.eventsAfter(0))}
		return err
	})
	return n
}

// environment returns an environment by name.
func (w *world) environment(name string) (e sluice.Environment) {
	w.t.Helper()
	w.view(func(tx *database.Tx) (err error) {
		e, err = tx.EnvironmentByName(name)
		return err
	})
	return e
}

// document is an OpenAPI document with two operations.
const document = `{"openapi":"3.0.3","info":{"title":"Weather","version":"1.0"},"paths":{
	"/today":{"get":{"responses":{"200":{"description":"ok"}}}},
	"/status":{"get":{"security":[],"responses":{"200":{"description":"ok"}}}}}}`

// api imports an API; sides are "production", "sandbox", both or none.
func (w *world) api(name string, sides ...string) sluice.API {
	w.t.Helper()
	with := sluice.API{Name: name, Context: "/" + strings.ToLower(name), Tiers: []string{"Gold", sluice.Unlimited}}
	for _, side := range sides {
		at := []sluice.Endpoint{{URL: "http://" + side + ".example.com"}}
		if side == "production" {
			with.Production = at
		} else {
			with.Sandbox = at
		}
	}
	a, err := w.plane.ImportOpenAPI(w.as("carla", sluice.Creator), []byte(document), with)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// revision freezes an API.
func (w *world) revision(apiID string) sluice.Revision {
	w.t.Helper()
	r, err := w.plane.CreateRevision(w.admin(), apiID, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// deploy deploys a revision to environments.
func (w *world) deploy(apiID, revisionID string, environments ...string) sluice.Publication {
	w.t.Helper()
	p, err := w.plane.Deploy(w.admin(), apiID, revisionID, targets(environments...))
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// publish begins a publication and waits until it is final.
func (w *world) publish(q PublicationRequest) sluice.Publication {
	w.t.Helper()
	p, err := w.plane.Publish(w.admin(), q)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.final(p.ID)
}

// final waits until a publication is final.
func (w *world) final(id string) sluice.Publication {
	w.t.Helper()
	p, err := w.plane.Publication(w.admin(), id, time.Minute)
	if err != nil || !p.Final() {
		w.t.Fatalf("publication %+v, %v; want it final", p, err)
	}
	return p
}

func targets(environments ...string) (list []DeployTarget) {
	for _, e := range environments {
		list = append(list, DeployTarget{Environment: e, Store: true})
	}
	return list
}

// move moves an API by events of its lifecycle.
func (w *world) move(apiID string, events ...string) (a sluice.API) {
	w.t.Helper()
	for _, event := range events {
		var err error
		if a, err = w.plane.ChangeLifecycle(w.admin(), apiID, event, 0); err != nil {
			w.t.Fatalf("%s: %v", event, err)
		}
	}
	return a
}

// published imports an API with both endpoints and publishes it.
func (w *world) published(name string) sluice.API {
	w.t.Helper()
	return w.move(w.api(name, "production", "sandbox").ID, "Publish")
}

// deployments returns what environments shall serve of an API, by their names.
func (w *world) deployments(apiID string) map[string]sluice.Deployment {
	w.t.Helper()
	found := map[string]sluice.Deployment{}
	w.view(func(tx *database.Tx) error {
		list, err := tx.Deployments(apiID)
		for _, d := range list {
			e, err := tx.Environment(d.EnvironmentID)
			if err != nil {
				return err
			}
			found[e.Name] = d
		}
		return err
	})
	return found
}

// application makes an application of the user.
func (w *world) application(owner, name string) sluice.Application {
	w.t.Helper()
	a := sluice.Application{Name: name, Tier: sluice.Unlimited}
	if err := w.plane.CreateApplication(w.as(owner, sluice.Subscriber), &a); err != nil {
		w.t.Fatal(err)
	}
	return a
}

// joinToken makes a join token for an environment.
func (w *world) joinToken(environment string) sluice.Secret {
	w.t.Helper()
	_, secret, _, err := w.plane.CreateEnrolmentToken(w.admin(), w.environment(environment).ID, "", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return secret
}

// gateway lets a gateway join an environment.
func (w *world) gateway(environment, name string) string {
	w.t.Helper()
	out, err := w.plane.Enrol(w.from("192.0.2.7"), enrolment(w.t, w.joinToken(environment), name))
	if err != nil {
		w.t.Fatal(err)
	}
	return out.GatewayID
}

// from returns the context of an unknown caller at an address.
func (w *world) from(address string) context.Context {
	return sluice.WithActor(w.t.Context(), sluice.Actor{Client: "rest", Address: address})
}

// enrolment returns what a new gateway sends.
func enrolment(t testing.TB, token sluice.Secret, name string) Enrolment {
	t.Helper()
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	csr := &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}, DNSNames: []string{"gw.example.com"}}
	return Enrolment{Token: token, Name: name, PublicKey: public, CSR: request(t, elliptic.P256(), csr), Version: "v1"}
}

// request signs a certificate request with a new key.
func request(t testing.TB, curve elliptic.Curve, template *x509.CertificateRequest) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// says makes a gateway report that it has heard of a generation and what it
// serves. With a generation below zero its connection has ended.
func (w *world) says(gatewayID string, generation int64, deployments ...sluice.DeploymentReport) {
	r := sluice.Report{
		GatewayID: gatewayID, Connected: generation >= 0, HeardAt: w.o.Now(), Epoch: 1, Generation: max(0, generation), Deployments: deployments,
	}
	w.plane.heard(r)
}

// wantCode fails the test where err is not a sluice.Error of that kind and code.
func wantCode(t testing.TB, what string, err error, kind sluice.Kind, code string) {
	t.Helper()
	e, ok := errors.AsType[*sluice.Error](err)
	if !ok || e.Kind != kind || e.Code != code {
		t.Errorf("%s: error = %v (%+v), want %v %q", what, err, e, kind, code)
	}
}

// wantLines fails the test where two lists differ.
func wantLines(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// noDial refuses every connection.
func noDial(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }
