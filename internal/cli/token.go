package cli

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluice-api/sluice/internal/server"
)

// tokenCommand makes access tokens.
type tokenCommand struct {
	Create tokenCreateCommand `cmd:"" help:"Make an access token of a user. The control plane of this home must be stopped; on a running one use POST /api/sluice/v1/access-tokens."`
}

type tokenCreateCommand struct {
	home
	User      string        `help:"User whose token it is; the first administrator where not given."`
	Name      string        `help:"Name of the token, shown in lists." default:"command line"`
	Scope     []string      `help:"A scope the token shall have; all that the user's roles give where none is given." placeholder:"SCOPE"`
	ExpiresIn time.Duration `help:"Validity, at most 2160h." default:"24h"`
}

// Run prints the token, and nothing else, on standard output.
func (c *tokenCreateCommand) Run(ctx context.Context, e *environment) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	s, err := server.New(cfg, server.Options{Version: version(), Log: logger(e.err, slog.LevelWarn)})
	if err != nil {
		return err
	}
	_, secret, err := s.CreateToken(ctx, c.User, c.Name, c.Scope, c.ExpiresIn)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.out, secret.Reveal())
	return err
}
