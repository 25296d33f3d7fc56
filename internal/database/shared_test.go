package database_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/database/databasetest"
)

func shared(url string) database.Options {
	o := options(url)
	o.Shared = true
	return o
}

// openShared opens a database beside others until the test ends.
func openShared(t testing.TB, url string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), shared(url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// watch runs Watch until the test ends, or until it is stopped.
func watch(t testing.TB, db *database.DB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := db.Watch(ctx); err != nil {
			t.Errorf("Watch: %v", err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// eventually polls what has no channel to wait for.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !is(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("in vain waited until %s", what)
		}
	}
}

func addEnvironment(tx *database.Tx) error {
	return tx.AddEnvironment(&sluice.Environment{ID: "e1", Name: "one", Type: sluice.ProductionEnvironment, Epoch: 1, CreatedAt: time.Now()})
}

func emit(tx *database.Tx) error { return tx.Emit(sluice.Event{EnvironmentID: "e1"}) }

// testSharedOrder reads, while two write: whoever has seen an event has seen all
// before it.
func testSharedOrder(t *testing.T, url string) {
	a, b := openShared(t, url), openShared(t, url)
	update(t, a, addEnvironment)
	const rounds = 50
	var writers sync.WaitGroup
	for _, db := range []*database.DB{a, b} {
		writers.Go(func() {
			for range rounds {
				if err := db.Update(t.Context(), emit); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for last := int64(0); last < 2*rounds; {
		var events []sluice.Event
		if err := b.View(t.Context(), func(tx *database.Tx) (err error) { events, err = tx.Events(last, 0); return err }); err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Sequence != last+1 || e.Generation != last+1 {
				t.Fatalf("event %d with generation %d follows event %d", e.Sequence, e.Generation, last)
			}
			last = e.Sequence
		}
	}
	writers.Wait()
}

func testSharedLead(t *testing.T, url string) {
	a, b := openShared(t, url), openShared(t, url)
	if a.Leads() {
		t.Error("one leads without Watch")
	}
	stop := watch(t, a)
	eventually(t, "the first leads", a.Leads)
	watch(t, b)
	update(t, a, addEnvironment)
	for len(b.Committed()) > 0 {
		<-b.Committed()
	}
	began := time.Now()
	update(t, a, emit)
	select {
	case <-b.Committed():
		t.Logf("heard after %v", time.Since(began))
	case <-time.After(10 * time.Second):
		t.Error("what one has committed the other does not hear")
	}
	if b.Leads() {
		t.Error("both lead")
	}
	stop()
	if a.Leads() {
		t.Error("one leads that has stopped")
	}
	began = time.Now()
	eventually(t, "the other leads", b.Leads)
	t.Logf("taken over after %v", time.Since(began))
}

func testSharedRefused(t *testing.T, url string) {
	host, _ := os.Hostname()
	holder := fmt.Sprintf("process %d on %s", os.Getpid(), host)
	db := openShared(t, url)
	refused(t, options(url), "in use by sluice", holder, "bus.cluster")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, url)
	refused(t, shared(url), "in use by sluice", holder, "bus.cluster")
	refused(t, shared(newFile(t)), "PostgreSQL")
}

func testSharedCut(t *testing.T, url string) {
	a, b := openShared(t, url), openShared(t, url)
	watch(t, a)
	eventually(t, "the first leads", a.Leads)
	watch(t, b)
	direct(t, "pgx", url, terminate)
	eventually(t, "one leads", func() bool { return a.Leads() != b.Leads() })
	eventually(t, "changes are taken again", func() bool {
		return a.Update(t.Context(), func(*database.Tx) error { return nil }) == nil && b.Update(t.Context(), func(*database.Tx) error { return nil }) == nil
	})
}

func testSharedStart(t *testing.T, url string) {
	var starts sync.WaitGroup
	for range 4 {
		starts.Go(func() {
			db, err := database.Open(t.Context(), shared(url))
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
}

// testSharedUnique has two make the same thing at once: one of them must be told.
func testSharedUnique(t *testing.T, url string) {
	a, b := openShared(t, url), openShared(t, url)
	for i := range 20 {
		var errs [2]error
		var writers sync.WaitGroup
		for n, db := range []*database.DB{a, b} {
			writers.Go(func() {
				errs[n] = db.Update(t.Context(), func(tx *database.Tx) error {
					return tx.AddUser(&sluice.User{ID: fmt.Sprint(i, n), Organization: "default", Name: fmt.Sprint("user ", i)})
				})
			})
		}
		writers.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || sluice.KindOf(errs[0]) != sluice.Conflict && sluice.KindOf(errs[1]) != sluice.Conflict {
			t.Fatalf("Updates = %v and %v, want one of them to be a Conflict", errs[0], errs[1])
		}
	}
}

// BenchmarkPostgresUpdate compares the cost of a change with and without others
// that share the database.
func BenchmarkPostgresUpdate(b *testing.B) {
	server := databasetest.Postgres(b)
	for name, o := range map[string]func(string) database.Options{"alone": options, "shared": shared} {
		b.Run(name, func(b *testing.B) {
			db, err := database.Open(b.Context(), o(server.URL(b)))
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			update(b, db, addEnvironment)
			for i := 0; b.Loop(); i++ {
				update(b, db, func(tx *database.Tx) error {
					if err := tx.AddUser(&sluice.User{ID: fmt.Sprint(i), Organization: "default", Name: fmt.Sprint(i)}); err != nil {
						return err
					}
					return emit(tx)
				})
			}
		})
	}
}
