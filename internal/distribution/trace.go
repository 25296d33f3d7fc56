package distribution

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-api/sluice"
)

// Asking gateways for a call that they refused, or that failed.
const (
	traceTimeout = time.Second
	maxTrace     = 64 << 10 // bytes of an answer
)

// Trace asks the gateways of environments for a call. It returns the first that
// is found; false where expected gateways have answered that they know nothing
// of it, or no more answers come within a second.
func (b *Bus) Trace(ctx context.Context, environmentIDs []string, expected int, id string) (sluice.Trace, bool, error) {
	e := b.embedded.Load()
	if e == nil {
		return sluice.Trace{}, false, sluice.Errorf(sluice.Unavailable, "bus.starting", "The gateways cannot be asked at this moment.")
	}
	inbox := nats.NewInbox()
	answers, err := e.control.SubscribeSync(inbox)
	if err != nil {
		return sluice.Trace{}, false, fmt.Errorf("ask gateways for a trace: %w", err)
	}
	defer func() { _ = answers.Unsubscribe() }() // the connection has ended, then there is nothing to end
	for _, environment := range environmentIDs {
		if err := e.control.PublishRequest(traceSubject(environment), inbox, []byte(id)); err != nil {
			return sluice.Trace{}, false, fmt.Errorf("ask gateways for a trace: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, traceTimeout)
	defer cancel()
	for answered := 0; answered < expected; {
		m, err := answers.NextMsgWithContext(ctx)
		if errors.Is(err, nats.ErrNoResponders) {
			continue // an environment without gateways
		}
		answered++
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return sluice.Trace{}, false, nil
		case err != nil:
			return sluice.Trace{}, false, fmt.Errorf("ask gateways for a trace: %w", err)
		case len(m.Data) == 0 || len(m.Data) > maxTrace:
			continue // it knows nothing of it
		}
		var t sluice.Trace
		if err := json.Unmarshal(m.Data, &t); err == nil && t.ID == id {
			return t, true, nil
		}
	}
	return sluice.Trace{}, false, nil
}

// answerTraces has the gateway asked for the calls that the control plane asks
// for.
func (f *Follower) answerTraces(s *session) error {
	if f.o.Trace == nil {
		return nil
	}
	sub, err := s.conn.Subscribe(traceSubject(f.o.EnvironmentID), func(m *nats.Msg) {
		var answer []byte
		if t, known := f.o.Trace(string(m.Data)); known {
			t.GatewayID = f.o.GatewayID
			answer, _ = json.Marshal(t) // numbers, times and texts
		}
		_ = m.Respond(answer) // who asked waits for a second at most
	})
	if err != nil {
		return err
	}
	return sub.SetPendingLimits(1000, 1<<20)
}
