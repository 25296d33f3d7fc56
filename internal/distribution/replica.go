package distribution

import (
	"crypto/ed25519"
)

// Limits of what a replica keeps of changes that it cannot take yet.
const (
	maxHeld     = 1024
	maxHeldSize = 16 << 20 // bytes
)

// replica is a gateway's knowledge of its environment's state, and the rule by
// which it moves on: only forward, only to what a trusted key has signed, and
// only where its own root then equals the signed one. It does no I/O and knows
// no time, so that every order of events can be tried. It belongs to one
// goroutine.
type replica struct {
	environment string
	keys        []ed25519.PublicKey

	signed   signedRoot // of state; zero: there is none
	state    *state     // ids and digests; nil: none
	newest   signedRoot // the newest that was heard of, verified
	catching bool       // catching up is under way: changes are held, not taken
	held     map[int64]*change
	heldSize int
}

// verify returns nil where s is of this environment and signed by a trusted key.
func (r *replica) verify(s *signedRoot) error { return s.verify(r.environment, r.keys) }

// behind reports whether there is a newer state than the one here.
func (r *replica) behind() bool { return r.newest.newerThan(&r.signed) }

// heard notes which state there is to have.
func (r *replica) heard(s *signedRoot) error {
	if err := r.verify(s); err != nil {
		return err
	}
	if s.newerThan(&r.newest) {
		r.newest = *s
	}
	return nil
}

// offer gives a change that was received; next says what follows from it. What
// is had already is left, what comes too early held.
func (r *replica) offer(c *change) error {
	if err := r.heard(&c.signed); err != nil {
		return err
	}
	if !c.whole || !c.signed.newerThan(&r.signed) || c.signed.epoch != r.signed.epoch {
		return nil
	}
	if len(r.held) >= maxHeld || r.heldSize+c.size() > maxHeldSize {
		return nil // catching up will bring it
	}
	if r.held == nil {
		r.held = make(map[int64]*change)
	}
	if r.held[c.signed.generation] == nil {
		r.held[c.signed.generation] = c
		r.heldSize += c.size()
	}
	return nil
}

// next takes the change that follows the state here, if there is one and
// nothing is being caught up with. After an error the state is what it was, and
// catching up is the way on.
func (r *replica) next() (*change, error) {
	if r.catching || r.state == nil {
		return nil, nil
	}
	c := r.held[r.signed.generation+1]
	if c == nil {
		return nil, nil
	}
	r.drop(c)
	state := r.state.with(entriesOf(c.put, false), c.remove)
	if state.root != c.signed.root {
		return nil, errRoot
	}
	r.state, r.signed = state, c.signed
	return c, nil
}

// adopt takes the outcome of catching up, unless what is here is as new.
func (r *replica) adopt(c *caughtUp) bool {
	if r.state == nil && !c.complete || r.state != nil && !c.signed.newerThan(&r.signed) {
		return false
	}
	r.state, r.signed = c.state, c.signed
	if c.signed.newerThan(&r.newest) {
		r.newest = c.signed
	}
	for _, h := range r.held {
		if h.signed.epoch != r.signed.epoch || !h.signed.newerThan(&r.signed) {
			r.drop(h)
		}
	}
	return true
}

// start returns the state that catching up begins with: what is here, or
// nothing where there is none or a new epoch has begun.
func (r *replica) start() *state {
	if r.newest.epoch > r.signed.epoch {
		return nil
	}
	return r.state
}

// distrust forgets the state here, which was not what it was taken for. Only
// catching up with all of the newest one heard of goes on from there.
func (r *replica) distrust() { r.state, r.signed = nil, signedRoot{} }

func (r *replica) drop(c *change) {
	delete(r.held, c.signed.generation)
	r.heldSize -= c.size()
}
