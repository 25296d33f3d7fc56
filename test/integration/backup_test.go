package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// heartbeat is how often a gateway says how it stands.
const heartbeat = 5 * time.Second

// A backup that is taken while changes are made is restored after the control
// plane was killed: gateways that are further on go over to it (FAULTS F5, F18).
func TestBackupAndRestore(t *testing.T) {
	if !namespace(t) {
		return
	}
	s := &story{ip: "localhost"}
	s.editHomes(t)
	s.startAll(t, []int{0, 1, 2})
	s.importAPI(t)
	s.deployToSandbox(t)

	stop, wrote := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				wrote <- n
				return
			default:
			}
			if _, err := s.rest.CreateApplication(t.Context(), fmt.Sprintf("app-%d", n), "Unlimited"); err != nil {
				t.Errorf("a change while the backup is made: %v", err)
				wrote <- n
				return
			}
			n++
		}
	}()
	file := filepath.Join(t.TempDir(), "sluice.backup")
	out, code := run(t, s.homes[0], "backup", file)
	close(stop)
	if n := <-wrote; code != 0 || n == 0 {
		t.Fatalf("backup = %d after %d changes beside it: %s", code, n, out)
	}
	s.deployToBoth(t)
	s.application(t, "later", false, 0)
	if out, code := run(t, s.homes[0], "restore", file, "--force"); code == 0 || !strings.Contains(out, "in use by process") {
		t.Errorf("restore under a running control plane = %d: %s", code, out)
	}
	s.instances[0].kill(t)
	if out, code := run(t, s.homes[0], "restore", file); code == 0 || !strings.Contains(out, "--force") {
		t.Errorf("restore over a database = %d: %s", code, out)
	}
	if out, code := run(t, s.homes[0], "restore", file, "--force"); code != 0 {
		t.Fatalf("restore = %d: %s", code, out)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	s.call.want(t, s.gateway(1, "/status"), "", http.StatusOK, "production")

	s.instances[0] = start(t, s.homes[0])
	ready(t, s.instances[0], 0)
	begin := time.Now()
	eventually(t, "the production gateway takes the restored state", func() error {
		if a := s.call.get(t, s.gateway(1, "/status"), ""); a.status != http.StatusNotFound {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
	if took := time.Since(begin); took > heartbeat {
		t.Errorf("the gateway took %v from the start of the control plane, want at most %v", took, heartbeat)
	} else {
		t.Logf("taken %v after the control plane was ready", took)
	}
	s.call.want(t, s.gateway(2, "/status"), "", http.StatusOK, "sandbox")
	s.logIn(t)
	bothBack(t)
	s.deployToBoth(t) // and goes on from there
}

// An older database that was copied back by hand is found by the gateways, which
// are further on: a new epoch begins by itself, and they go over to it (FAULTS F18).
func TestOlderDatabaseIsFound(t *testing.T) {
	if !namespace(t) {
		return
	}
	s := &story{ip: "localhost"}
	s.editHomes(t)
	s.startAll(t, []int{0, 1, 2})
	s.importAPI(t)
	s.deployToSandbox(t)
	s.instances[0].stop(t)
	file := filepath.Join(s.homes[0], "state", "sluice.db")
	older, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s.instances[0] = start(t, s.homes[0])
	ready(t, s.instances[0], 0)
	s.logIn(t)
	bothBack(t)
	s.deployToBoth(t)
	s.instances[0].kill(t)
	for _, end := range []string{"-wal", "-shm"} {
		if err := os.Remove(file + end); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, older, 0o600); err != nil {
		t.Fatal(err)
	}
	s.instances[0] = start(t, s.homes[0])
	ready(t, s.instances[0], 0)
	begin := time.Now()
	eventually(t, "the production gateway takes the older state", func() error {
		if a := s.call.get(t, s.gateway(1, "/status"), ""); a.status != http.StatusNotFound {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
	if took := time.Since(begin); took > heartbeat {
		t.Errorf("the gateway took %v from the start of the control plane, want at most %v", took, heartbeat)
	} else {
		t.Logf("taken %v after the control plane was ready", took)
	}
	s.call.want(t, s.gateway(2, "/status"), "", http.StatusOK, "sandbox")
	if !strings.Contains(s.instances[0].log.String(), "a new epoch begins") {
		t.Error("the control plane does not say that its database is an older one")
	}
	s.logIn(t)
	bothBack(t)
	s.deployToBoth(t)
}

// bothBack waits until both gateways of the page are connected.
func bothBack(t *testing.T) {
	t.Helper()
	eventually(t, "both gateways are back", func() error {
		for offset := 1; offset <= 2; offset++ {
			if err := says(t, offset, `"connected":true`); err != nil {
				return err
			}
		}
		return nil
	})
}
