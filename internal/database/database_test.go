package database_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/database/databasetest"
)

func TestSQLite(t *testing.T) {
	databasetest.Run(t, func(t testing.TB) *database.DB { return open(t, newFile(t)) })
}

func TestPostgres(t *testing.T) {
	server := databasetest.Postgres(t)
	databasetest.Run(t, func(t testing.TB) *database.DB { return open(t, server.URL(t)) })
	t.Run("F7 only one control plane", func(t *testing.T) { testPostgresGuard(t, server.URL(t)) })
	t.Run("audit entries are never changed", func(t *testing.T) {
		url := server.URL(t)
		testAppendOnly(t, open(t, url), "pgx", url, "truncate audit_entries", "truncate audit_seals")
	})
	t.Run("F5 newer schema", func(t *testing.T) { testNewerSchema(t, "pgx", server.URL(t)) })
	t.Run("its place is taken", func(t *testing.T) { testPostgresTaken(t, server.URL(t)) })
	t.Run("a cut connection is made anew", func(t *testing.T) { testPostgresReconnect(t, server.URL(t)) })
	t.Run("text that cannot be stored", func(t *testing.T) {
		err := open(t, server.URL(t)).Update(t.Context(), func(tx *database.Tx) error {
			return tx.AddUser(&sluice.User{ID: "u1", Organization: "default", Name: "a\x00b"})
		})
		if sluice.KindOf(err) != sluice.Invalid {
			t.Errorf("Update error = %v, want Invalid", err)
		}
	})
	t.Run("F7 several control planes", func(t *testing.T) {
		for name, test := range map[string]func(t *testing.T, url string){
			"their changes are in one order":      testSharedOrder,
			"one leads, and another takes over":   testSharedLead,
			"who does not share is refused":       testSharedRefused,
			"news are heard again after a cut":    testSharedCut,
			"they can start at once on no tables": testSharedStart,
			"what one has made unique is unique":  testSharedUnique,
		} {
			t.Run(name, func(t *testing.T) { test(t, server.URL(t)) })
		}
		databasetest.Run(t, func(t testing.TB) *database.DB { return openShared(t, server.URL(t)) })
	})
	t.Run("refused", func(t *testing.T) { testPostgresRefused(t, server.URL(t)) })
}

func newFile(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "sluice.db")
}

func options(url string) database.Options {
	return database.Options{URL: url, Key: [32]byte{1}}
}

// open opens a database until the test ends.
func open(t testing.TB, url string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), options(url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // a test that checks the error closes it itself
	return db
}

