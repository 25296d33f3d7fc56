package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// What several control planes have in common in one PostgreSQL database are
// advisory locks, all of two keys: one of these and the schema's. With Shared, a
// transaction that changes something holds writerLock until it is committed, so
// that changes are made one after another as they are by one control plane, and
// events commit in the order of their sequence and generations.
const (
	guardLock  = 0x736c7563 + iota // "sluc": held as long as the database is open, by one exclusively or by all shared
	writerLock                     // of a transaction
	leaderLock                     // of the control plane that carries events to the bus
	startLock                      // of a start, so that one makes tables at a time
)

// Times of watching.
const (
	guardWait = 10 * time.Second // for a control plane that is just stopping
	leadEvery = 250 * time.Millisecond
	pingEvery = time.Second
	watchWait = 5 * time.Second // for an answer, before the connection is given up
)

// news is the channel on which PostgreSQL says that events were committed; the
// payload is the schema.
const news = "sluice_committed"

// keepAlive has the server notice within some 11 s that a machine is gone, and
// drop its locks.
var keepAlive = map[string]string{"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}

// holdGuard takes the lock of those who use this database for as long as the
// connection lives. It waits guardWait, less where ctx ends earlier.
func (db *DB) holdGuard(ctx context.Context, conn *pgx.Conn) error {
	wait := guardWait
	if deadline, ok := ctx.Deadline(); ok {
		wait = max(time.Millisecond, min(wait, time.Until(deadline)/2))
	}
	kind := "pg_advisory_lock"
	if db.shared {
		kind = "pg_advisory_lock_shared"
	}
	lock := fmt.Sprintf("begin; set local lock_timeout = %d; select %s(%d, hashtext(current_schema())); commit", wait.Milliseconds(), kind, guardLock)
	_, err := conn.PgConn().Exec(ctx, lock).ReadAll()
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "55P03" { // lock_not_available
		return err
	}
	holder := "another program"
	_, _ = conn.PgConn().Exec(ctx, "rollback").ReadAll()
	_ = conn.QueryRow(ctx, `select a.application_name || coalesce(' at ' || host(a.client_addr), '')
		from pg_locks l join pg_stat_activity a using (pid)
		where l.locktype = 'advisory' and l.granted and l.classid::bigint = $1 and l.objid = hashtext(current_schema())::oid
		order by a.backend_start limit 1`, guardLock).Scan(&holder)
	return &heldError{db.name, holder, "stop that one first, or give every control plane bus.cluster in its sluice.yaml"}
}

// oneStarts runs f while no other control plane is at the same place.
func (db *DB) oneStarts(ctx context.Context, f func(context.Context) error) error {
	if !db.shared {
		return f(ctx)
	}
	if _, err := db.write.ExecContext(ctx, `select pg_advisory_lock($1, hashtext(current_schema()))`, startLock); err != nil {
		return fmt.Errorf("the database %s cannot be opened: %w", db.name, err)
	}
	err := f(ctx)
	// The pool has one connection, and the lock goes with that.
	_, unlockErr := db.write.ExecContext(context.WithoutCancel(ctx), `select pg_advisory_unlock($1, hashtext(current_schema()))`, startLock)
	return errors.Join(err, unlockErr)
}

// waitForOthers waits until no other control plane is changing anything, and
// keeps them waiting until tx ends.
func (tx *Tx) waitForOthers() error {
	if !tx.db.shared {
		return nil
	}
	_, err := tx.exec(`select pg_advisory_xact_lock($1, hashtext(current_schema()))`, writerLock)
	return err
}

// tellOthers has the other control planes told of events, once tx is committed.
func (tx *Tx) tellOthers() error {
	if !tx.db.shared || !tx.emitted {
		return nil
	}
	_, err := tx.exec(`select pg_notify($1, current_schema())`, news)
	return err
}

// Leads reports whether this control plane is the one that carries events to the
// bus: always where it has the database for itself, else while Watch runs and
// holds the lock of the one who does. That it has lost the lock may be known a
// moment late; for so long two may carry the same events, which does no harm.
func (db *DB) Leads() bool { return !db.shared || db.leads.Load() }

// Watch keeps in touch with the control planes that share the database, until
// ctx ends: it makes Committed receive for their events, and competes for the
// place of the one that Leads.
func (db *DB) Watch(ctx context.Context) error {
	if !db.shared {
		<-ctx.Done()
		return nil
	}
	for {
		err := db.watch(ctx)
		if db.leads.Swap(false) && ctx.Err() == nil {
			db.log.WarnContext(ctx, "another control plane may carry changes to gateways now")
		}
		if ctx.Err() != nil {
			return nil
		}
		db.log.WarnContext(ctx, "the database's news are not heard; trying again", "database", db.name, "err", err)
		pause := time.NewTimer(leadEvery)
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

// watch does the work of Watch on one connection.
func (db *DB) watch(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, db.server)
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), watchWait)
		defer cancel()
		_ = conn.Close(end) // the locks go with it, also where it ends badly
	}()
	var schema string
	if err := conn.QueryRow(ctx, `select current_schema()`).Scan(&schema); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `listen `+news); err != nil {
		return err
	}
	for {
		if err := db.lead(ctx, conn); err != nil {
			return err
		}
		db.signal() // the net below the news, and for what came while nobody listened
		wait := leadEvery
		if db.leads.Load() {
			wait = pingEvery
		}
		if err := db.hear(ctx, conn, schema, wait); err != nil {
			return err
		}
	}
}

// lead tries for the place of the one that Leads, or makes sure of it.
func (db *DB) lead(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, watchWait)
	defer cancel()
	if db.leads.Load() {
		return conn.Ping(ctx)
	}
	var got bool
	if err := conn.QueryRow(ctx, `select pg_try_advisory_lock($1, hashtext(current_schema()))`, leaderLock).Scan(&got); err != nil {
		return err
	}
	if got {
		db.leads.Store(true)
		db.log.InfoContext(ctx, "this control plane carries changes to gateways now")
	}
	return nil
}

// hear signals the commits of others for a while.
func (db *DB) hear(ctx context.Context, conn *pgx.Conn, schema string, until time.Duration) error {
	wait, cancel := context.WithTimeout(ctx, until)
	defer cancel()
	for {
		n, err := conn.WaitForNotification(wait)
		switch {
		case err == nil && n.Payload == schema:
			db.signal()
		case err == nil: // of another schema
		case wait.Err() != nil && ctx.Err() == nil && !conn.IsClosed():
			return nil
		default:
			return err
		}
	}
}
