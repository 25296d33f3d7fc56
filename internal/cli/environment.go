package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/client"
	"github.com/sluice-api/sluice/internal/server"
)

// environmentCommand looks after the gateway environments of a running control
// plane.
type environmentCommand struct {
	Add    environmentAddCommand    `cmd:"" help:"Add an environment, and make a token with which its first gateway joins."`
	List   environmentListCommand   `cmd:"" help:"List the environments in their order."`
	Remove environmentRemoveCommand `cmd:"" help:"Remove an environment to which nothing is deployed, with its gateways."`
}

// remote says which running control plane is asked, and as whom.
type remote struct {
	Control string `help:"Address of the control plane's management port." default:"https://localhost:9443" placeholder:"URL"`
	Token   string `help:"Access token of the management API, as sluice token create prints it." env:"SLUICE_TOKEN" required:""`
	CA      string `help:"File with the CA of the control plane (PEM); ca.pem of the home where there is one." type:"path" placeholder:"FILE"`
	Home    string `help:"Home folder of the control plane, for its ca.pem." default:"." type:"path"`
}

// client returns a client of the control plane.
func (r *remote) client() (*client.Client, error) {
	name, optional := r.CA, false
	if name == "" {
		name, optional = filepath.Join(r.Home, server.CAFile), true
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	switch pem, err := os.ReadFile(name); {
	case err == nil:
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", name)
		}
	case !optional || !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("--ca: %w", err)
	}
	return client.New(client.Options{BaseURL: r.Control, Token: sluice.Secret(r.Token), TLS: secure}), nil
}

type environmentAddCommand struct {
	remote
	Name        string        `arg:"" help:"Name, unique without regard to case."`
	Type        string        `help:"production, sandbox or hybrid: which keys its gateways take." enum:"production,sandbox,hybrid" default:"hybrid"`
	Host        string        `help:"Public host of its gateways." required:""`
	HTTP        int           `help:"Public HTTP port; 0: not offered." name:"http-port" default:"8280"`
	HTTPS       int           `help:"Public HTTPS port." name:"https-port" default:"8243"`
	Context     string        `help:"Path before the contexts of APIs." placeholder:"/PATH"`
	Description string        `help:"Shown in the Publisher."`
	NoConsole   bool          `help:"Do not offer it in the API Console."`
	ExpiresIn   time.Duration `help:"Validity of the join token, at most 24h." default:"1h"`
}

// Run adds the environment and prints how a gateway joins it.
func (c *environmentAddCommand) Run(ctx context.Context, e *environment) error {
	rest, err := c.client()
	if err != nil {
		return err
	}
	defer rest.Close()
	made, err := rest.CreateEnvironment(ctx, client.Environment{
		Name: c.Name, Type: c.Type, Description: c.Description, Console: !c.NoConsole,
		Vhosts: []client.Vhost{{Host: c.Host, Context: c.Context, HTTPPort: c.HTTP, HTTPSPort: c.HTTPS}},
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(e.out, "Added the %s environment %s.\n", made.Type, made.Name); err != nil {
		return err
	}
	t, _, err := rest.CreateEnrolmentToken(ctx, made.ID, "", c.ExpiresIn)
	if err != nil {
		return fmt.Errorf("the environment is there, but no join token could be made: %w", err)
	}
	_, err = fmt.Fprintf(e.out, "Let a gateway join it, in that gateway's home, before %s:\n  %s\n", t.ExpiresAt.UTC().Format(time.RFC3339), t.Command)
	return err
}

type environmentListCommand struct{ remote }

// Run prints one line for each environment.
func (c *environmentListCommand) Run(ctx context.Context, e *environment) error {
	rest, err := c.client()
	if err != nil {
		return err
	}
	defer rest.Close()
	list, err := rest.Environments(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NAME\tTYPE\tADDRESS\tFROM") // Flush says what went wrong
	for _, env := range list {
		address := ""
		if len(env.Vhosts) > 0 {
			address = fmt.Sprintf("https://%s:%d%s", env.Vhosts[0].Host, env.Vhosts[0].HTTPSPort, env.Vhosts[0].Context)
		}
		origin := env.Origin
		if len(env.DeployedAPIs) > 0 {
			origin += ", serves " + strings.Join(env.DeployedAPIs, ", ")
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", env.Name, env.Type, address, origin)
	}
	return w.Flush()
}

type environmentRemoveCommand struct {
	remote
	Name string `arg:"" help:"Name of the environment."`
}

// Run removes the environment with the name.
func (c *environmentRemoveCommand) Run(ctx context.Context, e *environment) error {
	rest, err := c.client()
	if err != nil {
		return err
	}
	defer rest.Close()
	list, err := rest.Environments(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, env := range list {
		if !strings.EqualFold(env.Name, strings.TrimSpace(c.Name)) {
			names = append(names, env.Name)
			continue
		}
		if err := rest.DeleteEnvironment(ctx, env.ID); err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.out, "Removed the environment %s.\n", env.Name)
		return err
	}
	return fmt.Errorf("there is no environment %q; there are: %s", c.Name, strings.Join(names, ", "))
}
