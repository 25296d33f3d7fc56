package integration

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// The binary needs nothing but itself: it makes a home and serves it in a root
// that holds no other file, as a user who owns nothing else. That is what the
// container recipe and the service unit build on.
func TestBinaryAlone(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("changing the root folder needs root")
	}
	if !namespace(t) {
		return
	}
	const user = 65532
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(unpack(t, "pack"), "sluice"), filepath.Join(root, "sluice")); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(root, "home", "sluice")
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, user, user); err != nil {
		t.Fatal(err)
	}
	command := func(args ...string) *exec.Cmd {
		c := exec.CommandContext(t.Context(), "/sluice", args...)
		c.Dir, c.Env, c.Stdout, c.Stderr = "/", []string{}, t.Output(), t.Output()
		c.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: user, Gid: user}}
		return c
	}
	if err := command("init", "/home/sluice").Run(); err != nil {
		t.Fatalf("init: %v", err)
	}
	server := command("serve", "--home", "/home/sluice")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process is ready", func() error {
		resp, err := http.Get("http://127.0.0.1:9763/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%d %s, %v", resp.StatusCode, body, err)
		}
		return nil
	})
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
