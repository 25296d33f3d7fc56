package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// dialect is all in which the two databases differ once they are open.
type dialect struct {
	goose goose.Dialect
	// tables lists the names of the tables in our schema.
	tables string
	// appendOnly makes the database refuse to change or delete rows of a table.
	appendOnly func(table string) []string
	// classify says what an error means; for taken also the unique index, which
	// is named for its table and columns.
	classify func(err error) (kind fault, index string)
}

// connect opens the database that address names. Where it returns an error,
// nothing is left open.
func (db *DB) connect(ctx context.Context, address string) error {
	scheme, _, hasScheme := strings.Cut(address, "://")
	switch {
	case hasScheme && (scheme == "postgres" || scheme == "postgresql"):
		return db.connectPostgres(ctx, address)
	case db.shared:
		return errors.New("several control planes share a PostgreSQL database only: name a postgres:// URL")
	case hasScheme:
		return fmt.Errorf("database %s://…: only postgres:// and the path of a SQLite file are known", scheme)
	case address == "":
		return errors.New("no database is named: give the path of a SQLite file or a postgres:// URL")
	}
	return db.connectSQLite(ctx, address)
}

func sqliteDialect() *dialect {
	refuse := func(table, act string) string {
		return `create trigger ` + table + `_no_` + act + ` before ` + act + ` on ` + table + `
			begin select raise(abort, 'audit entries are never changed'); end`
	}
	return &dialect{
		goose:      goose.DialectSQLite3,
		tables:     `select name from sqlite_master where type = 'table' and name not like 'sqlite_%'`,
		appendOnly: func(table string) []string { return []string{refuse(table, "update"), refuse(table, "delete")} },
		classify:   classifySQLite,
	}
}

// connectSQLite opens a file, for this process alone. A transaction is on disk
// when it is committed (WAL with synchronous=FULL); readers never wait for the
// writer.
func (db *DB) connectSQLite(ctx context.Context, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	release, err := lockFile(path)
	if err != nil {
		return err
	}
	db.name, db.dialect, db.release = path, sqliteDialect(), release
	if err := ownFile(path); err != nil {
		return errors.Join(err, release())
	}
	_, err = os.Stat(path + "-wal")
	closed := errors.Is(err, fs.ErrNotExist) // by its last user, who left no log
	// The file is not opened by anybody else in this process from here on: closing
	// any descriptor of it would drop SQLite's locks (POSIX).
	open := func(pragmas ...string) *sql.DB {
		pragmas = append(pragmas, "busy_timeout(5000)", "foreign_keys(1)", "synchronous(FULL)")
		options := url.Values{"_txlock": {"immediate"}, "_pragma": pragmas}
		dsn := url.URL{Scheme: "file", Path: path, RawQuery: options.Encode()}
		pool, err := sql.Open("sqlite", dsn.String())
		if err != nil {
			panic(err) // only an unknown driver
		}
		return pool
	}
	// The size limit is for the log's file after a checkpoint, in bytes.
	db.write = open("journal_mode(WAL)", "journal_size_limit(67108864)")
	db.write.SetMaxOpenConns(1)
	db.read = open("query_only(1)")
	db.read.SetMaxOpenConns(max(4, runtime.GOMAXPROCS(0)))
	db.read.SetMaxIdleConns(max(4, runtime.GOMAXPROCS(0)))
	if err := db.checkFile(ctx, closed); err != nil {
		return errors.Join(err, db.Close())
	}
	return nil
}

// ownFile makes the file where there is none, and readable by nobody else.
func ownFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("the database cannot be opened: %w; check that the folder exists and that this user may write there", err)
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// checkFile reads the whole file for damage. A closed one, without a log that goes
// on where it ends, must also be as long as it says.
func (db *DB) checkFile(ctx context.Context, closed bool) error {
	var result string
	var size int64
	err := db.write.QueryRowContext(ctx, `select quick_check, page_count * page_size
		from pragma_quick_check, pragma_page_count, pragma_page_size limit 1`).Scan(&result, &size)
	if kind, _ := classifySQLite(err); kind == damaged {
		result = err.Error()
	} else if err != nil {
		return fmt.Errorf("the database %s cannot be opened: %w", db.name, err)
	}
	if file, err := os.Stat(db.name); err == nil && closed && result == "ok" && file.Size() != size {
		result = fmt.Sprintf("it has %d bytes of %d", file.Size(), size)
	}
	if result != "ok" {
		return fmt.Errorf("the database file %s is damaged (%s): move it and its -wal and -shm files aside and restore it from a backup; nothing was changed", db.name, result)
	}
	return nil
}

