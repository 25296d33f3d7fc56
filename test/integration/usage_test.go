package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
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

// usage returns how many calls of the load the control plane has, by gateway
// environment.
func (s *story) usage(t *testing.T, token sluice.Secret, by, filter string) (map[string]int64, error) {
	t.Helper()
	q := url.Values{"from": {time.Now().Add(-time.Hour).Format(time.RFC3339)}, "to": {time.Now().Add(time.Minute).Format(time.RFC3339)}, "groupBy": {by}, "operation": {loaded}, "interval": {"hour"}}
	a, err := s.call.do(t.Context(), http.MethodGet, "https://localhost:9443/api/sluice/v1/usage?"+q.Encode()+filter, token.Reveal(), "")
	if err != nil {
		return nil, err
	}
	var u struct {
		Lost   int64 `json:"lost"`
		Series []struct {
			Key    map[string]string `json:"key"`
			Points []struct {
				Requests, Errors, BytesOut int64
				Latency                    struct{ P50, P99 float64 }
			} `json:"points"`
		} `json:"series"`
	}
	if err := json.Unmarshal([]byte(a.body), &u); err != nil || a.status != http.StatusOK {
		return nil, fmt.Errorf("%d %s", a.status, a.body)
	}
	if u.Lost != 0 {
		t.Errorf("%d calls are said to be lost", u.Lost)
	}
	found := map[string]int64{}
	for _, series := range u.Series {
		for _, p := range series.Points {
			found[series.Key[by]+series.Key[by+"Name"]] += p.Requests
			if p.Errors != 0 || p.BytesOut == 0 || p.Latency.P50 <= 0 || p.Latency.P99 < p.Latency.P50 {
				t.Errorf("a point of the load: %+v", p)
			}
		}
	}
	return found, nil
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
	_, token := s.logInAt(t, "https://localhost:9443")
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
		s.awaitUsage(t, token, dimension, want)
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
		got, err := s.usage(t, token, "environment", "")
		if err != nil {
			return err
		}
		for name, n := range got {
			if len(name) > len("Production Gateway") && name[len(name)-len("Production Gateway"):] == "Production Gateway" {
				if n -= onFirst; n >= before && n <= answered+4 { // four were under way
					return nil
				}
				return fmt.Errorf("%d calls, want %d to %d", n, before, answered+4)
			}
		}
		return fmt.Errorf("%v", got)
	})
}

// awaitUsage waits until what has arrived is what was answered: more is an error
// at once, less only when a record is due.
func (s *story) awaitUsage(t *testing.T, token sluice.Secret, dimension string, want map[string]int64) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := s.usage(t, token, dimension, "")
		right := err == nil && len(got) == len(want)
		for name, n := range want {
			found := int64(0)
			for key, calls := range got {
				if len(key) >= len(name) && key[len(key)-len(name):] == name {
					found = calls
				}
			}
			if found > n {
				t.Fatalf("usage by %s: %v (%v), want %v: calls are counted twice", dimension, got, err, want)
			}
			right = right && found == n
		}
		if right {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("usage by %s: %v (%v), want %v", dimension, got, err, want)
		}
		<-tick.C
	}
}
