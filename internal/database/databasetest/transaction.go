package databasetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

var errOwn = errors.New("the caller's own")

func testRollback(t *testing.T, db *database.DB) {
	update(t, db, addEnvironment("e1", "one"))
	err := db.Update(t.Context(), func(tx *database.Tx) error {
		return errors.Join(tx.AddUser(newUser("u1", "anna")), tx.Audit(sluice.AuditEntry{Organization: org}), tx.Emit(sluice.Event{}), errOwn)
	})
	if !errors.Is(err, errOwn) {
		t.Errorf("Update error = %v, want the one of its function", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("Update swallowed a panic")
			}
		}()
		_ = db.Update(t.Context(), func(tx *database.Tx) error {
			if err := tx.AddUser(newUser("u2", "bert")); err != nil {
				t.Error(err)
			}
			panic("half way")
		})
	}()
	users := read(t, db, func(tx *database.Tx) ([]sluice.User, error) { return tx.Users(org) })
	entries := read(t, db, func(tx *database.Tx) ([]sluice.AuditEntry, error) { return tx.AuditEntries(org, 0, 0) })
	same(t, "users, audit entries, last event", []int64{int64(len(users)), int64(len(entries)), read(t, db, (*database.Tx).LastEvent)}, []int64{0, 0, 0})
	select {
	case <-db.Committed():
		t.Error("Committed received, but nothing was committed")
	default:
	}
	update(t, db, addUser("u1", "anna"))
}

func testFailedStatement(t *testing.T, db *database.DB) {
	update(t, db, addUser("u1", "anna"))
	err := db.Update(t.Context(), func(tx *database.Tx) error {
		if err := tx.AddUser(newUser("u2", "bert")); err != nil {
			return err
		}
		wantError(t, tx.AddUser(newUser("u3", "anna")), sluice.Conflict, "user.taken")
		_, err := tx.Users(org)
		wantError(t, err, sluice.Conflict, "user.taken")
		return nil
	})
	wantError(t, err, sluice.Conflict, "user.taken")
	same(t, "users", len(read(t, db, func(tx *database.Tx) ([]sluice.User, error) { return tx.Users(org) })), 1)

	// What was not found leaves the transaction as it was.
	update(t, db, func(tx *database.Tx) error {
		_, err := tx.User(org, "u9")
		wantError(t, err, sluice.NotFound, "user.unknown")
		wantError(t, tx.DeleteUser(org, "u9"), sluice.NotFound, "user.unknown")
		return tx.AddUser(newUser("u4", "carl"))
	})
}

