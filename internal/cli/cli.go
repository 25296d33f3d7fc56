// Package cli is the command line: one file per subcommand. A command reads a
// home's configuration and runs or asks a server (package server), or uses the
// REST API like any other client (package client); it decides nothing itself.
//
// Messages for people go to standard output; progress, logs and errors to
// standard error. The exit code is 0, 1 where something went wrong, 2 where the
// command line cannot be understood.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/sluice-api/sluice/internal/config"
	"github.com/sluice-api/sluice/internal/config/wso2"
)

// commands is the command line.
type commands struct {
	Serve       serveCommand       `cmd:"" default:"withargs" help:"Run the process that the home's configuration describes."`
	Quickstart  quickstartCommand  `cmd:"" help:"Show everything: three processes, one API published to two gateways, and real calls through both."`
	Init        initCommand        `cmd:"" help:"Make a home folder with a configuration to edit."`
	Config      configCommand      `cmd:"" help:"Check or show a home's configuration without starting it."`
	Gateway     gatewayCommand     `cmd:"" help:"Let this home's gateway join an environment."`
	Environment environmentCommand `cmd:"" help:"Add, list or remove gateway environments of a running control plane."`
	Usage       usageCommand       `cmd:"" help:"Show how often APIs were called on the gateways of a running control plane."`
	Token       tokenCommand       `cmd:"" help:"Make an access token for the management API, on a stopped control plane."`
	Audit       auditCommand       `cmd:"" help:"Verify the audit log, on a stopped control plane."`
	Backup      backupCommand      `cmd:"" help:"Write a backup of the control plane, which may run meanwhile."`
	Restore     restoreCommand     `cmd:"" help:"Put a backup into this home, on a stopped control plane."`
	NewEpoch    newEpochCommand    `cmd:"" help:"Make gateways take the state of a PostgreSQL database that was restored, on a stopped control plane."`
	Admin       adminCommand       `cmd:"" help:"Help an administrator who lost the password."`
	Sample      sampleCommand      `cmd:"" hidden:"" name:"sample-backend" help:"Serve the sample API's backend."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
}

// environment is what commands get.
type environment struct {
	out, err io.Writer
}

// Run runs one command line and returns its exit code.
func Run(args []string, out, err io.Writer) int {
	var c commands
	exit := -1
	parser, perr := kong.New(&c, kong.Name("sluice"), kong.Writers(out, err), kong.Exit(func(code int) { exit = code }),
		kong.Description("Publish an API once, and it is live, provably, on every gateway you chose."), kong.UsageOnError())
	if perr != nil {
		_, _ = fmt.Fprintln(err, "sluice:", perr)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed, perr := parser.Parse(javaProperties(args))
	if exit >= 0 { // help was printed
		return exit
	}
	if perr != nil {
		_, _ = fmt.Fprintln(err, "sluice:", perr)
		return 2
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	if rerr := parsed.Run(&environment{out: out, err: err}); rerr != nil {
		text := rerr.Error()
		if problems, ok := errors.AsType[config.Problems](rerr); ok {
			text = strings.ReplaceAll(problems.Error(), "\n", "\nsluice: ")
		}
		_, _ = fmt.Fprintln(err, "sluice:", text)
		return 1
	}
	return 0
}

// javaProperties turns the system properties that WSO2's start script takes
// into flags: -DportOffset=1 is --offset=1, -Dprofile=NAME is --wso2-profile=NAME.
func javaProperties(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = a
		if v, ok := strings.CutPrefix(a, "-DportOffset="); ok {
			out[i] = "--offset=" + v
		}
		if v, ok := strings.CutPrefix(a, "-Dprofile="); ok {
			out[i] = "--wso2-profile=" + v
		}
	}
	return out
}

// home is the folder of a process, and what of its configuration the command
// line overrides.
type home struct {
	Home   string `help:"Home folder." default:"." type:"path"`
	Offset string `help:"Added to every port, instead of the configured offset." placeholder:"N"`
	WSO2   string `help:"Role by the name of WSO2's profile: gateway-worker, api-key-manager, …" name:"wso2-profile" placeholder:"NAME"`
}

// load reads the home's configuration, in whichever layout it has. Problems are
// returned all together, one on a line.
func (h *home) load() (*config.Config, error) {
	dir, err := filepath.Abs(h.Home)
	if err != nil {
		return nil, err
	}
	var o config.Overrides
	if h.Offset != "" {
		n, err := strconv.Atoi(h.Offset)
		if err != nil {
			return nil, fmt.Errorf("--offset: %q is not a whole number", h.Offset)
		}
		o.Offset = &n
	}
	if h.WSO2 != "" {
		if o.Role, err = wso2.Role(h.WSO2); err != nil {
			return nil, err
		}
	}
	load := config.Load
	if wso2.Is(dir) {
		load = wso2.Load
	} else if _, err := os.Stat(filepath.Join(dir, config.File)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not a home: it has no %s. `sluice init DIR` makes one, `sluice quickstart` shows everything", dir, config.File)
	}
	cfg, problems := load(dir, o)
	if len(problems) > 0 {
		return nil, config.Problems(problems)
	}
	return cfg, nil
}

// logger returns the process's logger. Times are UTC.
func logger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.String(slog.TimeKey, a.Value.Time().UTC().Format("2006-01-02T15:04:05.000Z"))
		}
		return a
	}}))
}

// version returns the version of this binary: that of the module, or of the
// commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

// versionCommand prints the version.
type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(e *environment) error {
	_, err := fmt.Fprintln(e.out, "sluice", version())
	return err
}