func classifySQLite(err error) (kind fault, index string) {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return otherFault, ""
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		// "constraint failed: UNIQUE constraint failed: users.organization, users.name (2067)"
		columns := e.Error()[strings.LastIndex(e.Error(), ": ")+2:]
		columns, _, _ = strings.Cut(columns, " (")
		table, _, _ := strings.Cut(columns, ".")
		return taken, table + strings.ReplaceAll(strings.ReplaceAll(", "+columns, table+".", ""), ", ", "_")
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return referenced, ""
	case sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC, sqlite3.SQLITE_IOERR_TRUNCATE:
		return writeLost, ""
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return diskFull, ""
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return damaged, ""
	}
	return otherFault, ""
}

func postgresDialect() *dialect {
	return &dialect{
		goose:  goose.DialectPostgres,
		tables: `select tablename from pg_tables where schemaname = current_schema()`,
		appendOnly: func(table string) []string {
			return []string{
				`create function ` + table + `_refuse() returns trigger language plpgsql as
					$$ begin raise exception 'audit entries are never changed'; end $$`,
				`create trigger ` + table + `_refuse before update or delete or truncate on ` + table + `
					for each statement execute function ` + table + `_refuse()`,
			}
		},
		classify: classifyPostgres,
	}
}

// connectPostgres opens a PostgreSQL database, or one schema of it (search_path
// in the URL). The one connection that writes holds a session lock: an exclusive
// one, so that a second control plane is refused and changes are made one after
// another as with SQLite, or where several share the database a shared one (see
// shared.go).
func (db *DB) connectPostgres(ctx context.Context, address string) error {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return fmt.Errorf("the database URL cannot be read: %w", err) // pgx leaves the password out
	}
	host, _ := os.Hostname()
	config.RuntimeParams["application_name"] = fmt.Sprintf("sluice, process %d on %s", os.Getpid(), host)
	maps.Copy(config.RuntimeParams, keepAlive)
	db.name, db.server = fmt.Sprintf("%s on %s", config.Database, config.Host), config
	db.dialect, db.release = postgresDialect(), func() error { return nil }

	db.read = stdlib.OpenDB(*config)
	db.read.SetMaxOpenConns(16)
	db.read.SetMaxIdleConns(4)
	db.write = stdlib.OpenDB(*config, stdlib.OptionAfterConnect(db.holdGuard))
	db.write.SetMaxOpenConns(1)
	if err := db.oneStarts(ctx, db.checkServer); err != nil {
		return errors.Join(err, db.Close())
	}
	return nil
}

// checkServer refuses a server that may lose what it has acknowledged, and makes
// the collation by which SQLite sorts.
func (db *DB) checkServer(ctx context.Context) error {
	var version int
	var fsync, commit string
	var schema sql.NullString
	err := db.write.QueryRowContext(ctx, `select current_setting('server_version_num')::int, current_setting('fsync'),
		current_setting('synchronous_commit'), current_schema()`).Scan(&version, &fsync, &commit, &schema)
	switch {
	case err != nil:
		return fmt.Errorf("the database %s cannot be opened: %w", db.name, err)
	case version < 130000:
		return fmt.Errorf("the database %s: PostgreSQL 13 or newer is needed", db.name)
	case fsync != "on" || commit != "on" && commit != "remote_apply":
		return fmt.Errorf("the database %s may lose changes when its machine stops: set fsync and synchronous_commit to on (they are %s and %s)", db.name, fsync, commit)
	case !schema.Valid:
		return fmt.Errorf("the database %s has no schema of the name given in search_path: create it", db.name)
	}
	if _, err := db.write.ExecContext(ctx, `create collation if not exists "binary" from "C"`); err != nil {
		return fmt.Errorf("the database %s: create a collation: %w; the user needs the right to create in its schema", db.name, err)
	}
	return nil
}

func classifyPostgres(err error) (kind fault, index string) {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		_, network := errors.AsType[net.Error](err)
		_, connecting := errors.AsType[*pgconn.ConnectError](err)
		_, held := errors.AsType[*heldError](err)
		if connecting || held || errors.Is(err, driver.ErrBadConn) || network && !errors.Is(err, context.DeadlineExceeded) {
			return unreachable, ""
		}
		return otherFault, ""
	}
	switch {
	case e.Code == "23505": // unique_violation
		return taken, e.ConstraintName
	case e.Code == "23503": // foreign_key_violation
		return referenced, ""
	case e.Code == "22021": // character_not_in_repertoire
		return unstorable, ""
	case e.Code == "53100": // disk_full
		return diskFull, ""
	case e.Code == "58030": // io_error
		return writeLost, ""
	case e.Code == "XX001" || e.Code == "XX002": // data_corrupted, index_corrupted
		return damaged, ""
	case strings.HasPrefix(e.Code, "08") || strings.HasPrefix(e.Code, "57P") || e.Code == "53300": // connection, shutdown, too many connections
		return unreachable, ""
	}
	return otherFault, ""
}