func testView(t *testing.T, db *database.DB) {
	update(t, db, addUser("u1", "anna"))
	err := db.View(t.Context(), func(tx *database.Tx) error {
		before, err := tx.Users(org)
		if err != nil {
			return err
		}
		update(t, db, addUser("u2", "bert"))
		after, err := tx.Users(org)
		same(t, "users later in the same View", after, before)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	same(t, "users in the next View", len(read(t, db, func(tx *database.Tx) ([]sluice.User, error) { return tx.Users(org) })), 2)
	if err := db.View(t.Context(), addUser("u3", "carl")); err == nil {
		t.Error("a View has written")
	}
	if err := db.View(t.Context(), func(*database.Tx) error { return errOwn }); !errors.Is(err, errOwn) {
		t.Errorf("View error = %v, want the one of its function", err)
	}
}

// testConcurrency has writers change two rows together while readers look
// whether they ever differ.
func testConcurrency(t *testing.T, db *database.DB) {
	all(t, db, addUser("u1", "anna"), addUser("u2", "bert"))
	const writers, rounds = 4, 10
	step := func(tx *database.Tx) error {
		for _, id := range []string{"u1", "u2"} {
			u, err := tx.User(org, id)
			if err != nil {
				return err
			}
			u.Email = "x" + strings.TrimPrefix(u.Email, u.Name+"@example.com")
			if err := tx.PutUser(&u); err != nil {
				return err
			}
		}
		return nil
	}
	update(t, db, step)
	writing, done := context.WithCancel(t.Context())
	var readers, writersDone sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for writing.Err() == nil {
				err := db.View(t.Context(), func(tx *database.Tx) error {
					one, err := tx.User(org, "u1")
					two, err2 := tx.User(org, "u2")
					if one.Email != two.Email {
						return fmt.Errorf("read %q and %q in one View", one.Email, two.Email)
					}
					return errors.Join(err, err2)
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range writers {
		writersDone.Go(func() {
			for range rounds {
				if err := db.Update(t.Context(), step); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writersDone.Wait()
	done()
	readers.Wait()
	got := read(t, db, func(tx *database.Tx) (sluice.User, error) { return tx.User(org, "u1") })
	same(t, "email after all rounds", got.Email, strings.Repeat("x", writers*rounds+1))
}

func testCancel(t *testing.T, db *database.DB) {
	ctx, cancel := context.WithCancel(t.Context())
	err := db.Update(ctx, func(tx *database.Tx) error {
		if err := tx.AddUser(newUser("u1", "anna")); err != nil {
			return err
		}
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Update error = %v, want that of its context", err)
	}
	if err := db.View(ctx, func(tx *database.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("View error = %v, want that of its context", err)
	}
	update(t, db, addUser("u1", "anna"))
}

func testAudit(t *testing.T, db *database.DB) {
	entry := sluice.AuditEntry{
		Sequence: 99, Organization: org, Actor: "anna", Client: "rest", Address: "192.0.2.1", Action: "api.create", ObjectType: "api", ObjectID: "a1", ObjectName: "weather",
		Before: "b", After: "a", Result: "ok", TraceID: "t",
	}
	update(t, db, func(tx *database.Tx) error {
		return errors.Join(tx.Audit(entry), tx.Audit(sluice.AuditEntry{Organization: "o2", Action: "login"}), tx.Audit(sluice.AuditEntry{Organization: org, Action: "login"}))
	})
	list := func(org string, after int64, limit int) []sluice.AuditEntry {
		return read(t, db, func(tx *database.Tx) ([]sluice.AuditEntry, error) { return tx.AuditEntries(org, after, limit) })
	}
	sequences := func(entries []sluice.AuditEntry) (s []int64) {
		for _, e := range entries {
			s = append(s, e.Sequence)
		}
		return s
	}
	first := list(org, 0, 1)
	if len(first) != 1 || first[0].Time.IsZero() {
		t.Fatalf("AuditEntries = %+v, want one with its time", first)
	}
	entry.Sequence, entry.Time = 1, first[0].Time
	same(t, "AuditEntries, the first", first[0], entry)
	same(t, "AuditEntries", sequences(list(org, 0, 0)), []int64{1, 3})
	same(t, "AuditEntries after the first", sequences(list(org, 1, 0)), []int64{3})
	same(t, "AuditEntries of another organization", sequences(list("o2", 0, 10)), []int64{2})
}

func events(t testing.TB, db *database.DB, after int64, limit int) []sluice.Event {
	t.Helper()
	return read(t, db, func(tx *database.Tx) ([]sluice.Event, error) { return tx.Events(after, limit) })
}

func testEmit(t *testing.T, db *database.DB) {
	emit := func(e sluice.Event) func(tx *database.Tx) error {
		return func(tx *database.Tx) error { return tx.Emit(e) }
	}
	committed := func(want bool) {
		t.Helper()
		got := false
		select {
		case <-db.Committed():
			got = true
		default:
		}
		same(t, "Committed received", got, want)
	}
	all(t, db, emit(sluice.Event{Kind: sluice.TierChanged}))
	committed(false) // there is no environment
	all(t, db, addEnvironment("e2", "two"), addEnvironment("e1", "one"))
	committed(false)

	all(t, db, emit(sluice.Event{EnvironmentID: "e1", Kind: sluice.DeploymentChanged, Subject: "a1", Body: []byte(`{"x":1}`)}),
		emit(sluice.Event{Kind: sluice.KeyChanged, Subject: "k1"}))
	committed(true)
	committed(false)
	got := events(t, db, 0, 0)
	for i := range got {
		if got[i].CreatedAt.IsZero() {
			t.Error("an event has no time")
		}
		got[i].CreatedAt = time.Time{}
	}
	want := []sluice.Event{
		{Sequence: 1, EnvironmentID: "e1", Generation: 1, Kind: sluice.DeploymentChanged, Subject: "a1", Body: []byte(`{"x":1}`)},
		{Sequence: 2, EnvironmentID: "e1", Generation: 2, Kind: sluice.KeyChanged, Subject: "k1"},
		{Sequence: 3, EnvironmentID: "e2", Generation: 1, Kind: sluice.KeyChanged, Subject: "k1"},
	}
	same(t, "Events", got, want)
	e1 := read(t, db, func(tx *database.Tx) (sluice.Environment, error) { return tx.Environment("e1") })
	same(t, "the environment's generation and row version", []int64{e1.Generation, e1.RowVersion}, []int64{2, 1})
	same(t, "Events after the first, one", events(t, db, 1, 1)[0].Sequence, int64(2))

	refused(t, db, sluice.NotFound, "environment.unknown", emit(sluice.Event{EnvironmentID: "e9"}))
	_ = db.Update(t.Context(), func(tx *database.Tx) error { return errors.Join(tx.Emit(sluice.Event{}), errOwn) })
	committed(false)

	update(t, db, func(tx *database.Tx) error { return tx.DeleteEvents(2) })
	same(t, "Events after Delete", names(events(t, db, 0, 0), func(e sluice.Event) string { return e.EnvironmentID }), []string{"e2"})
	all(t, db, func(tx *database.Tx) error { return tx.DeleteEvents(3) }, emit(sluice.Event{EnvironmentID: "e2"}))
	next := events(t, db, 0, 0)[0]
	same(t, "sequence and generation afterwards", []int64{next.Sequence, next.Generation}, []int64{4, 2})
	same(t, "LastEvent", read(t, db, (*database.Tx).LastEvent), int64(4))
}

// testEmitConcurrently tails the events as the control plane does: whoever has
// seen up to n must find n+1 next, whatever commits meanwhile.
func testEmitConcurrently(t *testing.T, db *database.DB) {
	all(t, db, addEnvironment("e1", "one"), addEnvironment("e2", "two"))
	const writers, rounds = 4, 10
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for range rounds {
				e := sluice.Event{EnvironmentID: []string{"", "e1", "e2", ""}[i]}
				if err := db.Update(t.Context(), func(tx *database.Tx) error { return tx.Emit(e) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	const want = 6 * rounds
	generations := map[string]int64{}
	for last := int64(0); last < want; {
		select {
		case <-db.Committed():
		case <-t.Context().Done():
			t.Fatal("no news of further events")
		}
		for _, e := range events(t, db, last, 0) {
			if e.Sequence != last+1 || e.Generation != generations[e.EnvironmentID]+1 {
				t.Fatalf("event %d with generation %d follows event %d with generation %d", e.Sequence, e.Generation, last, generations[e.EnvironmentID])
			}
			last, generations[e.EnvironmentID] = e.Sequence, e.Generation
		}
	}
	group.Wait()
	same(t, "LastEvent", read(t, db, (*database.Tx).LastEvent), int64(want))
}

func testSealed(t *testing.T, db *database.DB) {
	secret := []byte("the signing key")
	put := func(name string, plain []byte) func(tx *database.Tx) error {
		return func(tx *database.Tx) error { return tx.PutSealed(name, plain) }
	}
	get := func(tx *database.Tx) ([]byte, error) { return tx.Sealed("keys.signing") }
	all(t, db, put("keys.signing", []byte("old")), put("keys.signing", secret), put("keys.other", []byte("x")))
	same(t, "Sealed", read(t, db, get), secret)

	sealed := db.Seal("key k1", secret)
	if bytes.Contains(sealed, secret) || bytes.Equal(sealed, db.Seal("key k1", secret)) {
		t.Error("Seal does not hide the text, or not twice differently")
	}
	plain, err := db.Unseal("key k1", sealed)
	same(t, "Unseal", plain, secret)
	if err != nil {
		t.Error(err)
	}
	if _, err := db.Unseal("key k2", sealed); err == nil {
		t.Error("Unseal opened a value with another context")
	}
	for i := range sealed {
		altered := bytes.Clone(sealed)
		altered[i] ^= 1
		if _, err := db.Unseal("key k1", altered); err == nil {
			t.Errorf("Unseal opened a value whose byte %d was altered", i)
		}
		if _, err := db.Unseal("key k1", sealed[:i]); err == nil {
			t.Errorf("Unseal opened a value that was cut to %d bytes", i)
		}
	}
}

func testRowVersions(t *testing.T, db *database.DB) {
	api, environment, application := newAPI("a1", "weather"), newEnvironment("e1", "one"), newApplication("p1", "shop")
	key := newConsumerKey("k1", sluice.SandboxKey)
	subscription := &sluice.Subscription{ID: "s1", Organization: org, ApplicationID: "p1", APIID: "a1"}
	tier := &sluice.Tier{ID: "t1", Organization: org, Level: sluice.APITier, Name: "Few"}
	user, organization, gateway := newUser("u1", "anna"), &sluice.Organization{ID: "o2", Name: "acme"}, newGateway("g1", "e1", "UKEY1")
	update(t, db, func(tx *database.Tx) error {
		return errors.Join(tx.AddAPI(api), tx.AddEnvironment(environment), tx.AddApplication(application), tx.AddConsumerKey(key), tx.AddSubscription(subscription),
			tx.AddUser(user), tx.AddOrganization(organization), tx.AddGateway(gateway), tx.AddTier(tier))
	})
	for name, row := range map[string]struct {
		version *int64
		id      *string
		put     func(tx *database.Tx) error
	}{
		"user":         {&user.RowVersion, &user.ID, func(tx *database.Tx) error { return tx.PutUser(user) }},
		"organization": {&organization.RowVersion, &organization.ID, func(tx *database.Tx) error { return tx.PutOrganization(organization) }},
		"gateway":      {&gateway.RowVersion, &gateway.ID, func(tx *database.Tx) error { return tx.PutGateway(gateway) }},
		"api":          {&api.RowVersion, &api.ID, func(tx *database.Tx) error { return tx.PutAPI(api) }},
		"environment":  {&environment.RowVersion, &environment.ID, func(tx *database.Tx) error { return tx.PutEnvironment(environment) }},
		"application":  {&application.RowVersion, &application.ID, func(tx *database.Tx) error { return tx.PutApplication(application) }},
		"key":          {&key.RowVersion, &key.Key, func(tx *database.Tx) error { return tx.PutConsumerKey(key) }},
		"subscription": {&subscription.RowVersion, &subscription.ID, func(tx *database.Tx) error { return tx.PutSubscription(subscription) }},
		"tier":         {&tier.RowVersion, &tier.ID, func(tx *database.Tx) error { return tx.PutTier(tier) }},
	} {
		t.Run(name, func(t *testing.T) {
			same(t, "version after Add", *row.version, int64(1))
			update(t, db, row.put)
			update(t, db, row.put)
			same(t, "version after two Puts", *row.version, int64(3))
			for _, old := range []int64{0, 2, 4} {
				*row.version = old
				refused(t, db, sluice.Changed, "changed", row.put)
				same(t, "version after a refused Put", *row.version, old)
			}
			*row.id, *row.version = "another", 3
			refused(t, db, sluice.NotFound, name+".unknown", row.put)
		})
	}
}

func testUnknown(t *testing.T, db *database.DB) {
	for code, methods := range map[string]map[string]func(tx *database.Tx) error{
		"organization.unknown": {
			"Organization":       func(tx *database.Tx) error { _, err := tx.Organization("x"); return err },
			"DeleteOrganization": func(tx *database.Tx) error { return tx.DeleteOrganization("x") },
		},
		"entry.unknown": {"AuditEntry": func(tx *database.Tx) error { _, err := tx.AuditEntry(org, 99); return err }},
		"answer.unknown": {
			"KeptAnswer":       func(tx *database.Tx) error { _, err := tx.KeptAnswer("x", "x"); return err },
			"PutKeptAnswer":    func(tx *database.Tx) error { return tx.PutKeptAnswer("x", "x", 200, nil) },
			"DeleteKeptAnswer": func(tx *database.Tx) error { return tx.DeleteKeptAnswer("x", "x") },
		},
		"enrolment.unknown": {
			"EnrolmentToken":       func(tx *database.Tx) error { _, err := tx.EnrolmentToken("x"); return err },
			"DeleteEnrolmentToken": func(tx *database.Tx) error { return tx.DeleteEnrolmentToken("x") },
		},
		"user.unknown": {
			"User":       func(tx *database.Tx) error { _, err := tx.User(org, "x"); return err },
			"UserByName": func(tx *database.Tx) error { _, err := tx.UserByName(org, "x"); return err },
			"PutUser":    func(tx *database.Tx) error { return tx.PutUser(newUser("x", "x")) },
			"DeleteUser": func(tx *database.Tx) error { return tx.DeleteUser(org, "x") },
		},
		"token.unknown": {
			"AccessToken":        func(tx *database.Tx) error { _, err := tx.AccessToken("x"); return err },
			"AccessTokenByHash":  func(tx *database.Tx) error { _, err := tx.AccessTokenByHash("x"); return err },
			"DeleteAccessToken":  func(tx *database.Tx) error { return tx.DeleteAccessToken("x", "x") },
			"RefreshTokenByHash": func(tx *database.Tx) error { _, err := tx.RefreshTokenByHash("x"); return err },
			"UseRefreshToken":    func(tx *database.Tx) error { return tx.UseRefreshToken(&sluice.RefreshToken{ID: "x"}) },
		},
		"client.unknown": {
			"ManagementClient":       func(tx *database.Tx) error { _, err := tx.ManagementClient("x"); return err },
			"ManagementClientByName": func(tx *database.Tx) error { _, err := tx.ManagementClientByName("x", "x"); return err },
		},
		"revocation.unknown": {
			"Revocation":       func(tx *database.Tx) error { _, err := tx.Revocation("x"); return err },
			"DeleteRevocation": func(tx *database.Tx) error { return tx.DeleteRevocation("x") },
		},
		"api.unknown": {
			"API":       func(tx *database.Tx) error { _, err := tx.API(org, "x"); return err },
			"DeleteAPI": func(tx *database.Tx) error { return tx.DeleteAPI(org, "x") },
		},
		"revision.unknown": {
			"Revision":       func(tx *database.Tx) error { _, err := tx.Revision("x", "x"); return err },
			"RevisionByID":   func(tx *database.Tx) error { _, err := tx.RevisionByID(org, "x"); return err },
			"DeleteRevision": func(tx *database.Tx) error { return tx.DeleteRevision("x", "x") },
		},
		"environment.unknown": {
			"Environment":       func(tx *database.Tx) error { _, err := tx.Environment("x"); return err },
			"EnvironmentByName": func(tx *database.Tx) error { _, err := tx.EnvironmentByName("x"); return err },
			"DeleteEnvironment": func(tx *database.Tx) error { return tx.DeleteEnvironment("x") },
		},
		"gateway.unknown": {
			"Gateway":       func(tx *database.Tx) error { _, err := tx.Gateway("x"); return err },
			"GatewayByKey":  func(tx *database.Tx) error { _, err := tx.GatewayByKey("x"); return err },
			"DeleteGateway": func(tx *database.Tx) error { return tx.DeleteGateway("x") },
		},
		"deployment.unknown": {"DeleteDeployment": func(tx *database.Tx) error { return tx.DeleteDeployment("x", "x") }},
		"artifact.unknown":   {"Artifact": func(tx *database.Tx) error { _, err := tx.Artifact("x"); return err }},
		"publication.unknown": {
			"Publication":    func(tx *database.Tx) error { _, err := tx.Publication(org, "x"); return err },
			"PutPublication": func(tx *database.Tx) error { return tx.PutPublication(&sluice.Publication{ID: "x"}) },
		},
		"application.unknown": {
			"Application":       func(tx *database.Tx) error { _, err := tx.Application(org, "x"); return err },
			"DeleteApplication": func(tx *database.Tx) error { return tx.DeleteApplication(org, "x") },
		},
		"key.unknown": {
			"ConsumerKey":       func(tx *database.Tx) error { _, err := tx.ConsumerKey("x"); return err },
			"DeleteConsumerKey": func(tx *database.Tx) error { return tx.DeleteConsumerKey("x") },
		},
		"api_key.unknown": {"DeleteAPIKey": func(tx *database.Tx) error { return tx.DeleteAPIKey("x") }},
		"subscription.unknown": {
			"Subscription":       func(tx *database.Tx) error { _, err := tx.Subscription(org, "x"); return err },
			"DeleteSubscription": func(tx *database.Tx) error { return tx.DeleteSubscription(org, "x") },
		},
		"tier.unknown": {
			"Tier":       func(tx *database.Tx) error { _, err := tx.Tier(org, sluice.APITier, "x"); return err },
			"TierByID":   func(tx *database.Tx) error { _, err := tx.TierByID(org, "x"); return err },
			"PutTier":    func(tx *database.Tx) error { return tx.PutTier(&sluice.Tier{ID: "x"}) },
			"DeleteTier": func(tx *database.Tx) error { return tx.DeleteTier(org, sluice.APITier, "x") },
		},
		"sealed.unknown": {"Sealed": func(tx *database.Tx) error { _, err := tx.Sealed("x"); return err }},
	} {
		for name, method := range methods {
			t.Run(name, func(t *testing.T) { refused(t, db, sluice.NotFound, code, method) })
		}
	}
}
