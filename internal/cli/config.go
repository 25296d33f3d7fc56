package cli

import "fmt"

// configCommand checks and shows configurations.
type configCommand struct {
	Check  configCheckCommand  `cmd:"" help:"Report everything that is wrong, and warnings."`
	Show   configShowCommand   `cmd:"" help:"Print the resulting configuration; secrets are hidden."`
	Import configImportCommand `cmd:"" help:"Print the configuration as a native sluice.yaml, with its secrets."`
}

type configCheckCommand struct{ home }

// Run reports problems, by which it fails, and warnings.
func (c *configCheckCommand) Run(e *environment) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings {
		if _, err := fmt.Fprintln(e.out, "warning:", w); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(e.out, "The configuration is good: role %s (%s), management port %s.\n", cfg.Role, cfg.RoleFrom, cfg.Listen.Management)
	return err
}

type configShowCommand struct{ home }

// Run prints the configuration.
func (c *configShowCommand) Run(e *environment) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	return cfg.Show(e.out)
}

type configImportCommand struct{ home }

// Run prints a sluice.yaml that amounts to the home's configuration.
func (c *configImportCommand) Run(e *environment) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	return cfg.Export(e.out)
}
