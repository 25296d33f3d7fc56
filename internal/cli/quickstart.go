package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// quickstartCommand shows everything in one command.
type quickstartCommand struct {
	Dir    string `help:"Folder for the three homes; sluice-quickstart where not given, with --check a temporary one." type:"path"`
	Offset int    `help:"Added to every port." default:"0"`
	Check  bool   `help:"Verify everything, say how long each step took, stop, and exit with 0 or 1."`
}

// Ports of the sample backends, before the offset.
const (
	productionBackend = 9601
	sandboxBackend    = 9602
)

// checkTime is the most a check may take.
const checkTime = 2 * time.Minute

// Run starts the platform, publishes the sample API and calls it; then it stays
// until it is told to stop, or, with --check, stops.
func (c *quickstartCommand) Run(ctx context.Context, e *environment) (err error) {
	if c.Offset < 0 || c.Offset+2+9763 > 65535 {
		return fmt.Errorf("--offset %d moves a port out of 1 to 65535", c.Offset)
	}
	dir, remove, err := c.folder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	started := time.Now()
	if c.Check {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, checkTime)
		defer cancel()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	p := &platform{dir: dir, offset: c.Offset, steps: newSteps(e.out), group: g, stop: stop}
	defer func() {
		stop()
		if gerr := g.Wait(); err == nil && !errors.Is(gerr, context.Canceled) {
			err = gerr
		}
	}()
	_, _ = fmt.Fprintf(e.out, "Sluice quickstart: one API, two gateways, everything in %s\n\n", dir)
	if err := p.tell(ctx); err != nil {
		p.lastLogs(e.err)
		return err
	}
	if c.Check {
		_, _ = fmt.Fprintf(e.out, "\nAll of it works: %.1f s.\n", time.Since(started).Seconds())
		return nil
	}
	p.summary(e.out)
	<-ctx.Done()
	return nil
}

// folder returns the folder to work in and what to do with it at the end.
func (c *quickstartCommand) folder() (dir string, remove func() error, err error) {
	keep := func() error { return nil }
	switch {
	case c.Dir != "":
		return c.Dir, keep, nil
	case c.Check:
		dir, err = os.MkdirTemp("", "sluice-check-")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	dir, err = filepath.Abs("sluice-quickstart")
	return dir, keep, err
}

// steps prints what is done, and how long each step took. On a terminal it also
// shows what it is at.
type steps struct {
	out      io.Writer
	terminal bool
}

func newSteps(out io.Writer) *steps {
	f, isFile := out.(*os.File)
	if !isFile {
		return &steps{out: out}
	}
	info, err := f.Stat()
	return &steps{out: out, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// do runs one step. The note that it returns is shown beside it.
func (s *steps) do(name string, f func() (note string, err error)) error {
	start := time.Now()
	if s.terminal {
		_, _ = fmt.Fprintf(s.out, "  … %s\r", name)
	}
	note, err := f()
	took := time.Since(start).Seconds()
	if err != nil {
		_, _ = fmt.Fprintf(s.out, "  ✗ %s (%.2f s)\n", name, took)
		return fmt.Errorf("%s: %w", name, err)
	}
	if note != "" {
		note = ": " + note
	}
	_, _ = fmt.Fprintf(s.out, "  ✓ %s%s (%.2f s)\n", name, note, took)
	return nil
}

// startBackends serves both sides of the sample API.
func (p *platform) startBackends(ctx context.Context) (string, error) {
	for side, port := range map[string]int{sampleProduction: productionBackend, sampleSandbox: sandboxBackend} {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+p.offset))
		if err != nil {
			return "", fmt.Errorf("port %d of the sample backend: %w", port+p.offset, err)
		}
		p.group.Go(func() error { return serveSample(ctx, l, side) })
	}
	return fmt.Sprintf("http://127.0.0.1:%d and :%d", productionBackend+p.offset, sandboxBackend+p.offset), nil
}

// lastLogs shows the end of each process's log, after a failure.
func (p *platform) lastLogs(w io.Writer) {
	for _, i := range instances {
		b, err := os.ReadFile(filepath.Join(p.home(i), "sluice.log"))
		if err != nil {
			continue // it was not started
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		_, _ = fmt.Fprintf(w, "\n--- last lines of %s\n%s\n", filepath.Join(p.home(i), "sluice.log"), strings.Join(lines[max(0, len(lines)-8):], "\n"))
	}
}

// summary prints where everything is, and calls to paste.
func (p *platform) summary(w io.Writer) {
	ca := filepath.Join(p.home(controlInstance), "ca.pem")
	_, _ = fmt.Fprintf(w, `
Running. Log in as admin, password admin.

  Management REST API   https://localhost:%[1]d/api
  Production gateway    %[2]s   (and http://localhost:%[4]d)
  Sandbox gateway       %[3]s   (and http://localhost:%[5]d)

A token from the production gateway, and a call through it:

  TOKEN=$(curl -s --cacert %[6]s -u %[7]s -d grant_type=client_credentials https://localhost:%[8]d/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl --cacert %[6]s -H "Authorization: Bearer $TOKEN" %[2]s/stations

The same through the sandbox gateway, with the sandbox key:

  TOKEN=$(curl -s --cacert %[6]s -u %[9]s -d grant_type=client_credentials https://localhost:%[10]d/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl --cacert %[6]s -H "Authorization: Bearer $TOKEN" %[3]s/stations

Logs are in %[11]s/*/sluice.log. Ctrl-C stops everything; the same command starts it again.
`, 9443+p.offset, p.url(productionInstance), p.url(sandboxInstance), 8281+p.offset, 8282+p.offset, ca,
		p.production.basic(), 8244+p.offset, p.sandbox.basic(), 8245+p.offset, p.dir)
}
