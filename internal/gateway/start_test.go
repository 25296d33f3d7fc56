package gateway_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/gateway"
)

// TestStartFromTheCopy starts with APIs that are built when they are needed:
// those that can be answer and are live, the one that cannot be answers nobody,
// is reported with the reason, and hurts no other.
func TestStartFromTheCopy(t *testing.T) {
	backend := newBackend(t, "production")
	l := newListening(t)
	l.serveHTTP()
	good, bad := weather(backend.URL, ""), weather(backend.URL, "")
	bad.ID, bad.Context, bad.Operations = "bad", "/bad/1.0", []sluice.Operation{{Verb: "GET", Target: "/a/../b", Auth: sluice.AuthNone}}
	u := update(t, true, append(l.callers(good.ID), environment(sluice.HybridEnvironment), good, bad)...)
	u.FromCopy = true
	l.gateway.Apply(u)
	if got := l.call(request{path: good.Context + "/today", token: l.token(nil)}); got.status != 200 {
		t.Errorf("the good API answers %d", got.status)
	}
	if got := l.call(request{path: bad.Context + "/b"}); got.status != 404 {
		t.Errorf("the bad API answers %d", got.status)
	}
	want := []sluice.DeploymentReport{
		{APIID: bad.ID, Digest: digestOf(t, bad), Revision: bad.Revision, State: sluice.Failed, Reason: `target "/a/../b": ".." can be read in more than one way`},
		{APIID: good.ID, Digest: digestOf(t, good), Revision: good.Revision, State: sluice.Live},
	}
	l.until(func(list []sluice.DeploymentReport) bool { return cmp.Equal(want, list, withoutTimes) })

	// A live change is built as any other, and what did not change stays.
	bad.Operations = good.Operations
	l.apply(bad)
	l.until(all(sluice.Live))
}

// BenchmarkFirstState applies the local copy of a large environment.
func BenchmarkFirstState(b *testing.B) {
	items := []artifact.Item{environment(sluice.HybridEnvironment)}
	for n := range 10_000 {
		a := weather("http://127.0.0.1:1", "")
		a.ID, a.Context = fmt.Sprintf("018f-api-%06d-0000-000000000000", n), fmt.Sprintf("/api%d/1.0", n)
		items = append(items, a)
	}
	for n := range 100_000 {
		app := fmt.Sprintf("018f-app-%06d-0000-000000000000", n/2)
		if n%2 == 0 {
			items = append(items, &artifact.Application{ID: app, Organization: "default", Name: "App", Owner: "olga", Tier: sluice.Unlimited})
		}
		items = append(items, &artifact.Key{Key: fmt.Sprintf("key-%06d-0000000000000000000", n), ApplicationID: app, Type: sluice.ProductionKey},
			&artifact.Subscription{ID: fmt.Sprintf("018f-sub-%06d-0000-000000000000", n), ApplicationID: app, APIID: fmt.Sprintf("018f-api-%06d-0000-000000000000", n%10_000), Tier: "Gold", State: sluice.Unblocked})
	}
	u := update(b, true, items...)
	u.FromCopy = true
	w := newWorld(b)
	before := cpu(b)
	for b.Loop() {
		g, err := gateway.New(gateway.Options{Transport: w.client})
		if err != nil {
			b.Fatal(err)
		}
		g.Apply(u)
	}
	b.ReportMetric(float64((cpu(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
}

// cpu returns what this process has used of its processors: on a busy machine it
// says more than the time that has passed.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
