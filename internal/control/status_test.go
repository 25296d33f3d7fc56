package control

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

func TestStateOnAGateway(t *testing.T) {
	w := newWorld(t)
	deployed := &sluice.Deployment{APIID: "a", Digest: "new", DeployedAt: w.clock.now()}
	since := w.clock.now().Add(-time.Hour)
	said := func(digest string, state sluice.DeploymentState, reason string) []sluice.DeploymentReport {
		return []sluice.DeploymentReport{{APIID: "other", State: sluice.Failed}, {APIID: "a", Digest: digest, State: state, Reason: reason, Since: since, Revision: 3}}
	}
	for name, c := range map[string]struct {
		wanted *sluice.Deployment
		said   []sluice.DeploymentReport
		silent time.Duration
		want   GatewayStatus
	}{
		"live":                          {deployed, said("new", sluice.Live, ""), 0, GatewayStatus{State: sluice.Live, Revision: 3, Digest: "new", Since: since, Connected: true}},
		"failed, with its reason":       {deployed, said("new", sluice.Failed, "why"), 0, GatewayStatus{State: sluice.Failed, Reason: "why", Revision: 3, Digest: "new", Since: since, Connected: true}},
		"not heard of yet":              {deployed, nil, 0, GatewayStatus{State: sluice.Pending, Since: deployed.DeployedAt, Connected: true}},
		"still another, which failed":   {deployed, said("old", sluice.Failed, "why"), 0, GatewayStatus{State: sluice.Pending, Revision: 3, Digest: "old", Since: deployed.DeployedAt, Connected: true}},
		"almost silent for too long":    {deployed, said("new", sluice.Live, ""), sluice.StaleAfter - time.Second, GatewayStatus{State: sluice.Live, Revision: 3, Digest: "new", Since: since, Connected: true}},
		"silent for too long":           {deployed, said("new", sluice.Live, ""), sluice.StaleAfter, GatewayStatus{State: sluice.Stale, Revision: 3, Digest: "new", Since: w.clock.now().Add(-sluice.StaleAfter)}},
		"silent, and never heard of it": {deployed, nil, sluice.StaleAfter, GatewayStatus{State: sluice.Pending, Since: deployed.DeployedAt}},
		"skipped":                       {&sluice.Deployment{Skipped: "no endpoint", DeployedAt: since}, nil, 0, GatewayStatus{State: sluice.Skipped, Reason: "no endpoint", Since: since, Connected: true}},
		"not wanted, not served":        {nil, nil, 0, GatewayStatus{State: sluice.Removed, Connected: true}},
		"not wanted, still served":      {nil, said("old", sluice.Live, ""), 0, GatewayStatus{State: sluice.Pending, Reason: "still served; the gateway has not heard of the removal", Revision: 3, Digest: "old", Since: since, Connected: true}},
	} {
		s := newStatus(w.clock.now)
		p := &Plane{status: s, revocations: newRevocations()}
		p.heard(sluice.Report{GatewayID: "g", Connected: true, HeardAt: w.clock.now().Add(-c.silent), Deployments: c.said})
		got := s.of(sluice.Gateway{ID: "g"}, "a", c.wanted)
		c.want.Gateway.ID = "g"
		if got != c.want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, c.want)
		}
	}
}

