package database

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/sluice-api/sluice"
)

func openFile(t testing.TB) *DB {
	t.Helper()
	db, err := Open(t.Context(), Options{URL: filepath.Join(t.TempDir(), "sluice.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func putSealed(tx *Tx) error { return tx.PutSealed("name", make([]byte, 10_000)) }

// TestDurability holds the settings that no acknowledged write may be lost by.
func TestDurability(t *testing.T) {
	db := openFile(t)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000"} {
		var got string
		if err := db.write.QueryRowContext(t.Context(), "pragma "+pragma).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s = %s, want %s", pragma, got, want)
		}
	}
}

// replaceLog puts another file in the place of SQLite's open log, so that the
// next writes fare as they would on it, and returns what puts it back.
func replaceLog(t *testing.T, db *DB, with string) (restore func()) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc/self/fd")
	}
	db.read.SetMaxIdleConns(0) // leaves the writer as the only one that has the log open
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	log := -1
	for _, e := range entries {
		if path, _ := os.Readlink("/proc/self/fd/" + e.Name()); path == db.name+"-wal" {
			if log, err = strconv.Atoi(e.Name()); err != nil {
				t.Fatal(err)
			}
		}
	}
	saved, err := unix.FcntlInt(uintptr(log), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("duplicate the log's descriptor %d: %v", log, err)
	}
	f, err := os.OpenFile(with, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Dup3(int(f.Fd()), log, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(unix.Dup3(saved, log, unix.O_CLOEXEC), unix.Close(saved)); err != nil {
			t.Error(err)
		}
	}
}

// TestF3DiskFull has the disk take nothing more for a while.
func TestF3DiskFull(t *testing.T) {
	db := openFile(t)
	if err := db.Update(t.Context(), putSealed); err != nil {
		t.Fatal(err)
	}
	restore := replaceLog(t, db, "/dev/full")
	err := db.Update(t.Context(), putSealed)
	if e, ok := errors.AsType[*sluice.Error](err); !ok || e.Kind != sluice.Unavailable || e.Code != "database.full" {
		t.Errorf("Update error = %v, want Unavailable database.full", err)
	}
	if err := db.View(t.Context(), func(tx *Tx) error { _, err := tx.Sealed("name"); return err }); err != nil {
		t.Errorf("View while the disk is full: %v", err)
	}
	restore()
	if err := db.Update(t.Context(), putSealed); err != nil {
		t.Errorf("Update once there is room again: %v", err)
	}
	if err := db.Err(); err != nil {
		t.Errorf("Err = %v, want nil", err)
	}
}

// TestF4FailedSync has the log's fsync fail: what was written then may be anywhere,
// so that nothing more is acknowledged, also where the disk seems well again.
func TestF4FailedSync(t *testing.T) {
	db := openFile(t)
	if err := db.Update(t.Context(), putSealed); err != nil {
		t.Fatal(err)
	}
	restore := replaceLog(t, db, "/dev/null") // takes every write, and no fsync
	for range 2 {
		err := db.Update(t.Context(), putSealed)
		if e, ok := errors.AsType[*sluice.Error](err); !ok || e.Kind != sluice.Unavailable || e.Code != "database.write_failed" {
			t.Errorf("Update error = %v, want Unavailable database.write_failed", err)
		}
		restore()
		restore = func() {}
	}
	if db.Err() == nil {
		t.Error("Err = nil, want the reason")
	}
}

// TestStoredAPI reads a document as it lies in databases. Whoever renames a field
// of an API sees here that stored ones would lose it.
func TestStoredAPI(t *testing.T) {
	const stored = `{"ID":"a1","Organization":"default","Name":"weather","Version":"1.0","Context":"/weather","Description":"d","Owner":"anna",` +
		`"State":"PUBLISHED","Default":true,"Transports":["https"],"Tiers":["Gold"],"Tags":["t"],` +
		`"Categories":["c"],"Properties":[{"name":"p","value":"v","display":true}],"Business":{"owner":"o","owner_email":"o@example.com"},` +
		`"Visibility":"restricted","VisibleRoles":["r"],"AccessControl":["admin"],` +
		`"Production":[{"url":"https://b.example.com"}],"Sandbox":null,"ProductionSecurity":null,"SandboxSecurity":null,"Overrides":null,` +
		`"Operations":[{"verb":"GET","target":"/","auth":"any","scopes":["s"],"tier":"Gold"}],` +
		`"Scopes":[{"name":"s","display_name":"S","description":"d","roles":["r"]}],` +
		`"Schemes":["oauth2"],"TokenHeader":"X-Token","APIKeyHeader":"X-Key","Tier":"10KPerMin","Throughput":{"production":10,"sandbox":1},` +
		`"CORS":{"enabled":true,"origins":["*"],"methods":["GET"],"headers":["X"],"credentials":true},` +
		`"Definition":null,"Opaque":null,"RowVersion":0,"CreatedAt":"2026-03-04T05:06:07.891234Z","UpdatedAt":"2026-03-04T05:06:07.891234Z"}`
	at := time.Date(2026, 3, 4, 5, 6, 7, 891234000, time.UTC)
	want := sluice.API{
		ID: "a1", Organization: "default", Name: "weather", Version: "1.0", Context: "/weather", Description: "d", Owner: "anna",
		State: sluice.Published, Default: true, Transports: []string{"https"}, Tiers: []string{"Gold"}, Tags: []string{"t"},
		Categories: []string{"c"}, Properties: []sluice.Property{{Name: "p", Value: "v", Display: true}},
		Business:   sluice.BusinessInformation{Owner: "o", OwnerEmail: "o@example.com"},
		Visibility: sluice.Restricted, VisibleRoles: []sluice.Role{"r"}, AccessControl: []sluice.Role{sluice.Administrator},
		Production: []sluice.Endpoint{{URL: "https://b.example.com"}},
		Operations: []sluice.Operation{{Verb: "GET", Target: "/", Auth: sluice.AuthAny, Scopes: []string{"s"}, Tier: "Gold"}},
		Scopes:     []sluice.Scope{{Name: "s", DisplayName: "S", Description: "d", Roles: []string{"r"}}},
		Schemes:    []sluice.Scheme{sluice.OAuth2}, TokenHeader: "X-Token", APIKeyHeader: "X-Key", Tier: "10KPerMin",
		Throughput: &sluice.Throughput{Production: 10, Sandbox: 1},
		CORS:       &sluice.CORS{Enabled: true, Origins: []string{"*"}, Methods: []string{"GET"}, Headers: []string{"X"}, Credentials: true},
		CreatedAt:  at, UpdatedAt: at,
	}
	var got sluice.API
	if err := asJSON(&got).Scan(stored); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored document (-want +got):\n%s", diff)
	}
	written, err := json.Marshal(apiDocument(&got))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(stored, string(written)); diff != "" {
		t.Errorf("written document (-want +got):\n%s", diff)
	}
}

