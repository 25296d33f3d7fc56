package databasetest

import (
	"errors"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

func sequencesOf(entries []sluice.AuditEntry) (list []int64) {
	for _, e := range entries {
		list = append(list, e.Sequence)
	}
	return list
}

func testFindAudit(t *testing.T, db *database.DB) {
	add := func(org, actor, action, objectType, objectID string) func(tx *database.Tx) error {
		return func(tx *database.Tx) error {
			return tx.Audit(sluice.AuditEntry{Organization: org, Actor: actor, Action: action, ObjectType: objectType, ObjectID: objectID})
		}
	}
	all(t, db, add(org, "anna", "api.create", "api", "a1"), add(org, "bert", "api.delete", "api", "a1"), add("o2", "anna", "api.create", "api", "a2"),
		add(org, "anna", "user.create", "user", "u1"), add(org, "anna", "api.create", "api", "a3"))
	find := func(f database.AuditFilter) []sluice.AuditEntry {
		t.Helper()
		return read(t, db, func(tx *database.Tx) ([]sluice.AuditEntry, error) { return tx.FindAuditEntries(f) })
	}
	whole := find(database.AuditFilter{Organization: org})
	for name, test := range map[string]struct {
		filter database.AuditFilter
		want   []int64
	}{
		"all of an organization":  {database.AuditFilter{}, []int64{1, 2, 4, 5}},
		"the newest first":        {database.AuditFilter{Newest: true, Limit: 2}, []int64{5, 4}},
		"before an entry":         {database.AuditFilter{Newest: true, Before: 4}, []int64{2, 1}},
		"after an entry":          {database.AuditFilter{After: 2, Limit: 1}, []int64{4}},
		"by actor":                {database.AuditFilter{Actor: "bert"}, []int64{2}},
		"by action":               {database.AuditFilter{Action: "api.create"}, []int64{1, 5}},
		"by object":               {database.AuditFilter{ObjectType: "api", ObjectID: "a1"}, []int64{1, 2}},
		"since a time":            {database.AuditFilter{From: whole[3].Time.Add(time.Microsecond)}, nil},
		"from the time of one on": {database.AuditFilter{From: whole[0].Time}, []int64{1, 2, 4, 5}},
		"up to a time":            {database.AuditFilter{To: whole[0].Time}, nil},
		"another organization":    {database.AuditFilter{Organization: "o2"}, []int64{3}},
	} {
		if test.filter.Organization == "" {
			test.filter.Organization = org
		}
		same(t, "FindAuditEntries, "+name, sequencesOf(find(test.filter)), test.want)
	}
	same(t, "AuditEntry", read(t, db, func(tx *database.Tx) (sluice.AuditEntry, error) { return tx.AuditEntry(org, 2) }), whole[1])
	refused(t, db, sluice.NotFound, "entry.unknown", func(tx *database.Tx) error { _, err := tx.AuditEntry(org, 3); return err })
}

func testSealAudit(t *testing.T, db *database.DB) {
	audit := func(tx *database.Tx) error {
		return errors.Join(tx.Audit(sluice.AuditEntry{Organization: org, Action: "one"}), tx.Audit(sluice.AuditEntry{Organization: "o2", Action: "two"}))
	}
	seal := func(limit, want int) {
		t.Helper()
		update(t, db, func(tx *database.Tx) error {
			n, err := tx.SealAudit(limit)
			same(t, "sealed", n, want)
			return err
		})
	}
	last := func() [2]int64 {
		return read(t, db, func(tx *database.Tx) ([2]int64, error) {
			entry, sealed, err := tx.LastAudit()
			return [2]int64{entry, sealed}, err
		})
	}
	seal(0, 0)
	all(t, db, audit, audit)
	same(t, "LastAudit before", last(), [2]int64{4, 0})
	seal(3, 3)
	same(t, "LastAudit between", last(), [2]int64{4, 3})
	seal(3, 1)
	seal(3, 0)
	update(t, db, audit)
	chain := read(t, db, func(tx *database.Tx) ([]sluice.AuditEntry, error) { return tx.AuditChain(0, 0) })
	previous := ""
	for i, e := range chain {
		if i >= 4 {
			same(t, "an entry without a seal", e.Hash+e.PreviousHash, "")
			continue
		}
		same(t, "the hash before", e.PreviousHash, previous)
		same(t, "the hash", e.Hash, e.HashAfter(previous))
		previous = e.Hash
	}
	same(t, "AuditChain after an entry", sequencesOf(read(t, db, func(tx *database.Tx) ([]sluice.AuditEntry, error) { return tx.AuditChain(2, 3) })), []int64{3, 4, 5})
}

func testKeptAnswers(t *testing.T, db *database.DB) {
	first := sluice.KeptAnswer{UserID: "u1", Key: "k", Digest: "d", CreatedAt: start()}
	add := func(k sluice.KeptAnswer) func(tx *database.Tx) error {
		return func(tx *database.Tx) error { return tx.AddKeptAnswer(&k) }
	}
	all(t, db, addUser("u1", "anna"), addUser("u2", "bert"), add(first), add(sluice.KeptAnswer{UserID: "u2", Key: "k", CreatedAt: start()}))
	refused(t, db, sluice.Conflict, "idempotency.key", add(first))
	kept := func() sluice.KeptAnswer {
		return read(t, db, func(tx *database.Tx) (sluice.KeptAnswer, error) { return tx.KeptAnswer("u1", "k") })
	}
	same(t, "KeptAnswer", kept(), first)
	update(t, db, func(tx *database.Tx) error { return tx.PutKeptAnswer("u1", "k", 201, []byte("secret")) })
	first.Status, first.Answer = 201, []byte("secret")
	same(t, "KeptAnswer after Put", kept(), first)
	update(t, db, func(tx *database.Tx) error { return tx.DeleteKeptAnswers(start()) })
	same(t, "KeptAnswer of this moment", kept(), first)
	update(t, db, func(tx *database.Tx) error { return tx.DeleteKeptAnswer("u2", "k") })
	update(t, db, func(tx *database.Tx) error { return tx.DeleteKeptAnswers(start().Add(time.Microsecond)) })
	refused(t, db, sluice.NotFound, "answer.unknown", func(tx *database.Tx) error { _, err := tx.KeptAnswer("u1", "k"); return err })
}
