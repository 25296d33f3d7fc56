package sluice

import "time"

// UsageKey says which calls a UsageCount is of. What was not known of a call is
// empty.
type UsageKey struct {
	Minute        int64   // in which the calls ended, since 1970 in UTC
	Organization  string  // of the API; empty: no API answered
	APIID         string  // empty: no API answered
	APIName       string  // when it was called
	APIVersion    string  // when it was called
	Revision      int     // of the API that was deployed
	Operation     string  // "GET /stations/{id}"; empty: none was matched
	ApplicationID string  // empty: a call without one
	KeyType       KeyType // empty: a call without a key
	Status        int     // first digit of the answer's status, 1 to 5; 0: there was no answer
	Refusal       string  // the check that ended the call in the gateway; empty: the backend answered
}

// UsageCount is what a gateway has counted of calls of one key.
type UsageCount struct {
	UsageKey
	Requests int64
	BytesIn  int64     // of request bodies whose length was said
	BytesOut int64     // of the bodies of answers, as far as they were sent
	Latency  Histogram // from the end of the request's head to that of the answer
	Backend  Histogram // until the head of the backend's answer, or its failure; of calls that reached it
}

// Add adds what o has counted.
func (c *UsageCount) Add(o *UsageCount) {
	c.Requests += o.Requests
	c.BytesIn += o.BytesIn
	c.BytesOut += o.BytesOut
	c.Latency.Merge(&o.Latency)
	c.Backend.Merge(&o.Backend)
}

// Time returns the beginning of the key's minute.
func (k *UsageKey) Time() time.Time { return time.Unix(60*k.Minute, 0).UTC() }

// UsageInterval is the length of the intervals in which usage is shown. They
// begin with those of UTC.
type UsageInterval string

// Usage intervals.
const (
	UsageMinute UsageInterval = "minute"
	UsageHour   UsageInterval = "hour"
	UsageDay    UsageInterval = "day"
)

// Duration returns the length of the interval, 0 for one that is not known.
func (i UsageInterval) Duration() time.Duration {
	switch i {
	case UsageMinute:
		return time.Minute
	case UsageHour:
		return time.Hour
	case UsageDay:
		return 24 * time.Hour
	}
	return 0
}
