package gateway

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/policy"
)

// TestUsage holds what is counted of calls, by what.
func TestUsage(t *testing.T) {
	g, fill := commonCall(t)
	u := NewUsage()
	g.o.Usage = u
	now := time.Date(2026, 3, 4, 5, 6, 59, 0, time.UTC)
	g.o.Now = func() time.Time { return now }
	x := new(policy.Exchange)
	call := func(change func(x *policy.Exchange)) {
		fill(x)
		x.Request.Fields[2] = policy.Field{Name: []byte("apikey"), Value: []byte("secret")} // a token would have expired
		change(x)
		g.Serve(t.Context(), x)
		x.Backend.Time, x.Response.Sent = 3*time.Millisecond, 7
		if x.Fault != nil {
			x.Backend.Time = 0
		}
		now = now.Add(10 * time.Millisecond)
		g.Done(x)
	}
	keyed := func(x *policy.Exchange) { x.Request.Path = []byte("/weather/1.0/keyed") }
	call(keyed)
	call(func(x *policy.Exchange) { keyed(x); x.Request.Length = 100 })
	call(func(x *policy.Exchange) { keyed(x); x.Request.Fields = x.Request.Fields[:2] })
	call(func(x *policy.Exchange) { x.Request.Path = []byte("/nothing") })
	call(func(x *policy.Exchange) { x.Probe = true })
	now = now.Add(time.Second)
	call(keyed)

	weather := sluice.UsageKey{
		Minute: now.Unix()/60 - 1, APIID: "weather", Operation: "GET /keyed", ApplicationID: "app", KeyType: sluice.ProductionKey, Status: 2,
	}
	later, refused, unknown := weather, weather, sluice.UsageKey{Minute: weather.Minute, Status: 4, Refusal: "api"}
	later.Minute++
	refused.ApplicationID, refused.KeyType, refused.Status, refused.Refusal = "", "", 4, "authentication"
	got := u.Take()
	slices.SortFunc(got, func(a, b sluice.UsageCount) int {
		return int(2*(a.Minute-b.Minute)) + strings.Compare(a.APIID+a.Refusal, b.APIID+b.Refusal)
	})
	want := []sluice.UsageCount{
		{UsageKey: unknown, Requests: 1, BytesOut: 7},
		{UsageKey: weather, Requests: 2, BytesIn: 100, BytesOut: 14},
		{UsageKey: refused, Requests: 1, BytesOut: 7},
		{UsageKey: later, Requests: 1, BytesOut: 7},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(sluice.UsageCount{}, "Latency", "Backend")); diff != "" {
		t.Errorf("Take (-want +got):\n%s", diff)
	}
	for _, c := range got {
		if c.Latency.Count() != uint64(c.Requests) || c.Latency.Quantile(1).Round(time.Millisecond) != 10*time.Millisecond {
			t.Errorf("latency of %+v: %d, %v", c.UsageKey, c.Latency.Count(), c.Latency.Quantile(1))
		}
		backend := uint64(0)
		if c.Refusal == "" {
			backend = uint64(c.Requests)
		}
		if c.Backend.Count() != backend {
			t.Errorf("backend of %+v: %d, want %d", c.UsageKey, c.Backend.Count(), backend)
		}
	}
	if again := u.Take(); again != nil {
		t.Errorf("Take once more = %+v", again)
	}
}

// TestUsageCountsEveryCall notes from many goroutines while counts are taken.
func TestUsageCountsEveryCall(t *testing.T) {
	u := NewUsage()
	const callers, calls = 16, 5000
	api, other := &artifact.API{ID: "a"}, &artifact.API{ID: "b"}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			x := &policy.Exchange{API: api, Start: time.Now(), Response: policy.Response{Status: 200, Sent: 1}}
			if i%2 == 1 {
				x.API = other
			}
			for range calls {
				u.note(x, x.Start.Add(time.Millisecond))
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	total := map[string]int64{}
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		for _, c := range u.Take() {
			total[c.APIID] += c.Requests
			if int64(c.Latency.Count()) != c.Requests || c.BytesOut != c.Requests {
				t.Errorf("%d calls, %d latencies, %d bytes", c.Requests, c.Latency.Count(), c.BytesOut)
			}
		}
	}
	if diff := cmp.Diff(map[string]int64{"a": callers / 2 * calls, "b": callers / 2 * calls}, total); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkNote(b *testing.B) {
	u := NewUsage()
	g, fill := commonCall(b)
	x := new(policy.Exchange)
	fill(x)
	g.Serve(b.Context(), x)
	end := x.Start.Add(time.Millisecond)
	b.ReportAllocs()
	b.Run("one caller", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			u.note(x, end)
		}
	})
	b.Run("callers on all cores", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				u.note(x, end)
			}
		})
	})
}
