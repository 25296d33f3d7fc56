package distribution

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/sluice-api/sluice"
)

// A disk that cannot be written does not keep changes from being served; when
// it can be again the copy is written anew.
func TestCopyIsMended(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 10)
	c.start()
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // where the folder is to be
		t.Fatal(err)
	}
	m := newMember(t, c.memberOptions("prod", "g1", c.enrol("prod", "g1"), dir))
	m.follower.every = 20 * time.Millisecond
	clock := newClock()
	m.follower.o.Now = clock.now
	m.start()
	ch := c.put("prod", "key/new", "new")
	c.publish(ch)
	m.await(1, ch.Generation)
	eventually(t, "the status says that the copy cannot be written", func() bool { return m.follower.Status().Err != nil })
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	clock.add(2 * lastMendWait)
	eventually(t, "the copy is mended", func() bool { return m.follower.Status().Err == nil })
	m.stop()
	loaded, _, err := reloadOf(t, dir, c.signer, m.follower.o.Seed)
	if err != nil || loaded.signed.generation != ch.Generation {
		t.Errorf("the copy holds %+v, %v", loaded, err)
	}
}

// Files of the copy that somebody edits, cuts or removes while the gateway runs
// are found at the next heartbeat, which says so, and written anew at once: a
// restart then starts with all there is.
func TestCopyThatSomebodyTouches(t *testing.T) {
	touch := map[string]func(base, log string) error{
		"the base is edited":  func(base, _ string) error { return editByte(base) },
		"the log is edited":   func(_, log string) error { return editByte(log) },
		"the log is cut":      func(_, log string) error { return os.Truncate(log, 3) },
		"the log is removed":  func(_, log string) error { return os.Remove(log) },
		"the base is removed": func(base, _ string) error { return os.Remove(base) },
	}
	c := newControl(t)
	c.environment("prod", 10)
	c.start()
	m := newMember(t, c.memberOptions("prod", "g1", c.enrol("prod", "g1"), t.TempDir()))
	m.follower.every = 20 * time.Millisecond
	m.start()
	ch := c.put("prod", "key/new", "new")
	c.publish(ch)
	m.await(1, ch.Generation)
	for name, touch := range touch {
		c.awaitReport("nothing is wrong", func(r sluice.Report) bool { return r.Trouble == "" && r.Generation == ch.Generation })
		bases, err := filepath.Glob(filepath.Join(m.follower.o.Dir, "state-*.base"))
		if err != nil || len(bases) == 0 {
			t.Fatal(bases, err)
		}
		base := slices.Max(bases)
		if err := touch(base, strings.TrimSuffix(base, "base")+"log"); err != nil {
			t.Fatal(err)
		}
		c.awaitReport(name+": it is reported", func(r sluice.Report) bool { return strings.Contains(r.Trouble, "something other than this gateway") })
		eventually(t, name+": the copy is written anew", func() bool { return m.follower.Status().CopyErr == nil })
		loaded, _, err := reloadOf(t, copyDir(t, m.follower.o.Dir), c.signer, m.follower.o.Seed)
		if err != nil || loaded.signed.generation != ch.Generation {
			t.Errorf("%s: the copy holds %+v, %v", name, loaded, err)
		}
	}
}

// editByte changes the last byte of a file.
func editByte(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[len(b)-1] ^= 1
	return os.WriteFile(path, b, 0o600)
}

// While the copy is broken and the control plane cannot be reached, nothing
// else happens; a control plane whose database went back is named as such.
func TestControlPlaneThatWentBack(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 10)
	c.start()
	o := c.memberOptions("prod", "g1", c.enrol("prod", "g1"), t.TempDir())
	m := follow(t, o)
	within(t, m.follower.Loaded(), "a state is loaded")
	for range 3 {
		c.publish(c.put("prod", "key/x", "x"))
	}
	m.await(1, 4)
	m.stop()

	older := newControl(t)
	older.ca, older.signer, older.bus.o.Signer = c.ca, c.signer, c.signer
	older.environment("prod", 10)
	later := newClock()
	later.add(time.Hour)
	older.bus.o.Now = later.now
	older.gateways = c.gateways
	older.start()
	o.URL = older.url
	m = follow(t, o)
	eventually(t, "the status names the fault", func() bool {
		st := m.follower.Status()
		return st.Err != nil && st.Generation == 4 && st.Skew > 59*time.Minute
	})
	if m.serves("key/x") != "x" {
		t.Error("the gateway went back")
	}
}

func TestFollowerOptionsAreChecked(t *testing.T) {
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	accountSeed, err := account.Seed()
	if err != nil {
		t.Fatal(err)
	}
	good := FollowerOptions{
		GatewayID: "g", EnvironmentID: "e", URL: "wss://host:1", TLS: &tls.Config{}, Seed: sluice.Secret(seed), StateKeys: []ed25519.PublicKey{make([]byte, 32)},
		Dir: t.TempDir(), Apply: func(Update) {}, Reports: func() []sluice.DeploymentReport { return nil },
	}
	f, err := NewFollower(good)
	if err != nil {
		t.Fatal(err)
	}
	f.Report()
	f.Report() // never blocks
	if st := f.Status(); st.Connected || st.Root != "" || !st.Since.IsZero() {
		t.Errorf("status before Run = %+v", st)
	}
	for name, alter := range map[string]func(*FollowerOptions){
		"no gateway":       func(o *FollowerOptions) { o.GatewayID = "" },
		"no environment":   func(o *FollowerOptions) { o.EnvironmentID = "" },
		"address":          func(o *FollowerOptions) { o.URL = "ws://host:1" },
		"no TLS":           func(o *FollowerOptions) { o.TLS = nil },
		"no folder":        func(o *FollowerOptions) { o.Dir = "" },
		"no Apply":         func(o *FollowerOptions) { o.Apply = nil },
		"no Reports":       func(o *FollowerOptions) { o.Reports = nil },
		"no keys":          func(o *FollowerOptions) { o.StateKeys = nil },
		"short key":        func(o *FollowerOptions) { o.StateKeys = []ed25519.PublicKey{{1}} },
		"no seed":          func(o *FollowerOptions) { o.Seed = "" },
		"an account's key": func(o *FollowerOptions) { o.Seed = sluice.Secret(accountSeed) },
	} {
		o := good
		alter(&o)
		if _, err := NewFollower(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBusOptionsAreChecked(t *testing.T) {
	good := newControl(t).bus.o
	for name, alter := range map[string]func(*Options){
		"no signer":   func(o *Options) { o.Signer = nil },
		"no Snapshot": func(o *Options) { o.Snapshot = nil },
		"no Gateway":  func(o *Options) { o.Gateway = nil },
		"no Report":   func(o *Options) { o.Report = nil },
	} {
		o := good
		alter(&o)
		if _, err := NewBus(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	b, err := NewBus(good)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Run(ended); err != nil {
		t.Errorf("Run until the end: %v", err)
	}
	if err := b.Run(ended); err == nil {
		t.Error("the bus was run twice")
	}
}

func TestDelayGrowsAndDiffers(t *testing.T) {
	for failed, most := range map[int]time.Duration{0: firstDelay, 1: 2 * firstDelay, 5: 32 * firstDelay, 6: lastDelay, 1000: lastDelay} {
		different := map[time.Duration]bool{}
		for range 100 {
			d := delay(failed)
			if d < most/2 || d > most {
				t.Errorf("delay after %d failures = %s, want %s to %s", failed, d, most/2, most)
			}
			different[d] = true
		}
		if len(different) < 50 {
			t.Errorf("delays after %d failures hardly differ", failed)
		}
	}
}