// Drift is kept with when it was found and when it was repaired; what differs is
// told API by API.
func TestGatewayDrift(t *testing.T) {
	w := newWorld(t)
	a := w.api("served", "production")
	w.deploy(a.ID, w.revision(a.ID).ID, production)
	g := w.gateway(production, "g1")
	d := w.deployments(a.ID)[production]
	live := sluice.DeploymentReport{APIID: a.ID, Digest: d.Digest, State: sluice.Live, Revision: 1}
	gone := sluice.DeploymentReport{APIID: "gone", Digest: "x", State: sluice.Live, Revision: 4}
	say := func(drift, trouble string, deployments ...sluice.DeploymentReport) GatewayDrift {
		t.Helper()
		w.plane.heard(sluice.Report{GatewayID: g, HeardAt: w.o.Now(), Connected: true, Drift: drift, Trouble: trouble, Deployments: deployments})
		got, err := w.plane.GatewayDrift(w.admin(), g)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := say("", "", live); len(got.Differences) > 0 || got.Last != (sluice.Drift{}) {
		t.Errorf("a gateway that serves what it should differs: %+v", got)
	}
	found := w.o.Now()
	got := say("it is behind", "", gone)
	if len(got.Differences) != 2 || got.Last != (sluice.Drift{GatewayID: g, Reason: "it is behind", FoundAt: found}) {
		t.Fatalf("drift: %+v", got)
	}
	for _, difference := range got.Differences {
		switch difference.APIID {
		case a.ID:
			if difference.Intended != 1 || difference.State != sluice.Pending {
				t.Errorf("an API that is missing: %+v", difference)
			}
		case "gone":
			if difference.Intended != 0 || difference.Revision != 4 || difference.Reason == "" {
				t.Errorf("an API that should not be there: %+v", difference)
			}
		}
	}
	w.clock.advance(time.Second)
	say("", "the copy was touched", live)
	w.clock.advance(time.Second)
	repaired := w.o.Now()
	if got := say("", "", live); got.Last != (sluice.Drift{GatewayID: g, Reason: "the copy was touched", FoundAt: found, RepairedAt: repaired}) || len(got.Differences) > 0 {
		t.Errorf("repaired: %+v", got)
	}
}

// A report that a gateway went keeps what it said before; of a removed gateway
// nothing is kept.
func TestReportOfAGatewayThatWent(t *testing.T) {
	w := newWorld(t)
	s := w.plane.status
	w.says("g", 7, sluice.DeploymentReport{APIID: "a", State: sluice.Live})
	news := s.next()
	w.says("g", -1)
	select {
	case <-news:
	default:
		t.Error("who waits for reports was not told")
	}
	if r := s.report("g"); r.Connected || r.Generation != 7 || len(r.Deployments) != 1 || s.connected("g") {
		t.Errorf("report = %+v", r)
	}
	s.forget("g")
	w.says("g", -1)
	if len(s.reports) != 0 {
		t.Errorf("kept of a removed gateway: %+v", s.reports)
	}
}

func TestStatusSumsUpItsGateways(t *testing.T) {
	w := newWorld(t)
	a := w.published("Weather")
	w.deploy(a.ID, w.revision(a.ID).ID, production, both)
	state := func() (states [3]string, urls []URL) {
		t.Helper()
		list, err := w.plane.Status(w.as("olga", sluice.Observer), a.ID)
		if err != nil || len(list) != 3 {
			t.Fatalf("status = %+v, %v", list, err)
		}
		for i := range list {
			states[i] = list[i].State
		}
		return states, list[0].URLs
	}
	want := func(when, first string, live, stale bool) {
		t.Helper()
		states, urls := state()
		if states != [3]string{first, "", string(sluice.Pending)} {
			t.Errorf("%s: states %q, want %q at the first", when, states, first)
		}
		if !slices.Equal(urls, []URL{
			{URL: "http://prod.example.com:8280/weather/1.0", Scheme: "http", Live: live, Stale: stale},
			{URL: "https://prod.example.com:8243/weather/1.0", Scheme: "https", Live: live, Stale: stale},
		}) {
			t.Errorf("%s: URLs %+v", when, urls)
		}
	}
	want("no gateway", string(sluice.Pending), false, false)
	g1, g2 := w.gateway(production, "g1"), w.gateway(production, "g2")
	want("two that said nothing", string(sluice.Pending), false, false)
	live(w, g1)
	want("one of two is live", "partial", true, false)
	live(w, g2)
	want("both are live", string(sluice.Live), true, false)
	w.clock.advance(sluice.StaleAfter)
	want("both are silent", string(sluice.Stale), false, true)
	live(w, g1)
	want("one is back", "partial", true, false)
	if err := w.plane.RemoveGateway(w.admin(), g2, 0); err != nil {
		t.Fatal(err)
	}
	want("the other is removed", string(sluice.Live), true, false)
}

func TestURLs(t *testing.T) {
	vhosts := []sluice.Vhost{{Host: "a.example.com", HTTPPort: 80, HTTPSPort: 443}, {Host: "::1", Context: "/gw", HTTPSPort: 8243}, {Host: "::2", HTTPPort: 80}}
	for name, c := range map[string]struct {
		api   sluice.API
		vhost string
		want  []string
	}{
		"usual ports":        {sluice.API{Transports: []string{"https", "http"}}, "", []string{"https://a.example.com/w/1.0", "http://a.example.com/w/1.0"}},
		"one transport":      {sluice.API{Transports: []string{"https"}}, "A.example.com", []string{"https://a.example.com/w/1.0"}},
		"the default too":    {sluice.API{Transports: []string{"http"}, Default: true}, "", []string{"http://a.example.com/w/1.0", "http://a.example.com/w"}},
		"no such port":       {sluice.API{Transports: []string{"http"}}, "::1", nil},
		"context and IPv6":   {sluice.API{Transports: []string{"https"}}, "::1", []string{"https://[::1]:8243/gw/w/1.0"}},
		"IPv6, usual port":   {sluice.API{Transports: []string{"http"}}, "::2", []string{"http://[::2]/w/1.0"}},
		"a vhost that is no": {sluice.API{Transports: []string{"https"}}, "b.example.com", nil},
		"no endpoint":        {sluice.API{Transports: []string{"https"}, Sandbox: []sluice.Endpoint{{URL: "http://x"}}}, "", nil},
	} {
		c.api.Context, c.api.Version, c.api.Organization = "/w", "1.0", sluice.DefaultOrganization
		if c.api.Sandbox == nil {
			c.api.Production = []sluice.Endpoint{{URL: "http://x"}}
		}
		s := EnvironmentStatus{Environment: sluice.Environment{Type: sluice.ProductionEnvironment, Vhosts: vhosts}, Deployment: &sluice.Deployment{Vhost: c.vhost}}
		var got []string
		for _, u := range urls(&sluice.Revision{API: c.api}, &sluice.API{State: sluice.Published, Default: true}, &s) {
			got = append(got, u.URL)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// The Store names only environments that are shown there and that a gateway has
// proved.
func TestStoreShowsWhatIsLive(t *testing.T) {
	w := newWorld(t)
	a := w.published("Weather")
	r := w.revision(a.ID)
	w.deploy(a.ID, r.ID, production, sandbox)
	if _, err := w.plane.Deploy(w.admin(), a.ID, r.ID, []DeployTarget{{Environment: both}}); err != nil { // not shown
		t.Fatal(err)
	}
	shown := func() (names []string) {
		t.Helper()
		s, err := w.plane.StoreAPI(t.Context(), a.ID) // anonymous
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range s.Environments {
			names = append(names, e.Environment.Name)
		}
		return names
	}
	if got := shown(); len(got) != 0 {
		t.Errorf("before any gateway said anything: %q", got)
	}
	for _, name := range []string{production, sandbox, both} {
		w.serves(w.gateway(name, "g"), name, sluice.Live, "")
	}
	w.serves(w.gateway(sandbox, "second"), sandbox, sluice.Failed, "why")
	if got := shown(); !slices.Equal(got, []string{production, sandbox}) {
		t.Errorf("shown: %q", got)
	}
	w.clock.advance(time.Hour)
	if got := shown(); !slices.Equal(got, []string{production, sandbox}) {
		t.Errorf("shown when all are silent: %q, want the last known", got)
	}
}

func TestStoreHidesWhatIsNotForEverybody(t *testing.T) {
	w := newWorld(t)
	private := w.published("Private")
	w.update(func(tx *database.Tx) error {
		a, err := tx.API(private.Organization, private.ID)
		if err != nil {
			return err
		}
		a.Visibility = sluice.Private
		return tx.PutAPI(&a)
	})
	ids := map[string]string{
		"created": w.api("Created", "production").ID, "private": private.ID, "public": w.published("Public").ID,
		"prototype": w.move(w.api("Prototype", "production").ID, "Deploy as a Prototype").ID,
		"blocked":   w.move(w.published("Blocked").ID, "Block").ID, "deprecated": w.move(w.published("Deprecated").ID, "Deprecate").ID,
	}
	for who, c := range map[string]struct {
		ctx    context.Context
		sees   []string
		listed int
	}{
		"nobody":           {t.Context(), []string{"prototype", "public"}, 2},
		"a user":           {w.as("sam", sluice.Subscriber), []string{"deprecated", "private", "prototype", "public"}, 3},
		"an administrator": {w.admin(), []string{"deprecated", "private", "prototype", "public"}, 3},
	} {
		var sees []string
		for name, id := range ids {
			_, err := w.plane.StoreAPI(c.ctx, id)
			if err == nil {
				sees = append(sees, name)
			} else if !sluice.IsNotFound(err) {
				t.Errorf("%s for %s: %v", name, who, err)
			}
		}
		slices.Sort(sees)
		_, total, err := w.plane.StoreAPIs(c.ctx, APIFilter{States: []sluice.Lifecycle{sluice.Created, sluice.Blocked}})
		if !slices.Equal(sees, c.sees) || total != c.listed || err != nil {
			t.Errorf("%s sees %q and a list of %d, %v, want %q and %d", who, sees, total, err, c.sees, c.listed)
		}
	}
	_, err := w.plane.ImportOpenAPI(w.admin(), []byte(document), sluice.API{Name: "Restricted", Visibility: sluice.Restricted})
	wantCode(t, "an API for some roles", err, sluice.Invalid, "api.visibility")
}

func TestGatewayInfoCountsWhatItShouldServe(t *testing.T) {
	w := newWorld(t)
	g := w.gateway(sandbox, "g")
	for i, sides := range [][]string{{"sandbox"}, {"sandbox"}, {"sandbox"}, {"production"}} {
		a := w.api(fmt.Sprint("API", i), sides...)
		w.deploy(a.ID, w.revision(a.ID).ID, sandbox)
	}
	w.serves(g, sandbox, sluice.Live, "")
	r := w.plane.status.report(g)
	r.Deployments = slices.Clone(r.Deployments)
	r.Deployments[0].State, r.Deployments[1].Digest = sluice.Failed, "an older one"
	w.plane.heard(r)
	info, err := w.plane.Gateway(w.as("olga", sluice.Observer), g)
	if err != nil || info.State != "connected" || info.Intended != 3 || info.Live != 1 || info.Failed != 1 || info.Skipped != 1 || info.Environment != sandbox {
		t.Errorf("gateway = %+v, %v", info, err)
	}
	w.clock.advance(sluice.StaleAfter)
	list, err := w.plane.Gateways(w.admin(), w.environment(sandbox).ID)
	if err != nil || len(list) != 1 || list[0].State != "stale" || list[0].IntendedGeneration != info.IntendedGeneration {
		t.Errorf("gateways = %+v, %v", list, err)
	}
	if _, err := w.plane.Gateways(w.admin(), "nope"); !sluice.IsNotFound(err) {
		t.Errorf("gateways of an unknown environment: %v", err)
	}
}