// fill opens the database, puts something into it and closes it.
func fill(t testing.TB, url string) {
	t.Helper()
	db := open(t, url)
	update(t, db, func(tx *database.Tx) error {
		return errors.Join(tx.PutSealed("keys", []byte("secret")), tx.AddUser(&sluice.User{ID: "u1", Organization: "default", Name: "anna"}),
			tx.PutArtifact("d", make([]byte, 100_000)))
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func update(t testing.TB, db *database.DB, f func(tx *database.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func user(tx *database.Tx) error {
	_, err := tx.User("default", "u1")
	return err
}

// refused opens a database, which must fail with an error that says all of want.
func refused(t testing.TB, o database.Options, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	db, err := database.Open(ctx, o)
	if err == nil {
		_ = db.Close()
		t.Fatalf("Open(%s) succeeded, want an error with %q", o.URL, want)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("Open error = %v, want it to say %q", err, w)
		}
	}
}

func TestReopen(t *testing.T) {
	for name, file := range map[string]string{
		"plain":             "sluice.db",
		"odd, but possible": "a b?c%41#d&e='f'.db",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), file)
			fill(t, path)
			if _, err := os.Stat(path); err != nil {
				t.Fatal(err)
			}
			if err := open(t, path).View(t.Context(), user); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFileModes(t *testing.T) {
	path := newFile(t)
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	db := open(t, path)
	update(t, db, func(tx *database.Tx) error { return tx.PutSealed("keys", nil) })
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("mode of sluice.db%s = %o, want 600", suffix, got)
		}
	}
}

func TestF8SecondProcess(t *testing.T) {
	path := newFile(t)
	db := open(t, path)
	host, _ := os.Hostname()
	refused(t, options(path), path, fmt.Sprintf("process %d on %s", os.Getpid(), host))
	// The refused one has not taken the first one's locks with it.
	refused(t, options(path), path)
	update(t, db, func(tx *database.Tx) error { return tx.PutSealed("keys", nil) })
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestWrongKey(t *testing.T) {
	path := newFile(t)
	fill(t, path)
	o := options(path)
	o.Key[31]++
	refused(t, o, path, "another key")
}

func TestF5DamagedFile(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"another sort of file": func(b []byte) []byte { return []byte(strings.Repeat("This is no database.\n", 500)) },
		"header":               func(b []byte) []byte { copy(b, "garbage"); return b },
		"bits flipped in the first page": func(b []byte) []byte {
			for i := 100; i < 200; i++ {
				b[i] ^= 0x10
			}
			return b
		},
		"zero page": func(b []byte) []byte { clear(b[2*4096 : 3*4096]); return b },
		"cut":       func(b []byte) []byte { return b[:len(b)/2/4096*4096] },
		"cut within a page": func(b []byte) []byte {
			return b[:len(b)-1000]
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := newFile(t)
			fill(t, path)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b = damage(b)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			refused(t, options(path), path, "damaged", "restore it from a backup")
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(after) != string(b) {
				t.Error("the damaged file was changed")
			}
		})
	}
}

func TestF6Unopenable(t *testing.T) {
	dir := t.TempDir()
	for name, test := range map[string]struct{ url, want string }{
		"no name":          {"", "no database is named"},
		"folder missing":   {dir + "/none/sluice.db", dir + "/none/sluice.db"},
		"a folder":         {dir, dir},
		"another database": {"mysql://root:hunter2@localhost/x", "only postgres://"},
		"no server":        {"postgres://sluice:hunter2@127.0.0.1:1/sluice", "127.0.0.1"},
		"not a URL":        {"postgres://sluice:hunter2@127.0.0.1:port/sluice", "URL"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, options(test.url), test.want)
			_, err := database.Open(t.Context(), options(test.url))
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Open error = %v, which tells the password", err)
			}
		})
	}
}

func TestF5NewerSchema(t *testing.T) { testNewerSchema(t, "sqlite", newFile(t)) }

func testNewerSchema(t *testing.T, driver, url string) {
	fill(t, url)
	direct(t, driver, url, `insert into schema_versions (version_id, is_applied) values (9999, true)`)
	refused(t, options(url), "newer Sluice (schema 9999")
	direct(t, driver, url, `delete from schema_versions where version_id = 9999`)
	if err := open(t, url).View(t.Context(), user); err != nil {
		t.Error(err)
	}
}

func TestForeignTables(t *testing.T) {
	path := newFile(t)
	direct(t, "sqlite", path, `create table photos (id integer)`)
	refused(t, options(path), path, "another program")
}

// TestInterruptedMigration opens what is there when the first process is killed
// while it makes the schema.
func TestInterruptedMigration(t *testing.T) {
	path := newFile(t)
	first, err := os.ReadFile("migrations/0001_init.sql")
	if err != nil {
		t.Fatal(err)
	}
	direct(t, "sqlite", path, string(first)+`
		create table schema_versions (id integer primary key autoincrement, version_id integer not null, is_applied integer not null, tstamp timestamp default current_timestamp);
		insert into schema_versions (version_id, is_applied) values (0, true), (1, true)`)
	testAppendOnly(t, open(t, path), "sqlite", path)
}

