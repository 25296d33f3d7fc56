package distribution

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The copy holds passwords of backends and perhaps a signing key.
func TestCopySaysNothingWithoutTheGatewaysKey(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, 3)
	w.change([]Item{item("api/1", "opensesame")})
	w.copy.damaged = errDamaged
	w.copy.compact(&w.signed, w.state.withoutBodies())
	w.change([]Item{item("api/2", "opensesame")})
	w.check(t)
	w.copy.close()
	for _, name := range names(t, dir) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"opensesame", "api/", "body of key", "prod"} {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s shows %q", name, secret)
			}
		}
	}
	if loaded, c, err := reloadOf(t, dir, testSigner, "another seed"); err == nil || c.err() == nil {
		t.Errorf("another gateway reads generation %d", loaded.signed.generation)
	}
}

// Chunks are in one order, and all of them are there.
func TestSealedChunksStayTogether(t *testing.T) {
	const n = 5
	body := bytes.Repeat([]byte("x"), chunkSize)
	items := make(map[string]string)
	for i := range n {
		items[fmt.Sprint("api/", i)] = string(body)
	}
	tests := map[string]struct {
		alter func(head []byte, chunks [][]byte) [][]byte
		good  bool
	}{
		"as written":       {func(h []byte, c [][]byte) [][]byte { return append([][]byte{h}, c...) }, true},
		"two exchanged":    {func(h []byte, c [][]byte) [][]byte { c[1], c[2] = c[2], c[1]; return append([][]byte{h}, c...) }, false},
		"first is missing": {func(h []byte, c [][]byte) [][]byte { return append([][]byte{h}, c[1:]...) }, false},
		"last is missing":  {func(h []byte, c [][]byte) [][]byte { return append([][]byte{h}, c[:n-1]...) }, false},
		"one twice":        {func(h []byte, c [][]byte) [][]byte { return append([][]byte{h, c[0]}, c...) }, false},
		"last twice":       {func(h []byte, c [][]byte) [][]byte { return append(append([][]byte{h}, c...), c[n-1]) }, false},
		"another salt":     {func(h []byte, c [][]byte) [][]byte { h[len(h)-1] ^= 1; return append([][]byte{h}, c...) }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w := &writer{copy: newCopy(t, dir), signer: testSigner}
			w.move(stateOf(items))
			w.copy.replace(&w.signed, w.state.items())
			w.check(t)
			w.copy.close()
			alterFile(t, w.copy.basePath(1), func(b []byte) []byte {
				head, rest := b[:len(baseMagic)+saltSize], b[len(baseMagic)+saltSize:]
				var chunks [][]byte
				for len(rest) > 0 {
					end := chunkField + int(binary.BigEndian.Uint32(rest))
					chunks, rest = append(chunks, rest[:end:end]), rest[end:]
				}
				if len(chunks) != n {
					t.Fatalf("the file has %d chunks, want %d", len(chunks), n)
				}
				return slices.Concat(test.alter(head, chunks)...)
			})
			if _, _, err := reload(t, dir); (err == nil) != test.good {
				t.Errorf("loading it gives %v", err)
			}
		})
	}
}

// writePlain writes generation 1 as it was written before copies were sealed.
func (w *writer) writePlain(t *testing.T, changes ...*change) {
	t.Helper()
	fields := binary.AppendUvarint(appendRoot(nil, &w.signed), uint64(w.state.size))
	base := append(binary.BigEndian.AppendUint32([]byte(plainBase), uint32(len(fields))), fields...)
	for _, it := range w.state.items() {
		base = appendText(appendText(base, it.ID), it.Body)
	}
	log := []byte(plainLog)
	for _, c := range changes {
		fields := c.append(nil)
		log = binary.BigEndian.AppendUint32(log, uint32(len(fields)))
		log = append(binary.BigEndian.AppendUint32(log, checksum(fields)), fields...)
	}
	for path, b := range map[string][]byte{w.copy.basePath(1): base, w.copy.logPath(1): log} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPlainCopyIsSealed(t *testing.T) {
	dir := t.TempDir()
	w := &writer{copy: newCopy(t, dir), signer: testSigner}
	w.move(stateOf(map[string]string{"key/1": "one", "key/2": "two"}))
	before := *w
	put := []Item{item("key/3", "three")}
	w.move(w.state.with(entriesOf(put, true), []string{"key/1"}))
	before.writePlain(t, &change{signed: w.signed, whole: true, put: put, remove: []string{"key/1"}})

	for range 2 { // as it was, then sealed
		loaded, c, err := reload(t, dir)
		if err != nil || c.err() != nil || loaded.signed.generation != 2 || loaded.state.root != w.state.root {
			t.Fatalf("loaded %+v, %v, %v", loaded, err, c.err())
		}
		if err := loaded.check(); err != nil {
			t.Error(err)
		}
		c.close()
		if got := names(t, dir); !slices.Equal(got, []string{"state-0000000002.base", "state-0000000002.log"}) {
			t.Fatalf("files: %v", got)
		}
	}

	// What is not as it was signed is not taken, and not sealed.
	dir = t.TempDir()
	before.copy = newCopy(t, dir)
	before.writePlain(t)
	alterFile(t, before.copy.basePath(1), func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	if _, _, err := reload(t, dir); !errors.Is(err, errCopy) {
		t.Errorf("an altered copy: %v", err)
	}
}

// A copy that was sealed wrong, by a mistake of this program or of the machine's
// memory, is found while it is served, and all of it fetched again.
func TestCopySealedWrongIsFetchedAgain(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 10)
	c.start()
	dir := filepath.Join(t.TempDir(), "copy")
	seed := c.enrol("prod", "g1")
	ch := c.put("prod", "key/1", "right")
	m := newMember(t, c.memberOptions("prod", "g1", seed, dir))
	m.start()
	c.publish(ch)
	m.await(1, ch.Generation)
	m.stop()

	loaded, copied, err := reloadOf(t, dir, c.signer, seed)
	if err != nil {
		t.Fatal(err)
	}
	n := copied.sequence + 1
	if _, err := writeBase(copied.basePath(n), copied.key, &loaded.signed, loaded.state, func(put func(Item) error) error {
		for _, it := range loaded.state.items() {
			it.Body = []byte("wrong")
			if err := put(it); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	m = newMember(t, c.memberOptions("prod", "g1", seed, dir))
	m.follower.checkAfter = time.Millisecond
	m.follower.every = 20 * time.Millisecond
	m.start()
	eventually(t, "the state is the control plane's again", func() bool {
		return m.serves("key/1") == "right" && m.follower.Status().CopyErr == nil
	})
	m.stop()
	back, _, err := reloadOf(t, dir, c.signer, seed)
	if err != nil || back.check() != nil {
		t.Errorf("the copy is %+v, %v", back, err)
	}
}
