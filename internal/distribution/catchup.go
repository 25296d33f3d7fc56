package distribution

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-api/sluice/internal/artifact"
)

// Limits of catching up.
const (
	pageSize    = 1 << 20          // bytes of items in a page; one item alone may be larger
	haveSize    = 256 << 10        // bytes of ids and digests in a fetch; one bucket alone may be larger
	pageTimeout = 30 * time.Second // for an answer: a page at 1 Mbit/s takes 8 s
	maxRestarts = 20               // of one catching up, when the state it reads is gone
	keepViews   = 30 * time.Second // a state that nobody reads on is forgotten
	maxViews    = 32               // states kept for readers, per environment
	driftAfter  = 2 * time.Second  // that a state was published, a gateway without it is behind by more than its way
)

// wants lists what to ask of a state with the given digests, from a place on:
// the buckets in which s differs, with what s has of them. They are as many as
// fit into a fetch; none means that nothing is left to ask.
func (s *state) wants(digests *[bucketCount]artifact.Digest, from cursor) []want {
	var wants []want
	size := 0
	for b := from.bucket; b < bucketCount && size < haveSize; b++ {
		if s.digests[b] == digests[b] {
			continue
		}
		w := want{bucket: uint8(b)}
		if b == from.bucket {
			w.after = from.after
		}
		for _, e := range s.buckets[b] {
			if e.id > w.after {
				w.have = append(w.have, entry{id: e.id, digest: e.digest})
				size += len(e.id) + len(e.digest)
			}
		}
		wants = append(wants, w)
	}
	return wants
}

// page returns what the sender of wants lacks of s, up to about limit bytes of
// items. It always gets on, be it by one item.
func (s *state) page(wants []want, limit int) *page {
	p := new(page)
	size := 0
	for _, w := range wants {
		have, bucket := w.have, s.buckets[w.bucket]
		for _, e := range bucket {
			if e.id <= w.after {
				continue
			}
			if size >= limit {
				return p
			}
			for len(have) > 0 && have[0].id < e.id {
				p.remove = append(p.remove, have[0].id)
				have = have[1:]
			}
			known := len(have) > 0 && have[0].id == e.id
			if !known || have[0].digest != e.digest {
				p.put = append(p.put, Item{ID: e.id, Digest: e.digest, Body: e.body})
				size += len(e.id) + len(e.body)
			}
			if known {
				have = have[1:]
			}
			p.next = cursor{bucket: int(w.bucket), after: e.id}
		}
		for _, h := range have {
			p.remove = append(p.remove, h.id)
		}
		p.next = cursor{bucket: int(w.bucket) + 1}
	}
	return p
}

// view is the state of an environment at one generation, with bodies. It is
// immutable.
type view struct {
	environment string
	epoch       int64
	generation  int64
	state       *state
}

// signed returns the root of v, signed now.
func (b *Bus) signed(v *view) signedRoot {
	r := signedRoot{environment: v.environment, epoch: v.epoch, generation: v.generation, root: v.state.root, time: b.o.Now()}
	r.sign(b.o.Signer)
	return r
}

// environment is what a Bus keeps of one environment.
type environment struct {
	id      string
	turn    chan struct{}        // capacity 1; held by the one who loads or changes current
	current atomic.Pointer[view] // nil: nobody has needed it yet
	changed atomic.Int64         // when current became so, nanoseconds since 1970
	unread  atomic.Bool          // it could not be read, and that was logged

	mu   sync.Mutex // guards kept
	kept map[position]*keptView
}

// set makes v the state there is.
func (e *environment) set(v *view, now time.Time) {
	e.changed.Store(now.UnixNano())
	e.current.Store(v)
}

