package database

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
)

// usageSpans are the points that each call is counted in.
var usageSpans = []sluice.UsageInterval{sluice.UsageMinute, sluice.UsageHour, sluice.UsageDay}

// spanOf returns an interval as the column span has it.
func spanOf(i sluice.UsageInterval) int64 { return int64(i.Duration() / time.Second) }

// UsagePoint is what was counted of calls of one series in one interval.
type UsagePoint struct {
	At                       time.Time // beginning of the interval
	GatewayID, EnvironmentID string
	sluice.UsageCount        // Minute is that of At
}

const usageSeriesColumns = `id, organization, environment_id, gateway_id, api_id, api_name, api_version, revision, operation, application_id, key_type, status, refusal, seen_at`

// usageSeries returns the id of a series.
func (p *UsagePoint) series() string {
	k := p.UsageKey
	k.Minute = 0
	b, _ := json.Marshal([]any{p.GatewayID, p.EnvironmentID, k}) // texts and numbers
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

func usageSeriesFields(p *UsagePoint, id *string, seen *time.Time) []any {
	return []any{
		id, &p.Organization, &p.EnvironmentID, &p.GatewayID, &p.APIID, &p.APIName, &p.APIVersion, &p.Revision, &p.Operation, &p.ApplicationID, &p.KeyType,
		&p.Status, &p.Refusal, (*instant)(seen),
	}
}

const usageCountColumns = `at, requests, bytes_in, bytes_out, latency, backend`

func usageCountFields(p *UsagePoint) []any {
	return []any{(*instant)(&p.At), &p.Requests, &p.BytesIn, &p.BytesOut, histogram{&p.Latency}, histogram{&p.Backend}}
}

func usagePointFields(p *UsagePoint) []any {
	return append([]any{
		&p.Organization, &p.EnvironmentID, &p.GatewayID, &p.APIID, &p.APIName, &p.APIVersion, &p.Revision, &p.Operation, &p.ApplicationID, &p.KeyType,
		&p.Status, &p.Refusal,
	}, usageCountFields(p)...)
}

// AddUsage adds what a gateway of an environment has counted to the minutes,
// hours and days of what is stored. That each record is added once is up to the
// caller: see UsageRun.
func (tx *Tx) AddUsage(gatewayID, environmentID string, counts []sluice.UsageCount) error {
	series := map[string]*UsagePoint{}
	points := map[string]map[usageSlot]*UsagePoint{} // by series
	for i := range counts {
		c := UsagePoint{GatewayID: gatewayID, EnvironmentID: environmentID, UsageCount: counts[i]}
		id := c.series()
		if series[id] == nil {
			series[id], points[id] = &c, map[usageSlot]*UsagePoint{}
		}
		for _, span := range usageSpans {
			at := c.Time().Truncate(span.Duration())
			slot := usageSlot{spanOf(span), at.UnixMicro()}
			p := points[id][slot]
			if p == nil {
				p = &UsagePoint{At: at}
				points[id][slot] = p
			}
			p.Add(&counts[i])
		}
	}
	ids := slices.Sorted(maps.Keys(series))
	if err := tx.addUsageSeries(ids, series, points); err != nil {
		return err
	}
	var rows [][]any
	for _, id := range ids {
		if err := tx.readUsagePoints(id, points[id]); err != nil {
			return err
		}
		for slot, p := range points[id] {
			rows = append(rows, append([]any{id, slot.span}, usageCountFields(p)...))
		}
	}
	return tx.addEach(`insert into usage_points (series, span, `+usageCountColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8)
		on conflict (series, span, at) do update set requests = excluded.requests, bytes_in = excluded.bytes_in, bytes_out = excluded.bytes_out,
		latency = excluded.latency, backend = excluded.backend`, rows)
}

// usageSlot is a point of a series: its span and when it begins.
type usageSlot struct{ span, at int64 }

// addUsageSeries stores series, and the last day on which each counts something.
func (tx *Tx) addUsageSeries(ids []string, series map[string]*UsagePoint, points map[string]map[usageSlot]*UsagePoint) error {
	rows := make([][]any, len(ids))
	for i, id := range ids {
		var seen time.Time
		for _, p := range points[id] {
			if day := p.At.Truncate(sluice.UsageDay.Duration()); day.After(seen) {
				seen = day
			}
		}
		rows[i] = usageSeriesFields(series[id], &id, &seen)
	}
	return tx.addEach(`insert into usage_series (`+usageSeriesColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
		on conflict (id) do update set seen_at = excluded.seen_at where usage_series.seen_at < excluded.seen_at`, rows)
}

// readUsagePoints adds to the points of a series what is stored of them.
func (tx *Tx) readUsagePoints(id string, points map[usageSlot]*UsagePoint) error {
	args, where := []any{id}, make([]string, 0, len(points))
	for slot := range points {
		args = append(args, slot.span, slot.at)
		where = append(where, fmt.Sprintf("span = $%d and at = $%d", len(args)-1, len(args)))
	}
	type stored struct {
		span int64
		UsagePoint
	}
	found, err := query(tx, func(s *stored) []any { return append([]any{&s.span}, usageCountFields(&s.UsagePoint)...) },
		`select span, `+usageCountColumns+` from usage_points where series = $1 and (`+strings.Join(where, " or ")+`)`, args...)
	if err != nil {
		return err
	}
	for i := range found {
		points[usageSlot{found[i].span, found[i].At.UnixMicro()}].Add(&found[i].UsageCount)
	}
	return nil
}

// addEach runs an insert for each row, which is parsed once.
func (tx *Tx) addEach(q string, rows [][]any) error {
	if tx.failed != nil || len(rows) == 0 {
		return tx.failed
	}
	insert, err := tx.sql.PrepareContext(tx.ctx, q)
	if err != nil {
		return tx.fail("prepare", err)
	}
	defer func() { _ = insert.Close() }() // it ends with the transaction at the latest
	for _, row := range rows {
		if _, err := insert.ExecContext(tx.ctx, row...); err != nil {
			return tx.fail("write", err)
		}
	}
	return nil
}

// UsageRun returns the sequence of the last record that was stored of a run of a
// gateway's process; 0: none.
func (tx *Tx) UsageRun(gatewayID, run string) (int64, error) {
	sequence, err := tx.number(`select sequence from usage_runs where gateway_id = $1 and run = $2`, gatewayID, run)
	if sluice.IsNotFound(err) {
		return 0, nil
	}
	return sequence, err
}

// PutUsageRun stores the sequence of the last record that was stored of a run, how
// many calls it has lost, and when it was heard of. Neither number becomes less.
func (tx *Tx) PutUsageRun(gatewayID, run string, sequence, lost int64, heard time.Time) error {
	return tx.add(`insert into usage_runs (gateway_id, run, sequence, lost, heard_at) values ($1, $2, $3, $4, $5)
		on conflict (gateway_id, run) do update set heard_at = excluded.heard_at,
		sequence = case when excluded.sequence > usage_runs.sequence then excluded.sequence else usage_runs.sequence end,
		lost = case when excluded.lost > usage_runs.lost then excluded.lost else usage_runs.lost end`, gatewayID, run, sequence, lost, instant(heard))
}

// PutUsageUntil stores up to when all that a gateway has counted is stored. It
// does not become earlier.
func (tx *Tx) PutUsageUntil(gatewayID string, until time.Time) error {
	return tx.add(`insert into usage_gateways (gateway_id, until) values ($1, $2)
		on conflict (gateway_id) do update set until = excluded.until where usage_gateways.until < excluded.until`, gatewayID, instant(until))
}

// UsageUntil returns up to when all that each gateway has counted is stored, by
// gateway id; those that have reported nothing are not in it.
func (tx *Tx) UsageUntil() (map[string]time.Time, error) {
	type row struct {
		id    string
		until time.Time
	}
	list, err := query(tx, func(r *row) []any { return []any{&r.id, (*instant)(&r.until)} }, `select gateway_id, until from usage_gateways`)
	until := make(map[string]time.Time, len(list))
	for _, r := range list {
		until[r.id] = r.until
	}
	return until, err
}

// UsageLost returns how many calls gateways have lost in runs that were heard of
// since a time, by gateway id.
func (tx *Tx) UsageLost(since time.Time) (map[string]int64, error) {
	type row struct {
		id   string
		lost int64
	}
	list, err := query(tx, func(r *row) []any { return []any{&r.id, &r.lost} },
		`select gateway_id, cast(sum(lost) as bigint) from usage_runs where heard_at >= $1 and lost > 0 group by gateway_id`, instant(since))
	lost := make(map[string]int64, len(list))
	for _, r := range list {
		lost[r.id] = r.lost
	}
	return lost, err
}

// UsageFilter says which points FindUsage returns. What is empty does not matter,
// but for Organization, Interval, From and To.
type UsageFilter struct {
	Organization string
	Unmatched    bool                 // also calls that no API answered
	Interval     sluice.UsageInterval // of the points
	From, To     time.Time            // From itself, but not To
	AccessRoles  []sluice.Role        // nil: of any API; else of those without access control, or with one of these roles
	Owner        string               // of the application; with AccessRoles nil it alone counts, else beside them
	OwnerOnly    bool                 // AccessRoles does not count
	Limit        int                  // of points; 0: none

	API, Version, Application, Environment, Gateway, Operation string
	KeyType                                                    sluice.KeyType
	Refusal                                                    string
	Revision, Status                                           int
}

// FindUsage returns the points that the filter asks for, in order of time.
func (tx *Tx) FindUsage(f UsageFilter) ([]UsagePoint, error) {
	var args []any
	arg := func(v any) string { args = append(args, v); return fmt.Sprintf("$%d", len(args)) }
	where := []string{
		`p.span = ` + arg(spanOf(f.Interval)), `p.at >= ` + arg(instant(f.From)), `p.at < ` + arg(instant(f.To)),
	}
	if f.Unmatched {
		where = append(where, `s.organization in ('', `+arg(f.Organization)+`)`)
	} else {
		where = append(where, `s.organization = `+arg(f.Organization))
	}
	for column, v := range map[string]string{
		"api_id": f.API, "api_version": f.Version, "application_id": f.Application, "environment_id": f.Environment, "gateway_id": f.Gateway,
		"operation": f.Operation, "key_type": string(f.KeyType), "refusal": f.Refusal,
	} {
		if v != "" {
			where = append(where, `s.`+column+` = `+arg(v))
		}
	}
	for column, v := range map[string]int{"revision": f.Revision, "status": f.Status} {
		if v != 0 {
			where = append(where, `s.`+column+` = `+arg(v))
		}
	}
	var may []string
	if f.Owner != "" {
		may = append(may, `s.application_id in (select id from applications where organization = `+arg(f.Organization)+` and owner = `+arg(f.Owner)+`)`)
	}
	if !f.OwnerOnly {
		may = append(may, usageAccess(f.AccessRoles, arg))
	}
	where = append(where, `(`+strings.Join(may, ` or `)+`)`)
	return query(tx, usagePointFields, `select organization, environment_id, gateway_id, api_id, api_name, api_version, revision, operation, application_id, key_type, status, refusal,
		`+usageCountColumns+` from usage_points p join usage_series s on s.id = p.series
		where `+strings.Join(where, ` and `)+` order by p.at, s.id limit `+arg(atMost(f.Limit)), args...)
}

// usageAccess returns the condition that an API may be seen in the Publisher by
// those with one of the roles; nil: any API. One that is deleted has no access
// control.
func usageAccess(roles []sluice.Role, arg func(any) string) string {
	if roles == nil {
		return `1 = 1`
	}
	allowed := `1 = 0`
	if len(roles) > 0 {
		names := make([]string, len(roles))
		for i, r := range roles {
			names[i] = arg(string(r))
		}
		allowed = `exists (select 1 from api_roles r where r.api_id = a.id and r.purpose = '` + toChange + `' and r.role in (` + strings.Join(names, ", ") + `))`
	}
	return `not exists (select 1 from apis a where a.id = s.api_id and a.restricted and not ` + allowed + `)`
}

// DeleteUsage deletes the points of an interval that begin before a time.
func (tx *Tx) DeleteUsage(interval sluice.UsageInterval, before time.Time) error {
	_, err := tx.exec(`delete from usage_points where span = $1 and at < $2`, spanOf(interval), instant(before))
	return err
}

// DeleteUsageSeries deletes the series in which nothing was counted since a time,
// and forgets the runs that were not heard of since then.
func (tx *Tx) DeleteUsageSeries(before time.Time) error {
	if _, err := tx.exec(`delete from usage_series where seen_at < $1`, instant(before)); err != nil {
		return err
	}
	_, err := tx.exec(`delete from usage_runs where heard_at < $1`, instant(before))
	return err
}

// APIOrganizations returns the organizations of those APIs that there are, by API
// id.
func (tx *Tx) APIOrganizations(ids []string) (map[string]string, error) {
	type row struct{ id, organization string }
	found := map[string]string{}
	for part := range slices.Chunk(ids, 500) {
		args, names := make([]any, len(part)), make([]string, len(part))
		for i, id := range part {
			args[i], names[i] = id, fmt.Sprintf("$%d", i+1)
		}
		list, err := query(tx, func(r *row) []any { return []any{&r.id, &r.organization} },
			`select id, organization from apis where id in (`+strings.Join(names, ", ")+`)`, args...)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			found[r.id] = r.organization
		}
	}
	return found, nil
}
