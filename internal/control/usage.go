package control

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/distribution"
)

// How long usage is kept, by the length of its intervals.
const (
	keepMinutes = 7 * 24 * time.Hour
	keepHours   = 90 * 24 * time.Hour
	keepDays    = 2 * 365 * 24 * time.Hour
)

// Limits of one question about usage.
const (
	maxUsageIntervals = 10_080 // a week in minutes
	maxUsagePoints    = 200_000
	usageAhead        = time.Hour       // a gateway's clock is taken for right
	usageSlack        = 2 * time.Minute // a gateway with nothing to say says so each minute
)

// storeUsage stores what a gateway has counted. A record that is stored already
// counts as stored: gateways send again what was not answered.
func (p *Plane) storeUsage(ctx context.Context, r distribution.UsageReport) error {
	return p.db.Update(ctx, func(tx *database.Tx) error {
		last, err := tx.UsageRun(r.GatewayID, r.Run)
		if err != nil {
			return err
		}
		var counts []sluice.UsageCount
		for _, record := range r.Records {
			if record.Sequence <= last {
				continue
			}
			if last = record.Sequence; record.Damaged {
				p.log.ErrorContext(ctx, "a record of a gateway's usage is damaged; its calls are not counted",
					"gateway_id", r.GatewayID, "run", r.Run, "sequence", record.Sequence, "calls", record.Calls)
			}
			counts = append(counts, record.Counts...)
		}
		if err := p.checkUsage(ctx, tx, r.GatewayID, counts); err != nil {
			return err
		}
		if err := tx.AddUsage(r.GatewayID, r.EnvironmentID, counts); err != nil {
			return err
		}
		if err := tx.PutUsageRun(r.GatewayID, r.Run, last, r.Lost, p.now()); err != nil {
			return err
		}
		if r.Until.IsZero() {
			return nil
		}
		return tx.PutUsageUntil(r.GatewayID, earlier(r.Until, p.now()))
	})
}

// checkUsage puts right what a gateway may not decide: whose an API is, and that
// calls are of the past.
func (p *Plane) checkUsage(ctx context.Context, tx *database.Tx, gatewayID string, counts []sluice.UsageCount) error {
	ids := map[string]bool{}
	for i := range counts {
		ids[counts[i].APIID] = true
	}
	delete(ids, "")
	organizations, err := tx.APIOrganizations(slices.Sorted(maps.Keys(ids)))
	if err != nil {
		return err
	}
	now := p.now().Unix() / 60
	for i := range counts {
		c := &counts[i]
		if c.Minute > now+int64(usageAhead/time.Minute) {
			c.Minute = now
		}
		switch owner, known := organizations[c.APIID]; {
		case c.APIID == "":
			c.Organization = ""
		case known && owner != c.Organization:
			p.log.WarnContext(ctx, "a gateway counts calls for another organization than the API's", "gateway_id", gatewayID, "api_id", c.APIID)
			c.Organization = owner
		}
	}
	return nil
}

// removeOldUsage deletes usage that is not kept any longer.
func (p *Plane) removeOldUsage(tx *database.Tx) error {
	for interval, keep := range map[sluice.UsageInterval]time.Duration{sluice.UsageMinute: keepMinutes, sluice.UsageHour: keepHours, sluice.UsageDay: keepDays} {
		if err := tx.DeleteUsage(interval, p.now().Add(-keep)); err != nil {
			return err
		}
	}
	return tx.DeleteUsageSeries(p.now().Add(-keepDays))
}

// UsageDimension is what usage can be told apart by.
type UsageDimension string

// Dimensions of usage.
const (
	ByAPI         UsageDimension = "api"
	ByVersion     UsageDimension = "version"
	ByRevision    UsageDimension = "revision"
	ByOperation   UsageDimension = "operation"
	ByApplication UsageDimension = "application"
	ByKeyType     UsageDimension = "keyType"
	ByEnvironment UsageDimension = "environment"
	ByGateway     UsageDimension = "gateway"
	ByStatus      UsageDimension = "status"
	ByRefusal     UsageDimension = "refusal"
)

// usageDimensions are how points are told apart by each of them.
var usageDimensions = map[UsageDimension]func(u *database.UsagePoint) string{
	ByAPI:         func(u *database.UsagePoint) string { return u.APIID },
	ByVersion:     func(u *database.UsagePoint) string { return u.APIVersion },
	ByRevision:    func(u *database.UsagePoint) string { return fmt.Sprint(u.Revision) },
	ByOperation:   func(u *database.UsagePoint) string { return u.Operation },
	ByApplication: func(u *database.UsagePoint) string { return u.ApplicationID },
	ByKeyType:     func(u *database.UsagePoint) string { return string(u.KeyType) },
	ByEnvironment: func(u *database.UsagePoint) string { return u.EnvironmentID },
	ByGateway:     func(u *database.UsagePoint) string { return u.GatewayID },
	ByStatus:      func(u *database.UsagePoint) string { return fmt.Sprintf("%dxx", u.Status) },
	ByRefusal:     func(u *database.UsagePoint) string { return u.Refusal },
}

