package distribution

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice"
)

// prepare asks the gateways of an environment until as many have answered, or ctx
// ends.
func (c *control) prepare(ctx context.Context, change Change, gateways int) (map[string][]Refusal, error) {
	c.t.Helper()
	answers := map[string][]Refusal{}
	err := c.bus.Prepare(ctx, change, func(id string, refusals []Refusal) bool {
		if _, twice := answers[id]; twice {
			c.t.Errorf("%s answered twice", id)
		}
		answers[id] = refusals
		return len(answers) < gateways
	})
	return answers, err
}

// checked are the questions that a gateway was asked.
type checked struct {
	mu     sync.Mutex // guards what follows
	put    map[string]string
	remove []string
	times  int
}

func (c *checked) check(put []Item, remove []string) (refusals []Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times++
	if c.put == nil {
		c.put = map[string]string{}
	}
	for _, it := range put {
		c.put[it.ID] = string(it.Body)
		if strings.HasPrefix(string(it.Body), "bad") {
			refusals = append(refusals, Refusal{it.ID, "it is bad"})
		}
	}
	c.remove = append(c.remove, remove...)
	return refusals
}

// Every gateway of the environment, and no other, says whether it could take a
// change, at whichever control plane it is; nothing of it is served.
func TestPrepareAsksAllGateways(t *testing.T) {
	a, b := pair(t)
	a.environment("sand", 1)
	questions := map[string]*checked{"g1": {}, "g2": {}, "other": {}}
	join := func(c *control, environment, id string) *member {
		o := c.memberOptions(environment, id, a.enrol(environment, id), t.TempDir())
		o.Check = questions[id].check
		return follow(t, o)
	}
	m1, m2 := join(a, "prod", "g1"), join(b, "prod", "g2")
	other := join(a, "sand", "other")
	for _, m := range []*member{m1, m2, other} {
		m.await(1, 1)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, c := range []*control{a, b} {
		got, err := c.prepare(ctx, Change{EnvironmentID: "prod", Put: []Item{item("api/1", "good"), item("api/2", "bad one")}, Remove: []string{"api/3"}}, 2)
		want := map[string][]Refusal{"g1": {{"api/2", "it is bad"}}, "g2": {{"api/2", "it is bad"}}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("answers (%v): %s", err, diff)
		}
	}
	for id, times := range map[string]int{"g1": 2, "g2": 2, "other": 0} {
		if q := questions[id]; q.times != times || times > 0 && len(q.remove) != 2 {
			t.Errorf("%s was asked %d times, want %d: %+v", id, q.times, times, q)
		}
	}
	if m1.serves("api/1") != "" || m2.serves("api/1") != "" {
		t.Error("what was only asked about is served")
	}
}

// A change that is too large for one message is asked about in several, and
// answered once.
func TestPrepareInParts(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 1)
	c.start()
	q := &checked{}
	o := c.memberOptions("prod", "g1", c.enrol("prod", "g1"), t.TempDir())
	o.Check = q.check
	follow(t, o).await(1, 1)
	change := Change{EnvironmentID: "prod"}
	for _, id := range []string{"api/1", "api/2", "api/3"} {
		change.Put = append(change.Put, item(id, "bad "+strings.Repeat(id, 1<<20)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got, err := c.prepare(ctx, change, 1)
	if err != nil || len(got["g1"]) != 3 {
		t.Errorf("answers %v, %v; want three refusals", got, err)
	}
	if q.times < 2 || len(q.put) != 3 {
		t.Errorf("asked %d times for %v", q.times, maps.Keys(q.put))
	}
}

// Nobody waits longer than ctx for a gateway that does not answer.
func TestPrepareEndsWithItsContext(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 1)
	change := Change{EnvironmentID: "prod", Put: []Item{item("api/1", "x")}}
	if _, err := c.prepare(t.Context(), change, 1); sluice.KindOf(err) != sluice.Unavailable {
		t.Errorf("before the bus runs: %v", err)
	}
	c.start()
	follow(t, c.memberOptions("prod", "g1", c.enrol("prod", "g1"), t.TempDir())).await(1, 1) // it has no Check
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if got, err := c.prepare(ctx, change, 1); !errors.Is(err, context.DeadlineExceeded) || len(got) != 0 {
		t.Errorf("%v, %v; want that time ran out", got, err)
	}
	if n := len(c.bus.trials.open); n != 0 {
		t.Errorf("%d questions are still open", n)
	}
}
