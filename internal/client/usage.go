package client

import (
	"context"
	"net/url"
	"strings"
	"time"
)

// Usage is how often APIs were called, and how that went.
type Usage struct {
	From          time.Time     `json:"from"`
	To            time.Time     `json:"to"`
	Interval      string        `json:"interval"`      // "minute", "hour", "day"
	CompleteUntil time.Time     `json:"completeUntil"` // later figures may grow
	Missing       []string      `json:"missing"`       // ids of gateways that have not told everything
	Lost          int64         `json:"lost"`          // calls that gateways had to drop
	Series        []UsageSeries `json:"series"`
}

// UsageSeries is the usage of what is alike in all that it was grouped by. Key has
// the value of each of these, and its name where it has one: api, apiName.
type UsageSeries struct {
	Key    map[string]string `json:"key"`
	Points []UsagePoint      `json:"points"`
}

// UsagePoint is the usage of one interval.
type UsagePoint struct {
	Time           time.Time   `json:"time"` // its beginning
	Requests       int64       `json:"requests"`
	Errors         int64       `json:"errors"`
	Throttled      int64       `json:"throttled"`
	BytesIn        int64       `json:"bytesIn"`
	BytesOut       int64       `json:"bytesOut"`
	Latency        Percentiles `json:"latency"`
	BackendLatency Percentiles `json:"backendLatency"`
}

// Percentiles are in milliseconds.
type Percentiles struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
}

// UsageQuery says which usage is asked for.
type UsageQuery struct {
	From, To time.Time
	Interval string            // empty: by how long the time is
	GroupBy  []string          // "api", "operation" …
	Only     map[string]string // the values of these, by the names of GroupBy
}

// Usage returns how often APIs were called.
func (c *Client) Usage(ctx context.Context, q UsageQuery) (Usage, error) {
	query := url.Values{
		"from": {q.From.UTC().Format(time.RFC3339)}, "to": {q.To.UTC().Format(time.RFC3339)},
		"interval": {q.Interval}, "groupBy": {strings.Join(q.GroupBy, ",")},
	}
	for name, value := range q.Only {
		query.Set(name, value)
	}
	var out Usage
	err := c.get(ctx, own+"/usage", query, &out)
	return out, err
}