// UsageQuery says which usage is asked for. What is empty does not matter, but for
// From and To.
type UsageQuery struct {
	From, To time.Time            // at least the intervals that they are in
	Interval sluice.UsageInterval // empty: minutes of up to six hours, hours of up to two weeks, else days
	GroupBy  []UsageDimension

	API, Version, Application, Environment, Gateway, Operation string
	KeyType                                                    sluice.KeyType
	Refusal                                                    string
	Revision, Status                                           int
}

// Usage is how often APIs were called, and how that went.
type Usage struct {
	From, To      time.Time // beginning of the first interval and end of the last
	Interval      sluice.UsageInterval
	CompleteUntil time.Time // every gateway has told what it counted by then; later figures may grow
	Missing       []string  // ids of gateways that have not told all they counted by To, or lately
	Lost          int64     // calls that gateways had to drop since From, in whatever interval
	Series        []UsageSeries
}

// UsageSeries is the usage of what is alike in all dimensions that were asked for.
type UsageSeries struct {
	Key    map[UsageDimension]string
	Names  map[UsageDimension]string // of APIs, applications, environments and gateways, as far as they are known
	Points []UsagePoint              // in order of time; intervals without a call are left out
}

// UsagePoint is the usage of one interval.
type UsagePoint struct {
	At        time.Time // its beginning
	Requests  int64     // all of them
	Errors    int64     // answered with a status of 400 or more, but for those that were throttled
	Throttled int64     // ended by a limit
	BytesIn   int64
	BytesOut  int64
	Latency   sluice.Histogram
	Backend   sluice.Histogram
}

func (u *UsagePoint) add(p *database.UsagePoint) {
	u.Requests += p.Requests
	switch {
	case p.Refusal == throttledBy:
		u.Throttled += p.Requests
	case p.Status >= 4 || p.Status == 0:
		u.Errors += p.Requests
	}
	u.BytesIn += p.BytesIn
	u.BytesOut += p.BytesOut
	u.Latency.Merge(&p.Latency)
	u.Backend.Merge(&p.Backend)
}

// throttledBy is the check that ends calls beyond a limit, as policy.Fault names
// it.
const throttledBy = "limit"

// Usage returns the usage of the organization's APIs that the actor sees in the
// Publisher, and that of the actor's own applications. The installation's own
// operators also see calls that no API answered.
func (p *Plane) Usage(ctx context.Context, q UsageQuery) (Usage, error) {
	actor, err := allow(ctx, slices.Concat(viewers, subscribers)...)
	if err != nil {
		return Usage{}, err
	}
	if err := q.check(); err != nil {
		return Usage{}, err
	}
	f := database.UsageFilter{
		Organization: actor.Organization, Unmatched: actor.Organization == sluice.DefaultOrganization && actor.Has(operators...),
		Interval: q.Interval, From: q.From, To: q.To, Owner: actor.Name, AccessRoles: accessRoles(actor), OwnerOnly: !actor.Has(viewers...),
		Limit: maxUsagePoints + 1,
		API:   q.API, Version: q.Version, Application: q.Application, Environment: q.Environment, Gateway: q.Gateway, Operation: q.Operation,
		KeyType: q.KeyType, Refusal: q.Refusal, Revision: q.Revision, Status: q.Status,
	}
	out := Usage{From: q.From, To: q.To, Interval: q.Interval}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		points, err := tx.FindUsage(f)
		if err != nil {
			return err
		}
		if len(points) > maxUsagePoints {
			return sluice.Errorf(sluice.Invalid, "usage.too_much", "This is too much at once; ask for a shorter time, longer intervals or fewer APIs.").At("from")
		}
		out.Series = seriesOf(points, q.GroupBy)
		if err := addUsageNames(tx, out.Series, q.GroupBy); err != nil {
			return err
		}
		return p.addCompleteness(tx, &out, q)
	})
	return out, err
}

