package integration

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// inNamespace is set in the process that a test runs again in.
const inNamespace = "SLUICE_TEST_NAMESPACE"

// ownAddress is an address of the namespace that is not loopback (RFC 5737).
const ownAddress = "192.0.2.10"

// namespace runs the calling test again in a new network namespace, where all
// ports are free and nothing leads outside, and reports whether this is that
// second run. Who is not root gets one in a user namespace of their own.
func namespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inNamespace) == t.Name() {
		for _, args := range [][]string{
			{"link", "set", "lo", "up"},
			{"link", "add", "own", "type", "veth", "peer", "name", "other"},
			{"addr", "add", ownAddress + "/24", "dev", "own"},
			{"link", "set", "own", "up"},
		} {
			if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
				t.Fatalf("ip %v: %v\n%s", args, err, out)
			}
		}
		return true
	}
	if _, err := packOnce(); err != nil { // once for all namespaces
		t.Fatal(err)
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.timeout=9m"}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	if *figures {
		args = append(args, "-figures")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), inNamespace+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		missing(t, "a network namespace: %v; run as root, or allow user namespaces", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("in its network namespace: %v", err)
	}
	return false
}

// missing skips a test that lacks what it needs on a laptop, and fails it on CI.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("this test needs "+format, args...)
	}
	t.Skipf("this test needs "+format, args...)
}
