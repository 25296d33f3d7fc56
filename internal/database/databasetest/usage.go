package databasetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// counted returns what a gateway counts of calls of an API that took 1 ms, 2 ms
// and so on.
func counted(at time.Time, org, api, application string, requests int64) sluice.UsageCount {
	c := sluice.UsageCount{
		UsageKey: sluice.UsageKey{
			Minute: at.Unix() / 60, Organization: org, APIID: api, APIName: "Weather", APIVersion: "1.0", Revision: 2, Operation: "GET /today",
			ApplicationID: application, KeyType: sluice.ProductionKey, Status: 2,
		},
		Requests: requests, BytesIn: requests * 3, BytesOut: requests * 5,
	}
	for i := range requests {
		c.Latency.Add(time.Duration(i+1) * time.Millisecond)
		c.Backend.Add(time.Duration(i+1) * time.Microsecond)
	}
	return c
}

func testUsage(t *testing.T, db *database.DB) {
	at := start().Truncate(time.Hour)
	add := func(counts ...sluice.UsageCount) {
		t.Helper()
		update(t, db, func(tx *database.Tx) error { return tx.AddUsage("g1", "e1", counts) })
	}
	refused := counted(at, org, "a1", "", 5)
	refused.Status, refused.Refusal, refused.KeyType = 4, "authentication", ""
	add(counted(at, org, "a1", "p1", 2), counted(at, org, "a1", "p1", 3), refused)
	add(counted(at, org, "a1", "p1", 4), counted(at.Add(time.Minute), org, "a1", "p1", 1), counted(at.Add(24*time.Hour), org, "a1", "p1", 7))
	update(t, db, func(tx *database.Tx) error {
		return tx.AddUsage("g2", "e2", []sluice.UsageCount{counted(at, org, "a2", "p2", 20), counted(at, "o2", "a3", "p3", 40), counted(at, "", "", "", 80)})
	})
	all := database.UsageFilter{Organization: org, Interval: sluice.UsageMinute, From: at, To: at.Add(48 * time.Hour)}
	requests := func(f database.UsageFilter) (total int64) {
		t.Helper()
		for _, p := range read(t, db, func(tx *database.Tx) ([]database.UsagePoint, error) { return tx.FindUsage(f) }) {
			total += p.Requests
		}
		return total
	}
	for name, test := range map[string]struct {
		change func(f *database.UsageFilter)
		want   int64
	}{
		"an organization":         {func(*database.UsageFilter) {}, 42},
		"by hours":                {func(f *database.UsageFilter) { f.Interval = sluice.UsageHour }, 42},
		"by days":                 {func(f *database.UsageFilter) { f.Interval, f.From = sluice.UsageDay, at.Truncate(24*time.Hour) }, 42},
		"another":                 {func(f *database.UsageFilter) { f.Organization = "o2" }, 40},
		"with what nobody serves": {func(f *database.UsageFilter) { f.Unmatched = true }, 122},
		"the first minute":        {func(f *database.UsageFilter) { f.To = at.Add(time.Minute) }, 34},
		"after it":                {func(f *database.UsageFilter) { f.From = at.Add(time.Minute) }, 8},
		"an API":                  {func(f *database.UsageFilter) { f.API = "a1" }, 22},
		"a version":               {func(f *database.UsageFilter) { f.Version = "2.0" }, 0},
		"an application":          {func(f *database.UsageFilter) { f.Application = "p2" }, 20},
		"an environment":          {func(f *database.UsageFilter) { f.Environment = "e2" }, 20},
		"a gateway":               {func(f *database.UsageFilter) { f.Gateway = "g1" }, 22},
		"an operation":            {func(f *database.UsageFilter) { f.Operation = "GET /today" }, 42},
		"a key type":              {func(f *database.UsageFilter) { f.KeyType = sluice.ProductionKey }, 37},
		"a status":                {func(f *database.UsageFilter) { f.Status = 4 }, 5},
		"a refusal":               {func(f *database.UsageFilter) { f.Refusal = "authentication" }, 5},
		"a revision":              {func(f *database.UsageFilter) { f.Revision = 3 }, 0},
	} {
		f := all
		test.change(&f)
		same(t, "calls of "+name, requests(f), test.want)
	}

	found := read(t, db, func(tx *database.Tx) ([]database.UsagePoint, error) {
		f := all
		f.API, f.Status, f.Limit = "a1", 2, 1
		return tx.FindUsage(f)
	})
	want := counted(at, org, "a1", "p1", 0)
	for _, n := range []int64{2, 3, 4} {
		part := counted(at, org, "a1", "p1", n)
		want.Add(&part)
	}
	if len(found) != 1 {
		t.Fatalf("%d points, want the first", len(found))
	}
	same(t, "beginning of the point", found[0].At, at)
	for name, h := range map[string][2]*sluice.Histogram{"latency": {&found[0].Latency, &want.Latency}, "backend": {&found[0].Backend, &want.Backend}} {
		got, err := h[0].MarshalBinary()
		wanted, errW := h[1].MarshalBinary()
		if err := errors.Join(err, errW); err != nil {
			t.Fatal(err)
		}
		same(t, name, got, wanted)
	}
	want.Latency, want.Backend = found[0].Latency, found[0].Backend // and the rest
	want.Minute = 0
	same(t, "the point", fmt.Sprintf("%+v", found[0].UsageCount), fmt.Sprintf("%+v", want))

	update(t, db, func(tx *database.Tx) error { return tx.DeleteUsage(sluice.UsageMinute, at.Add(time.Hour)) })
	same(t, "calls by minutes after those were deleted", requests(all), int64(7))
	all.Interval = sluice.UsageHour
	same(t, "calls by hours after minutes were deleted", requests(all), int64(42))
	update(t, db, func(tx *database.Tx) error {
		return tx.DeleteUsageSeries(at.Truncate(24 * time.Hour).Add(24 * time.Hour))
	})
	same(t, "calls after series were deleted", requests(all), int64(17)) // of the one that has a younger call
	add(counted(at.Add(24*time.Hour), org, "a1", "p1", 1))
	same(t, "calls by hours later on", requests(all), int64(18))
}

