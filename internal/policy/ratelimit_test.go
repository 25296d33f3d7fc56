package policy

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"pgregory.net/rapid"
)

// anyLimit draws a limit that a tier may have, and how buckets count it.
func anyLimit(t *rapid.T) (sluice.Limit, limit) {
	l := sluice.Limit{
		Requests: rapid.IntRange(1, 40).Draw(t, "requests"),
		Window:   time.Duration(rapid.IntRange(1, 120).Draw(t, "window")) * time.Second,
	}
	counted, err := newLimit(l)
	if err != nil {
		t.Fatal(err)
	}
	return l, counted
}

// TestNeverMore holds that no window sees more calls than the limit and the
// burst, which is as large, whatever a client tries.
func TestNeverMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, counted := anyLimit(t)
		gap := rapid.OneOf(
			rapid.Just(int64(0)),
			rapid.Just(counted.interval),
			rapid.Int64Range(max(counted.interval-2, 0), counted.interval+2),
			rapid.Int64Range(0, 2*counted.interval),
			rapid.Int64Range(0, 2*int64(l.Window)),
		)
		var b bucket
		var passed []int64
		now := time.Now().UnixNano()
		for _, g := range rapid.SliceOfN(gap, 1, 400).Draw(t, "gaps") {
			now += g
			wait := b.take(counted, now)
			if wait < 0 || wait > counted.interval {
				t.Fatalf("wait %s, want at most %s", time.Duration(wait), time.Duration(counted.interval))
			}
			if wait > 0 {
				if rapid.Bool().Draw(t, "obey") { // it keeps its word
					if now += wait; b.take(counted, now) != 0 {
						t.Fatalf("refused after the wait of %s", time.Duration(wait))
					}
					passed = append(passed, now)
				}
				continue
			}
			passed = append(passed, now)
			n := 0
			for i := len(passed) - 1; i >= 0 && now-passed[i] <= int64(l.Window); i-- {
				n++
			}
			if n > 2*l.Requests {
				t.Fatalf("%d calls within %s, limit and burst are %d", n, l.Window, 2*l.Requests)
			}
		}
	})
}

// TestAllowedRate holds that a client who calls as often as the limit says, the
// times rounded as clocks round them, is never refused, also after a burst that
// it has waited for.
func TestAllowedRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, counted := anyLimit(t)
		var b bucket
		start := time.Now().UnixNano()
		for k := range 20 * l.Requests {
			now := start + int64(k)*int64(l.Window)/int64(l.Requests)
			if wait := b.take(counted, now); wait != 0 {
				t.Fatalf("call %d of %d in %s: wait %s", k, l.Requests, l.Window, time.Duration(wait))
			}
		}
		after := start + 22*int64(l.Window) + int64(l.Requests) // the rounding of each interval
		for k := range l.Requests {
			if wait := b.take(counted, after); wait != 0 {
				t.Fatalf("call %d of a burst of %d: wait %s", k, l.Requests, time.Duration(wait))
			}
		}
	})
}

func TestNewLimit(t *testing.T) {
	for l, want := range map[sluice.Limit]limit{
		{}:                                   {},
		{Requests: 10, Window: time.Minute}:  {6e9, 60e9},
		{Requests: 7, Window: time.Second}:   {142857143, 1000000001},
		{Requests: 0, Window: time.Minute}:   {60e9, 0},
		{Requests: 2e9, Window: time.Second}: {},
	} {
		if got, err := newLimit(l); err != nil || got != want {
			t.Errorf("newLimit(%+v) = %+v, %v, want %+v", l, got, err, want)
		}
	}
	for _, l := range []sluice.Limit{{Requests: -1, Window: time.Minute}, {Requests: 1}, {Requests: 1, Window: -1}, {Requests: 1, Window: maxWindow + 1}} {
		if got, err := newLimit(l); err == nil {
			t.Errorf("newLimit(%+v) = %+v, want an error", l, got)
		}
	}
}

