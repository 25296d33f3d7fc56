package sluice

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"
)

// AuditEntry is one act, kept for good. It is written in the transaction of the
// change it speaks of and holds no secret. Within a second it is sealed: its hash
// covers the entry and the hash of the one before, over all organizations.
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
	PreviousHash string // empty in the first entry
	Hash         string // HashAfter(PreviousHash); empty: not sealed yet
}

// HashAfter returns the entry's hash in the chain, hexadecimal: SHA-256 over the
// hash of the entry before, empty for the first, and then every field in the order
// of the struct up to TraceID, each after its length in bytes as 8 bytes in network
// order. Sequence and Time (microseconds since 1970) are decimal numbers.
func (e *AuditEntry) HashAfter(previous string) string {
	h := sha256.New()
	for _, field := range []string{
		previous, strconv.FormatInt(e.Sequence, 10), strconv.FormatInt(e.Time.UnixMicro(), 10), e.Organization, e.Actor, e.Client, e.Address,
		e.Action, e.ObjectType, e.ObjectID, e.ObjectName, e.Before, e.After, e.Result, e.TraceID,
	} {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(field))))
		_, _ = h.Write([]byte(field))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// AuditVerification is what a walk along the chain of the audit log found.
type AuditVerification struct {
	OK       bool
	First    int64  // the first entry that was looked at; 0: there are none
	Last     int64  // the last one that is sealed and as it was
	Hash     string // of Last
	Unsealed int    // newer entries that wait for their seal
	BrokenAt int64  // the first entry that is not as it was, or is not there; 0: none
	Reason   string // what is wrong with it
}
