package distribution

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sluice-api/sluice"
)

// Times and sizes of usage.
const (
	usageSaveEvery  = time.Second      // what a gateway that is killed loses at most
	usageSendEvery  = 10 * time.Second // while the control plane takes it
	usageKeepEvery  = time.Minute      // while it does not: fewer and larger records
	usageMarkEvery  = time.Minute      // an idle gateway says that nothing is to come
	usageRecordSize = 2048             // keys of one record
	maxUsageKeys    = 4 * usageRecordSize
	maxUsageText    = 4 << 10 // bytes of a name or an operation
	usageMessage    = 1 << 20 // bytes of records in one message, roughly
)

// UsageOptions are what a Usage needs. Dir and Take are required.
type UsageOptions struct {
	Dir  string                     // of the spool, of this gateway alone; made where it is missing
	Take func() []sluice.UsageCount // returns what was counted since it was asked last
	Max  int64                      // bytes of the spool; 0: 64 MiB
	Log  *slog.Logger               // nil: nothing is logged
	Now  func() time.Time           // nil: time.Now
}

// Usage keeps what a gateway counts until the control plane has stored it. Each
// second it writes what was counted to the disk: that much is lost where the
// process is killed. Each 10 s, or each minute while nobody takes it, that
// becomes a record with a name of its own, which the control plane stores once,
// however often it is sent. Its methods may be used by many goroutines.
type Usage struct {
	o    UsageOptions
	log  *slog.Logger
	news chan struct{} // capacity 1: there is something to send

	mu       sync.Mutex // guards what follows
	spool    *spool
	framer   *framer
	counts   map[sluice.UsageKey]*sluice.UsageCount // of the record that is growing
	calls    int64                                  // of counts
	began    time.Time                              // the record that is growing
	until    time.Time                              // what was noted by then is in finished records
	marked   time.Time                              // until, as the control plane has acknowledged it
	linked   bool                                   // the last message was acknowledged
	finished bool
}

// OpenUsage opens the spool of a gateway, with what earlier processes have left.
func OpenUsage(o UsageOptions) (*Usage, error) {
	if o.Dir == "" || o.Take == nil {
		return nil, errors.New("usage needs Dir and Take")
	}
	if o.Max == 0 {
		o.Max = spoolSize
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	framer, err := newFramer()
	if err != nil {
		return nil, err
	}
	now := o.Now()
	return &Usage{
		o: o, log: o.Log, news: make(chan struct{}, 1), spool: openSpool(o.Dir, sluice.NewID(now), o.Max, o.Log), framer: framer, began: now, until: now,
		counts: map[sluice.UsageKey]*sluice.UsageCount{},
	}, nil
}

// Run takes the counts each second, until ctx ends. Close is to follow it, once
// the last call is over.
func (u *Usage) Run(ctx context.Context) error {
	tick := time.NewTicker(usageSaveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			u.collect(false)
		}
	}
}

// Close takes the last counts and finishes their record; it is sent when the
// gateway starts next.
func (u *Usage) Close() {
	u.collect(true)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.finished = true
	u.spool.end()
}

// collect takes counts and makes them safe.
func (u *Usage) collect(last bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.finished {
		return
	}
	now := u.o.Now()
	taken := u.o.Take()
	for i := range taken {
		u.add(&taken[i])
	}
	every := usageKeepEvery
	if u.linked {
		every = usageSendEvery
	}
	age := now.Sub(u.began)
	switch {
	case last, len(u.counts) >= usageRecordSize, age >= every, age < 0: // or the clock was set back
		u.finish(now)
	case len(taken) > 0:
		for body := range u.bodies() { // there is one
			u.spool.save(body, u.calls)
		}
	}
}

func (u *Usage) add(c *sluice.UsageCount) {
	u.calls += c.Requests
	if known := u.counts[c.UsageKey]; known != nil {
		known.Add(c)
		return
	}
	u.counts[c.UsageKey] = c
}

