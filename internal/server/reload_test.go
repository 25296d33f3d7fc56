package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-api/sluice/internal/config"
)

// journal keeps what a process logs.
type journal struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) has(text string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Contains(j.b.String(), text)
}

// reloading returns the process of a home that reads its files again when it is
// told to, its log, and what tells it.
func reloading(t *testing.T, yaml string) (*Server, *journal, chan<- os.Signal) {
	t.Helper()
	home, hangup, log := t.TempDir(), make(chan os.Signal, 1), &journal{}
	load := func() (*config.Config, error) {
		cfg, problems := config.Load(home, config.Overrides{})
		if len(problems) > 0 {
			return nil, config.Problems(problems)
		}
		return cfg, nil
	}
	write(t, filepath.Join(home, config.File), yaml)
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, Options{Version: "v1", Log: slog.New(slog.NewTextHandler(log, nil)), Reload: load, Hangup: hangup})
	if err != nil {
		t.Fatal(err)
	}
	return s, log, hangup
}

// F21: files with errors leave the running configuration as it is, and each error
// is said with its line; good ones are taken over.
func TestF21ConfigurationIsReadAgain(t *testing.T) {
	ports := freePorts(t, 4)
	base := "profile: quickstart\n" + listenOn(ports)
	const east = "environments:\n  - {name: East, type: production, host: east.example.com}\n"
	s, log, hangup := reloading(t, base+east)
	if err := os.MkdirAll(s.path(), 0o700); err != nil {
		t.Fatal(err)
	}
	_, secret, err := s.CreateToken(t.Context(), "", "test", nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	ready(t, ports[1])
	c := trusting(t, filepath.Join(s.cfg.Home, CAFile))
	names := func() (list []string) {
		t.Helper()
		a := do(t, c, http.MethodGet, "https://localhost:"+ports[0]+"/api/am/publisher/v4/settings", "", func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+secret.Reveal())
		})
		var body struct {
			Environment []struct{ Name, Type string }
		}
		if err := json.Unmarshal([]byte(a.body), &body); err != nil {
			t.Fatal(err, a.body)
		}
		for _, e := range body.Environment {
			list = append(list, e.Name+" "+e.Type)
		}
		return list
	}
	reread := func(yaml, said string) {
		t.Helper()
		write(t, filepath.Join(s.cfg.Home, config.File), yaml)
		hangup <- os.Interrupt // whatever it is
		within(t, "the log has "+said, func() bool { return log.has(said) })
	}
	want := func(what string, want ...string) {
		t.Helper()
		if got := names(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	want("at first", "East production")

	reread(base+"environments:\n  - {name: East, type: prod, host: a b}\n  - {name: West, typo: sandbox, host: west.example.com}\n", "sluice.yaml:5: ")
	for _, text := range []string{"sluice.yaml:4: type", "sluice.yaml:4: host", "sluice.yaml:5: "} {
		if !log.has(text) {
			t.Errorf("the log has no %q", text)
		}
	}
	want("after files with errors", "East production")
	if state, reasons := s.health.state(); state != "degraded" || !strings.Contains(reasons["configuration"], "sluice.yaml:4: type") {
		t.Errorf("health after files with errors: %s %v", state, reasons)
	}

	reread(base+"environments:\n  - {name: West, type: sandbox, host: west.example.com}\n  - {name: East, type: hybrid, host: east.example.com}\n", "changed=environments")
	want("one added, one changed", "West sandbox", "East hybrid")
	if state, reasons := s.health.state(); state != "ok" {
		t.Errorf("health after good files: %s %v", state, reasons)
	}

	reread(strings.Replace(base, ports[2], freePorts(t, 1)[0], 1)+"store: {apis_per_page: 7}\ngateway: {clock_leeway: 5s}\n"+east, "needs a restart: listen.http, gateway.clock_leeway")
	within(t, "the Store's page follows", func() bool { return s.control.plane.Display().StorePage == 7 })
	within(t, "the environments follow", func() bool { return len(names()) == 2 && names()[0] == "East production" })
	want("one removed", "East production", "West sandbox")
	if err := stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
}

// F21: a certificate that was renewed is presented by the next handshake; files
// that cannot be used leave the one before.
func TestF21CertificateIsReadAgain(t *testing.T) {
	now := time.Now()
	key := newTestKey(t)
	cert, keyFile := certificateFiles(t, key, key, "old.example.com", now.Add(-time.Hour), now.Add(time.Hour), 0o600)
	present := fromFiles(cert, keyFile)
	name := func() string {
		t.Helper()
		c, err := present(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.DNSNames[0]
	}
	if got := name(); got != "old.example.com" {
		t.Errorf("at first: %s", got)
	}
	write(t, cert, "no certificate")
	if got := name(); got != "old.example.com" {
		t.Errorf("with a file that cannot be used: %s", got)
	}
	other := newTestKey(t)
	newCert, newKey := certificateFiles(t, other, other, "renewed.example.com", now.Add(-time.Hour), now.Add(time.Hour), 0o600)
	for from, to := range map[string]string{newKey: keyFile, newCert: cert} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if got := name(); got != "renewed.example.com" {
		t.Errorf("renewed: %s", got)
	}
	if _, err := fromFiles(cert+".none", keyFile)(nil); err == nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without files: %v", err)
	}
}

// G9: without environments, with a sandbox alone, with none in the console, the
// process serves and its lists say so.
func TestG9FewEnvironments(t *testing.T) {
	for what, c := range map[string]struct {
		yaml string
		want string
	}{
		"no environments":     {"", `"environment":[]`},
		"only sandbox":        {"environments: [{name: S, type: sandbox, host: s.example.com}]\n", `"type":"sandbox"`},
		"none in the console": {"environments: [{name: H, type: hybrid, host: h.example.com, console: false}]\n", `"showInApiConsole":false`},
	} {
		ports := freePorts(t, 4)
		s := newServer(t, "profile: quickstart\n"+listenOn(ports)+c.yaml)
		_, secret, err := s.CreateToken(t.Context(), "", "test", nil, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, s)
		ready(t, ports[1])
		bearer := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret.Reveal()) }
		client := trusting(t, filepath.Join(s.cfg.Home, CAFile))
		a := do(t, client, http.MethodGet, "https://localhost:"+ports[0]+"/api/am/publisher/v4/settings", "", bearer)
		if a.status != http.StatusOK || !strings.Contains(a.body, c.want) {
			t.Errorf("%s: settings = %d %s, want %s", what, a.status, a.body, c.want)
		}
		if a := do(t, client, http.MethodGet, "https://localhost:"+ports[0]+"/api/am/devportal/v3/apis", "", bearer); a.status != http.StatusOK {
			t.Errorf("%s: the Store's list = %d %s", what, a.status, a.body)
		}
		if err := stop(); err != nil {
			t.Errorf("%s: Run = %v", what, err)
		}
	}
}
