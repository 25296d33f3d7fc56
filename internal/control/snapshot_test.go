package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/distribution"
)

// followers are the states of all environments as they come of the changes that
// the relay sends.
type followers struct {
	w     *world
	after int64 // last event that was applied
	state map[string]distribution.Snapshot
}

// follow begins with the snapshots as they are now.
func (w *world) follow() *followers {
	f := &followers{w: w, after: w.lastEvent(), state: map[string]distribution.Snapshot{}}
	for _, name := range []string{production, sandbox, both} {
		f.state[w.environment(name).ID] = f.snapshot(w.environment(name).ID)
	}
	return f
}

func (f *followers) snapshot(environmentID string) distribution.Snapshot {
	s, err := f.w.plane.snapshot(f.w.t.Context(), environmentID)
	if err != nil {
		f.w.t.Fatal(err)
	}
	return s
}

// catchUp applies the changes that the outbox says, in order.
func (f *followers) catchUp(t *rapid.T) {
	f.w.view(func(tx *database.Tx) error {
		events, err := tx.Events(f.after, 0)
		if err != nil {
			return err
		}
		epochs := map[string]int64{}
		for _, e := range events {
			c, err := change(tx, e, epochs)
			if err != nil {
				t.Fatalf("event %+v: %v", e, err)
			}
			s := f.state[c.EnvironmentID]
			if c.Epoch != s.Epoch || c.Generation != s.Generation+1 {
				t.Fatalf("epoch %d generation %d follows %d and %d", c.Epoch, c.Generation, s.Epoch, s.Generation)
			}
			s.Generation = c.Generation
			for _, it := range c.Put {
				if artifact.DigestOf(it.Body) != it.Digest {
					t.Fatalf("the digest of %s is not that of its body", it.ID)
				}
				if _, err := artifact.Decode(it.ID, it.Body); err != nil {
					t.Fatalf("a gateway cannot read %s: %v", it.ID, err)
				}
				s.Items[it.ID] = it.Body
			}
			for _, id := range c.Remove {
				delete(s.Items, id)
			}
			f.state[c.EnvironmentID], f.after = s, e.Sequence
		}
		return nil
	})
}

// check compares what came of the changes with the snapshot, byte for byte.
func (f *followers) check(t *rapid.T) {
	for id, got := range f.state {
		want := f.snapshot(id)
		if got.Epoch != want.Epoch || got.Generation != want.Generation {
			t.Errorf("environment %s: epoch %d generation %d, snapshot %d and %d", id, got.Epoch, got.Generation, want.Epoch, want.Generation)
		}
		for _, item := range slices.Sorted(maps.Keys(want.Items)) {
			if !bytes.Equal(got.Items[item], want.Items[item]) {
				t.Errorf("environment %s, %s:\n changes  %s\n snapshot %s", id, item, got.Items[item], want.Items[item])
			}
		}
		for item := range got.Items {
			if _, there := want.Items[item]; !there {
				t.Errorf("environment %s: changes left %s, which the snapshot has not", id, item)
			}
		}
	}
}

// acts is what people and the Key Manager do, on few APIs and applications, so
// that their acts meet.
type acts struct {
	w *world // shared by all rounds: a new database for each would take longer than they do
	n int    // to make names
}

// anyAPI draws one of the APIs; false where there is none.
func (a *acts) anyAPI(t *rapid.T) (sluice.API, bool) {
	list, _, err := a.w.plane.APIs(a.w.admin(), APIFilter{Sort: "created"})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		return sluice.API{}, false
	}
	return list[rapid.IntRange(0, len(list)-1).Draw(t, "API")], true
}

func (a *acts) anyApplication(t *rapid.T) (sluice.Application, bool) {
	list, _, err := a.w.plane.Applications(a.w.as("sam", sluice.Subscriber), ApplicationFilter{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		return sluice.Application{}, false
	}
	return list[rapid.IntRange(0, len(list)-1).Draw(t, "application")], true
}

func (a *acts) importAPI(t *rapid.T) {
	sides := rapid.SampledFrom([][]string{{"production"}, {"sandbox"}, {"production", "sandbox"}, nil}).Draw(t, "endpoints")
	a.n++
	a.w.api(fmt.Sprint("API", a.n), sides...)
}

// deploy also makes the revision, where there is room for it.
func (a *acts) deploy(t *rapid.T) {
	api, ok := a.anyAPI(t)
	if !ok {
		return
	}
	admin := a.w.admin()
	_, _ = a.w.plane.CreateRevision(admin, api.ID, "") // the sixth is refused
	list, err := a.w.plane.Revisions(admin, api.ID)
	if err != nil {
		t.Fatal(err)
	}
	environments := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{production, sandbox, both}), 1, 3, rapid.ID).Draw(t, "environments")
	_, _ = a.w.plane.Deploy(admin, api.ID, rapid.SampledFrom(list).Draw(t, "revision").ID, targets(environments...)) // a retired API is refused
}

