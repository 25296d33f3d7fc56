package distribution

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice"
)

// counting is what a gateway has counted and nobody has taken yet.
type counting struct {
	mu      sync.Mutex // guards pending and total
	pending []sluice.UsageCount
	total   int64
}

func (c *counting) add(api string, requests int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := usageCount(api, requests)
	c.pending, c.total = append(c.pending, n), c.total+requests
}

func (c *counting) take() []sluice.UsageCount {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.pending
	c.pending = nil
	return taken
}

func usageCount(api string, requests int64) sluice.UsageCount {
	n := sluice.UsageCount{
		UsageKey: sluice.UsageKey{
			Minute: 29_000_000, Organization: "default", APIID: api, APIName: "Weather", APIVersion: "1.0", Revision: 3, Operation: "GET /stations/{id}",
			ApplicationID: "app", KeyType: sluice.SandboxKey, Status: 4, Refusal: "limit",
		},
		Requests: requests, BytesIn: 10 * requests, BytesOut: 20 * requests,
	}
	for i := range requests {
		n.Latency.Add(time.Duration(i+1) * time.Millisecond)
	}
	return n
}

// ledger stores usage as the control plane does: a record of a run once.
type ledger struct {
	mu     sync.Mutex // guards what follows
	stored map[string]int64
	counts map[string]int64 // by API
	lost   map[string]int64 // by run
	until  time.Time
	refuse func() error
	got    int
}

func newLedger() *ledger {
	return &ledger{stored: map[string]int64{}, counts: map[string]int64{}, lost: map[string]int64{}, refuse: func() error { return nil }}
}

func (l *ledger) store(_ context.Context, r UsageReport) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refuse(); err != nil {
		return err
	}
	l.got++
	for _, record := range r.Records {
		if record.Sequence <= l.stored[r.Run] {
			continue
		}
		l.stored[r.Run] = record.Sequence
		for _, c := range record.Counts {
			l.counts[c.APIID] += c.Requests
		}
	}
	l.lost[r.Run] = r.Lost
	if r.Until.After(l.until) {
		l.until = r.Until
	}
	return nil
}

func (l *ledger) total() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.counts {
		n += c
	}
	return n
}

func openTestUsage(t testing.TB, o UsageOptions) *Usage {
	t.Helper()
	u, err := OpenUsage(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

// TestUsageReachesTheControlPlane sends over a real bus: while the control plane
// refuses, over two sessions, and from two processes.
func TestUsageReachesTheControlPlane(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 1)
	l, refused := newLedger(), make(chan struct{}, 100)
	down := errors.New("the disk is full")
	l.refuse = func() error { refused <- struct{}{}; return down }
	c.bus.o.Usage = l.store
	c.start()
	seed, dir, clock := c.enrol("prod", "g1"), t.TempDir(), newClock()
	var n counting
	o := c.memberOptions("prod", "g1", seed, t.TempDir())
	usage := UsageOptions{Dir: dir, Take: n.take, Log: logger(t), Now: clock.now}
	o.Usage = openTestUsage(t, usage)
	first := follow(t, o)
	n.add("weather", 3)
	o.Usage.collect(false)
	clock.add(usageKeepEvery)
	o.Usage.collect(false)
	within(t, refused, "the control plane has refused")
	if o.Usage.Waiting() == 0 {
		t.Error("nothing waits, though nothing was stored")
	}
	l.mu.Lock()
	l.refuse = func() error { return nil }
	l.mu.Unlock()
	eventually(t, "three calls are stored", func() bool { return l.total() == 3 })
	n.add("weather", 4)
	n.add("cities", 1)
	first.stop()
	o.Usage.Close() // with the last calls

	n.add("weather", 2)
	o.Usage = openTestUsage(t, usage)
	follow(t, o)
	eventually(t, "eight calls are stored", func() bool { return l.total() == 8 })
	o.Usage.collect(true)
	eventually(t, "all calls are stored", func() bool { return l.total() == 10 && o.Usage.Waiting() == 0 })
	if l.counts["weather"] != 9 || l.until.IsZero() {
		t.Errorf("stored %v, until %v", l.counts, l.until)
	}
}

// TestUsageIsCountedOnce has processes killed, answers lost and messages sent
// twice or late, at random: what is stored in the end is what was saved.
func TestUsageIsCountedOnce(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 0))
		var n counting
		l, clock, dir := newLedger(), newClock(), t.TempDir()
		f, err := newFramer()
		if err != nil {
			t.Fatal(err)
		}
		open := func() *Usage {
			u, err := OpenUsage(UsageOptions{Dir: dir, Take: n.take, Now: clock.now})
			if err != nil {
				t.Fatal(err)
			}
			return u
		}
		u := open()
		var old [][]byte
		deliver := func(message []byte) error {
			r, err := f.readUsageReport(&reader{b: message})
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			return l.store(t.Context(), *r)
		}
		for range 200 {
			switch random.IntN(8) {
			case 0, 1, 2:
				n.add(fmt.Sprint(random.IntN(5)), random.Int64N(9)+1)
				u.collect(false) // else it would be lost with the process, as it may be
			case 3:
				clock.add(time.Duration(random.IntN(70)) * time.Second)
				u.collect(false)
			case 4:
				u.spool.end()
				clock.add(time.Millisecond) // a run's name has its time
				u = open()
			case 5, 6:
				m, any := u.next()
				if !any {
					continue
				}
				message := m.append(nil)
				old = append(old, message)
				if random.IntN(3) == 0 {
					u.sent(m, errors.New("the message was lost"))
					continue
				}
				err := deliver(message)
				if random.IntN(3) == 0 {
					err = errors.New("the answer was lost")
				}
				u.sent(m, err)
			case 7:
				if len(old) > 0 {
					_ = deliver(old[random.IntN(len(old))]) // late, and once more
				}
			}
		}
		u.collect(true)
		for m, any := u.next(); any && len(m.records) > 0; m, any = u.next() {
			u.sent(m, deliver(m.append(nil)))
		}
		u.spool.end()
		if got := l.total(); got != n.total {
			t.Fatalf("seed %d: %d calls are stored, want %d", seed, got, n.total)
		}
	}
}

