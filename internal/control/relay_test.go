package control

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// run runs the control plane until the test ends, and waits for its bus.
func (w *world) run() {
	w.t.Helper()
	ctx, stop := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.plane.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	select {
	case <-w.plane.bus.Ready():
	case <-time.After(10 * time.Second):
		w.t.Fatal("the bus is not ready")
	}
}

// within waits until ok, for ten seconds at most.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within ten seconds: %s", what)
		}
	}
}

// What is committed is sent, and the outbox is empty then; so is it of what a
// control plane left that ended before it had sent everything.
func TestRelayEmptiesTheOutbox(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("", func(t *testing.T) { // its cleanup ends before the leaks are counted
		w := newWorldAt(t)
		left := w.published("Left")
		w.deploy(left.ID, w.revision(left.ID).ID, production, sandbox)
		if len(w.eventsAfter(0)) == 0 {
			t.Fatal("nothing is in the outbox")
		}
		w.restart()
		w.run()
		empty := func() bool { return len(w.eventsAfter(0)) == 0 }
		w.application("sam", "App")
		within(t, "the outbox is empty", empty)
		for range 3 {
			w.update(func(tx *database.Tx) error {
				for range relayBatch / 2 { // several batches
					if err := emit(tx, "", sluice.RevocationAdded, "r", nil); err != nil {
						return err
					}
				}
				return nil
			})
		}
		within(t, "the outbox is empty again", empty)
	})
}

// An event that cannot be sent is not lost, nor are those behind it.
func TestRelayKeepsWhatItCannotSend(t *testing.T) {
	w := newWorldAt(t)
	w.run()
	w.update(func(tx *database.Tx) error { return tx.Emit(sluice.Event{Kind: "thing", Subject: "x"}) })
	w.application("sam", "App")
	after, err := w.plane.relayFrom(t.Context(), 0)
	if err == nil || after != 0 || len(w.eventsAfter(0)) != 6 {
		t.Errorf("relayFrom = %d, %v with %d events left, want all six", after, err, len(w.eventsAfter(0)))
	}
}