// drift says in what a gateway that was connected all along differs from the
// state that there has been for driftAfter or longer; "": in nothing.
func (e *environment) drift(beat *heartbeat, now time.Time) string {
	v := e.current.Load()
	if v == nil || now.Sub(time.Unix(0, e.changed.Load())) < driftAfter {
		return ""
	}
	has, is := position{beat.epoch, beat.generation}, position{v.epoch, v.generation}
	switch {
	case has == is && beat.root != v.state.root:
		return fmt.Sprintf("of generation %d it serves something else than it should", has.generation)
	case has.epoch == is.epoch && has.generation < is.generation:
		return fmt.Sprintf("it serves generation %d; generation %d has not reached it", has.generation, is.generation)
	case has.epoch < is.epoch:
		return fmt.Sprintf("it serves epoch %d; epoch %d has not reached it", has.epoch, is.epoch)
	case has != is:
		return fmt.Sprintf("it serves epoch %d generation %d, which is later than epoch %d generation %d of the database", has.epoch, has.generation, is.epoch, is.generation)
	}
	return ""
}

// position is a generation of an epoch.
type position struct{ epoch, generation int64 }

// keptView is a state that gateways are reading page by page.
type keptView struct {
	view *view
	used time.Time
}

// keep remembers v for the fetches that follow a comparison.
func (e *environment) keep(v *view, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kept[position{v.epoch, v.generation}] = &keptView{v, now}
	var oldest position
	for p, k := range e.kept {
		if now.Sub(k.used) > keepViews {
			delete(e.kept, p)
		} else if o := e.kept[oldest]; o == nil || k.used.Before(o.used) {
			oldest = p
		}
	}
	if len(e.kept) > maxViews {
		delete(e.kept, oldest)
	}
}

// keptAt returns the state remembered for a position.
func (e *environment) keptAt(p position, now time.Time) (*view, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	k, ok := e.kept[p]
	if !ok {
		return nil, false
	}
	k.used = now
	return k.view, true
}

// answerRequests answers gateways that catch up, until ctx ends.
func (b *Bus) answerRequests(ctx context.Context, control *nats.Conn, requests *nats.Subscription) {
	for {
		m, ok := b.next(ctx, requests)
		if !ok {
			return
		}
		if _, gatewayID, _ := sender(m.Subject); !b.tunnels.live(gatewayID) {
			continue // it is connected to another control plane, which answers, or gone
		}
		fields, err := b.answerRequest(ctx, m)
		if err != nil {
			b.o.Log.WarnContext(ctx, "a gateway could not be told its state", "subject", m.Subject, "err", err)
			continue
		}
		b.reply(control, m, fields)
	}
}

func (b *Bus) answerRequest(ctx context.Context, m *nats.Msg) ([]byte, error) {
	environmentID, gatewayID, ok := sender(m.Subject)
	if !ok {
		return nil, errMessage
	}
	r, err := b.framer.open(m.Data)
	if err != nil {
		return nil, err
	}
	switch m.Subject {
	case gatewaySubject(environmentID, gatewayID, compareSubject):
		return b.compare(ctx, environmentID)
	case gatewaySubject(environmentID, gatewayID, fetchSubject):
		return b.fetch(environmentID, r)
	}
	return nil, errMessage
}

// reply answers a gateway's message, at its own inbox alone: the server lets a
// gateway name any subject to be answered at.
func (b *Bus) reply(control *nats.Conn, m *nats.Msg, fields []byte) {
	_, gatewayID, _ := sender(m.Subject)
	if !strings.HasPrefix(m.Reply, inboxPrefix(gatewayID)+".") {
		b.o.Log.Debug("a gateway asked for an answer elsewhere than at its inbox", "gateway_id", gatewayID)
		return
	}
	message, ok := b.framer.frame(fields)
	if !ok {
		b.o.Log.Error("an answer to a gateway is too large to be sent", "gateway_id", gatewayID, "bytes", len(fields))
		return
	}
	if err := control.Publish(m.Reply, message); err != nil {
		b.o.Log.Warn("a gateway could not be answered", "gateway_id", gatewayID, "err", err)
	}
}

// compare answers a gateway that asks what the state is.
func (b *Bus) compare(ctx context.Context, environmentID string) ([]byte, error) {
	e := b.environment(environmentID)
	v, err := b.view(ctx, e)
	if err != nil {
		return nil, err
	}
	e.keep(v, b.o.Now())
	c := comparison{signed: b.signed(v), digests: v.state.digests}
	return c.append(nil), nil
}

