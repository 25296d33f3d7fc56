package distribution

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/sluice-api/sluice"
)

const (
	maxTrial    = 8 << 20 // bytes of items in one message
	maxRefusals = 100     // in one answer
	maxReason   = 1 << 10 // bytes
)

// trials are the questions that are open, by id. The zero value is ready.
type trials struct {
	mu   sync.Mutex // guards open
	open map[string]*openTrial
}

// openTrial are the answers to a question that were not looked at yet.
type openTrial struct {
	answers []answered
	news    chan struct{} // holds one value while there are some
}

type answered struct {
	gatewayID string
	verdict   *verdict
}

// ask begins a question.
func (t *trials) ask(id string) *openTrial {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = make(map[string]*openTrial)
	}
	o := &openTrial{news: make(chan struct{}, 1)}
	t.open[id] = o
	return o
}

// end forgets a question.
func (t *trials) end(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, id)
}

// add notes an answer, unless its question is over or is another control plane's.
func (t *trials) add(a answered) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.open[a.verdict.id]
	if o == nil {
		return
	}
	o.answers = append(o.answers, a)
	select {
	case o.news <- struct{}{}:
	default:
	}
}

// take returns the answers that were not looked at yet.
func (t *trials) take(o *openTrial) []answered {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := o.answers
	o.answers = nil
	return list
}

// Prepare asks all gateways of an environment that are connected, here or to
// another control plane, whether they could take a change, of which Epoch and
// Generation do not matter. They build it and serve nothing of it. Each gateway's
// answer is given to heard, once, from this goroutine, until heard returns false
// or ctx ends; what ctx says is the error then.
func (b *Bus) Prepare(ctx context.Context, c Change, heard func(gatewayID string, refusals []Refusal) (more bool)) error {
	e := b.embedded.Load()
	if e == nil {
		return sluice.Errorf(sluice.Unavailable, "bus.starting", "The gateways cannot be asked at this moment.")
	}
	id := rand.Text()
	open := b.trials.ask(id)
	defer b.trials.end(id)
	parts := partsOf(&c)
	for i, t := range parts {
		t.id, t.part = id, i
		message, ok := b.framer.frame(t.append(nil))
		if !ok {
			return fmt.Errorf("ask gateways of environment %s: an item is too large to be sent", c.EnvironmentID)
		}
		if err := e.control.Publish(prepareSubject(c.EnvironmentID), message); err != nil {
			return fmt.Errorf("ask gateways of environment %s: %w", c.EnvironmentID, err)
		}
	}
	told := make(map[string]*told)
	for {
		select {
		case <-open.news:
			for _, a := range b.trials.take(open) {
				refusals, complete := tell(told, a, len(parts))
				if complete && !heard(a.gatewayID, refusals) {
					return nil
				}
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// told is what a gateway has answered so far.
type told struct {
	parts    map[int]bool
	refusals []Refusal
}

// tell notes an answer, and reports whether it is the last one of its gateway.
func tell(all map[string]*told, a answered, parts int) ([]Refusal, bool) {
	t := all[a.gatewayID]
	if t == nil {
		t = &told{parts: make(map[int]bool)}
		all[a.gatewayID] = t
	}
	if a.verdict.part >= parts || t.parts[a.verdict.part] {
		return nil, false
	}
	t.parts[a.verdict.part] = true
	t.refusals = append(t.refusals, a.verdict.refusals...)
	return t.refusals, len(t.parts) == parts
}

// partsOf cuts a change into messages that can be sent.
func partsOf(c *Change) []*trial {
	parts, size := []*trial{{remove: c.Remove}}, 0
	for _, it := range c.Put {
		last := parts[len(parts)-1]
		if size += len(it.Body); size > maxTrial && len(last.put) > 0 {
			last, size = new(trial), len(it.Body)
			parts = append(parts, last)
		}
		last.put = append(last.put, it)
	}
	return parts
}

// hearVerdict takes what a gateway answers.
func (b *Bus) hearVerdict(m *nats.Msg) {
	_, gatewayID, ok := sender(m.Subject)
	if !ok {
		return
	}
	r, err := b.framer.open(m.Data)
	var v *verdict
	if err == nil {
		v, err = readVerdict(r)
	}
	if err != nil {
		b.o.Log.Warn("a gateway's answer could not be used", "gateway_id", gatewayID, "err", err)
		return
	}
	b.trials.add(answered{gatewayID, v})
}

// answerTrials has the gateway say whether it could take a change, where it is
// asked.
func (f *Follower) answerTrials(s *session) error {
	if f.o.Check == nil {
		return nil
	}
	sub, err := s.conn.Subscribe(prepareSubject(f.o.EnvironmentID), func(m *nats.Msg) {
		if err := f.answerTrial(s.conn, m); err != nil {
			f.o.Log.Warn("the control plane's question whether a change can be taken was not answered", "err", err)
		}
	})
	if err != nil {
		return err
	}
	return sub.SetPendingLimits(-1, pendingSize)
}

func (f *Follower) answerTrial(conn *nats.Conn, m *nats.Msg) error {
	r, err := f.framer.open(m.Data)
	if err != nil {
		return err
	}
	t, err := readTrial(r)
	if err != nil {
		return err
	}
	v := &verdict{id: t.id, part: t.part, refusals: f.o.Check(t.put, t.remove)}
	if len(v.refusals) > maxRefusals {
		v.refusals = v.refusals[:maxRefusals]
	}
	for i := range v.refusals {
		if reason := &v.refusals[i].Reason; len(*reason) > maxReason {
			*reason = strings.ToValidUTF8((*reason)[:maxReason], "")
		}
	}
	message, ok := f.framer.frame(v.append(nil))
	if !ok {
		return errors.New("the answer is too large to be sent")
	}
	return conn.Publish(gatewaySubject(f.o.EnvironmentID, f.o.GatewayID, preparedSubject), message)
}
