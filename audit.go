package sluice

import "time"

// AuditEntry is one act, kept for good. It is written in the transaction of the
// change it speaks of and holds no secret.
type AuditEntry struct {
	Sequence     int64
	Time         time.Time
	Organization string
	Actor        string
	Client       string
	Address      string
	Action       string // "api.create", "deployment.add", …
	ObjectType   string
	ObjectID     string
	ObjectName   string
	Before       string // digest of the object before, empty: there was none
	After        string
	Result       string // "ok", or the code of the error
	TraceID      string
}