// TestOrganizationTables lists what an organization owns: a table with a column
// organization is counted or deleted in organization.go, or stays for good.
func TestOrganizationTables(t *testing.T) {
	path := newFile(t)
	open(t, path)
	rows, err := connect(t, "sqlite", path).QueryContext(t.Context(), `select m.name from sqlite_master m join pragma_table_info(m.name) c on c.name = 'organization'
		where m.type = 'table' order by m.name`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	known := map[string]string{
		"users": "counted", "apis": "counted", "applications": "counted", "tiers": "deleted with it", "categories": "deleted with it", "usage_series": "deleted with it",
		"consumer_keys": "gone with applications", "api_keys": "gone with applications", "subscriptions": "gone with applications", "management_clients": "gone with users",
		"audit_entries": "stays", "publications": "stays", "revocations": "stays until it expires", "revocation_acts": "stays until it is old",
	}
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			t.Fatal(err)
		}
		if known[table] == "" {
			t.Errorf("table %s belongs to organizations: see to it in OrganizationOwns or DeleteOrganization, and say so here", table)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// What somebody does to the audit log who writes to the database file itself.
func TestVerifyAudit(t *testing.T) {
	swap := `update audit_entries set sequence = case sequence when 3 then -4 when 4 then -3 else sequence end;
		update audit_entries set sequence = -sequence where sequence < 0`
	for name, test := range map[string]struct {
		statement string
		from, to  int64
		want      sluice.AuditVerification // but for its hash
	}{
		"nothing":                        {"", 0, 0, sluice.AuditVerification{OK: true, First: 1, Last: 6, Unsealed: 1}},
		"nothing, looked at in part":     {"", 3, 4, sluice.AuditVerification{OK: true, First: 3, Last: 4}},
		"a row is altered":               {`update audit_entries set actor = 'nobody' where sequence = 3`, 0, 0, sluice.AuditVerification{First: 1, Last: 2, BrokenAt: 3}},
		"a row is altered after the end": {`update audit_entries set actor = 'nobody' where sequence = 5`, 1, 4, sluice.AuditVerification{OK: true, First: 1, Last: 4}},
		"a row is removed":               {`delete from audit_entries where sequence = 3`, 0, 0, sluice.AuditVerification{First: 1, Last: 2, BrokenAt: 3}},
		"the first row is removed":       {`delete from audit_entries where sequence = 1`, 0, 0, sluice.AuditVerification{BrokenAt: 1}},
		"the last rows are removed":      {`delete from audit_entries where sequence > 4; delete from audit_seals where sequence > 4`, 0, 0, sluice.AuditVerification{First: 1, Last: 4, BrokenAt: 5}},
		"what is before is removed":      {`delete from audit_entries where sequence < 3`, 3, 0, sluice.AuditVerification{BrokenAt: 3}},
		"rows are reordered":             {swap, 0, 0, sluice.AuditVerification{First: 1, Last: 2, BrokenAt: 3}},
		"a seal is removed":              {`delete from audit_seals where sequence = 4`, 0, 0, sluice.AuditVerification{First: 1, Last: 3, BrokenAt: 4}},
		"a seal is altered":              {`update audit_seals set hash = '00' where sequence = 2`, 0, 0, sluice.AuditVerification{First: 1, Last: 1, BrokenAt: 2}},
		"a row is added": {
			`insert into audit_entries select 8, time, organization, actor, client, address, action, object_type, object_id, object_name, before, after, result, trace_id from audit_entries where sequence = 1`, 0, 0,
			sluice.AuditVerification{First: 1, Last: 6, Unsealed: 1, BrokenAt: 8},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := newFile(t)
			db := open(t, path)
			for range 6 {
				update(t, db, func(tx *database.Tx) error {
					return tx.Audit(sluice.AuditEntry{Organization: "default", Actor: "anna"})
				})
			}
			update(t, db, func(tx *database.Tx) error { _, err := tx.SealAudit(0); return err })
			update(t, db, func(tx *database.Tx) error { return tx.Audit(sluice.AuditEntry{Organization: "default"}) })
			for _, table := range []string{"entries", "seals"} {
				direct(t, "sqlite", path, `drop trigger audit_`+table+`_no_update`)
				direct(t, "sqlite", path, `drop trigger audit_`+table+`_no_delete`)
			}
			if test.statement != "" {
				direct(t, "sqlite", path, test.statement)
			}
			got, err := db.VerifyAudit(t.Context(), test.from, test.to)
			if err != nil {
				t.Fatal(err)
			}
			if (got.Reason == "") != got.OK || (got.Hash == "") != (got.Last == 0) {
				t.Errorf("VerifyAudit = %+v", got)
			}
			got.Hash, got.Reason = "", ""
			if got != test.want {
				t.Errorf("VerifyAudit = %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestAppendOnly(t *testing.T) {
	path := newFile(t)
	testAppendOnly(t, open(t, path), "sqlite", path)
}

func testAppendOnly(t *testing.T, db *database.DB, driver, url string, more ...string) {
	update(t, db, func(tx *database.Tx) error { return tx.Audit(sluice.AuditEntry{Organization: "default"}) })
	update(t, db, func(tx *database.Tx) error { _, err := tx.SealAudit(0); return err })
	c := connect(t, driver, url)
	for _, statement := range append(more, `update audit_entries set actor = 'nobody'`, `delete from audit_entries`,
		`update audit_seals set hash = ''`, `delete from audit_seals`) {
		if _, err := c.ExecContext(t.Context(), statement); err == nil || !strings.Contains(err.Error(), "audit entries are never changed") {
			t.Errorf("%s: error = %v, want a refusal", statement, err)
		}
	}
}

// connect opens the database beside package database.
func connect(t testing.TB, driver, url string) *sql.DB {
	t.Helper()
	c, err := sql.Open(driver, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func direct(t testing.TB, driver, url, statement string) {
	t.Helper()
	c := connect(t, driver, url)
	if _, err := c.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

func testPostgresGuard(t *testing.T, url string) {
	db := open(t, url)
	host, _ := os.Hostname()
	refused(t, options(url), "in use by sluice", fmt.Sprintf("process %d on %s", os.Getpid(), host))
	update(t, db, func(tx *database.Tx) error { return tx.PutSealed("keys", nil) })
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, url)
}

// testPostgresTaken has another program take the place of a control plane that
// lost its connection for a moment.
func testPostgresTaken(t *testing.T, url string) {
	db := open(t, url)
	other, err := connect(t, "pgx", url).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{terminate, `select pg_advisory_lock(1936487779, hashtext(current_schema()))`} {
		if _, err := other.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for range 2 {
		err = db.Update(ctx, func(*database.Tx) error { return nil })
		if sluice.KindOf(err) != sluice.Unavailable {
			t.Errorf("Update error = %v, want Unavailable", err)
		}
	}
	if !strings.Contains(err.Error(), "in use by") {
		t.Errorf("Update error = %v, want it to name the other one", err)
	}
}

// terminate cuts all other connections to the same schema.
const terminate = `select pg_terminate_backend(a.pid, 5000) from pg_stat_activity a join pg_locks l using (pid)
	where l.locktype = 'advisory' and l.objid = hashtext(current_schema())::oid and a.pid <> pg_backend_pid()`

func testPostgresReconnect(t *testing.T, url string) {
	db := open(t, url)
	update(t, db, func(tx *database.Tx) error { return tx.AddUser(&sluice.User{ID: "u1", Organization: "default"}) })
	if err := db.View(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	direct(t, "pgx", url, terminate)
	for _, transact := range []func(context.Context, func(*database.Tx) error) error{db.View, db.Update} {
		// The first try may meet the dead connection, and says so; no later one does.
		err := transact(t.Context(), user)
		for range 20 {
			if err == nil {
				break
			}
			if sluice.KindOf(err) != sluice.Unavailable {
				t.Errorf("error after the connection was cut = %v, want Unavailable", err)
			}
			err = transact(t.Context(), user)
		}
		if err != nil {
			t.Errorf("still refused: %v", err)
		}
	}
}

func testPostgresRefused(t *testing.T, url string) {
	refused(t, options(url+"&synchronous_commit=off"), "synchronous_commit")
	refused(t, options(strings.Replace(url, "search_path=sluice_", "search_path=none_", 1)), "search_path")
	direct(t, "pgx", url, `create table photos (id integer)`)
	refused(t, options(url), "another program")
}