// testUsageAccess holds who may see the usage of what.
func testUsageAccess(t *testing.T, db *database.DB) {
	at := start().Truncate(time.Hour)
	secret := newAPI("a2", "pizza")
	secret.AccessControl = []sluice.Role{"team"}
	all(t, db, addAPI("a1", "weather"), func(tx *database.Tx) error { return tx.AddAPI(secret) }, func(tx *database.Tx) error {
		mine, theirs := newApplication("p1", "mine"), newApplication("p2", "theirs")
		mine.Owner, theirs.Owner = "anna", "bert"
		return errors.Join(tx.AddApplication(mine), tx.AddApplication(theirs), tx.AddUsage("g1", "e1", []sluice.UsageCount{
			counted(at, org, "a1", "p1", 1), counted(at, org, "a1", "p2", 2), counted(at, org, "a2", "p1", 4), counted(at, org, "a2", "p2", 8),
			counted(at, org, "gone", "", 16),
		}))
	})
	for name, test := range map[string]struct {
		roles     []sluice.Role
		owner     string
		ownerOnly bool
		want      int64
	}{
		"an administrator":                  {nil, "", false, 31},
		"somebody without the role":         {[]sluice.Role{"x", "y"}, "", false, 19},
		"somebody without any role":         {[]sluice.Role{}, "", false, 19},
		"somebody with the role":            {[]sluice.Role{"x", "team"}, "", false, 31},
		"an owner":                          {nil, "anna", true, 5},
		"another owner":                     {nil, "bert", true, 10},
		"no owner":                          {nil, "carl", true, 0},
		"an owner who looks after APIs too": {[]sluice.Role{}, "bert", false, 27},
	} {
		f := database.UsageFilter{Organization: org, Interval: sluice.UsageHour, From: at, To: at.Add(time.Hour), AccessRoles: test.roles, Owner: test.owner, OwnerOnly: test.ownerOnly}
		total := int64(0)
		for _, p := range read(t, db, func(tx *database.Tx) ([]database.UsagePoint, error) { return tx.FindUsage(f) }) {
			total += p.Requests
		}
		same(t, "calls that are shown to "+name, total, test.want)
	}
	same(t, "organizations of APIs", read(t, db, func(tx *database.Tx) (map[string]string, error) { return tx.APIOrganizations([]string{"a1", "gone"}) }), map[string]string{"a1": org})
}

