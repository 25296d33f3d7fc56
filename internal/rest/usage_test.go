package rest

import (
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// TestUsage reads usage as JSON and as CSV, as those to whom it is shown and as
// others.
func TestUsage(t *testing.T) {
	p := start(t)
	admin := p.administrator(t)
	p.addOrganization(t, "acme")
	api := p.api(t, admin, "Weather")
	at := time.Now().UTC().Truncate(time.Hour)
	counted := func(status int, refusal string, requests int64) sluice.UsageCount {
		c := sluice.UsageCount{UsageKey: sluice.UsageKey{
			Minute: at.Unix() / 60, Organization: sluice.DefaultOrganization, APIID: api, APIName: "=Weather", APIVersion: "1.0", Revision: 2,
			Operation: "GET /today", Status: status, Refusal: refusal,
		}, Requests: requests, BytesIn: 7, BytesOut: 9}
		for range requests {
			c.Latency.Add(20 * time.Millisecond)
		}
		return c
	}
	err := p.db.Update(t.Context(), func(tx *database.Tx) error {
		return tx.AddUsage("g1", "e1", []sluice.UsageCount{counted(2, "", 5), counted(4, "limit", 3), counted(4, "scope", 2)})
	})
	if err != nil {
		t.Fatal(err)
	}
	get := "GET " + own + "/usage?from=" + at.Format(time.RFC3339) + "&to=" + at.Add(time.Hour).Format(time.RFC3339)
	got := as[usageDocument](t, p.do(t, admin, get+"&groupBy=api,gateway", ""), 200)
	if len(got.Series) != 1 || len(got.Series[0].Points) != 1 || got.Interval != "minute" || got.From != stamp(at) || got.Missing == nil {
		t.Fatalf("usage = %+v", got)
	}
	point, key := got.Series[0].Points[0], got.Series[0].Key
	if key["api"] != api || key["apiName"] != "=Weather" || key["gateway"] != "g1" || point.Requests != 10 || point.Errors != 2 || point.Throttled != 3 ||
		point.BytesIn != 21 || point.BytesOut != 27 || point.Latency.P50 < 19.4 || point.Latency.P99 > 20.6 || point.BackendLatency != (percentiles{}) || point.Time != stamp(at) {
		t.Errorf("%v: %+v", key, point)
	}
	for query, want := range map[string]int64{
		"": 10, "&status=4xx": 5, "&status=5xx": 0, "&refusal=scope": 2, "&api=" + api: 10, "&api=x": 0, "&revision=2": 10, "&revision=3": 0,
		"&operation=GET%20/today": 10, "&version=2": 0, "&keyType=SANDBOX": 0, "&interval=day": 10, "&environment=e1": 10, "&gateway=g2": 0, "&application=x": 0,
	} {
		total := int64(0)
		for _, s := range as[usageDocument](t, p.do(t, admin, get+query, ""), 200).Series {
			total += s.Points[0].Requests
		}
		if total != want {
			t.Errorf("usage with %q: %d calls, want %d", query, total, want)
		}
	}
	for query, code := range map[string]string{
		"?from=x&to=y": "invalid", "?from=2026-01-01T00:00:00Z": "time",
		"?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&status=404":     "usage.status",
		"?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&revision=x":     "usage.revision",
		"?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&groupBy=x":      "usage.group",
		"?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&interval=month": "usage.interval",
	} {
		p.do(t, admin, "GET "+own+"/usage"+query, "").wantError(t, 400, code, 0)
	}

	rows, err := csv.NewReader(strings.NewReader(string(p.do(t, admin, get+"&groupBy=api,status", "", "Accept", "text/csv").body))).ReadAll()
	if err != nil || len(rows) != 3 || strings.Join(rows[0][:5], " ") != "time api apiName status requests" {
		t.Fatalf("CSV: %v, %v", rows, err)
	}
	if r := rows[1]; r[0] != at.Format(time.RFC3339) || r[1] != api || r[2] != "'=Weather" || r[3] != "2xx" || r[4] != "5" {
		t.Errorf("CSV: %v", r)
	}

	for name, test := range map[string]struct {
		org    string
		role   sluice.Role
		status int
		series int
	}{
		"publisher":            {sluice.DefaultOrganization, sluice.Publisher, 200, 1},
		"subscriber":           {sluice.DefaultOrganization, sluice.Subscriber, 200, 0},
		"integration":          {sluice.DefaultOrganization, sluice.IntegrationDev, 403, 0},
		"foreignadministrator": {"acme", sluice.Administrator, 200, 0},
	} {
		a := p.do(t, p.user(t, test.org, name, test.role), get, "")
		if a.status != test.status || a.status == 200 && len(as[usageDocument](t, a, 200).Series) != test.series {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}