// finish makes finished records of what was counted.
func (u *Usage) finish(now time.Time) {
	for body, calls := range u.bodies() {
		u.spool.add(body, calls)
	}
	if len(u.counts) > 0 {
		u.counts = make(map[sluice.UsageKey]*sluice.UsageCount, len(u.counts))
	}
	u.calls, u.began = 0, now
	u.until = now.Add(-usageSaveEvery) // a call that ends now may not be noted yet
	u.tell()
}

// bodies yields the bodies of the records that hold the counts, and how many
// calls each is about.
func (u *Usage) bodies() func(yield func(body []byte, calls int64) bool) {
	return func(yield func([]byte, int64) bool) {
		for keys := range slices.Chunk(slices.Collect(maps.Keys(u.counts)), usageRecordSize) {
			b, calls := binary.AppendUvarint(nil, uint64(len(keys))), int64(0)
			for _, k := range keys {
				b = appendUsageCount(b, u.counts[k])
				calls += u.counts[k].Requests
			}
			body, ok := u.framer.frame(b)
			if !ok { // 2,048 keys of 8 KB each would be too large: no API has such names
				u.log.Error("what was counted is too large to be kept", "calls", calls, "bytes", len(b))
				u.spool.lost += calls
				continue
			}
			if !yield(body, calls) {
				return
			}
		}
	}
}

// tell makes Run of a Follower look for something to send.
func (u *Usage) tell() {
	select {
	case u.news <- struct{}{}:
	default:
	}
}

// Lost is how many calls this process had to drop because the control plane was
// away for so long that the spool was full.
func (u *Usage) Lost() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.spool.lost
}

// Waiting is how many bytes of finished records the control plane has not
// stored yet.
func (u *Usage) Waiting() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.spool.bytes
}

// Err says why usage cannot be written to the disk; nil: it can.
func (u *Usage) Err() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.spool.err
}

// next returns the message that is to be sent next; false: there is none.
func (u *Usage) next() (*usageReport, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	records, all := u.spool.next(usageMessage)
	if len(records) == 0 && u.until.Sub(u.marked) < usageMarkEvery && !u.marked.IsZero() {
		return nil, false
	}
	m := &usageReport{run: u.spool.run, lost: u.spool.lost, records: records}
	if all {
		m.until = u.until
	}
	if len(records) > 0 && records[0].run != m.run {
		m.run, m.lost = records[0].run, records[len(records)-1].lost
	}
	return m, true
}

// sent notes how the sending of a message went.
func (u *Usage) sent(m *usageReport, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.linked = err == nil; !u.linked {
		u.marked = time.Time{} // the next one finds out at once whether it is taken again
		return
	}
	if n := len(m.records); n > 0 {
		u.spool.acknowledged(m.run, m.records[n-1].sequence)
	}
	if !m.until.IsZero() {
		u.marked = m.until
	}
}

// sendUsage sends what a Usage has, one message after the other, until ctx ends:
// the next one when the one before it is acknowledged.
func (f *Follower) sendUsage(ctx context.Context, u *Usage) {
	tick := time.NewTicker(usageSendEvery)
	defer tick.Stop()
	failed := 0
	for {
		m, any := u.next()
		s := f.link.Load()
		if any && s != nil {
			answer, err := f.ask(ctx, s.conn, usageSubject, m.append(nil))
			if err == nil && !answer.flag() {
				err = errors.New("the control plane cannot store usage at this moment")
			}
			if u.sent(m, err); err == nil {
				failed = 0
				continue
			}
			if failed++; failed == 1 && ctx.Err() == nil {
				f.o.Log.WarnContext(ctx, "usage was not stored, trying on", "err", err)
			}
			select {
			case <-time.After(delay(failed)):
				continue
			case <-ctx.Done():
				return
			}
		}
		if s == nil {
			u.sent(nil, errNoSession)
		}
		select {
		case <-u.news:
		case <-f.linked:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

var errNoSession = errors.New("the control plane is not connected")
