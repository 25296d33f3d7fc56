package distribution

import (
	"context"
	"crypto/ed25519"
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// world is a control plane, a bus that loses, repeats and reorders, and a
// gateway, without time or goroutines.
type world struct {
	signer  ed25519.PrivateKey
	view    *view
	history map[position]map[string]string // what each generation was
	clock   int64
	wire    []*change // on their way

	replica replica
	serving map[string]string // by the updates alone
	disk    *view             // what a restart finds; nil: nothing
}

func (w *world) signed(v *view) signedRoot {
	w.clock++
	r := signedRoot{environment: "prod", epoch: v.epoch, generation: v.generation, root: v.state.root, time: time.Unix(w.clock, 0)}
	r.sign(w.signer)
	return r
}

// move makes the next generation and sends it, in one of the forms it can have.
func (w *world) move(t *rapid.T) {
	put, remove := genItems().Draw(t, "put"), genIDs().Draw(t, "remove")
	for _, id := range remove {
		delete(put, id)
	}
	next := &view{"prod", w.view.epoch, w.view.generation + 1, w.view.state.with(entriesOf(itemsOf(put), true), remove)}
	if rapid.IntRange(0, 15).Draw(t, "restored from a backup") == 0 {
		next.epoch, next.generation = next.epoch+1, max(1, next.generation-5)
	}
	w.view = next
	w.history[position{next.epoch, next.generation}] = contents(next.state)
	c := &change{signed: w.signed(next), whole: rapid.IntRange(0, 9).Draw(t, "whole") > 0}
	if c.whole {
		c.put, c.remove = itemsOf(put), remove
	}
	w.wire = append(w.wire, c)
}

// deliver takes one message off the wire: any, perhaps again, perhaps not at all.
func (w *world) deliver(t *rapid.T) {
	if len(w.wire) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.wire)-1).Draw(t, "which")
	c := w.wire[i]
	if !rapid.Bool().Draw(t, "repeat") {
		w.wire = append(w.wire[:i:i], w.wire[i+1:]...)
	}
	switch rapid.IntRange(0, 7).Draw(t, "fate") {
	case 0: // lost
	case 1: // altered on its way
		if c.whole {
			evil := *c
			evil.put = append([]Item{item("key/evil", "evil")}, c.put...)
			if err := w.replica.offer(&evil); err != nil {
				t.Fatal(err)
			}
		}
	default:
		if err := w.replica.offer(c); err != nil {
			t.Fatal(err)
		}
	}
	w.advance(t)
}

// advance applies what the replica lets through.
func (w *world) advance(t *rapid.T) {
	for {
		before := w.replica.signed
		c, err := w.replica.next()
		if err != nil {
			continue // an altered one; the state is what it was
		}
		if c == nil {
			return
		}
		w.apply(t, before, Update{Put: c.put, Remove: c.remove})
	}
}

func (w *world) apply(t *rapid.T, before signedRoot, u Update) {
	now := w.replica.signed
	if !now.newerThan(&before) && w.serving != nil {
		t.Fatalf("the gateway went from epoch %d generation %d to %d, %d", before.epoch, before.generation, now.epoch, now.generation)
	}
	if u.Complete {
		w.serving = map[string]string{}
	}
	for _, it := range u.Put {
		w.serving[it.ID] = string(it.Body)
	}
	for _, id := range u.Remove {
		delete(w.serving, id)
	}
	if want := w.history[position{now.epoch, now.generation}]; !maps.Equal(w.serving, want) {
		t.Fatalf("at epoch %d generation %d the gateway serves %v, want %v", now.epoch, now.generation, w.serving, want)
	}
	if now.root != w.replica.state.root {
		t.Fatal("the gateway's root is not the signed one")
	}
	w.disk = &view{"prod", now.epoch, now.generation, stateOf(w.serving)}
}

// catchUp runs one catching up, during which more may happen.
func (w *world) catchUp(t *rapid.T, busy bool) {
	if !w.replica.behind() {
		return
	}
	before := w.replica.signed
	w.replica.catching = true
	s := &source{view: w.view, limit: 30}
	if busy {
		s.request = func(s *source, kind string) {
			if rapid.IntRange(0, 5).Draw(t, "meanwhile") == 0 {
				w.move(t)
				w.deliver(t)
			}
			s.view = w.view
		}
	}
	got, err := catchUp(context.Background(), w.replica.start(), trusting, func(ctx context.Context, kind string, request []byte) (*reader, error) {
		r, err := s.ask(ctx, kind, request)
		return r, err
	})
	w.replica.catching = false
	if err != nil {
		t.Fatal(err)
	}
	if w.replica.adopt(got) {
		w.apply(t, before, Update{Complete: got.complete, Put: got.put, Remove: got.remove})
	}
	w.advance(t)
}

// restart is a kill -9: what was on the way stays there, memory is gone.
func (w *world) restart() {
	w.replica = replica{environment: "prod", keys: w.replica.keys}
	w.serving = nil
	if w.disk != nil {
		s := w.signed(w.disk)
		w.replica.state, w.replica.signed, w.replica.newest = w.disk.state.withoutBodies(), s, s
		w.serving = contents(w.disk.state)
	}
}

func TestF19ReplicaConverges(t *testing.T) {
	public, signer, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			signer: signer, view: &view{"prod", 1, 1, emptyState()}, history: map[position]map[string]string{{1, 1}: {}},
			replica: replica{environment: "prod", keys: []ed25519.PublicKey{public}},
		}
		heartbeat := func() {
			s := w.signed(w.view)
			if err := w.replica.heard(&s); err != nil {
				t.Fatal(err)
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1, 2:
				w.move(t)
			case 3, 4, 5, 6:
				w.deliver(t)
			case 7:
				w.catchUp(t, true)
			case 8:
				heartbeat()
			case 9:
				w.restart()
			}
		}
		heartbeat()
		w.catchUp(t, false)
		if w.replica.behind() || w.replica.state.root != w.view.state.root || w.replica.signed.epoch != w.view.epoch {
			t.Fatalf("the gateway is at epoch %d generation %d, the control plane at %d, %d",
				w.replica.signed.epoch, w.replica.signed.generation, w.view.epoch, w.view.generation)
		}
	})
}

func TestReplicaHoldsABoundedNumberOfChanges(t *testing.T) {
	public, signer, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{signer: signer, view: &view{"prod", 1, 1, emptyState()}}
	r := replica{environment: "prod", keys: []ed25519.PublicKey{public}, state: emptyState(), signed: w.signed(w.view)}
	r.catching = true
	body, empty := make([]byte, 1<<20), emptyState()
	for n := range int64(2 * maxHeld) {
		c := &change{signed: w.signed(&view{"prod", 1, 2 + n, empty}), whole: true}
		if n%100 == 0 {
			c.put = []Item{{ID: "x", Body: body}}
		}
		if err := r.offer(c); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.held) > maxHeld || r.heldSize > maxHeldSize {
		t.Errorf("%d changes of %d bytes are held", len(r.held), r.heldSize)
	}
	if !r.behind() || r.newest.generation != 2*maxHeld+1 {
		t.Errorf("the newest generation is forgotten: %d", r.newest.generation)
	}
}
