package gateway_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/distribution"
	"github.com/sluice-api/sluice/internal/gateway"
)

// reports returns the reports without their times.
func (w *world) reports() []sluice.DeploymentReport {
	list := w.gateway.Reports()
	for i := range list {
		if list[i].Since.IsZero() {
			w.Errorf("report of %s does not say since when", list[i].APIID)
		}
	}
	return list
}

func digestOf(t testing.TB, it artifact.Item) string {
	t.Helper()
	return update(t, false, it).Put[0].Digest.String()
}

var withoutTimes = cmpopts.IgnoreFields(sluice.DeploymentReport{}, "Since")

// TestBadAPI checks that an API that cannot be taken keeps its last good build,
// is reported with the reason, and hurts no other.
func TestBadAPI(t *testing.T) {
	backend := newBackend(t, "production")
	good := weather(backend.URL, "")
	other := weather(backend.URL, "")
	other.ID, other.Context = "other", "/other/1.0"
	broken := func(change func(a *artifact.API)) distribution.Update {
		a := weather(backend.URL, "")
		a.Revision = 2
		change(a)
		return update(t, false, a)
	}
	notDecodable := distribution.Update{Put: []distribution.Item{{ID: good.ItemID(), Digest: artifact.DigestOf([]byte("{}")), Body: []byte("{}")}}}
	for name, tc := range map[string]struct {
		update   distribution.Update
		revision int
		reason   string
	}{
		"not decodable":        {notDecodable, 0, `item "api/weather" has format 0, this gateway knows 1`},
		"bad target":           {broken(func(a *artifact.API) { a.Operations[0].Target = "/a/../b" }), 2, `target "/a/../b": ".." can be read in more than one way`},
		"unknown auth type":    {broken(func(a *artifact.API) { a.Operations[0].Auth = "x" }), 2, `GET /today has the unknown auth type "x"`},
		"unknown transport":    {broken(func(a *artifact.API) { a.Transports = []string{"ws"} }), 2, `transport "ws" is not known`},
		"bad endpoint":         {broken(func(a *artifact.API) { a.Production[0].URL = "ftp://x" }), 2, "production endpoint: An endpoint begins with http:// or https://."},
		"no endpoint":          {broken(func(a *artifact.API) { a.Production = nil }), 2, "no endpoint"},
		"none of the type":     {broken(func(a *artifact.API) { a.Environment = sluice.SandboxEnvironment }), 2, "no sandbox endpoint"},
		"unknown environment":  {broken(func(a *artifact.API) { a.Environment = "test" }), 2, `gateway environment type "test" is not known`},
		"retired":              {broken(func(a *artifact.API) { a.State = sluice.Retired }), 2, "an API in state RETIRED is not served"},
		"bad context":          {broken(func(a *artifact.API) { a.Context = "weather" }), 2, `context "weather" is not a path like /weather/1.0`},
		"context of another":   {broken(func(a *artifact.API) { a.Context = other.Context }), 2, "Weather 1.0 answers at /other/1.0 already"},
		"resources that clash": {broken(func(a *artifact.API) { a.Operations[0].Target = "/*" }), 2, "GET /* and /* are the same resource"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.apply(environment(sluice.HybridEnvironment), good, other)
			before := w.reports()
			refused := []distribution.Refusal{{ItemID: good.ItemID(), Reason: tc.reason}}
			if diff := cmp.Diff(refused, w.gateway.Check(tc.update.Put, nil)); diff != "" {
				t.Errorf("what it could not take (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, w.reports(), withoutTimes); diff != "" {
				t.Errorf("being asked changed the reports (-want +got):\n%s", diff)
			}
			w.gateway.Apply(tc.update)
			want := []sluice.DeploymentReport{
				{APIID: "other", Digest: digestOf(t, other), State: sluice.Active, Revision: 1},
				{APIID: "weather", Digest: tc.update.Put[0].Digest.String(), State: sluice.Failed, Reason: tc.reason, Serving: digestOf(t, good), Revision: tc.revision},
			}
			if diff := cmp.Diff(want, w.reports(), withoutTimes); diff != "" {
				t.Errorf("reports (-want +got):\n%s", diff)
			}
			for _, path := range []string{"/weather/1.0/open", "/other/1.0/open"} {
				if a := w.call(request{path: path}); a.status != 200 {
					t.Errorf("%s: status %d", path, a.status)
				}
			}
			since := w.gateway.Reports()[1].Since
			tc.update.Put = append(tc.update.Put, update(t, true, environment(sluice.HybridEnvironment), other).Put...)
			tc.update.Complete = true
			w.gateway.Apply(tc.update) // the whole state again, the bad item in it
			if diff := cmp.Diff(want, w.reports(), withoutTimes); diff != "" {
				t.Errorf("reports after the whole state (-want +got):\n%s", diff)
			}
			if got := w.gateway.Reports()[1].Since; !got.Equal(since) {
				t.Errorf("failed since %v, was since %v", got, since)
			}
			if a := w.call(request{path: "/weather/1.0/open"}); a.status != 200 {
				t.Errorf("after the whole state: status %d", a.status)
			}
			w.apply(good) // back to what is served
			want[1] = sluice.DeploymentReport{APIID: "weather", Digest: digestOf(t, good), State: sluice.Active, Revision: 1}
			if diff := cmp.Diff(want, w.reports(), withoutTimes); diff != "" {
				t.Errorf("reports after going back (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCheckKnowsTheWholeChange checks that a context that becomes free in the
// same change may be taken, and that nothing of what is asked about is served.
func TestCheckKnowsTheWholeChange(t *testing.T) {
	backend := newBackend(t, "production")
	first, second := weather(backend.URL, ""), weather(backend.URL, "")
	second.ID = "second"
	w := newWorld(t)
	w.apply(environment(sluice.HybridEnvironment), first)
	put := update(t, false, second).Put
	if got := w.gateway.Check(put, nil); len(got) != 1 {
		t.Errorf("beside the API that has its context: %v, want one refusal", got)
	}
	if got := w.gateway.Check(put, []string{first.ItemID()}); len(got) != 0 {
		t.Errorf("in the place of the API that has its context: %v", got)
	}
	if list := w.reports(); len(list) != 1 || list[0].APIID != first.ID {
		t.Errorf("reports = %+v", list)
	}
	if a := w.call(request{path: "/weather/1.0/open"}); a.status != 200 {
		t.Errorf("status %d", a.status)
	}
}

// TestBadItem checks that an item of another kind that cannot be used keeps its
// last good form too.
func TestBadItem(t *testing.T) {
	backend := newBackend(t, "production")
	w := newWorld(t)
	api := weather(backend.URL, "")
	items := append(w.callers(api.ID), environment(sluice.HybridEnvironment), api)
	w.apply(items...)
	r := request{path: "/weather/1.0/today", token: w.token(nil)}
	for _, it := range items {
		if it.ItemID() == api.ItemID() {
			continue
		}
		for _, complete := range []bool{false, true} {
			u := update(t, complete, items...)
			for i := range u.Put {
				if u.Put[i].ID == it.ItemID() {
					u.Put[i].Body = []byte("not JSON")
				}
			}
			w.gateway.Apply(u)
			if a := w.call(r); a.status != 200 {
				t.Errorf("%s damaged, complete %v: status %d, %s", it.ItemID(), complete, a.status, a.body)
			}
		}
	}
	bad := environment(sluice.HybridEnvironment)
	bad.Vhosts[0].Context = "/a/../b"
	w.apply(bad, &artifact.Tokens{Issuer: "i", Keys: []sluice.SigningKey{{ID: "k", Algorithm: "none"}}})
	if a := w.call(r); a.status != 200 {
		t.Errorf("unusable environment and tokens: status %d, %s", a.status, a.body)
	}
}

func TestCompleteStateRemoves(t *testing.T) {
	backend := newBackend(t, "production")
	w := newWorld(t)
	api := weather(backend.URL, "")
	w.apply(append(w.callers(api.ID), environment(sluice.HybridEnvironment), api)...)
	w.gateway.Apply(update(t, true, environment(sluice.HybridEnvironment)))
	if a := w.call(request{path: "/weather/1.0/open"}); a.status != 404 || len(w.gateway.Reports()) != 0 {
		t.Errorf("status %d, reports %+v", a.status, w.gateway.Reports())
	}
	w.apply(api)
	if a := w.call(request{path: "/weather/1.0/today", token: w.token(nil)}); a.code != "900900" {
		t.Errorf("without token trust: %s", a.body)
	}
	w.remove(api)
	if a := w.call(request{path: "/weather/1.0/open"}); a.status != 404 || len(w.gateway.Reports()) != 0 {
		t.Errorf("after its removal: status %d, reports %+v", a.status, w.gateway.Reports())
	}
}

// TestContextsChangeHands checks that two APIs can swap contexts in one update,
// in whichever order they come.
func TestContextsChangeHands(t *testing.T) {
	one, two := newBackend(t, "one"), newBackend(t, "two")
	w := newWorld(t)
	a, b := weather(one.URL, ""), weather(two.URL, "")
	a.ID, a.Context, b.ID, b.Context = "a", "/x", "b", "/y"
	w.apply(environment(sluice.HybridEnvironment), a, b)
	a.Context, b.Context = b.Context, a.Context
	w.apply(b, a)
	for path, want := range map[string]string{"/x/open": "two", "/y/open": "one"} {
		if got := w.call(request{path: path}); got.header.Get("X-Backend") != want {
			t.Errorf("%s: status %d from %q, want %q", path, got.status, got.header.Get("X-Backend"), want)
		}
	}
	for _, r := range w.reports() {
		if r.State != sluice.Active {
			t.Errorf("report %+v", r)
		}
	}
}

func TestVhosts(t *testing.T) {
	one, two := newBackend(t, "one"), newBackend(t, "two")
	w := newWorld(t)
	a, b := weather(one.URL, ""), weather(two.URL, "")
	b.ID, b.Vhost = "b", "second.example.com"
	e := environment(sluice.HybridEnvironment, "gw.example.com", "second.example.com")
	e.Vhosts[1].Context = "/public"
	w.apply(e, a, b)
	for address, want := range map[[2]string]string{
		{"gw.example.com", "/weather/1.0/open"}:               "one",
		{"elsewhere", "/weather/1.0/open"}:                    "one",
		{"second.example.com", "/public/weather/1.0/open"}:    "two",
		{"SECOND.example.com:1", "/public/weather/1.0/open"}:  "two",
		{"second.example.com", "/weather/1.0/open"}:           "",
		{"gw.example.com", "/public/weather/1.0/open"}:        "",
		{"third.second.example.com", "/weather/1.0/open"}:     "one",
		{"second.example.com", "/publicweather/1.0/open"}:     "",
		{"second.example.com.evil.org", "/weather/1.0/today"}: "",
	} {
		got := w.call(request{host: address[0], path: address[1]})
		if got.header.Get("X-Backend") != want {
			t.Errorf("%s%s: status %d from %q, want %q", address[0], address[1], got.status, got.header.Get("X-Backend"), want)
		}
	}
}

// TestSwapUnderLoad publishes revisions while calls go on: none may fail, and
// none may see half a revision.
func TestSwapUnderLoad(t *testing.T) {
	backend := newBackend(t, "production")
	w := newWorld(t)
	revision := func(n int) *artifact.API {
		a := weather(backend.URL+fmt.Sprint("/r", n), "")
		a.Revision = n
		return a
	}
	w.apply(append(w.callers("weather"), environment(sluice.HybridEnvironment), revision(0))...)
	token := w.token(nil)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				if a := w.call(request{path: "/weather/1.0/today", token: token}); a.status != 200 {
					t.Errorf("status %d, %s", a.status, a.body)
					return
				}
			}
		})
	}
	for n := range 200 {
		w.apply(revision(n), &artifact.Key{Key: fmt.Sprint("k", n), ApplicationID: "app", Type: sluice.SandboxKey})
	}
	stop.Store(true)
	wg.Wait()
	if got := countOf(w.gateway, "weather"); got.Calls == 0 || got.Refused != 0 || got.Failed != 0 {
		t.Errorf("counts = %+v", got)
	}
	if got := countOf(w.gateway, ""); got != (gateway.Count{}) {
		t.Errorf("counts of no API = %+v", got)
	}
}