func (a *acts) undeploy(t *rapid.T) {
	if api, ok := a.anyAPI(t); ok {
		_, _ = a.w.plane.Undeploy(a.w.admin(), api.ID, "", rapid.IntRange(1, 3).Draw(t, "number"), nil, true)
	}
}

func (a *acts) move(t *rapid.T) {
	if api, ok := a.anyAPI(t); ok && len(api.State.Moves()) > 0 {
		_, _ = a.w.plane.ChangeLifecycle(a.w.admin(), api.ID, rapid.SampledFrom(api.State.Moves()).Draw(t, "move").Event, 0)
	}
}

func (a *acts) deleteAPI(t *rapid.T) {
	if api, ok := a.anyAPI(t); ok {
		_ = a.w.plane.DeleteAPI(a.w.admin(), api.ID, 0) // one with subscriptions is kept
	}
}

func (a *acts) createApplication(*rapid.T) {
	a.n++
	a.w.application("sam", fmt.Sprintf("<App> & \u2028 „%d“", a.n)) // what JSON encoders like to escape
}

func (a *acts) subscribe(t *rapid.T) {
	app, ok := a.anyApplication(t)
	if !ok {
		return
	}
	if api, ok := a.anyAPI(t); ok {
		_, _ = a.w.plane.Subscribe(a.w.admin(), app.ID, api.ID, "Gold")
	}
}

