package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/distribution"
)

// called returns what a gateway counts of calls that took as many milliseconds.
func (w *world) called(a sluice.API, application string, requests, milliseconds int) sluice.UsageCount {
	c := sluice.UsageCount{
		UsageKey: sluice.UsageKey{
			Minute: w.o.Now().Unix() / 60, Organization: a.Organization, APIID: a.ID, APIName: a.Name, APIVersion: a.Version, Revision: 1,
			Operation: "GET /today", ApplicationID: application, KeyType: sluice.ProductionKey, Status: 2,
		},
		Requests: int64(requests),
	}
	for range requests {
		c.Latency.Add(time.Duration(milliseconds) * time.Millisecond)
	}
	return c
}

// reportUsage makes a gateway report records, the first with the sequence given.
func (w *world) reportUsage(gateway, run string, sequence int64, records ...[]sluice.UsageCount) {
	w.t.Helper()
	r := distribution.UsageReport{GatewayID: gateway, EnvironmentID: w.environment(production).ID, Run: run, Until: w.o.Now()}
	for i, counts := range records {
		r.Records = append(r.Records, distribution.UsageRecord{Sequence: sequence + int64(i), Counts: counts})
	}
	if err := w.plane.storeUsage(w.t.Context(), r); err != nil {
		w.t.Fatal(err)
	}
}

// usageOf returns the calls that an actor sees, by the values of some dimensions.
func (w *world) usageOf(ctx context.Context, by ...UsageDimension) map[string]int64 {
	w.t.Helper()
	u, err := w.plane.Usage(ctx, UsageQuery{From: w.o.Now().Add(-time.Hour), To: w.o.Now().Add(time.Minute), GroupBy: by})
	if err != nil {
		w.t.Fatal(err)
	}
	found := map[string]int64{}
	for _, s := range u.Series {
		var key strings.Builder
		for _, d := range by {
			key.WriteString(s.Key[d] + " ")
		}
		for _, p := range s.Points {
			found[key.String()] += p.Requests
		}
	}
	return found
}

func (w *world) wantUsage(what string, got map[string]int64, want map[string]int64) {
	w.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) { // which sorts
		w.t.Errorf("usage %s: %v, want %v", what, got, want)
	}
}

// TestUsageIsStoredOnce sends records again, in part, late, and out of order.
func TestUsageIsStoredOnce(t *testing.T) {
	w := newWorld(t)
	a, g, other := w.published("Weather"), w.gateway(production, "g1"), w.gateway(production, "g2")
	one, two, four := []sluice.UsageCount{w.called(a, "", 1, 1)}, []sluice.UsageCount{w.called(a, "", 2, 1)}, []sluice.UsageCount{w.called(a, "", 4, 1)}
	w.reportUsage(g, "r1", 1, one, two)
	w.reportUsage(g, "r1", 1, one, two)       // the answer was lost
	w.reportUsage(g, "r1", 2, two, four)      // and in part
	w.reportUsage(g, "r1", 1, one)            // and late
	w.reportUsage(g, "r2", 1, one)            // after a restart
	w.reportUsage(other, "r1", 1, four, four) // another gateway's are its own
	w.wantUsage("by gateway", w.usageOf(w.admin(), ByGateway), map[string]int64{g + " ": 8, other + " ": 8})
	w.restart()
	w.reportUsage(g, "r1", 3, four)
	w.wantUsage("after a restart of the control plane", w.usageOf(w.admin()), map[string]int64{"": 16})

	damaged := distribution.UsageReport{GatewayID: g, EnvironmentID: w.environment(production).ID, Run: "r2", Lost: 9, Records: []distribution.UsageRecord{
		{Sequence: 2, Calls: 5, Damaged: true}, {Sequence: 3, Calls: 2, Counts: two},
	}}
	if err := w.plane.storeUsage(t.Context(), damaged); err != nil {
		t.Fatal(err)
	}
	w.wantUsage("behind a damaged record", w.usageOf(w.admin()), map[string]int64{"": 18})
	if u, err := w.plane.Usage(w.admin(), UsageQuery{From: w.o.Now(), To: w.o.Now().Add(time.Minute)}); err != nil || u.Lost != 9 {
		t.Errorf("Lost = %d, %v, want 9", u.Lost, err)
	}
	if err := w.plane.storeUsage(t.Context(), distribution.UsageReport{GatewayID: "removed", Run: "r"}); err == nil {
		t.Error("usage of a gateway that is not enrolled was stored")
	}
}

