package database

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
)

// Every table has one function that lists pointers to a struct's fields in the
// order of its columns. They are what a row is scanned into, and, since
// database/sql follows pointers, also the arguments of an insert or update.

// query runs q and returns its rows, each scanned into fields of a new T.
func query[T any](tx *Tx, fields func(*T) []any, q string, args ...any) ([]T, error) {
	if tx.failed != nil {
		return nil, tx.failed
	}
	rows, err := tx.sql.QueryContext(tx.ctx, q, args...)
	if err != nil {
		return nil, tx.fail("query", err)
	}
	defer rows.Close() // Err below tells all
	var list []T
	for rows.Next() {
		var v T
		if err := rows.Scan(fields(&v)...); err != nil {
			return nil, fmt.Errorf("scan %T: %w", v, err)
		}
		list = append(list, v)
	}
	if err := rows.Err(); err != nil {
		return nil, tx.fail("query", err)
	}
	return list, nil
}

// fail notes and returns the error of a statement.
func (tx *Tx) fail(doing string, err error) error {
	tx.failed = tx.translate(doing, err)
	return tx.failed
}

// one returns the only row of q; none is NotFound of that thing.
func one[T any](tx *Tx, thing string, fields func(*T) []any, q string, args ...any) (T, error) {
	list, err := query(tx, fields, q, args...)
	switch {
	case err != nil:
		return *new(T), err
	case len(list) == 0:
		return *new(T), unknown(thing)
	}
	return list[0], nil
}

// number returns the single number that q selects.
func (tx *Tx) number(q string, args ...any) (int64, error) {
	return one(tx, "number", func(n *int64) []any { return []any{n} }, q, args...)
}

// exec runs a statement and returns how many rows it changed.
func (tx *Tx) exec(q string, args ...any) (int64, error) {
	if tx.failed != nil {
		return 0, tx.failed
	}
	result, err := tx.sql.ExecContext(tx.ctx, q, args...)
	if err != nil {
		return 0, tx.fail("write", err)
	}
	return result.RowsAffected()
}

// add runs an insert.
func (tx *Tx) add(q string, args ...any) error {
	_, err := tx.exec(q, args...)
	return err
}

// change runs a statement that changes one row; none is NotFound of that thing.
func (tx *Tx) change(thing, q string, args ...any) error {
	n, err := tx.exec(q, args...)
	if err == nil && n == 0 {
		err = unknown(thing)
	}
	return err
}

// put runs an update under optimistic locking: one that names the row version it
// expects. Where no row has it, current tells whether there is one at all.
func (tx *Tx) put(current func() error, q string, args ...any) error {
	n, err := tx.exec(q, args...)
	if err != nil || n > 0 {
		return err
	}
	if err := current(); err != nil {
		return err
	}
	return sluice.Errorf(sluice.Changed, "changed", "Somebody else changed this in the meantime. Load it again.")
}

// unknown returns NotFound of a thing, called as people call it.
func unknown(thing string) error {
	return sluice.Errorf(sluice.NotFound, strings.ToLower(thing)+".unknown", "There is no such %s.", thing)
}

// instant is a time in a BIGINT column: microseconds since 1970 in UTC, so that
// it sorts and means the same everywhere; 0 is the zero time.
type instant time.Time

// Value implements driver.Valuer.
func (t instant) Value() (driver.Value, error) {
	if time.Time(t).IsZero() {
		return int64(0), nil
	}
	return time.Time(t).UnixMicro(), nil
}

// Scan implements sql.Scanner.
func (t *instant) Scan(src any) error {
	micros, ok := src.(int64)
	if !ok {
		return fmt.Errorf("a time column holds %T", src)
	}
	*t = instant{}
	if micros != 0 {
		*t = instant(time.UnixMicro(micros).UTC())
	}
	return nil
}

// document is a value in a TEXT column, as JSON.
type document[T any] struct{ v *T }

// asJSON lets v be read from and written to a column as JSON.
func asJSON[T any](v *T) document[T] { return document[T]{v} }

// Value implements driver.Valuer.
func (d document[T]) Value() (driver.Value, error) {
	b, err := json.Marshal(d.v)
	return string(b), err
}

// Scan implements sql.Scanner.
func (d document[T]) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("a JSON column holds %T", src)
	}
	return json.Unmarshal([]byte(text), d.v)
}

// histogram is one in a BYTEA column.
type histogram struct{ *sluice.Histogram }

// Value implements driver.Valuer.
func (h histogram) Value() (driver.Value, error) { return h.MarshalBinary() }

// Scan implements sql.Scanner.
func (h histogram) Scan(src any) error {
	b, ok := src.([]byte)
	if !ok {
		return fmt.Errorf("a column with a histogram holds %T", src)
	}
	return h.UnmarshalBinary(b)
}

// fold brings text into the form in which it is compared without regard to case.
func fold(s string) string { return strings.ToLower(s) }

// containing returns the LIKE pattern (escaped by \) of text with s in it.
func containing(s string) string { return "%" + literal(s) + "%" }

// literal returns the LIKE pattern (escaped by \) that stands for s alone.
func literal(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}

// atMost returns the LIMIT that stands for limit, of which zero means none.
func atMost(limit int) int {
	if limit <= 0 {
		return math.MaxInt32
	}
	return limit
}