func (a *acts) unsubscribe(t *rapid.T) {
	list, _, err := a.w.plane.Subscriptions(a.w.admin(), "", "", Page{Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) > 0 {
		_ = a.w.plane.Unsubscribe(a.w.admin(), rapid.SampledFrom(list).Draw(t, "subscription").ID)
	}
}

func (a *acts) generateKey(t *rapid.T) {
	if app, ok := a.anyApplication(t); ok {
		kind := rapid.SampledFrom([]sluice.KeyType{sluice.ProductionKey, sluice.SandboxKey}).Draw(t, "type")
		_, _ = a.w.plane.GenerateKey(a.w.admin(), app.ID, KeyRequest{Type: kind, Grants: clientCredentials})
	}
}

// apiKey makes an API key that expires, or one for tests, or revokes one.
func (a *acts) apiKey(t *rapid.T) {
	app, ok := a.anyApplication(t)
	if !ok {
		return
	}
	subscriber := a.w.as("sam", sluice.Subscriber)
	switch rapid.IntRange(0, 2).Draw(t, "what") {
	case 0:
		r := APIKeyRequest{Type: sluice.SandboxKey, TTL: time.Duration(rapid.IntRange(0, 3).Draw(t, "hours")) * time.Hour, Addresses: []string{"192.0.2.0/24"}}
		_, _, _ = a.w.plane.CreateAPIKey(subscriber, app.ID, r)
	case 1:
		if api, ok := a.anyAPI(t); ok {
			_, _, _ = a.w.plane.CreateTestKey(a.w.admin(), api.ID)
		}
	default:
		if list, err := a.w.plane.APIKeys(subscriber, app.ID); err == nil && len(list) > 0 {
			_ = a.w.plane.RevokeAPIKey(subscriber, app.ID, list[0].Type, list[0].ID, "")
		}
	}
}

// switchBackendJWT starts the control plane with backend JWTs on or off.
func (a *acts) switchBackendJWT(t *rapid.T) {
	a.w.o.BackendJWT = BackendJWT{Enabled: rapid.Bool().Draw(t, "enabled"), OmitUser: rapid.Bool().Draw(t, "omit the user")}
	a.w.restart()
}

// revoke does what the Key Manager does, with times finer than the database
// keeps them.
func (a *acts) revoke(t *rapid.T) {
	a.n++
	now := a.w.clock.now()
	r := sluice.Revocation{
		ID: fmt.Sprint("r", a.n), Kind: sluice.RevokedUser, Subject: "sam", Before: now, CreatedAt: now,
		ExpiresAt: now.Add(time.Duration(rapid.IntRange(1, 100).Draw(t, "minutes")) * time.Minute).In(time.FixedZone("elsewhere", 3600)),
	}
	if rapid.Bool().Draw(t, "of a token") {
		r.Kind, r.Before = sluice.RevokedToken, time.Time{}
	}
	a.w.update(func(tx *database.Tx) error {
		if err := tx.AddRevocation(&r); err != nil {
			return err
		}
		return emit(tx, "", sluice.RevocationAdded, r.ID, r)
	})
}

// changeTrust does what the Key Manager does when it has another signing key.
func (a *acts) changeTrust(*rapid.T) {
	a.n++
	trust := sluice.TokenTrust{Issuer: "https://control", Keys: []sluice.SigningKey{
		{ID: fmt.Sprint("k", a.n), Algorithm: "ES256", Public: []byte{1, 2, 3}}, {ID: "old", Algorithm: "ES256", NotAfter: a.w.clock.now()},
	}}
	a.w.update(func(tx *database.Tx) error {
		body, err := json.Marshal(trust)
		if err != nil {
			return err
		}
		if err := tx.PutSealed(sealedTokenTrust, body); err != nil {
			return err
		}
		return tx.Emit(sluice.Event{Kind: sluice.TokenTrustChanged, Subject: "tokens", Body: body})
	})
}

// reconfigure starts the control plane with another configuration.
func (a *acts) reconfigure(t *rapid.T) {
	a.n++
	e := &a.w.o.Environments[rapid.IntRange(0, len(a.w.o.Environments)-1).Draw(t, "environment")]
	switch rapid.IntRange(0, 2).Draw(t, "what changes") {
	case 0:
		e.Type = rapid.SampledFrom([]sluice.EnvironmentType{sluice.ProductionEnvironment, sluice.SandboxEnvironment, sluice.HybridEnvironment}).Draw(t, "type")
	case 1:
		e.Vhosts = []sluice.Vhost{{Host: fmt.Sprintf("v%d.example.com", a.n), HTTPSPort: 8243}}
	default:
		e.Description = fmt.Sprint(a.n)
	}
	a.w.restart()
}

// keepHouse lets time go by and removes what has expired, artifacts that
// nobody has heard of yet among them.
func (a *acts) keepHouse(t *rapid.T) {
	a.w.clock.advance(time.Duration(rapid.IntRange(0, 60).Draw(t, "minutes")) * time.Minute)
	a.w.update(a.w.plane.removeExpired)
}

// Whatever is done: the changes that gateways are sent add up to the snapshot
// that one which catches up is given, byte for byte, whether they are sent at
// once or late.
func TestChangesAddUpToTheSnapshot(t *testing.T) {
	w := newWorld(t)
	a := &acts{w: w}
	rapid.Check(t, func(t *rapid.T) {
		f := w.follow()
		all := []func(*rapid.T){
			a.importAPI, a.deploy, a.deploy, a.undeploy, a.move, a.move, a.deleteAPI, a.createApplication, a.subscribe, a.unsubscribe,
			a.generateKey, a.apiKey, a.apiKey, a.revoke, a.changeTrust, a.switchBackendJWT, a.reconfigure, a.keepHouse, f.catchUp,
		}
		for range rapid.IntRange(1, 12).Draw(t, "acts") {
			all[rapid.IntRange(0, len(all)-1).Draw(t, "act")](t)
		}
		f.catchUp(t)
		f.check(t)
	})
}

// Where the artifact of an event has been deleted, gateways go over to what came
// of it; they are never told to serve nothing in between.
func TestLateChangeSkipsNothing(t *testing.T) {
	w := newWorld(t)
	a := w.api("Weather", "production")
	first := w.revision(a.ID)
	after := w.lastEvent()
	w.deploy(a.ID, first.ID, production)
	w.deploy(a.ID, w.revision(a.ID).ID, production)
	w.update(w.plane.removeExpired)
	digest := w.deployments(a.ID)[production].Digest
	w.view(func(tx *database.Tx) error {
		for _, e := range w.eventsAfter(after) {
			c, err := change(tx, e, map[string]int64{})
			if err != nil || len(c.Put) != 1 || c.Put[0].Digest.String() != digest {
				t.Errorf("event %d makes %+v, %v", e.Sequence, c, err)
			}
		}
		return nil
	})
	if _, err := w.plane.Undeploy(w.admin(), a.ID, "", 2, nil, true); err != nil {
		t.Fatal(err)
	}
	w.update(w.plane.removeExpired)
	w.view(func(tx *database.Tx) error {
		for _, e := range w.eventsAfter(after) {
			if c, err := change(tx, e, map[string]int64{}); err != nil || len(c.Put) != 0 || !slices.Equal(c.Remove, []string{artifact.APIItem(a.ID)}) {
				t.Errorf("once it is undeployed event %d makes %+v, %v", e.Sequence, c, err)
			}
		}
		_, err := change(tx, sluice.Event{EnvironmentID: w.environment(production).ID, Kind: "thing"}, map[string]int64{})
		if err == nil {
			t.Error("an event of an unknown kind makes a change")
		}
		return nil
	})
}

func TestSnapshotOfNothing(t *testing.T) {
	w := newWorld(t)
	if _, err := w.plane.snapshot(t.Context(), "nope"); !sluice.IsNotFound(err) {
		t.Errorf("snapshot of an unknown environment: %v", err)
	}
}
