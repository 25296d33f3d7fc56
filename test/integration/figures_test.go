package integration

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-api/sluice/internal/client"
)

// Goals of the figures. Without -figures the rounds are few and the machine may
// be busy with other tests, so that a goal may be missed by loosely.
const (
	checkGoal      = 15 * time.Second
	stepGoal       = 2 * time.Second
	controlGoal    = 120 << 20 // bytes of memory
	gatewayGoal    = 40 << 20
	publishGoal    = 250 * time.Millisecond // p99
	revocationGoal = 250 * time.Millisecond // p99
	loosely        = 8
)

// goal returns a goal, or what is enough without -figures.
func goal[T ~int | ~int64](g T) T {
	if *figures {
		return g
	}
	return g * loosely
}

// rounds returns how often something is measured.
func rounds() int {
	if *figures {
		return 200
	}
	return 10
}

// TestFigures takes the figures of the path: quickstart, memory, publish to
// live, revocation to refused everywhere.
func TestFigures(t *testing.T) {
	if !namespace(t) {
		return
	}
	t.Run("quickstart", quickstartFigures)
	s := &story{ip: "localhost"}
	s.editHomes(t)
	s.startAll(t, []int{0, 1, 2})
	s.importAPI(t)
	s.deployToSandbox(t)
	s.deployToBoth(t)
	s.subscribe(t)
	s.joinFourth(t)
	s.publishFigures(t)
	s.revocationFigures(t)
}

