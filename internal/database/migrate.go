package database

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"slices"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// schemaTable holds the versions of the schema that were applied.
const schemaTable = "schema_versions"

// The versions that are no file: each database has its own words for them (see
// dialect).
const (
	appendOnlyStep = 2  // audit entries
	sealsStep      = 13 // and their seals
)

// migrate brings the schema to the newest version this program knows, each step
// in a transaction of its own: one that is cut short leaves no trace.
func (db *DB) migrate(ctx context.Context) error {
	if err := db.checkOurs(ctx); err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	steps, err := goose.NewProvider(db.dialect.goose, db.write, files,
		goose.WithTableName(schemaTable), goose.WithDisableGlobalRegistry(true),
		goose.WithGoMigrations(
			goose.NewGoMigration(appendOnlyStep, &goose.GoFunc{RunTx: db.makeAppendOnly("audit_entries")}, nil),
			goose.NewGoMigration(sealsStep, &goose.GoFunc{RunTx: db.makeAppendOnly("audit_seals")}, nil)))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	current, newest, err := steps.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version of the database %s: %w", db.name, err)
	}
	if current > newest {
		return fmt.Errorf("the database %s was written by a newer Sluice (schema %d, this one knows %d): use that version, or restore a backup made before the update", db.name, current, newest)
	}
	if _, err := steps.Up(ctx); err != nil {
		return fmt.Errorf("update the schema of the database %s from %d to %d: %w", db.name, current, newest, err)
	}
	if current != newest {
		db.log.InfoContext(ctx, "database schema updated", "database", db.name, "from", current, "to", newest)
	}
	return nil
}

// checkOurs refuses a database that holds another program's tables.
func (db *DB) checkOurs(ctx context.Context) error {
	rows, err := db.write.QueryContext(ctx, db.dialect.tables)
	if err != nil {
		return fmt.Errorf("list the tables of the database %s: %w", db.name, err)
	}
	defer rows.Close() // Err below tells all
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		tables = append(tables, name)
	}
	if len(tables) > 0 && !slices.Contains(tables, schemaTable) {
		return fmt.Errorf("the database %s holds the tables of another program: name another one, or in PostgreSQL a schema of its own by search_path", db.name)
	}
	return rows.Err()
}

// makeAppendOnly returns the step after which the database refuses to change or
// delete rows of a table.
func (db *DB) makeAppendOnly(table string) func(ctx context.Context, tx *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		for _, statement := range db.dialect.appendOnly(table) {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}
}
