package control

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-api/sluice"
)

func TestAuditIsSealedAndVerified(t *testing.T) {
	w := newWorld(t)
	w.published("Weather")
	if err := w.plane.sealAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.application("sam", "App")
	v, err := w.plane.VerifyAudit(w.admin(), 0, 0)
	if err != nil || !v.OK || v.First != 1 || v.Unsealed != 1 || len(v.Hash) != 64 || v.BrokenAt != 0 {
		t.Errorf("VerifyAudit = %+v, %v", v, err)
	}
	all, err := w.plane.AuditEntries(w.admin(), AuditFilter{})
	if err != nil || int64(len(all)) != v.Last+1 {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	newest, err := w.plane.AuditEntries(w.admin(), AuditFilter{Newest: true, Limit: 1, Organization: "acme"})
	if err != nil || len(newest) != 1 || newest[0].ObjectName != "App" || newest[0].Hash != "" {
		t.Errorf("the newest entry: %+v, %v", newest, err)
	}
	one, err := w.plane.AuditEntry(w.admin(), 2)
	if err != nil || one != all[1] || one.Hash == "" || one.PreviousHash != all[0].Hash {
		t.Errorf("AuditEntry = %+v, %v, want %+v", one, err, all[1])
	}
	eve := w.of("acme", "eve", sluice.Administrator)
	if list, err := w.plane.AuditEntries(eve, AuditFilter{Organization: sluice.DefaultOrganization}); err != nil || len(list) != 0 {
		t.Errorf("entries for another organization: %v, %v", list, err)
	}
	_, err = w.plane.AuditEntry(eve, 2)
	wantCode(t, "an entry for another organization", err, sluice.NotFound, "entry.unknown")
	var exported []sluice.AuditEntry
	if err := w.plane.ExportAudit(w.admin(), AuditFilter{}, func(batch []sluice.AuditEntry) error { exported = append(exported, batch...); return nil }); err != nil || !slices.Equal(exported, all) {
		t.Errorf("ExportAudit: %d entries, %v, want %d", len(exported), err, len(all))
	}
}

// More than one batch is sealed, verified and exported.
func TestAuditInBatches(t *testing.T) {
	w := newWorld(t)
	for i := range maxRefusals {
		w.plane.Refused("login.refused", fmt.Sprint("user", i), "192.0.2.1")
	}
	if err := w.plane.auditRefusals(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.plane.sealAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, err := w.plane.VerifyAudit(w.admin(), 0, 0)
	if err != nil || !v.OK || v.Unsealed != 0 || v.Last < maxRefusals {
		t.Errorf("VerifyAudit = %+v, %v", v, err)
	}
	n := 0
	if err := w.plane.ExportAudit(w.admin(), AuditFilter{}, func(batch []sluice.AuditEntry) error { n += len(batch); return nil }); err != nil || int64(n) != v.Last {
		t.Errorf("ExportAudit: %d of %d, %v", n, v.Last, err)
	}
}

func TestRunSealsAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldAt(t)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.plane.seal(ctx) }()
		time.Sleep(1500 * time.Millisecond) // of the bubble's clock
		w.application("sam", "App")
		time.Sleep(time.Second)
		synctest.Wait()
		if v, err := w.plane.VerifyAudit(w.admin(), 0, 0); err != nil || !v.OK || v.Unsealed != 0 || v.Last == 0 {
			t.Errorf("VerifyAudit = %+v, %v", v, err)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Refusals cost no disk flush each, and are in the audit log of whom they are about.
func TestRefusalsAreAuditedTogether(t *testing.T) {
	w := newWorld(t)
	if _, err := w.plane.CreateOrganization(w.admin(), "acme", ""); err != nil {
		t.Fatal(err)
	}
	before := w.counts()
	for range 3 {
		_, err := w.plane.Login(w.from("192.0.2.1"), "ann", "wrong")
		wantCode(t, "a wrong password", err, sluice.Unauthenticated, "login")
	}
	_, err := w.plane.Login(w.from("192.0.2.2"), "eve@acme", "wrong")
	wantCode(t, "a wrong password", err, sluice.Unauthenticated, "login")
	_, err = w.plane.Enrol(w.from("192.0.2.3"), enrolment(t, "nope", "gw"))
	wantCode(t, "a wrong join token", err, sluice.Unauthenticated, "enrolment.token")
	w.plane.Refused("token.refused", strings.Repeat("x", 200)+"\r\n", "192.0.2.4")
	if after := w.counts(); after != before {
		t.Errorf("refusals left %v at once, before %v", after, before)
	}
	for range 2 { // the second time there is nothing more
		if err := w.plane.auditRefusals(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, ctx := range []string{sluice.DefaultOrganization, "acme"} {
		list, err := w.plane.AuditEntries(w.of(ctx, "root", sluice.Administrator), AuditFilter{ObjectType: "account"})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			got = append(got, fmt.Sprintf("%s %s %.5s %s: %s", ctx, e.Action, e.ObjectName, e.Address, e.Result))
			if len(e.ObjectName) > maxAccountName+3 || strings.ContainsAny(e.ObjectName, "\r\n") {
				t.Errorf("a stranger's name of %d bytes is in the log: %q", len(e.ObjectName), e.ObjectName)
			}
		}
	}
	slices.Sort(got)
	wantLines(t, "audited", got, "default login.refused ann 192.0.2.1: refused 3 times", "acme login.refused eve@a 192.0.2.2: refused 1 times",
		"default enrolment.refused gw 192.0.2.3: refused 1 times", "default token.refused xxxxx 192.0.2.4: refused 1 times")
}

func TestRepeatedRequests(t *testing.T) {
	w := newWorld(t)
	u := w.created("ann")
	ann := sluice.WithActor(t.Context(), sluice.Actor{UserID: u.ID, Name: u.Name, Organization: u.Organization})
	begin := func() (sluice.KeptAnswer, bool, error) { return w.plane.BeginRequest(ann, "k", "digest") }
	if _, answered, err := begin(); answered || err != nil {
		t.Fatalf("the first: %t, %v", answered, err)
	}
	_, _, err := begin()
	wantCode(t, "beside the first", err, sluice.Conflict, "idempotency.running")
	w.clock.advance(longestRequest + time.Second)
	_, _, err = begin()
	wantCode(t, "after the first was cut off", err, sluice.Conflict, "idempotency.unfinished")
	if err := w.plane.EndRequest(ann, "k", 201, []byte("made")); err != nil {
		t.Fatal(err)
	}
	kept, answered, err := begin()
	if err != nil || !answered || kept.Status != 201 || string(kept.Answer) != "made" {
		t.Errorf("repeated: %+v, %t, %v", kept, answered, err)
	}
	_, _, err = w.plane.BeginRequest(ann, "k", "another")
	wantCode(t, "another request", err, sluice.Conflict, "idempotency.key")
	w.clock.advance(keepAnswers + time.Second)
	if _, answered, err := begin(); answered || err != nil {
		t.Errorf("a day later: %t, %v", answered, err)
	}
	if err := w.plane.EndRequest(ann, "k", 0, nil); err != nil {
		t.Fatal(err)
	}
	if _, answered, err := w.plane.BeginRequest(ann, "k", "another"); answered || err != nil {
		t.Errorf("after a refusal: %t, %v", answered, err)
	}
}