// check makes the times those of whole intervals, and reports what is wrong.
func (q *UsageQuery) check() error {
	var problems sluice.Problems
	if q.From.IsZero() {
		problems.Add("from", "time", "Say from when.")
	}
	if q.To.IsZero() {
		problems.Add("to", "time", "Say until when.")
	}
	switch length := q.To.Sub(q.From); {
	case q.Interval != "":
	case length <= 6*time.Hour:
		q.Interval = sluice.UsageMinute
	case length <= 14*24*time.Hour:
		q.Interval = sluice.UsageHour
	default:
		q.Interval = sluice.UsageDay
	}
	interval := q.Interval.Duration()
	if interval == 0 {
		problems.Add("interval", "usage.interval", "The interval is minute, hour or day.")
	}
	for _, d := range q.GroupBy {
		if usageDimensions[d] == nil {
			problems.Add("groupBy", "usage.group", "Usage is told apart by %s.", dimensionNames())
			break
		}
	}
	if q.Status < 0 || q.Status > 5 {
		problems.Add("status", "usage.status", "The status is 1xx, 2xx, 3xx, 4xx or 5xx.")
	}
	if err := problems.Err(); err != nil {
		return err
	}
	q.From, q.To = q.From.UTC().Truncate(interval), q.To.UTC().Add(interval-1).Truncate(interval)
	switch length := q.To.Sub(q.From); {
	case length <= 0:
		return sluice.Errorf(sluice.Invalid, "usage.range", "The end is not after the beginning.").At("to")
	case length/interval > maxUsageIntervals:
		return sluice.Errorf(sluice.Invalid, "usage.range", "At most %d intervals are shown at once; these are %d.", maxUsageIntervals, length/interval).At("to")
	}
	return nil
}

func dimensionNames() string {
	var names []string
	for d := range usageDimensions {
		names = append(names, string(d))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// seriesOf adds points up to one series for each combination of dimensions, in
// order of them. The points are in order of time.
func seriesOf(points []database.UsagePoint, by []UsageDimension) []UsageSeries {
	index := map[string]*UsageSeries{}
	for i := range points {
		p := &points[i]
		values := make([]string, len(by))
		for n, d := range by {
			values[n] = usageDimensions[d](p)
		}
		id := fmt.Sprintf("%q", values)
		s := index[id]
		if s == nil {
			s = &UsageSeries{Key: map[UsageDimension]string{}, Names: map[UsageDimension]string{}}
			for n, d := range by {
				s.Key[d] = values[n]
			}
			index[id] = s
		}
		if _, told := s.Key[ByAPI]; told {
			s.Names[ByAPI] = p.APIName // of several the newest
		}
		if n := len(s.Points); n == 0 || !s.Points[n-1].At.Equal(p.At) {
			s.Points = append(s.Points, UsagePoint{At: p.At})
		}
		s.Points[len(s.Points)-1].add(p)
	}
	series := make([]UsageSeries, 0, len(index))
	for _, id := range slices.Sorted(maps.Keys(index)) {
		series = append(series, *index[id])
	}
	return series
}

// addUsageNames looks up what ids are called that are still there.
func addUsageNames(tx *database.Tx, series []UsageSeries, by []UsageDimension) error {
	for _, d := range by {
		names := map[string]string{}
		switch d {
		case ByApplication:
			list, err := tx.AllApplications()
			if err != nil {
				return err
			}
			for _, a := range list {
				names[a.ID] = a.Name
			}
		case ByEnvironment:
			list, err := tx.Environments()
			if err != nil {
				return err
			}
			for _, e := range list {
				names[e.ID] = e.Name
			}
		case ByGateway:
			list, err := tx.Gateways("")
			if err != nil {
				return err
			}
			for _, g := range list {
				names[g.ID] = g.Name
			}
		}
		for _, s := range series {
			if name := names[s.Key[d]]; name != "" {
				s.Names[d] = name
			}
		}
	}
	return nil
}

// addCompleteness says up to when everything that concerns q has arrived.
func (p *Plane) addCompleteness(tx *database.Tx, u *Usage, q UsageQuery) error {
	gateways, err := tx.Gateways(q.Environment)
	if err != nil {
		return err
	}
	until, err := tx.UsageUntil()
	if err != nil {
		return err
	}
	lost, err := tx.UsageLost(u.From)
	if err != nil {
		return err
	}
	now := p.now().UTC()
	u.CompleteUntil = earlier(u.To, now)
	due := earlier(u.To, now.Add(-usageSlack))
	for _, g := range gateways {
		if q.Gateway != "" && g.ID != q.Gateway {
			continue
		}
		at := until[g.ID]
		if at.IsZero() {
			at = g.EnrolledAt // it has told nothing yet
		}
		u.CompleteUntil = earlier(u.CompleteUntil, at)
		u.Lost += lost[g.ID]
		if at.Before(due) {
			u.Missing = append(u.Missing, g.ID)
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