// fetch answers a gateway that asks for a page of a state.
func (b *Bus) fetch(environmentID string, r *reader) ([]byte, error) {
	f, err := readFetch(r)
	if err != nil {
		return nil, err
	}
	v, ok := b.environment(environmentID).keptAt(position{f.epoch, f.generation}, b.o.Now())
	if !ok {
		return (&page{gone: true}).append(nil), nil
	}
	return v.state.page(f.wants, pageSize).append(nil), nil
}

// errRoot is given where what was received does not add up to the signed root.
var errRoot = errors.New("the items do not add up to the signed root")

// caughtUp is what catching up brought: how to get from the state it began with
// to another one, verified.
type caughtUp struct {
	signed   signedRoot
	state    *state
	complete bool // it began with nothing
	put      []Item
	remove   []string
}

// catchUp asks for the state there is and for what from lacks of it, page by
// page; from nil is nothing, and gives a complete state. Should the control
// plane forget the state meanwhile, it compares again and keeps what it has, so
// that a state that changes all the time is caught up with as well. Nothing is
// returned that does not add up to a root that verify has accepted.
func catchUp(ctx context.Context, from *state, verify func(*signedRoot) error, ask asker) (*caughtUp, error) {
	c := &caughtUp{complete: from == nil, state: from}
	if from == nil {
		c.state = emptyState()
	}
	for round := range maxRestarts {
		r, err := ask(ctx, compareSubject, nil)
		if err != nil {
			return nil, err
		}
		target, err := readComparison(r)
		if err != nil {
			return nil, err
		}
		if err := verify(&target.signed); err != nil {
			return nil, err
		}
		if rootOf(&target.digests) != target.signed.root {
			return nil, errRoot
		}
		c.signed = target.signed
		whole, err := c.fetch(ctx, target, ask)
		if err != nil {
			return nil, err
		}
		if !whole {
			continue
		}
		if c.state.root != c.signed.root {
			return nil, errRoot
		}
		if round > 0 {
			c.settle()
		}
		return c, nil
	}
	return nil, errors.New("the control plane has not kept a state long enough to be read")
}

// asker sends one request to the control plane and returns its answer.
type asker func(ctx context.Context, kind string, request []byte) (*reader, error)

// fetch brings c to the state that was compared with. It returns false where
// the control plane no longer keeps that.
func (c *caughtUp) fetch(ctx context.Context, target *comparison, ask asker) (whole bool, err error) {
	var at cursor
	for {
		wants := c.state.wants(&target.digests, at)
		if len(wants) == 0 {
			return true, nil
		}
		request := fetch{epoch: target.signed.epoch, generation: target.signed.generation, wants: wants}
		r, err := ask(ctx, fetchSubject, request.append(nil))
		if err != nil {
			return false, err
		}
		p, err := readPage(r)
		if err != nil {
			return false, err
		}
		if p.gone {
			return false, nil
		}
		if !at.before(p.next) {
			return false, errors.New("the control plane's page leads nowhere")
		}
		c.state = c.state.with(entriesOf(p.put, false), p.remove)
		c.put = append(c.put, p.put...)
		c.remove = append(c.remove, p.remove...)
		at = p.next
	}
}

// settle leaves in put and remove what is true of the state that was reached:
// with more than one comparison, an item can have been put and then changed or
// removed, or removed and then put again.
func (c *caughtUp) settle() {
	seen := make(map[string]bool, len(c.put))
	c.put = slices.DeleteFunc(c.put, func(it Item) bool {
		if e, found := c.state.find(it.ID); !found || e.digest != it.Digest || seen[it.ID] {
			return true
		}
		seen[it.ID] = true
		return false
	})
	c.remove = slices.DeleteFunc(c.remove, func(id string) bool {
		_, there := c.state.find(id)
		return there
	})
}