func BenchmarkUpdate(b *testing.B) {
	db := openFile(b)
	for i := 0; b.Loop(); i++ {
		err := db.Update(b.Context(), func(tx *Tx) error {
			u := sluice.User{ID: fmt.Sprint(i), Organization: "default", Name: fmt.Sprint(i)}
			return errors.Join(tx.AddUser(&u), tx.Audit(sluice.AuditEntry{Organization: "default", Action: "user.add"}))
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAPIs(b *testing.B) {
	db := openFile(b)
	err := db.Update(b.Context(), func(tx *Tx) error {
		for i := range 10_000 {
			a := sluice.API{
				ID: fmt.Sprint(i), Organization: "default", Name: fmt.Sprintf("api %d", i), Version: "1.0", Context: fmt.Sprintf("/api-%d", i),
				Description: strings.Repeat("It does this and that. ", 20), Operations: make([]sluice.Operation, 20), Definition: make([]byte, 20_000),
			}
			if err := tx.AddAPI(&a); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	view := func(b *testing.B, f func(tx *Tx) error) {
		for b.Loop() {
			if err := db.View(context.Background(), f); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("get", func(b *testing.B) { view(b, func(tx *Tx) error { _, err := tx.API("default", "777"); return err }) })
	for name, term := range map[string]Term{"list": {"name", "", Contains}, "name": {"name", "77", Contains}, "description": {"description", "nothing", Contains}} {
		b.Run(name, func(b *testing.B) {
			view(b, func(tx *Tx) error {
				_, _, err := tx.FindAPIs(APIFilter{Organization: "default", Query: []Term{term}, Limit: 25})
				return err
			})
		})
	}
	b.Run("check at start", func(b *testing.B) {
		for b.Loop() {
			if err := db.checkFile(b.Context(), false); err != nil {
				b.Fatal(err)
			}
		}
	})
}
