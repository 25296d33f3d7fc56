// Package database keeps everything the control plane and the Key Manager know:
// in one SQLite file, or in PostgreSQL, with the same queries.
//
// It stores and finds; who may do what is decided by its callers. Its own rules are
// those that need the whole table: what is unique, what is still referred to, and
// that nobody overwrites a change they have not seen.
//
// Work is done in [DB.View], on one snapshot, and [DB.Update], one transaction at a
// time, through the methods of [Tx]; the SQL of a feature stands in its file. A
// change, its audit entry (audit.go) and the events that tell the gateways
// (outbox.go) belong in one Update. The two databases differ in dialect.go alone.
// A new table is a new file in migrations: forward only, never edited once released.
package database

import (
	"context"
	"crypto/cipher"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluice-api/sluice"
)

// Options say which database is opened, and how.
type Options struct {
	URL    string           // file path of the SQLite database, or "postgres://…"
	Key    [32]byte         // seals what must not lie in the database in clear (AES-256-GCM)
	Shared bool             // other control planes, all with this option, use the database too; PostgreSQL only
	Log    *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // nil: time.Now
}

// DB is an open database. It may be used by many goroutines.
type DB struct {
	read    *sql.DB // snapshots; cannot write
	write   *sql.DB // exactly one connection: changes are made one after another
	dialect *dialect
	name    string // for messages: the file, or the URL without its password
	release func() error
	shared  bool            // with other control planes
	server  *pgx.ConnConfig // nil: SQLite
	leads   atomic.Bool     // see Leads

	aead      cipher.AEAD
	keyID     [keyIDSize]byte
	now       func() time.Time
	log       *slog.Logger
	committed chan struct{}
	commits   atomic.Uint64                // by this process
	failure   atomic.Pointer[sluice.Error] // why no change is taken any more
	trouble   atomic.Pointer[sluice.Error] // why the last change was not taken
}

// Tx is a transaction. It belongs to the function it was given to, holds that
// call's context, and is not to be used by two goroutines at once.
//
// Times are kept in microseconds. What a getter cannot find is a NotFound error
// with the code "<thing>.unknown"; so it is with Put and Delete. After a Conflict,
// or an error that is not a sluice.Error, the transaction can only be rolled
// back: it must be found out before, not tried, whether a name is free.
type Tx struct {
	ctx     context.Context
	sql     *sql.Tx
	db      *DB
	failed  error // of a statement: PostgreSQL takes no further one then, so neither do we
	emitted bool
}

// Open opens the database, makes it where there is none, and brings its schema
// up to date. It refuses what would put data at risk: a file that another
// process has open and does not share, one that is damaged, a schema of a newer
// version, a database sealed with another key, a PostgreSQL server that does not
// wait for its disk. The error says which database it is and what to do.
func Open(ctx context.Context, o Options) (*DB, error) {
	db := &DB{now: o.Now, log: o.Log, shared: o.Shared, committed: make(chan struct{}, 1)}
	if db.now == nil {
		db.now = time.Now
	}
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	db.aead, db.keyID = newSeal(o.Key)
	if err := db.connect(ctx, o.URL); err != nil {
		return nil, err
	}
	if err := db.oneStarts(ctx, db.prepare); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// prepare brings the schema up to date and makes sure that the data can be used.
func (db *DB) prepare(ctx context.Context) error {
	if err := db.migrate(ctx); err != nil {
		return err
	}
	if err := db.View(ctx, (*Tx).checkKey); err != nil {
		return fmt.Errorf("database %s: %w", db.name, err)
	}
	return nil
}

// Close waits for what is under way and closes the database.
func (db *DB) Close() error {
	return errors.Join(db.read.Close(), db.write.Close(), db.release())
}

// View calls f with a transaction that reads one snapshot: what was committed
// before it, and nothing of what comes later. It may run beside any other and
// beside an Update. Methods that write fail in it.
func (db *DB) View(ctx context.Context, f func(tx *Tx) error) error {
	tx, err := db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return db.translate("begin to read", err)
	}
	defer tx.Rollback() // nothing was written
	return f(&Tx{ctx: ctx, sql: tx, db: db})
}

// Update calls f with a transaction and commits it where f returns nil; it is on
// disk when Update returns nil. Where f returns an error or panics nothing has
// changed, and structs that f handed to an Add or Put may hold numbers that never
// were. Updates run one at a time; f must not call Update itself, and should
// wait for nothing but tx.
//
// The error is that of f, or Unavailable where the disk is full, the database
// cannot be reached, or an earlier write failed in a way that only a restart can
// make good (see Err).
func (db *DB) Update(ctx context.Context, f func(tx *Tx) error) error {
	err := db.update(ctx, f)
	switch e, ok := errors.AsType[*sluice.Error](err); {
	case ok && strings.HasPrefix(e.Code, "database."):
		db.trouble.Store(e)
	case err == nil:
		db.trouble.Store(nil)
	}
	return err
}

// Trouble says why the last change was not taken, nil where it was. Where that
// may have gone by itself, such as a full disk, it tries whether a change is
// taken now.
func (db *DB) Trouble(ctx context.Context) error {
	if err := db.Err(); err != nil {
		return err
	}
	if db.trouble.Load() == nil {
		return nil
	}
	err := db.Update(ctx, func(tx *Tx) error { return tx.PutSealed(probeName, make([]byte, probeSize)) })
	if e := db.trouble.Load(); err != nil && e != nil {
		return e
	}
	return err
}

// What Trouble writes: more than there is room for without the disk's taking it.
const (
	probeName = "probe"
	probeSize = 16 << 10
)

// update does the work of Update.
func (db *DB) update(ctx context.Context, f func(tx *Tx) error) error {
	if err := db.Err(); err != nil {
		return err
	}
	begun, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return db.translate("begin to write", err)
	}
	defer begun.Rollback() // does nothing once it is committed
	tx := &Tx{ctx: ctx, sql: begun, db: db}
	if err := tx.waitForOthers(); err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return err
	}
	if tx.failed != nil {
		return tx.failed
	}
	if err := tx.tellOthers(); err != nil {
		return err
	}
	defer db.commits.Add(1) // also where nobody can say whether it was committed
	if err := begun.Commit(); err != nil {
		return tx.translate("commit", err)
	}
	if tx.emitted {
		db.signal()
	}
	return nil
}

// signal makes Committed receive.
func (db *DB) signal() {
	select {
	case db.committed <- struct{}{}:
	default: // somebody has yet to look; once is enough
	}
}

// Committed receives after an Update that emitted events, and while Watch runs
// after one of another control plane too. Its capacity is one: several Updates
// may be behind one value.
func (db *DB) Committed() <-chan struct{} { return db.committed }

// Commits returns how many Updates of this process have come to their end: what
// was read before may have changed where the number has. Other control planes on
// the database are not counted.
func (db *DB) Commits() uint64 { return db.commits.Load() }

// Err says why the database takes no changes until the process is started anew:
// a write the disk did not take, or a damaged file. It is nil while all is well.
// Reading goes on as far as it can.
func (db *DB) Err() error {
	if err := db.failure.Load(); err != nil {
		return err
	}
	return nil
}
