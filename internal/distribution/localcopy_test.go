package distribution

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-api/sluice"
)

// writer makes copies as a gateway would.
type writer struct {
	copy   *localCopy
	signer ed25519.PrivateKey
	state  *state // with bodies
	signed signedRoot
}

var testSigner = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func testKey(t testing.TB, seed sluice.Secret) *copyKey {
	t.Helper()
	key, err := newCopyKey(seed)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newCopy(t testing.TB, dir string) *localCopy {
	c := &localCopy{dir: dir, environment: "prod", keys: []ed25519.PublicKey{testSigner.Public().(ed25519.PublicKey)}, key: testKey(t, "a seed"), log: logger(t)}
	t.Cleanup(c.close)
	return c
}

// newWriter writes a first generation of n items.
func newWriter(t testing.TB, dir string, n int) *writer {
	t.Helper()
	items := map[string]string{}
	for i := range n {
		items[fmt.Sprint("key/", i)] = fmt.Sprint("body of key ", i)
	}
	w := &writer{copy: newCopy(t, dir), signer: testSigner}
	if _, err := w.copy.load(); !errors.Is(err, errNoCopy) {
		t.Fatalf("load of an empty folder: %v", err)
	}
	w.move(stateOf(items))
	w.copy.replace(&w.signed, w.state.items())
	w.check(t)
	return w
}

func (w *writer) move(s *state) {
	w.state = s
	w.signed = signedRoot{environment: "prod", epoch: 1, generation: w.signed.generation + 1, root: s.root, time: time.Unix(1, 0)}
	w.signed.sign(w.signer)
}

// change appends one change, safely.
func (w *writer) change(put []Item, remove ...string) {
	w.move(w.state.with(entriesOf(put, true), remove))
	w.copy.append(&change{signed: w.signed, whole: true, put: put, remove: remove})
	w.copy.sync()
}

func (w *writer) check(t testing.TB) {
	t.Helper()
	if err := w.copy.err(); err != nil {
		t.Fatal(err)
	}
}

// reload reads a folder as a restart would.
func reload(t testing.TB, dir string) (*loadedCopy, *localCopy, error) {
	t.Helper()
	c := newCopy(t, dir)
	loaded, err := c.load()
	return loaded, c, err
}

// reloadOf does so with another control plane's key, for another gateway.
func reloadOf(t testing.TB, dir string, signer ed25519.PrivateKey, seed sluice.Secret) (*loadedCopy, *localCopy, error) {
	t.Helper()
	c := newCopy(t, dir)
	c.key = testKey(t, seed)
	c.keys = []ed25519.PublicKey{signer.Public().(ed25519.PublicKey)}
	loaded, err := c.load()
	return loaded, c, err
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
	return list
}

func TestCopyIsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		w := &writer{copy: newCopy(t, dir), signer: testSigner}
		w.move(stateOf(genItems().Draw(rt, "first")))
		w.copy.replace(&w.signed, w.state.items())
		for range rapid.IntRange(0, 7).Draw(rt, "changes") {
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0: // fold the log in, however small
				w.copy.damaged = errDamaged
				w.copy.compact(&w.signed, w.state.withoutBodies())
			case 1: // restart
				w.copy.close()
				w.copy = newCopy(t, dir)
				if _, err := w.copy.load(); err != nil {
					rt.Fatal(err)
				}
			default:
				put, remove := genItems().Draw(rt, "put"), genIDs().Draw(rt, "remove")
				for _, id := range remove {
					delete(put, id)
				}
				w.change(itemsOf(put), remove...)
			}
			if err := w.copy.err(); err != nil {
				rt.Fatal(err)
			}
		}
		loaded, _, err := reload(t, dir)
		if err != nil {
			rt.Fatal(err)
		}
		if loaded.signed != w.signed && !loaded.signed.time.Equal(w.signed.time) || !maps.Equal(contents(loaded.state), contents(w.state)) {
			rt.Fatalf("the copy is at generation %d with %d items, want %d with %d",
				loaded.signed.generation, loaded.state.size, w.signed.generation, w.state.size)
		}
	})
}

