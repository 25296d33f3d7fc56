// Command sluice is an API management platform in one binary: control plane,
// Key Manager and gateway. `sluice quickstart` shows all of it.
package main

import (
	"os"

	"github.com/sluice-api/sluice/internal/cli"
)

func main() { os.Exit(cli.Run(os.Args[1:], os.Stdout, os.Stderr)) }
