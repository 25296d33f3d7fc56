package sluice

import "time"

// TraceLife is how long a gateway remembers calls that were refused or failed.
const TraceLife = 24 * time.Hour

// Trace is what a gateway remembers of one call that it refused, or that
// failed: why the caller got this answer. It holds no token, no query and no
// body.
type Trace struct {
	ID            string        `json:"id"` // that of the answer's X-Trace-Id
	GatewayID     string        `json:"gateway_id,omitempty"`
	Time          time.Time     `json:"time"`
	Method        string        `json:"method"`
	Path          string        `json:"path"`                   // in canonical form where the call came so far
	APIID         string        `json:"api_id,omitempty"`       // empty: no API was found
	Organization  string        `json:"organization,omitempty"` // of the API
	APIName       string        `json:"api_name,omitempty"`
	APIVersion    string        `json:"api_version,omitempty"`
	Operation     string        `json:"operation,omitempty"` // "GET /stations/{id}"; empty: none was found
	ApplicationID string        `json:"application_id,omitempty"`
	KeyType       KeyType       `json:"key_type,omitempty"`
	Check         string        `json:"check,omitempty"` // the check that ended the call; empty: the backend answered
	Code          string        `json:"code,omitempty"`  // of the fault
	Reason        string        `json:"reason,omitempty"`
	Status        int           `json:"status"` // that the caller got
	Duration      time.Duration `json:"duration"`
	BackendStatus int           `json:"backend_status,omitempty"` // 0: no answer
	BackendTime   time.Duration `json:"backend_time,omitempty"`   // 0: the backend was not called
}