// TestF11DamagedCopy breaks the files of two generations in many ways. Whatever is
// served afterwards has been signed.
func TestF11DamagedCopy(t *testing.T) {
	const base, log = "state-0000000002.base", "state-0000000002.log"
	flip := func(name string, at int) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			alterFile(t, filepath.Join(dir, name), func(b []byte) []byte {
				b[(at+len(b))%len(b)] ^= 0x40
				return b
			})
		}
	}
	cut := func(name string, keep func(int) int) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			alterFile(t, filepath.Join(dir, name), func(b []byte) []byte { return b[:keep(len(b))] })
		}
	}
	both := func(fs ...func(*testing.T, string)) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			for _, f := range fs {
				f(t, dir)
			}
		}
	}
	// The first generation ends at 3, the second begins there and ends at 6.
	tests := map[string]struct {
		damage   func(t *testing.T, dir string)
		want     int64 // generation of the environment; 0: nothing is served
		reported bool  // an operator is told
	}{
		"none":                             {func(*testing.T, string) {}, 6, false},
		"half written last record":         {cut(log, func(n int) int { return n - 5 }), 5, false},
		"garbage behind the log":           {func(t *testing.T, dir string) { appendFile(t, filepath.Join(dir, log), "garbage") }, 6, false},
		"bit in the last record":           {flip(log, -1), 5, false},
		"bit in the first record":          {flip(log, len(logMagic)+recordHeader+1), 3, false},
		"huge length of a record":          {flip(log, len(logMagic)), 3, false},
		"log empty":                        {cut(log, func(int) int { return 0 }), 3, false},
		"log gone":                         {remove(log), 3, false},
		"bit at the log's beginning":       {flip(log, 0), 3, false},
		"log of another base":              {rename("state-0000000001.log", log), 3, false},
		"bit in a body of the base":        {flip(base, -1), 3, true},
		"bit in the base's signature":      {both(flip(base, len(baseMagic)+80), cut(log, func(int) int { return 0 })), 3, true},
		"bit at the base's beginning":      {flip(base, 0), 3, true},
		"half a base":                      {cut(base, func(n int) int { return n / 2 }), 3, true},
		"empty base":                       {cut(base, func(int) int { return 0 }), 3, true},
		"base gone":                        {remove(base), 3, false},
		"base with more behind":            {func(t *testing.T, dir string) { appendFile(t, filepath.Join(dir, base), "x") }, 3, true},
		"newer form":                       {both(flip(base, len(baseMagic)-2), flip(log, len(logMagic)-2)), 3, true},
		"both bases":                       {both(flip(base, 0), flip("state-0000000001.base", 0)), 0, true},
		"half written next generation":     {func(t *testing.T, dir string) { appendFile(t, filepath.Join(dir, "state-0000000003.base.tmp"), "x") }, 6, false},
		"empty next generation":            {func(t *testing.T, dir string) { appendFile(t, filepath.Join(dir, "state-0000000003.base"), "") }, 6, true},
		"other files":                      {func(t *testing.T, dir string) { appendFile(t, filepath.Join(dir, "state-x.base"), "x") }, 6, false},
		"a copy signed by somebody else":   {forge, 6, true},
		"a copy of another environment":    {foreign, 6, true},
		"newest and the first's log":       {both(flip(base, -1), flip("state-0000000001.log", -1)), 2, true},
		"base of the second as the fourth": {rename(base, "state-0000000004.base"), 3, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := newWriter(t, dir, 20)
			w.change([]Item{item("key/a", "a")})
			w.change([]Item{item("key/b", "b")}, "key/1")
			w.copy.damaged = errDamaged // so that a new generation is due
			w.copy.compact(&w.signed, w.state.withoutBodies())
			first := maps.Clone(contents(w.state))
			w.change([]Item{item("key/c", "c")}, "key/a")
			w.change([]Item{item("key/c", "d")})
			w.change(nil, "key/2")
			w.check(t)
			if got := names(t, dir); !slices.Equal(got, []string{"state-0000000001.base", "state-0000000001.log", base, log}) {
				t.Fatalf("files: %v", got)
			}
			w.copy.close()
			test.damage(t, dir)

			loaded, c, err := reload(t, dir)
			if test.want == 0 {
				if err == nil || c.err() == nil {
					t.Fatalf("generation %d was loaded", loaded.signed.generation)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if loaded.signed.generation != test.want || loaded.signed.root != loaded.state.root {
				t.Errorf("generation %d was loaded, want %d", loaded.signed.generation, test.want)
			}
			if test.want == 3 && !maps.Equal(contents(loaded.state), first) {
				t.Errorf("loaded %v, want %v", contents(loaded.state), first)
			}
			if got := c.err() != nil; got != test.reported {
				t.Errorf("reported: %v, want %t", c.err(), test.reported)
			}

			// It goes on from there, and what it writes is read again.
			again := &writer{copy: c, signer: testSigner, state: loaded.state, signed: loaded.signed}
			c.compact(&loaded.signed, loaded.state.withoutBodies())
			again.change([]Item{item("key/after", "after")})
			again.check(t)
			back, _, err := reload(t, dir)
			if err != nil || back.signed.generation != test.want+1 || back.state.root != again.state.root {
				t.Errorf("after going on: %+v, %v", back, err)
			}
			if got := names(t, dir); len(got) > 5 {
				t.Errorf("files that nobody needs are left: %v", got)
			}
		})
	}
}

