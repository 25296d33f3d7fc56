package cli

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/sluice-api/sluice/internal/server"
)

// serveCommand runs the process of a home.
type serveCommand struct {
	home
	Debug bool `help:"Log everything."`
}

// Run runs the process until it is told to stop. SIGHUP makes it read its
// configuration again.
func (c *serveCommand) Run(ctx context.Context, e *environment) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if c.Debug {
		level = slog.LevelDebug
	}
	slog.SetDefault(logger(e.err, slog.LevelError)) // for libraries that log on their own
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	s, err := server.New(cfg, server.Options{Version: version(), Log: logger(e.err, level), Reload: c.load, Hangup: hangup})
	if err != nil {
		return err
	}
	return s.Run(ctx)
}
