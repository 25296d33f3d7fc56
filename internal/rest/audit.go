package rest

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
)

// auditDocument is an entry of the audit log with its seal.
type auditDocument struct {
	Sequence     int64       `json:"sequence"`
	Time         string      `json:"time"`
	Actor        auditActor  `json:"actor"`
	Action       string      `json:"action"`
	Object       auditObject `json:"object"`
	Before       string      `json:"before"`
	After        string      `json:"after"`
	Result       string      `json:"result"`
	TraceID      string      `json:"traceId"`
	PreviousHash string      `json:"previousHash"`
	Hash         string      `json:"hash"` // empty: not sealed yet
}

type auditActor struct {
	User    string `json:"user"`
	Client  string `json:"client"`
	Address string `json:"address"`
}

type auditObject struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

func auditOf(e sluice.AuditEntry) auditDocument {
	return auditDocument{
		Sequence: e.Sequence, Time: e.Time.UTC().Format(time.RFC3339Nano), Actor: auditActor{e.Actor, e.Client, e.Address},
		Action: e.Action, Object: auditObject{e.ObjectType, e.ObjectID, e.ObjectName}, Before: e.Before, After: e.After,
		Result: e.Result, TraceID: e.TraceID, PreviousHash: e.PreviousHash, Hash: e.Hash,
	}
}

// auditPage is a page of the audit log, paged by sequence: an offset would move
// under the reader.
type auditPage struct {
	Count      int             `json:"count"`
	List       []auditDocument `json:"list"`
	Pagination struct {
		Limit int    `json:"limit"`
		Next  string `json:"next"`
	} `json:"pagination"`
}

// timesOf reads from and to, RFC 3339.
func timesOf(r *http.Request) (from, to time.Time, err error) {
	var problems sluice.Problems
	for name, at := range map[string]*time.Time{"from": &from, "to": &to} {
		if text := r.URL.Query().Get(name); text != "" {
			if *at, err = time.Parse(time.RFC3339, text); err != nil {
				problems.Add(name, "time", "The time is not of the form 2006-01-02T15:04:05Z.")
			}
		}
	}
	return from, to, problems.Err()
}

// sequenceOf reads a sequence number; 0 where there is none.
func sequenceOf(text, field string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, sluice.Errorf(sluice.Invalid, "audit.sequence", "A sequence number is a number above 0.").At(field)
	}
	return n, nil
}

func (s *Server) listAudit(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	f := control.AuditFilter{Actor: q.Get("actor"), Action: q.Get("action"), ObjectType: q.Get("objectType"), ObjectID: q.Get("objectId")}
	if f.From, f.To, err = timesOf(r); err != nil {
		return err
	}
	if f.Before, err = sequenceOf(q.Get("before"), "before"); err != nil {
		return err
	}
	switch accept := r.Header.Get("Accept"); {
	case strings.Contains(accept, "application/x-ndjson"):
		return s.exportAudit(w, r, f, "application/x-ndjson", auditLines)
	case strings.Contains(accept, "text/csv"):
		return s.exportAudit(w, r, f, "text/csv", auditCells)
	}
	if page.Offset > 0 {
		return sluice.Errorf(sluice.Invalid, "page", "The audit log is paged by before, a sequence number.").At("offset")
	}
	f.Newest, f.Limit = true, page.Limit+1
	found, err := s.plane.AuditEntries(r.Context(), f)
	if err != nil {
		return err
	}
	out := auditPage{List: mapped(found[:min(len(found), page.Limit)], auditOf)}
	out.Count, out.Pagination.Limit = len(out.List), page.Limit
	if len(found) > page.Limit {
		q.Set("limit", strconv.Itoa(page.Limit))
		q.Set("before", strconv.FormatInt(out.List[page.Limit-1].Sequence, 10))
		out.Pagination.Next = (&url.URL{Path: "/audit", RawQuery: q.Encode()}).String()
	}
	return answer(w, http.StatusOK, out)
}

// exportAudit writes all entries, the oldest first, as they are read.
func (s *Server) exportAudit(w http.ResponseWriter, r *http.Request, f control.AuditFilter, media string, write func(w http.ResponseWriter, batch []sluice.AuditEntry, first bool) error) error {
	first := true
	return s.plane.ExportAudit(r.Context(), f, func(batch []sluice.AuditEntry) error {
		if first {
			w.Header().Set("Content-Type", media)
			w.WriteHeader(http.StatusOK)
		}
		err := write(w, batch, first)
		first = false
		return err
	})
}

func auditLines(w http.ResponseWriter, batch []sluice.AuditEntry, _ bool) error {
	e := json.NewEncoder(w)
	for _, entry := range batch {
		if err := e.Encode(auditOf(entry)); err != nil {
			return err
		}
	}
	return nil
}

func auditCells(w http.ResponseWriter, batch []sluice.AuditEntry, first bool) error {
	c := csv.NewWriter(w)
	c.UseCRLF = true // RFC 4180
	if first {
		_ = c.Write(strings.Fields("sequence time user client address action objectType objectId objectName before after result traceId previousHash hash")) // Error tells
	}
	for _, e := range batch {
		_ = c.Write([]string{ // Error tells
			strconv.FormatInt(e.Sequence, 10), e.Time.UTC().Format(time.RFC3339Nano), cell(e.Actor), cell(e.Client), cell(e.Address), cell(e.Action), cell(e.ObjectType),
			cell(e.ObjectID), cell(e.ObjectName), cell(e.Before), cell(e.After), cell(e.Result), cell(e.TraceID), cell(e.PreviousHash), cell(e.Hash),
		})
	}
	c.Flush()
	return c.Error()
}

// cell makes sure that a spreadsheet takes text for text: what it would read as a
// formula gets an apostrophe before it, and line breaks become blanks.
func cell(s string) string {
	s = strings.NewReplacer("\r", " ", "\n", " ", "\t", " ").Replace(s)
	if strings.HasPrefix(strings.TrimLeft(s, " "), "=") || s != "" && strings.ContainsRune("=+-@|%", rune(s[0])) {
		return "'" + s
	}
	return s
}

func (s *Server) getAudit(w http.ResponseWriter, r *http.Request) error {
	n, err := sequenceOf(r.PathValue("sequence"), "sequence")
	if err != nil {
		return err
	}
	e, err := s.plane.AuditEntry(r.Context(), n)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, auditOf(e))
}

// auditVerification says whether the audit log is as it was written.
type auditVerification struct {
	OK    bool  `json:"ok"`
	First int64 `json:"first"`
	Last  int64 `json:"last"`
	Head  struct {
		Sequence int64  `json:"sequence"`
		Hash     string `json:"hash"`
	} `json:"head"`
	Unsealed int    `json:"unsealed"`
	BrokenAt int64  `json:"brokenAt,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

func (s *Server) verifyAudit(w http.ResponseWriter, r *http.Request) error {
	from, err := sequenceOf(r.URL.Query().Get("from"), "from")
	if err != nil {
		return err
	}
	to, err := sequenceOf(r.URL.Query().Get("to"), "to")
	if err != nil {
		return err
	}
	v, err := s.plane.VerifyAudit(r.Context(), from, to)
	if err != nil {
		return err
	}
	out := auditVerification{OK: v.OK, First: v.First, Last: v.Last, Unsealed: v.Unsealed, BrokenAt: v.BrokenAt, Reason: v.Reason}
	out.Head.Sequence, out.Head.Hash = v.Last, v.Hash
	return answer(w, http.StatusOK, out)
}