// forge writes a newer generation under a key that nobody trusts.
func forge(t *testing.T, dir string) {
	s := stateOf(map[string]string{"key/evil": "evil"})
	r := signedRoot{environment: "prod", epoch: 1, generation: 99, root: s.root, time: time.Unix(1, 0)}
	r.sign(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	writeTestBase(t, filepath.Join(dir, "state-0000000003.base"), &r, s)
}

// foreign writes a newer generation of another environment, truly signed.
func foreign(t *testing.T, dir string) {
	s := stateOf(map[string]string{"key/other": "other"})
	r := signedRoot{environment: "sand", epoch: 1, generation: 99, root: s.root, time: time.Unix(1, 0)}
	r.sign(testSigner)
	writeTestBase(t, filepath.Join(dir, "state-0000000003.base"), &r, s)
}

func writeTestBase(t *testing.T, path string, r *signedRoot, s *state) {
	t.Helper()
	if _, err := writeBase(path, testKey(t, "a seed"), r, s, func(put func(Item) error) error {
		for _, it := range s.items() {
			if err := put(it); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func remove(name string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func rename(from, to string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
}

func alterFile(t *testing.T, path string, alter func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, alter(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

func appendFile(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLogIsFoldedInWhenItOutgrowsItsBase(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, 10)
	body := string(bytes.Repeat([]byte("x"), 100<<10))
	for n := range 25 {
		w.change([]Item{item("api/1", fmt.Sprint(n, body))}, fmt.Sprint("key/", n))
		w.copy.compact(&w.signed, w.state.withoutBodies())
		w.check(t)
	}
	if w.copy.sequence != 3 {
		t.Errorf("the copy is at its generation %d, want 3", w.copy.sequence)
	}
	if got := names(t, dir); len(got) != 4 {
		t.Errorf("files: %v, want two generations", got)
	}
	loaded, _, err := reload(t, dir)
	if err != nil || loaded.signed.generation != w.signed.generation {
		t.Errorf("loaded %+v, %v", loaded, err)
	}
}

func TestCopyThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, 10)
	_ = w.copy.file.Close() // from here on every write fails
	w.change([]Item{item("key/a", "a")})
	if w.copy.err() == nil {
		t.Fatal("a failed write is not reported")
	}
	w.change([]Item{item("key/b", "b")}) // nothing may follow the gap
	loaded, _, err := reload(t, dir)
	if err != nil || loaded.signed.generation != 1 {
		t.Fatalf("loaded %+v, %v; want what was safe", loaded, err)
	}
	w.copy.replace(&w.signed, w.state.items())
	w.check(t)
	if loaded, _, err = reload(t, dir); err != nil || loaded.signed.generation != 3 {
		t.Errorf("after a new generation: %+v, %v", loaded, err)
	}
}

func FuzzCopyFiles(f *testing.F) {
	dir := f.TempDir()
	w := newWriter(f, dir, 3)
	w.change([]Item{item("key/a", "a")}, "key/1")
	base, err := os.ReadFile(w.copy.basePath(1))
	if err != nil {
		f.Fatal(err)
	}
	log, err := os.ReadFile(w.copy.logPath(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(base, log)
	f.Add(base, []byte{})
	f.Add([]byte(baseMagic), []byte(logMagic))
	f.Add([]byte(plainBase), []byte(plainLog))
	keys := w.copy.keys
	f.Fuzz(func(t *testing.T, base, log []byte) {
		loaded, good, err := replay(bytes.NewReader(base), bytes.NewReader(log), int64(len(log)), w.copy.key, func(s *signedRoot) error { return s.verify("prod", keys) })
		if err != nil {
			return
		}
		if loaded.signed.verify("prod", keys) != nil || loaded.state.root != loaded.signed.root {
			t.Error("an unverified copy was read")
		}
		if good > int64(len(log)) {
			t.Errorf("%d bytes of a log of %d are good", good, len(log))
		}
	})
}

func BenchmarkLoadCopy(b *testing.B) {
	dir := b.TempDir()
	w := newWriter(b, dir, 100_000)
	var apis []Item
	for n := range 10_000 {
		apis = append(apis, item(fmt.Sprint("api/", n), string(bytes.Repeat([]byte("x"), 2000))))
	}
	w.change(apis)
	w.copy.close()
	before := cpu(b)
	for b.Loop() {
		loaded, c, err := reload(b, dir)
		if err != nil || loaded.state.size != 110_000 {
			b.Fatal(err)
		}
		c.close()
	}
	b.ReportMetric(float64((cpu(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
}

// cpu returns what this process has used of its processors: on a busy machine it
// says more than the time that has passed.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
