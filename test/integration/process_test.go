package integration

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
)

var figures = flag.Bool("figures", false, "take the figures, with all rounds")

// patience is how long a test waits for a state that must come.
const patience = 20 * time.Second

var (
	root     = sync.OnceValue(func() string { d, _ := filepath.Abs("../.."); return d })
	packOnce = sync.OnceValues(makePack)
)

// makePack builds the product pack with the Makefile, once.
func makePack() (string, error) {
	if p := os.Getenv("SLUICE_TEST_PACK"); p != "" {
		return p, nil
	}
	out, err := exec.Command("make", "-s", "-C", root(), "dist", "PLATFORMS="+runtime.GOOS+"/"+runtime.GOARCH).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("make dist: %w\n%s", err, out)
	}
	lines := strings.Fields(strings.TrimSpace(string(out)))
	file := filepath.Join(root(), lines[len(lines)-1])
	return file, os.Setenv("SLUICE_TEST_PACK", file)
}

// unpack unpacks the product pack into a new folder and returns it: a home.
func unpack(t *testing.T, name string) string {
	t.Helper()
	pack, err := packOnce()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(pack)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(t.TempDir(), name)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return home
		}
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(h.Name, "/") // one folder holds everything
		to := filepath.Join(home, filepath.FromSlash(rest))
		if h.FileInfo().IsDir() {
			err = os.MkdirAll(to, 0o755)
		} else {
			var b []byte
			if b, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(to, b, h.FileInfo().Mode())
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// edit replaces what a pattern finds in a file of a home; it must find it.
func edit(t *testing.T, home, file, pattern, with string) {
	t.Helper()
	name := filepath.Join(home, filepath.FromSlash(file))
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	re := regexp.MustCompile("(?s)" + pattern)
	if !re.Match(b) {
		t.Fatalf("%s has nothing like %s:\n%s", file, pattern, b)
	}
	if err := os.WriteFile(name, re.ReplaceAll(b, []byte(with)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// process is one running sluice.
type process struct {
	home string
	cmd  *exec.Cmd
	log  *lockedBuffer
	done chan struct{} // closed when it has ended
}

// lockedBuffer is a buffer that a process writes while a test reads.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs `./sluice` in a home, as a user does. It is stopped at the end of
// the test, and its log shown where the test failed.
func start(t *testing.T, home string, args ...string) *process {
	t.Helper()
	p := &process{home: home, log: &lockedBuffer{}, done: make(chan struct{})}
	p.cmd = exec.Command(filepath.Join(home, "sluice"), args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = home, p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("--- log of %s\n%s", filepath.Base(home), p.log)
		}
	})
	return p
}

// stop ends the process politely and waits.
func (p *process) stop(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill() // so that the test can end
		t.Errorf("%s did not stop within %v of SIGTERM", p.home, patience)
	}
}

// kill ends the process as a crash would.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.done
}

// run runs one command of a home's binary to its end.
func run(t *testing.T, home string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(home, "sluice"), args...)
	cmd.Dir = home
	b, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(b), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b), 0
}

// eventually asks until done says nothing is wrong, or fails with what is.
func eventually(t *testing.T, what string, done func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
		<-tick.C
	}
}

// ready waits until a process says on its operations port that it is ready.
func ready(t *testing.T, p *process, offset int) {
	t.Helper()
	eventually(t, filepath.Base(p.home)+" is ready", func() error {
		select {
		case <-p.done:
			t.Fatalf("%s ended:\n%s", filepath.Base(p.home), p.log)
		default:
		}
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", 9763+offset))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s", body)
		}
		return err
	})
}

// caller makes HTTP calls as a client of the gateways does: it trusts the
// installation's CA and keeps no connection.
type caller struct {
	http *http.Client
	tls  *tls.Config
}

func newCaller(t *testing.T, controlHome string) *caller {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(controlHome, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	trust := &tls.Config{RootCAs: pool}
	return &caller{&http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: trust, DisableKeepAlives: true}}, trust}
}

// answer is what a call got.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any // nil where the body is not a JSON object
}

// text returns a member of the JSON body.
func (a *answer) text(name string) string { s, _ := a.json[name].(string); return s }

func (c *caller) do(ctx context.Context, method, address, token, body string, change ...func(*http.Request)) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for _, f := range change {
		f(req)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, body: string(b)}
	if json.Unmarshal(b, &a.json) != nil {
		a.json = nil
	}
	return a, nil
}

// get calls an address with a token.
func (c *caller) get(t *testing.T, address, token string) *answer {
	t.Helper()
	a, err := c.do(t.Context(), http.MethodGet, address, token, "")
	if err != nil {
		t.Fatalf("GET %s: %v", address, err)
	}
	return a
}

// want fails where a call is not answered with the status and, for a fault, the
// code, or, for an answer, by the backend it should be.
func (c *caller) want(t *testing.T, address, token string, status int, code string) *answer {
	t.Helper()
	a := c.get(t, address, token)
	got := a.text("code")
	if status < 300 {
		got = a.text("servedBy")
	}
	if a.status != status || got != code {
		t.Errorf("GET %s = %d %s, want %d %s", address, a.status, a.body, status, code)
	}
	if a.header.Get("X-Trace-Id") == "" {
		t.Errorf("GET %s: the answer has no X-Trace-Id", address)
	}
	return a
}

// form posts a form with Basic authentication, as the sample cURL does.
func (c *caller) form(t *testing.T, address, user, password string, form url.Values) *answer {
	t.Helper()
	a, err := c.do(t.Context(), http.MethodPost, address, "", form.Encode(), func(r *http.Request) {
		r.SetBasicAuth(user, password)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	})
	if err != nil {
		t.Fatalf("POST %s: %v", address, err)
	}
	return a
}

// secret returns what a command printed alone on its line.
func secret(out string) sluice.Secret { return sluice.Secret(strings.TrimSpace(out)) }