// TestUsageBelongs holds who sees whose usage.
func TestUsageBelongs(t *testing.T) {
	w := newWorld(t)
	a, b, g := w.published("Weather"), w.published("Secret"), w.gateway(production, "g1")
	w.update(func(tx *database.Tx) error {
		b.AccessControl = []sluice.Role{"team"}
		return tx.PutAPI(&b)
	})
	mine, theirs := w.application("sam", "Mine"), w.application("tess", "Theirs")
	elsewhere := w.called(sluice.API{ID: "deleted", Organization: "acme"}, "", 32, 1)
	claimed := w.called(a, mine.ID, 1, 1)
	claimed.Organization = "acme" // a gateway does not say whose an API is
	w.reportUsage(g, "r", 1, []sluice.UsageCount{
		claimed, w.called(a, theirs.ID, 2, 1), w.called(b, mine.ID, 4, 1), w.called(b, theirs.ID, 8, 1), w.called(sluice.API{}, "", 16, 1), elsewhere,
	})
	for name, test := range map[string]struct {
		ctx  context.Context
		want int64
	}{
		"an administrator":                   {w.admin(), 31},
		"an observer":                        {w.as("olga", sluice.Observer), 19},
		"a publisher":                        {w.as("paul", sluice.Publisher), 3},
		"a publisher of the team":            {w.as("paul", sluice.Publisher, "team"), 15},
		"a subscriber":                       {w.as("sam", sluice.Subscriber), 5},
		"a subscriber who publishes":         {w.as("sam", sluice.Subscriber, sluice.Creator), 7},
		"somebody without an application":    {w.as("nora", sluice.Subscriber), 0},
		"another organization":               {w.of("acme", "eve", sluice.Administrator), 32},
		"another organization's sam":         {w.of("acme", "sam", sluice.Subscriber), 0},
		"an administrator of an empty house": {w.of("empty", "eve", sluice.Administrator), 0},
	} {
		if got := w.usageOf(test.ctx)[""]; got != test.want {
			t.Errorf("%s sees %d calls, want %d", name, got, test.want)
		}
	}
	w.wantUsage("by application", w.usageOf(w.as("tess", sluice.Subscriber), ByApplication, ByAPI), map[string]int64{theirs.ID + " " + a.ID + " ": 2, theirs.ID + " " + b.ID + " ": 8})
}

// TestUsageAddsUp holds what the numbers of a point are, and that percentiles are
// those of all calls.
func TestUsageAddsUp(t *testing.T) {
	w := newWorld(t)
	a, g, other := w.published("Weather"), w.gateway(production, "g1"), w.gateway(production, "g2")
	refused, throttled, failed := w.called(a, "", 5, 1), w.called(a, "", 7, 1), w.called(a, "", 11, 1)
	refused.Status, refused.Refusal = 4, "authentication"
	throttled.Status, throttled.Refusal = 4, "limit"
	failed.Status = 5
	w.reportUsage(g, "r", 1, []sluice.UsageCount{w.called(a, "", 98, 10), refused, throttled, failed})
	w.clock.advance(time.Minute)
	w.reportUsage(other, "r", 1, []sluice.UsageCount{w.called(a, "", 2, 1000)})
	u, err := w.plane.Usage(w.admin(), UsageQuery{From: w.o.Now().Add(-10 * time.Minute), To: w.o.Now(), Interval: sluice.UsageHour, GroupBy: []UsageDimension{ByAPI, ByEnvironment}})
	if err != nil || len(u.Series) != 1 || len(u.Series[0].Points) != 1 {
		t.Fatalf("Usage = %+v, %v", u, err)
	}
	s, p := u.Series[0], u.Series[0].Points[0]
	if s.Names[ByAPI] != "Weather" || s.Names[ByEnvironment] != production || p.Requests != 123 || p.Errors != 16 || p.Throttled != 7 || !p.At.Equal(w.o.Now().Truncate(time.Hour)) {
		t.Errorf("%v: %+v", s.Names, p)
	}
	got := []time.Duration{p.Latency.Quantile(0.5).Round(time.Millisecond), p.Latency.Quantile(0.99).Round(100 * time.Millisecond)}
	if got[0] != 10*time.Millisecond || got[1] != time.Second {
		t.Errorf("p50 and p99 = %v", got)
	}
	if end := w.o.Now().Truncate(time.Hour).Add(time.Hour); u.To != end || u.From != end.Add(-2*time.Hour) { // it is 3:05
		t.Errorf("from %v to %v", u.From, u.To)
	}
	minutes, err := w.plane.Usage(w.admin(), UsageQuery{From: w.o.Now().Add(-10 * time.Minute), To: w.o.Now().Add(time.Second)})
	if err != nil || minutes.Interval != sluice.UsageMinute || len(minutes.Series[0].Points) != 2 || minutes.Series[0].Points[1].Requests != 2 {
		t.Errorf("by minutes: %+v, %v", minutes, err)
	}
}