// TestUsageManyKeys holds that a record is of bounded size, whatever is counted.
func TestUsageManyKeys(t *testing.T) {
	var n counting
	u := openTestUsage(t, UsageOptions{Dir: t.TempDir(), Take: n.take})
	const keys = 3*usageRecordSize + 7
	for i := range keys {
		n.add(fmt.Sprint(i), 1)
	}
	u.collect(false)
	l := newLedger()
	for m, any := u.next(); any && len(m.records) > 0; m, any = u.next() {
		r, err := u.framer.readUsageReport(&reader{b: m.append(nil)})
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range r.Records {
			if len(record.Counts) > usageRecordSize || record.Calls != int64(len(record.Counts)) {
				t.Errorf("a record of %d keys and %d calls", len(record.Counts), record.Calls)
			}
		}
		u.sent(m, l.store(t.Context(), *r))
	}
	if len(l.counts) != keys {
		t.Errorf("%d keys arrived, want %d", len(l.counts), keys)
	}
}

// TestUsageDamagedRecord holds that a record which cannot be read is told, and
// keeps none behind it from arriving.
func TestUsageDamagedRecord(t *testing.T) {
	f, err := newFramer()
	if err != nil {
		t.Fatal(err)
	}
	one := usageCount("weather", 2)
	good, _ := f.frame(appendUsageCount([]byte{1}, &one))
	newer := slices.Clone(good)
	newer[0] = messageVersion + 1
	report := func(body []byte) (*UsageReport, error) {
		m := usageReport{run: "r", lost: 4, until: time.Unix(9, 0), records: []spoolRecord{{sequence: 1, calls: 7, body: body}, {sequence: 3, calls: 2, body: good}}}
		return f.readUsageReport(&reader{b: m.append(nil)})
	}
	want := &UsageReport{Run: "r", Until: time.Unix(9, 0).UTC(), Lost: 4, Records: []UsageRecord{{Sequence: 1, Calls: 7, Damaged: true}, {Sequence: 3, Calls: 2, Counts: []sluice.UsageCount{one}}}}
	frame := func(change func(c *sluice.UsageCount), then func(b []byte) []byte) []byte {
		c := one
		change(&c)
		message, _ := f.frame(then(appendUsageCount([]byte{1}, &c)))
		return message
	}
	as := func(b []byte) []byte { return b }
	for name, body := range map[string][]byte{
		"no bytes":      nil,
		"cut":           good[:len(good)-1],
		"too many keys": frame(func(*sluice.UsageCount) {}, func(b []byte) []byte { return append([]byte{0x81, 0x40}, make([]byte, 200_000)...) }),
		"a long text": frame(func(c *sluice.UsageCount) { c.Organization = "" }, func(b []byte) []byte {
			return slices.Concat(b[:5], appendText(nil, strings.Repeat("x", maxUsageText+1)), b[6:])
		}),
		"a wrong status":            frame(func(c *sluice.UsageCount) { c.Status = 6 }, as),
		"too many calls":            frame(func(c *sluice.UsageCount) { c.Requests = maxUsageNumber + 1 }, as),
		"more latencies than calls": frame(func(c *sluice.UsageCount) { c.Requests = 1 }, as),
	} {
		got, err := report(body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(sluice.Histogram{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got, err := report(newer); err == nil {
		t.Errorf("a record of a later version was taken: %+v", got)
	}
}

func FuzzUsage(f *testing.F) {
	framer, err := newFramer()
	if err != nil {
		f.Fatal(err)
	}
	one := usageCount("weather", 2)
	body, _ := framer.frame(appendUsageCount([]byte{1}, &one))
	m := usageReport{run: "r", until: time.Unix(9, 0), records: []spoolRecord{{sequence: 1, calls: 2, body: body}}}
	f.Add(m.append(nil))
	f.Add([]byte{1, 'r', 0, 0, 1, 1, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := framer.readUsageReport(&reader{b: b})
		if err != nil {
			return
		}
		for _, record := range r.Records {
			if len(record.Counts) > maxUsageKeys || record.Sequence <= 0 || record.Calls < 0 {
				t.Errorf("%d counts in record %d of %d calls", len(record.Counts), record.Sequence, record.Calls)
			}
			for _, c := range record.Counts {
				if c.Requests < 0 || c.BytesIn < 0 || c.BytesOut < 0 || c.Status > 5 || len(c.Operation) > maxUsageText || c.Latency.Count() > uint64(c.Requests) {
					t.Errorf("read %+v", c)
				}
			}
		}
	})
}
