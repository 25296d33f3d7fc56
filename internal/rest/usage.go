package rest

import (
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
)

// usageDocument is how often APIs were called.
type usageDocument struct {
	From          string        `json:"from"`
	To            string        `json:"to"`
	Interval      string        `json:"interval"`
	CompleteUntil string        `json:"completeUntil"`
	Missing       []string      `json:"missing"`
	Lost          int64         `json:"lost"`
	Series        []usageSeries `json:"series"`
}

// usageSeries has in its key each dimension that was asked for, and beside it
// what that is called, as apiName beside api.
type usageSeries struct {
	Key    map[string]string `json:"key"`
	Points []usagePoint      `json:"points"`
}

type usagePoint struct {
	Time           string      `json:"time"`
	Requests       int64       `json:"requests"`
	Errors         int64       `json:"errors"`
	Throttled      int64       `json:"throttled"`
	BytesIn        int64       `json:"bytesIn"`
	BytesOut       int64       `json:"bytesOut"`
	Latency        percentiles `json:"latency"`
	BackendLatency percentiles `json:"backendLatency"`
}

// percentiles are in milliseconds.
type percentiles struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
}

func percentilesOf(h *sluice.Histogram) percentiles {
	return percentiles{milliseconds(h.Quantile(0.5)), milliseconds(h.Quantile(0.9)), milliseconds(h.Quantile(0.99))}
}

func usageOf(u *control.Usage) usageDocument {
	d := usageDocument{
		From: stamp(u.From), To: stamp(u.To), Interval: string(u.Interval), CompleteUntil: stamp(u.CompleteUntil), Missing: append([]string{}, u.Missing...),
		Lost: u.Lost, Series: make([]usageSeries, len(u.Series)),
	}
	for i, s := range u.Series {
		out := usageSeries{Key: map[string]string{}, Points: make([]usagePoint, len(s.Points))}
		for dimension, value := range s.Key {
			out.Key[string(dimension)] = value
		}
		for dimension, name := range s.Names {
			out.Key[string(dimension)+"Name"] = name
		}
		for n := range s.Points {
			p := &s.Points[n]
			out.Points[n] = usagePoint{
				stamp(p.At), p.Requests, p.Errors, p.Throttled, p.BytesIn, p.BytesOut, percentilesOf(&p.Latency), percentilesOf(&p.Backend),
			}
		}
		d.Series[i] = out
	}
	return d
}

// usageQuery reads what is asked for.
func usageQuery(r *http.Request) (q control.UsageQuery, err error) {
	if q.From, q.To, err = timesOf(r); err != nil {
		return q, err
	}
	v := r.URL.Query()
	q.Interval = sluice.UsageInterval(v.Get("interval"))
	for name := range strings.SplitSeq(v.Get("groupBy"), ",") {
		if name != "" {
			q.GroupBy = append(q.GroupBy, control.UsageDimension(name))
		}
	}
	q.API, q.Version, q.Application, q.Environment, q.Gateway, q.Operation = v.Get("api"), v.Get("version"), v.Get("application"), v.Get("environment"), v.Get("gateway"), v.Get("operation")
	q.KeyType, q.Refusal = sluice.KeyType(v.Get("keyType")), v.Get("refusal")
	if text := v.Get("revision"); text != "" {
		if q.Revision, err = strconv.Atoi(text); err != nil || q.Revision < 1 {
			return q, sluice.Errorf(sluice.Invalid, "usage.revision", "A revision is a number above 0.").At("revision")
		}
	}
	if text := v.Get("status"); text != "" {
		class, ok := strings.CutSuffix(text, "xx")
		if q.Status, err = strconv.Atoi(class); err != nil || !ok || q.Status < 1 {
			return q, sluice.Errorf(sluice.Invalid, "usage.status", "The status is 1xx, 2xx, 3xx, 4xx or 5xx.").At("status")
		}
	}
	return q, nil
}

func (s *Server) getUsage(w http.ResponseWriter, r *http.Request) error {
	q, err := usageQuery(r)
	if err != nil {
		return err
	}
	u, err := s.plane.Usage(r.Context(), q)
	if err != nil {
		return err
	}
	if strings.Contains(r.Header.Get("Accept"), "text/csv") {
		return writeUsage(w, &u, q.GroupBy)
	}
	return answer(w, http.StatusOK, usageOf(&u))
}

// named are the dimensions whose values have names.
var named = map[control.UsageDimension]bool{control.ByAPI: true, control.ByApplication: true, control.ByEnvironment: true, control.ByGateway: true}

// writeUsage writes usage as CSV (RFC 4180), a line for each point.
func writeUsage(w http.ResponseWriter, u *control.Usage, by []control.UsageDimension) error {
	w.Header().Set("Content-Type", "text/csv")
	w.WriteHeader(http.StatusOK)
	c := csv.NewWriter(w)
	c.UseCRLF = true
	line := []string{"time"}
	for _, d := range by {
		if line = append(line, string(d)); named[d] {
			line = append(line, string(d)+"Name")
		}
	}
	_ = c.Write(append(line, strings.Fields("requests errors throttled bytesIn bytesOut p50 p90 p99 backendP50 backendP90 backendP99")...)) // Error tells
	for i := range u.Series {
		for n := range u.Series[i].Points {
			_ = c.Write(usageCells(&u.Series[i], &u.Series[i].Points[n], by))
		}
	}
	c.Flush()
	return c.Error()
}

func usageCells(s *control.UsageSeries, p *control.UsagePoint, by []control.UsageDimension) []string {
	line := []string{p.At.UTC().Format(time.RFC3339)}
	for _, d := range by {
		if line = append(line, cell(s.Key[d])); named[d] {
			line = append(line, cell(s.Names[d]))
		}
	}
	for _, n := range []int64{p.Requests, p.Errors, p.Throttled, p.BytesIn, p.BytesOut} {
		line = append(line, strconv.FormatInt(n, 10))
	}
	for _, h := range []*sluice.Histogram{&p.Latency, &p.Backend} {
		q := percentilesOf(h)
		for _, ms := range []float64{q.P50, q.P90, q.P99} {
			line = append(line, strconv.FormatFloat(ms, 'f', 3, 64))
		}
	}
	return line
}