func TestUsageIsCompleteUntil(t *testing.T) {
	w := newWorld(t)
	g, silent := w.gateway(production, "g1"), w.gateway(production, "g2")
	begun := w.o.Now()
	w.clock.advance(10 * time.Minute)
	w.reportUsage(g, "r", 1)
	q := UsageQuery{From: begun, To: w.o.Now().Add(time.Hour)}
	u, err := w.plane.Usage(w.admin(), q)
	if err != nil || len(u.Missing) != 1 || u.Missing[0] != silent || !u.CompleteUntil.Equal(begun.Truncate(time.Microsecond)) {
		t.Errorf("Usage = %+v, %v", u, err)
	}
	q.Gateway = g
	u, err = w.plane.Usage(w.admin(), q)
	if err != nil || u.Missing != nil || !u.CompleteUntil.Equal(w.o.Now().Truncate(time.Microsecond)) {
		t.Errorf("of one gateway: %+v, %v", u, err)
	}
}

func TestUsageQuestions(t *testing.T) {
	w := newWorld(t)
	now := w.o.Now()
	for name, test := range map[string]struct {
		q    UsageQuery
		code string
	}{
		"no beginning":      {UsageQuery{To: now}, "time"},
		"no end":            {UsageQuery{From: now}, "time"},
		"an interval":       {UsageQuery{From: now, To: now.Add(1), Interval: "week"}, "usage.interval"},
		"a dimension":       {UsageQuery{From: now, To: now.Add(1), GroupBy: []UsageDimension{"user"}}, "usage.group"},
		"a status":          {UsageQuery{From: now, To: now.Add(1), Status: 6}, "usage.status"},
		"backwards":         {UsageQuery{From: now, To: now.Add(-time.Hour)}, "usage.range"},
		"too many minutes":  {UsageQuery{From: now, To: now.Add(8 * 24 * time.Hour), Interval: sluice.UsageMinute}, "usage.range"},
		"as long as it is?": {UsageQuery{From: now.AddDate(-200, 0, 0), To: now}, "usage.range"},
	} {
		_, err := w.plane.Usage(w.admin(), test.q)
		var code string
		if e, ok := errors.AsType[*sluice.Error](err); ok {
			code = e.Code
		}
		if code != test.code || sluice.KindOf(err) != sluice.Invalid {
			t.Errorf("%s: %v, want %q", name, err, test.code)
		}
	}
}

// TestF17UsageOfAWrongClock holds that calls of the future count as now, and that
// old usage goes.
func TestF17UsageOfAWrongClock(t *testing.T) {
	w := newWorld(t)
	a, g := w.published("Weather"), w.gateway(production, "g1")
	future := w.called(a, "", 3, 1)
	future.Minute += 60 * 24 * 365
	w.reportUsage(g, "r", 1, []sluice.UsageCount{future})
	w.wantUsage("of the future", w.usageOf(w.admin()), map[string]int64{"": 3})
	seen := func(interval sluice.UsageInterval) (n int64) {
		u, err := w.plane.Usage(w.admin(), UsageQuery{From: w.o.Now().AddDate(0, 0, -9000/24), To: w.o.Now(), Interval: interval})
		if interval == sluice.UsageMinute {
			u, err = w.plane.Usage(w.admin(), UsageQuery{From: w.o.Now().Add((1 - maxUsageIntervals) * time.Minute), To: w.o.Now(), Interval: interval})
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range u.Series {
			for _, p := range s.Points {
				n += p.Requests
			}
		}
		return n
	}
	for _, step := range []struct {
		after               time.Duration
		minutes, hours, day int64
	}{{6 * 24 * time.Hour, 3, 3, 3}, {2 * 24 * time.Hour, 0, 3, 3}, {90 * 24 * time.Hour, 0, 0, 3}} {
		w.clock.advance(step.after)
		w.update(w.plane.removeExpired)
		if m, h, d := seen(sluice.UsageMinute), seen(sluice.UsageHour), seen(sluice.UsageDay); m != step.minutes || h != step.hours || d != step.day {
			t.Errorf("%v later: %d by minutes, %d by hours, %d by days; want %+v", step.after, m, h, d, step)
		}
	}
	w.clock.advance(keepDays)
	w.update(w.plane.removeExpired)
	w.view(func(tx *database.Tx) error {
		n, err := tx.UsageRun(g, "r")
		if n != 0 {
			t.Error("a run is remembered for ever")
		}
		return err
	})
}