// TestTakeAtOnce holds that calls at one moment from many sides are counted
// each.
func TestTakeAtOnce(t *testing.T) {
	const requests = 1000
	l, err := newLimit(sluice.Limit{Requests: requests, Window: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	var table buckets
	var passed sync.Map
	var wg sync.WaitGroup
	now := time.Now().UnixNano()
	for i := range 8 {
		wg.Go(func() {
			n := 0
			for range requests {
				if table.of(&bucketKey{first: "a"}).take(l, now) == 0 {
					n++
				}
			}
			passed.Store(i, n)
		})
	}
	wg.Wait()
	sum := 0
	passed.Range(func(_, n any) bool { sum += n.(int); return true })
	if sum != requests {
		t.Errorf("%d calls passed, want %d", sum, requests)
	}
}

// TestLimitChanges follows a bucket through a clock that jumps and limits that
// change: nobody is shut out for longer than the limit at hand says.
func TestLimitChanges(t *testing.T) {
	minute, hour := limit{6e9, 60e9}, limit{360e9, 3600e9} // ten calls each
	none := limit{60e9, 0}
	now := time.Now().UnixNano()
	exhaust := func(l limit, now int64) *bucket {
		var b bucket
		for range 11 {
			b.take(l, now)
		}
		return &b
	}
	for name, tc := range map[string]struct {
		before, after limit
		jump          int64
		wait          int64 // at most, until a call passes
	}{
		"clock set back an hour":    {minute, minute, -3600e9, minute.interval},
		"clock set forward an hour": {minute, minute, 3600e9, 0},
		"shorter window":            {hour, minute, 0, minute.interval},
		"longer window":             {minute, hour, 0, 0},
		"more calls":                {minute, limit{6e7, 60e9}, 0, 6e7},
	} {
		b, at := exhaust(tc.before, now), now+tc.jump
		wait := b.take(tc.after, at)
		if wait > tc.wait || b.take(tc.after, at+wait) != 0 && wait > 0 {
			t.Errorf("%s: wait %s, want %s and then a call", name, time.Duration(wait), time.Duration(tc.wait))
		}
	}
	if b := new(bucket); b.take(none, now) != none.interval || b.take(none, now+2*none.interval) != none.interval {
		t.Error("a limit of no calls lets one through")
	}
}

// TestBucketsAreBounded makes up a million keys: memory stays bounded, and a
// caller who is at its limit is not forgotten for them.
func TestBucketsAreBounded(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector changes what memory is used")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	table := new(buckets)
	l := limit{6e9, 60e9}
	now := time.Now().UnixNano()
	heavy := bucketKey{first: "heavy"}
	for range 10 {
		table.of(&heavy).take(l, now)
	}
	for i := range 1_000_000 {
		client := netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		table.of(&bucketKey{kind: clientBucket, first: "a", client: client}).take(l, now)
	}
	if table.of(&heavy).take(l, now) == 0 {
		t.Error("the count of a caller at its limit was given up for one who called once")
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used := int(after.HeapAlloc) - int(before.HeapAlloc); used > 48<<20 {
		t.Errorf("%d bytes for a million keys, want at most 48 MB", used)
	}
	runtime.KeepAlive(table)
}

func TestNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
	} {
		if got := network(netip.MustParseAddr(address)); got.String() != want {
			t.Errorf("network(%s) = %s, want %s", address, got, want)
		}
	}
	if got := network(netip.Addr{}); got.IsValid() {
		t.Errorf("network of no address = %s", got)
	}
}

// TestTiersInDirectory follows a tier through changes of the state.
func TestTiersInDirectory(t *testing.T) {
	named := func(name string, requests int) *artifact.Tier {
		return &artifact.Tier{Organization: "o", Level: sluice.SubscriptionTier, Name: name, Limit: sluice.Limit{Requests: requests, Window: time.Minute}}
	}
	depth := func(d *Directory, name string) string {
		l := d.tier("o", sluice.SubscriptionTier, name).limit
		return fmt.Sprint(time.Duration(l.interval))
	}
	d := put(t, NewDirectory(0), named("Gold", 60), named("a/b", 30), named(sluice.Unlimited, 1))
	if gold, odd, unlimited, unknown := depth(d, "Gold"), depth(d, "a/b"), depth(d, sluice.Unlimited), depth(d, "x"); gold != "1s" || odd != "2s" || unlimited != "0s" || unknown != "0s" {
		t.Errorf("intervals %s, %s, %s, %s", gold, odd, unlimited, unknown)
	}
	if l := d.tier("p", sluice.SubscriptionTier, "Gold"); l != (tier{}) {
		t.Errorf("another organization has the limit %+v", l)
	}
	changed := put(t, d, named("Gold", 6))
	if depth(changed, "Gold") != "10s" || depth(d, "Gold") != "1s" || changed.counts != d.counts {
		t.Errorf("changed to %s, before %s", depth(changed, "Gold"), depth(d, "Gold"))
	}
	e := changed.Edit(true)
	if err := e.Put(named("Gold", -1)); err == nil {
		t.Error("a limit of -1 is taken")
	}
	e.Keep(named("Gold", 0).ItemID())
	kept := e.Directory()
	if depth(kept, "Gold") != "10s" || depth(kept, "a/b") != "0s" || kept.counts != d.counts {
		t.Errorf("kept %s and %s", depth(kept, "Gold"), depth(kept, "a/b"))
	}
	if gone := remove(changed, named("a/b", 0)); depth(gone, "a/b") != "0s" || depth(gone, "Gold") != "10s" {
		t.Errorf("removed: %s, %s", depth(gone, "a/b"), depth(gone, "Gold"))
	}
}
