package integration

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-api/sluice/internal/client"
)

// loaded is the operation that nobody but the load calls.
const loaded = "GET /stations/{stationId}/bikes"

// load is callers who call one gateway until they are told to stop.
type load struct {
	answered atomic.Int64 // with 200
	stop     func()       // waits for the last answer
}

// load calls the instance with the offset from four callers at once. Calls that
// are not answered count as not made: while a gateway is away there is nobody who
// could count them.
func (s *story) load(t *testing.T, offset int, token string) *load {
	t.Helper()
	l, done := &load{}, make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			pause := time.NewTicker(60 * time.Millisecond) // below what the tier Gold allows
			defer pause.Stop()
			for {
				select {
				case <-done:
					return
				case <-pause.C:
				}
				a, err := s.call.do(t.Context(), http.MethodGet, s.gateway(offset, "/stations/s1/bikes"), token, "")
				if err != nil {
					continue
				}
				if a.status != http.StatusOK {
					t.Errorf("gateway %d: %d %s", offset, a.status, a.body)
					return
				}
				l.answered.Add(1)
			}
		})
	}
	l.stop = sync.OnceFunc(func() { close(done); wg.Wait() })
	t.Cleanup(l.stop)
	return l
}

// reach waits until so many more calls were answered.
func (l *load) reach(t *testing.T, more int64) {
	t.Helper()
	want := l.answered.Load() + more
	eventually(t, "the gateway answers", func() error {
		if got := l.answered.Load(); got < want {
			return fmt.Errorf("%d calls", got)
		}
		return nil
	})
}

// usageOf returns how many calls of the load the control plane has, by the names
// of a dimension.
func usageOf(t *testing.T, rest *client.Client, by string) (map[string]int64, error) {
	t.Helper()
	u, err := rest.Usage(t.Context(), client.UsageQuery{
		From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Minute), Interval: "hour", GroupBy: []string{by}, Only: map[string]string{"operation": loaded},
	})
	if u.Lost != 0 {
		t.Errorf("%d calls are said to be lost", u.Lost)
	}
	found := map[string]int64{}
	for _, series := range u.Series {
		for _, p := range series.Points {
			found[cmp.Or(series.Key[by+"Name"], series.Key[by])] += p.Requests
			if p.Errors != 0 || p.BytesOut == 0 || p.Latency.P50 <= 0 || p.Latency.P99 < p.Latency.P50 {
				t.Errorf("a point of the load: %+v", p)
			}
		}
	}
	return found, err
}

// Two gateways are called while the control plane is killed and stays away, one
// gateway is stopped and started again, and the other is killed: the calls that
// were answered are counted, each once.
func TestUsageThroughFaults(t *testing.T) {
	if !namespace(t) {
		return
	}
	s := &story{ip: "localhost"}
	s.editHomes(t)
	s.startAll(t, []int{0, 1, 2})
	s.importAPI(t)
	s.deployToSandbox(t)
	s.deployToBoth(t)
	s.subscribe(t)
	s.productionToken, s.sandboxToken = s.token(t, 1, s.production, ""), s.token(t, 2, s.sandbox, "")
	rest, token := s.logInAt(t, "https://localhost:9443")
	for offset, token := range map[int]string{1: s.productionToken, 2: s.sandboxToken} {
		eventually(t, "the token is taken", func() error {
			if a := s.call.get(t, s.gateway(offset, "/stations"), token); a.status != http.StatusOK {
				return fmt.Errorf("%d %s", a.status, a.body)
			}
			return nil
		})
	}

	begin := time.Now()
	first, second := s.load(t, 1, s.productionToken), s.load(t, 2, s.sandboxToken)
	first.reach(t, 100)
	s.instances[0].kill(t)
	first.reach(t, 100)
	second.reach(t, 100)

	s.instances[1].stop(t) // while it is called, with the control plane gone
	s.instances[1] = start(t, s.homes[1])
	ready(t, s.instances[1], 1)
	first.reach(t, 100)

	second.stop()
	<-time.After(2500 * time.Millisecond) // what is older than a second survives
	s.instances[2].kill(t)
	s.instances[2] = start(t, s.homes[2])
	ready(t, s.instances[2], 2)
	again := s.load(t, 2, s.sandboxToken)
	again.reach(t, 100)

	s.instances[0] = start(t, s.homes[0])
	ready(t, s.instances[0], 0)
	first.reach(t, 100)
	s.instances[0].kill(t) // perhaps between storing and answering
	s.instances[0] = start(t, s.homes[0])
	ready(t, s.instances[0], 0)
	first.reach(t, 100)
	first.stop()
	again.stop()

	loadedFor := time.Since(begin)
	onFirst, onSecond := first.answered.Load(), second.answered.Load()+again.answered.Load()
	for dimension, want := range map[string]map[string]int64{
		"environment": {"Production Gateway": onFirst, "Sandbox Gateway": onSecond},
		"keyType":     {"PRODUCTION": onFirst, "SANDBOX": onSecond},
		"application": {"Bike App": onFirst + onSecond},
		"status":      {"2xx": onFirst + onSecond},
	} {
		awaitUsage(t, rest, dimension, want)
	}
	t.Logf("%d calls on the first gateway, %d on the second, in %v; all of them stored %v later", onFirst, onSecond, loadedFor.Round(time.Second), (time.Since(begin) - loadedFor).Round(time.Second))

	// A gateway that is killed in the midst of calls loses a second of them at most.
	third := s.load(t, 1, s.productionToken)
	third.reach(t, 100)
	before := third.answered.Load()
	<-time.After(2500 * time.Millisecond)
	s.instances[1].kill(t)
	third.stop()
	s.instances[1] = start(t, s.homes[1])
	ready(t, s.instances[1], 1)
	answered := third.answered.Load()
	eventually(t, "what was counted before the kill has arrived", func() error {
		got, err := usageOf(t, rest, "environment")
		if n := got["Production Gateway"] - onFirst; err == nil && (n < before || n > answered+4) { // four were under way
			err = fmt.Errorf("%d calls, want %d to %d", n, before, answered+4)
		}
		return err
	})
	if out, code := run(t, s.homes[0], "usage", "--token", token.Reveal(), "--by", "environment,operation"); code != 0 || !strings.Contains(out, "Sandbox Gateway     GET /stations/{stationId}/bikes") {
		t.Errorf("sluice usage: %d %s", code, out)
	}
}

// awaitUsage waits until what has arrived is what was answered: more is an error
// at once, less only when a record is due.
func awaitUsage(t *testing.T, rest *client.Client, dimension string, want map[string]int64) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := usageOf(t, rest, dimension)
		if err == nil && maps.Equal(got, want) {
			return
		}
		for name, n := range got {
			if n > want[name] {
				t.Fatalf("usage by %s: %v, want %v: calls are counted twice", dimension, got, want)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("usage by %s: %v, %v, want %v", dimension, got, err, want)
		}
		<-tick.C
	}
}