func testUsageRuns(t *testing.T, db *database.DB) {
	at := start()
	all(t, db, addEnvironment("e1", "Production"), func(tx *database.Tx) error {
		return errors.Join(tx.AddGateway(newGateway("g1", "e1", "k1")), tx.AddGateway(newGateway("g2", "e1", "k2")))
	})
	run := func(gateway, run string) int64 {
		return read(t, db, func(tx *database.Tx) (int64, error) { return tx.UsageRun(gateway, run) })
	}
	same(t, "a run that is not known", run("g1", "r1"), int64(0))
	for _, put := range [][2]int64{{3, 0}, {5, 7}, {4, 2}} {
		update(t, db, func(tx *database.Tx) error {
			return errors.Join(tx.PutUsageRun("g1", "r1", put[0], put[1], at), tx.PutUsageUntil("g1", at.Add(time.Duration(put[0])*time.Second)))
		})
	}
	update(t, db, func(tx *database.Tx) error { return tx.PutUsageRun("g1", "r2", 1, 1, at.Add(time.Hour)) })
	same(t, "sequences", []int64{run("g1", "r1"), run("g1", "r2"), run("g2", "r1")}, []int64{5, 1, 0})
	lost := func(since time.Time) map[string]int64 {
		return read(t, db, func(tx *database.Tx) (map[string]int64, error) { return tx.UsageLost(since) })
	}
	same(t, "lost calls", lost(at), map[string]int64{"g1": 8})
	same(t, "lost calls of late", lost(at.Add(time.Minute)), map[string]int64{"g1": 1})
	until := func() map[string]time.Time {
		return read(t, db, func(tx *database.Tx) (map[string]time.Time, error) { return tx.UsageUntil() })
	}
	same(t, "complete until", until(), map[string]time.Time{"g1": at.Add(5 * time.Second)})
	update(t, db, func(tx *database.Tx) error { return tx.DeleteUsageSeries(at.Add(time.Minute)) })
	same(t, "sequences after old runs were forgotten", []int64{run("g1", "r1"), run("g1", "r2")}, []int64{0, 1})
	update(t, db, func(tx *database.Tx) error { return tx.DeleteGateway("g1") })
	same(t, "what is left of a gateway that was removed", len(until()), 0)
	same(t, "its run", run("g1", "r2"), int64(0))
}

// byAPI sorts points for comparison.
func byAPI(a, b database.UsagePoint) int { return cmp.Compare(a.APIID, b.APIID) }

func testUsageOfOrganization(t *testing.T, db *database.DB) {
	at := start().Truncate(time.Hour)
	all(t, db, func(tx *database.Tx) error {
		return tx.AddOrganization(&sluice.Organization{ID: "o2", Name: "o2", DisplayName: "O2"})
	}, func(tx *database.Tx) error {
		return tx.AddUsage("g1", "e1", []sluice.UsageCount{counted(at, org, "a1", "", 1), counted(at, "o2", "a2", "", 1), counted(at, org, "a0", "", 1)})
	}, func(tx *database.Tx) error { return tx.DeleteOrganization("o2") })
	for organization, want := range map[string][]string{org: {"a0", "a1"}, "o2": nil} {
		list := read(t, db, func(tx *database.Tx) ([]database.UsagePoint, error) {
			return tx.FindUsage(database.UsageFilter{Organization: organization, Interval: sluice.UsageDay, From: at.Add(-24 * time.Hour), To: at.Add(time.Hour)})
		})
		slices.SortFunc(list, byAPI)
		same(t, "APIs with usage in "+organization, names(list, func(p database.UsagePoint) string { return p.APIID }), want)
	}
}
