package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/server"
)

// shortestPassword is the least number of characters of a password.
const shortestPassword = 8

// adminCommand is about the first administrator.
type adminCommand struct {
	Reset adminResetCommand `cmd:"" help:"Give the first administrator another password. The control plane of this home must be stopped."`
}

type adminResetCommand struct {
	home
	PasswordFile string `help:"File with the new password." type:"existingfile" required:"" placeholder:"FILE"`
}

// Run sets the password and leaves an audit entry.
func (c *adminResetCommand) Run(ctx context.Context, e *environment) error {
	password, err := readPassword(c.PasswordFile)
	if err != nil {
		return err
	}
	cfg, err := c.load()
	if err != nil {
		return err
	}
	s, err := server.New(cfg, server.Options{Version: version(), Log: logger(e.err, slog.LevelWarn)})
	if err != nil {
		return err
	}
	if err := s.ResetAdministrator(ctx, password); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.out, "The password of admin is changed.")
	return err
}

// readPassword reads a password from the first line of a file.
func readPassword(file string) (sluice.Secret, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimSpace(line); len(line) < shortestPassword {
		return "", errors.New("the administrator's password needs at least 8 characters")
	}
	return sluice.Secret(line), nil
}
