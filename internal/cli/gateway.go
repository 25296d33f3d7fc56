package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/config"
	"github.com/sluice-api/sluice/internal/server"
)

// gatewayCommand is about gateways.
type gatewayCommand struct {
	Drift gatewayDriftCommand `cmd:"" help:"Show in what gateways differ from what they should serve; fails where one does."`
	Join  gatewayJoinCommand  `cmd:"" help:"Join an environment with a one-time token, and remember the control plane. The home's process must be stopped."`
}

type gatewayJoinCommand struct {
	home
	Control     string `help:"Address of the control plane's management port, https://HOST:9443." required:""`
	Token       string `help:"One-time join token, from the Admin portal or POST /api/sluice/v1/enrolment-tokens." required:""`
	Name        string `help:"Name of this gateway in lists; host and port where not given."`
	CA          string `help:"File with the control plane's CA (PEM), instead of the fingerprint in the token." type:"existingfile" placeholder:"FILE"`
	Fingerprint string `help:"SHA-256 of the control plane's CA certificate, instead of the one in the token."`
}

// Run enrols the gateway and writes what it joined into the home's
// configuration, so that `sluice serve` goes on from there.
func (c *gatewayJoinCommand) Run(ctx context.Context, e *environment) error {
	u, err := url.Parse(c.Control)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("--control: %q is not an address like https://host:9443", c.Control)
	}
	address := "https://" + u.Host
	cfg, err := c.load()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(cfg.Home, "state", "sluice.db")); err == nil && cfg.Layout == config.Native && cfg.Role != config.GatewayOnly {
		return errors.New("this home is a control plane, with a database of its own, which it would cease to be; join from a home of the gateway's own: `sluice init DIR`")
	}
	if cfg.Layout == config.WSO2 && cfg.ControlPlane.URL != address {
		return fmt.Errorf("this home's api-manager.xml names %s (%s); change ServerURL of AuthManager and APIKeyValidator there first", cfg.ControlPlane.URL, cfg.ControlPlane.From)
	}
	cfg.ControlPlane.CAFile, cfg.ControlPlane.Fingerprint = c.CA, c.Fingerprint
	if c.Name != "" {
		cfg.Gateway.Name = c.Name
	}
	s, err := server.New(cfg, server.Options{Version: version(), Log: logger(e.err, slog.LevelWarn)})
	if err != nil {
		return err
	}
	id, err := s.Join(ctx, address, sluice.Secret(c.Token))
	if err != nil {
		return err
	}
	if err := config.Join(cfg.Home, cfg.Layout, address); err != nil {
		return fmt.Errorf("the gateway has joined, but its configuration could not be written: %w", err)
	}
	_, err = fmt.Fprintf(e.out, "Joined as gateway %s. Start it with: sluice serve --home %s\n", id.GatewayID, cfg.Home)
	return err
}
