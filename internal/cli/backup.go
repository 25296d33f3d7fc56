package cli

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/sluice-api/sluice/internal/server"
)

// backupCommand writes a backup.
type backupCommand struct {
	home
	File string `arg:"" help:"File to write; it must not exist." type:"path"`
}

// Run writes the backup and says what it holds.
func (c *backupCommand) Run(ctx context.Context, e *environment) error {
	s, err := c.server(e)
	if err != nil {
		return err
	}
	m, err := s.Backup(ctx, c.File)
	if err != nil {
		return err
	}
	what := "the database and the key that opens its secrets"
	if m.Database != "sqlite" {
		what = "the key that opens the database's secrets; back up PostgreSQL itself with pg_dump"
	}
	_, err = fmt.Fprintf(e.out, "Wrote %s: %s.\nIt is not encrypted, and readable by its owner alone (0600): keep it as you keep a password.\n", c.File, what)
	return err
}

// restoreCommand puts a backup into a home.
type restoreCommand struct {
	home
	File  string `arg:"" help:"Backup, as sluice backup wrote it." type:"existingfile"`
	Force bool   `help:"Take the place of a database that is there; its files are kept beside the new ones."`
}

// Run restores the backup and says what was restored.
func (c *restoreCommand) Run(ctx context.Context, e *environment) error {
	s, err := c.server(e)
	if err != nil {
		return err
	}
	m, err := s.Restore(ctx, c.File, c.Force)
	if err != nil {
		return err
	}
	next := "Gateways take this state when the control plane starts (a new epoch)."
	if m.Database != "sqlite" {
		next = "Restore the PostgreSQL database with pg_restore, then: sluice new-epoch"
	}
	_, err = fmt.Fprintf(e.out, "Restored the backup of %s, made by Sluice %s.\n%s\n", m.CreatedAt.Format("2006-01-02 15:04:05 UTC"), m.Version, next)
	return err
}

// newEpochCommand says that the database was restored by other means.
type newEpochCommand struct {
	home
}

// Run begins the epoch.
func (c *newEpochCommand) Run(ctx context.Context, e *environment) error {
	s, err := c.server(e)
	if err != nil {
		return err
	}
	if err := s.BeginEpoch(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.out, "A new epoch has begun: gateways take the state of this database when the control plane starts.")
	return err
}

// server returns the process of the home, which is not to run.
func (h *home) server(e *environment) (*server.Server, error) {
	cfg, err := h.load()
	if err != nil {
		return nil, err
	}
	return server.New(cfg, server.Options{Version: version(), Log: logger(e.err, slog.LevelWarn)})
}