// quickstartFigures runs the quickstart as a newcomer does, with --check for its
// time and without for the memory of its processes.
func quickstartFigures(t *testing.T) {
	home := unpack(t, "quickstart")
	begin := time.Now()
	out, code := run(t, home, "quickstart", "--check")
	took := time.Since(begin)
	if code != 0 {
		t.Fatalf("quickstart --check = %d\n%s", code, out)
	}
	t.Logf("quickstart --check: %.2f s", took.Seconds())
	if took > goal(checkGoal) {
		t.Errorf("quickstart --check took %v, want at most %v", took, checkGoal)
	}
	for _, m := range regexp.MustCompile(`✓ (.*) \(([0-9.]+) s\)`).FindAllStringSubmatch(out, -1) {
		seconds, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("  %5.2f s  %s", seconds, m[1])
		if time.Duration(seconds*float64(time.Second)) > goal(stepGoal) {
			t.Errorf("step %q took %s s, want at most %v", m[1], m[2], stepGoal)
		}
	}
	p := start(t, home, "quickstart", "--dir", filepath.Join(home, "running"))
	eventually(t, "the quickstart runs", func() error {
		if !strings.Contains(p.log.String(), "Ctrl-C stops everything") {
			return fmt.Errorf("it says %q", p.log)
		}
		return nil
	})
	pasted(t, p.log.String())
	for name, limit := range map[string]int{"1-control-plane": controlGoal, "2-production-gateway": gatewayGoal, "3-sandbox-gateway": gatewayGoal} {
		m := memoryOf(t, p, name)
		t.Logf("memory of %s: %.1f MB (%.1f MB of its own, %.1f MB resident with the pages of the binary, which all processes share)",
			name, mb(m.proportional), mb(m.own), mb(m.resident))
		if m.proportional > limit {
			t.Errorf("%s takes %d bytes, want at most %d", name, m.proportional, limit)
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-p.done
}

// pasted runs the commands that the quickstart prints for pasting, in a shell.
func pasted(t *testing.T, log string) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		missing(t, "curl")
	}
	var script bytes.Buffer
	for line := range strings.SplitSeq(log, "\n") {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "TOKEN=") || strings.HasPrefix(line, "curl ") {
			fmt.Fprintln(&script, line)
		}
	}
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script.String())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"servedBy":"production"`) || !strings.Contains(string(out), `"servedBy":"sandbox"`) {
		t.Errorf("the printed commands answer %s (%v):\n%s", out, err, script.String())
	}
}

// memory is what a process takes, in bytes. Pages of the binary count in
// resident for each process, in proportional divided by those that share them.
type memory struct{ resident, proportional, own int }

// memoryOf returns the memory of the child process whose command line names a
// home.
func memoryOf(t *testing.T, parent *process, home string) memory {
	t.Helper()
	pid := parent.cmd.Process.Pid
	children, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range children {
		b, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		for child := range strings.FieldsSeq(string(b)) {
			line, err := os.ReadFile("/proc/" + child + "/cmdline")
			if err != nil || !strings.Contains(string(line), home) {
				continue
			}
			b, err := os.ReadFile("/proc/" + child + "/smaps_rollup")
			if err != nil {
				t.Fatal(err)
			}
			return memory{resident: kilobytes(t, b, "Rss"), proportional: kilobytes(t, b, "Pss"), own: kilobytes(t, b, "Anonymous")}
		}
	}
	t.Fatalf("no child process of %s", home)
	return memory{}
}

// kilobytes reads a line such as "Rss:	 1234 kB" and returns bytes.
func kilobytes(t *testing.T, status []byte, name string) int {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("no %s in %s", name, status)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// publishFigures deploys two revisions in turn, and takes the time until the
// answer says that every gateway has proved it.
func (s *story) publishFigures(t *testing.T) {
	second, err := s.rest.CreateRevision(t.Context(), s.apiID, "second")
	if err != nil {
		t.Fatal(err)
	}
	// A revision must differ for gateways to have something to do.
	revisions := []string{s.revisionID, second.ID}
	var took []time.Duration
	for i := range rounds() {
		begin := time.Now()
		deployed, err := s.rest.Deploy(t.Context(), s.apiID, revisions[(i+1)%2], []client.Deployment{
			{Environment: "Production Gateway", Store: true}, {Environment: "Sandbox Gateway", Store: true},
		})
		took = append(took, time.Since(begin))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range deployed {
			if d.Live != d.Connected || d.Connected == 0 {
				t.Fatalf("not live: %+v", d)
			}
		}
	}
	report(t, "publish → live on both environments (three gateways)", took, publishGoal)
}

// revocationFigures revokes tokens at the sandbox gateway, and takes the time
// from the request until both production gateways refuse.
func (s *story) revocationFigures(t *testing.T) {
	var took []time.Duration
	gateways := []string{s.gateway(1, "/stations"), s.gateway(3, "/stations")}
	for range rounds() {
		a := s.call.form(t, s.oauth(1, "/token"), s.production.Key, s.production.Secret.Reveal(), url.Values{"grant_type": {"client_credentials"}})
		token := a.text("access_token")
		for _, g := range gateways {
			s.call.want(t, g, token, http.StatusOK, "production")
		}
		begin := time.Now()
		s.revoke(t, 2, s.production, token)
		for _, g := range gateways {
			for s.call.get(t, g, token).status != http.StatusUnauthorized {
				if time.Since(begin) > patience {
					t.Fatalf("%s takes the token %v after it was revoked", g, patience)
				}
			}
		}
		took = append(took, time.Since(begin))
	}
	report(t, "revocation → refused by both production gateways", took, revocationGoal)
}

// report prints p50, p99 and the worst, and holds p99 against its goal.
func report(t *testing.T, what string, took []time.Duration, p99 time.Duration) {
	t.Helper()
	slices.Sort(took)
	at := func(p float64) time.Duration { return took[min(len(took)-1, int(p*float64(len(took))))] }
	t.Logf("%s: p50 %.1f ms, p99 %.1f ms, worst %.1f ms, over %d", what,
		ms(at(0.5)), ms(at(0.99)), ms(took[len(took)-1]), len(took))
	if at(0.99) > goal(p99) {
		t.Errorf("%s: p99 %v, want at most %v", what, at(0.99), p99)
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func mb(bytes int) float64 { return float64(bytes) / (1 << 20) }
