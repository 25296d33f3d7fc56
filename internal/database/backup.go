package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/sluice-api/sluice"
)

// Copy says what a copy of a database holds.
type Copy struct {
	Schema       int64                // version of the schema
	Environments []sluice.Environment // with name, epoch and generation alone
}

// IsFile reports whether a database's URL is the path of a SQLite file.
func IsFile(address string) bool { return !strings.Contains(address, "://") }

// Backup writes what was committed to the SQLite database at path to a file that
// must not exist, and that nobody else may read; the control plane may go on
// writing meanwhile. The copy is checked for damage, and that key opens what is
// sealed in it. Where it returns an error nothing is left of the copy.
func Backup(ctx context.Context, path, to string, key [32]byte) (c Copy, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return c, err
	}
	if _, err := os.Stat(path); err != nil {
		return c, fmt.Errorf("the database cannot be read: %w", err)
	}
	empty, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return c, err
	}
	defer func() {
		err = errors.Join(err, removeAll(to+".lock", to+"-wal", to+"-shm"))
		if err != nil {
			err = errors.Join(err, removeAll(to))
		}
	}()
	if err := errors.Join(empty.Close(), vacuum(ctx, path, to)); err != nil {
		return c, err
	}
	db := &DB{}
	db.aead, db.keyID = newSeal(key)
	if err := db.connectSQLite(ctx, to); err != nil {
		return c, err
	}
	err = db.View(ctx, func(tx *Tx) error {
		if err := tx.checkKey(); err != nil {
			return fmt.Errorf("the key does not open the database: %w", err)
		}
		c.Environments, err = query(tx, func(e *sluice.Environment) []any { return []any{&e.Name, &e.Epoch, &e.Generation} },
			`select name, epoch, generation from environments order by name`)
		if err != nil {
			return err
		}
		return tx.sql.QueryRowContext(ctx, `select max(version_id) from `+schemaTable).Scan(&c.Schema)
	})
	return c, errors.Join(err, db.Close())
}

// vacuum copies a database within one read transaction.
func vacuum(ctx context.Context, path, to string) error {
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(5000)"}}.Encode()}
	source, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return err
	}
	source.SetMaxOpenConns(1)
	if _, err = source.ExecContext(ctx, `vacuum into ?`, to); err != nil {
		err = fmt.Errorf("copy the database %s: %w", path, err)
	}
	return errors.Join(err, source.Close())
}

// removeAll removes files, where they are there.
func removeAll(names ...string) (all error) {
	for _, name := range names {
		if err := os.Remove(name); !errors.Is(err, os.ErrNotExist) {
			all = errors.Join(all, err)
		}
	}
	return all
}

// Lock keeps other processes from opening the SQLite database at path, which
// need not exist, until it is released; an error of InUse where one has it open.
func Lock(path string) (release func() error, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	return lockFile(path)
}
