package distribution

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// compactFrom is the size from which a log that has outgrown its base is folded
// into a new one.
const compactFrom = 1 << 20

// localCopy is a gateway's copy of its state, on disk. A generation of it is a
// base file with all items under a signed root, and a log of the changes since,
// each under its own, all sealed with the gateway's key; the forms are in
// copyfile.go. A new base is written beside, synced and renamed; the generation
// before it is kept. What is read is used only as far as it adds up to a root
// that a trusted key has signed.
//
// After a write or a sync has failed the copy is broken: nothing is appended to
// it and the failed sync is not tried again, since the system may have dropped
// what it could not write; only a new generation mends it. A localCopy belongs
// to one goroutine.
type localCopy struct {
	dir         string
	environment string
	keys        []ed25519.PublicKey
	key         *copyKey
	log         *slog.Logger

	sequence uint64   // of the generation in use; 0: none
	file     *os.File // its log, open for appending; nil: none, or broken
	baseSize int64
	logSize  int64
	dirty    bool      // appended and not synced
	damaged  error     // of the newest generation, or of all; nil once a new one is written
	broken   error     // nil: what was appended is there
	marked   time.Time // when the control plane was last noted as heard
	left     [2]stamp  // base and log as they were left by the last write or read here
}

// stamp is what tells whether a file was written by somebody else.
type stamp struct {
	size    int64
	changed time.Time
}

// errTouched is given for a copy that something other than its gateway wrote.
var errTouched = errors.New("something other than this gateway has changed or removed its files; they are written anew")

// stamps returns the stamps of the files in use, zero for one that is missing.
func (c *localCopy) stamps() (now [2]stamp) {
	for i, path := range []string{c.basePath(c.sequence), c.logPath(c.sequence)} {
		if info, err := os.Stat(path); err == nil {
			now[i] = stamp{info.Size(), info.ModTime()}
		}
	}
	return now
}

// watch finds files that somebody else has changed or removed, which would else
// show only at the next start, and marks the copy as broken. What was changed in
// the moment before an own write is found at that start.
func (c *localCopy) watch() (touched bool) {
	if c.broken != nil || c.file == nil || c.dirty || c.stamps() == c.left {
		return false
	}
	c.fail(errTouched)
	return true
}

// err says what is wrong with the copy.
func (c *localCopy) err() error {
	if c.broken != nil {
		return c.broken
	}
	return c.damaged
}

// heardFile is empty; the time of its last change is when the control plane was
// last heard. It says how old the copy may be, and nothing depends on it.
const heardFile = "heard"

// markEvery is how often that time is written, at most.
const markEvery = 10 * time.Second

// markHeard notes that the control plane was heard. It is not synced: a power
// cut may lose the last minute of it.
func (c *localCopy) markHeard(at time.Time) {
	if at.Sub(c.marked) < markEvery {
		return
	}
	c.marked = at
	name := filepath.Join(c.dir, heardFile)
	if err := os.Chtimes(name, at, at); err == nil {
		return
	}
	if f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
		_ = f.Close() // it is now that it was made
	}
}

// lastHeard returns when the control plane was last heard, zero where that is
// not known.
func (c *localCopy) lastHeard() time.Time {
	info, err := os.Stat(filepath.Join(c.dir, heardFile))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime().UTC()
}

// errNoCopy is given where there is no copy at all.
var errNoCopy = errors.New("there is no local copy yet")

// load reads the newest generation that holds a verified state, and opens it
// for appending; one that is not sealed is written anew and removed. It returns
// errNoCopy where there is none, and else says of every generation what is wrong
// with it.
func (c *localCopy) load() (*loadedCopy, error) {
	sequences, err := c.sequences()
	if err != nil {
		c.damaged = fmt.Errorf("local copy: %w", err)
		return nil, c.damaged
	}
	c.damaged = errNoCopy
	var all []error
	for _, n := range sequences {
		loaded, logSize, err := c.read(n)
		if err != nil {
			c.log.Warn("a generation of the local copy is damaged", "file", c.basePath(n), "err", err)
			all = append(all, err)
			c.damaged = fmt.Errorf("local copy: %w", errors.Join(all...))
			continue
		}
		if len(all) == 0 {
			c.damaged = nil
		}
		c.sequence = n
		if loaded.plain {
			c.replace(&loaded.signed, loaded.state.items())
			if c.broken == nil {
				_ = os.Remove(c.basePath(n))
				_ = os.Remove(c.logPath(n))
			}
			return loaded, nil
		}
		c.reopen(logSize)
		return loaded, nil
	}
	return nil, c.damaged
}

// read returns the last verified state of a generation and how far its log is
// good.
func (c *localCopy) read(n uint64) (*loadedCopy, int64, error) {
	g, err := c.open(n)
	if err != nil {
		return nil, 0, err
	}
	defer g.close()
	loaded, good, err := replay(g.base, g.log, g.logSize, c.key, func(s *signedRoot) error { return s.verify(c.environment, c.keys) })
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", filepath.Base(g.base.Name()), err)
	}
	if good < g.logSize {
		c.log.Warn("the local copy's log ends in a damaged change, which is left out", "file", g.log.Name(), "bytes", g.logSize-good)
	}
	c.baseSize = g.baseSize
	return loaded, good, nil
}

// copyGeneration is the open files of a generation, for reading.
type copyGeneration struct {
	base, log         *os.File
	baseSize, logSize int64
}

// open opens a generation; a log that is missing is made.
func (c *localCopy) open(n uint64) (g *copyGeneration, err error) {
	g = new(copyGeneration)
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if g.base, g.baseSize, err = openSized(c.basePath(n), os.O_RDONLY); err != nil {
		return nil, err
	}
	if g.log, g.logSize, err = openSized(c.logPath(n), os.O_RDONLY|os.O_CREATE); err != nil {
		return nil, err
	}
	return g, nil
}

func openSized(path string, flag int) (*os.File, int64, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (g *copyGeneration) close() {
	if g.base != nil {
		_ = g.base.Close()
	}
	if g.log != nil {
		_ = g.log.Close()
	}
}

// reopen opens the log of the generation in use for appending behind size, and
// cuts off what is there.
func (c *localCopy) reopen(size int64) {
	var before int64
	var err error
	if c.file, before, err = openSized(c.logPath(c.sequence), os.O_CREATE|os.O_RDWR); err != nil {
		c.fail(err)
		return
	}
	if before != size || size == 0 {
		if size, err = c.cutOff(size); err != nil {
			c.fail(err)
			return
		}
	}
	c.logSize = size
	if _, err := c.file.Seek(size, io.SeekStart); err != nil {
		c.fail(err)
	}
	c.left = c.stamps()
}

// cutOff cuts the log, of which at least the beginning is left, and makes that
// safe. It returns the log's size.
func (c *localCopy) cutOff(size int64) (int64, error) {
	if err := c.file.Truncate(size); err != nil {
		return 0, err
	}
	if size == 0 {
		if _, err := c.file.WriteAt([]byte(logMagic), 0); err != nil {
			return 0, err
		}
		size = int64(len(logMagic))
	}
	if err := c.file.Sync(); err != nil {
		return 0, err
	}
	return size, syncDir(c.dir)
}

// append adds a change that has been verified. It is safe from a power cut
// after the next sync.
func (c *localCopy) append(ch *change) {
	if c.broken != nil || c.file == nil {
		return
	}
	n, err := c.file.Write(appendRecord(nil, c.key, ch, c.logSize))
	c.logSize += int64(n)
	c.dirty = true
	c.fail(err)
}

// sync makes what was appended safe.
func (c *localCopy) sync() {
	if c.broken != nil || !c.dirty {
		return
	}
	c.dirty = false
	c.fail(c.file.Sync())
	c.left = c.stamps()
}

// fail notes an error, from which on the copy is broken.
func (c *localCopy) fail(err error) {
	if err == nil {
		return
	}
	c.broken = fmt.Errorf("local copy: %w", err)
	c.log.Error("the local copy cannot be written", "dir", c.dir, "err", err)
	c.close()
}

func (c *localCopy) close() {
	if c.file != nil {
		_ = c.file.Close() // what counts has been synced
		c.file = nil
	}
}

// replace writes a new generation that holds a complete state, with bodies.
func (c *localCopy) replace(signed *signedRoot, items []Item) {
	s := emptyState().with(entriesOf(items, true), nil)
	if s.root != signed.root {
		c.fail(errCopy)
		return
	}
	c.renew(signed, s, func(put func(Item) error) error {
		for _, bucket := range s.buckets {
			for _, e := range bucket {
				if err := put(Item{ID: e.id, Digest: e.digest, Body: e.body}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// compact folds the log into a new generation where that is due. The bodies
// come from the generation in use, item by item, and are checked against the
// digests of s on their way.
func (c *localCopy) compact(signed *signedRoot, s *state) {
	if c.broken != nil || c.damaged == nil && (c.logSize < compactFrom || c.logSize < c.baseSize) {
		return
	}
	from, err := c.open(c.sequence)
	if err != nil {
		c.fail(err)
		return
	}
	defer from.close()
	c.renew(signed, s, func(put func(Item) error) error {
		return copyItems(from.base, from.log, from.logSize, c.key, s, put)
	})
}

// renew writes the next generation from what each gives and goes over to it.
// Of the others only the one in use until now is kept.
func (c *localCopy) renew(signed *signedRoot, s *state, each func(put func(Item) error) error) {
	previous := c.sequence
	sequences, err := c.sequences()
	if err != nil {
		c.fail(err)
		return
	}
	next := previous + 1
	if len(sequences) > 0 {
		next = max(next, sequences[0]+1)
	}
	size, err := writeBase(c.basePath(next), c.key, signed, s, each)
	if err != nil {
		c.fail(err)
		return
	}
	c.close()
	c.sequence, c.baseSize, c.dirty, c.damaged, c.broken = next, size, false, nil, nil
	c.reopen(0)
	for _, n := range sequences {
		if n != previous {
			_ = os.Remove(c.basePath(n))
			_ = os.Remove(c.logPath(n))
		}
	}
}

// sequences lists the generations there are, newest first. It removes what an
// interrupted write has left.
func (c *localCopy) sequences() ([]uint64, error) {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, err
	}
	var list []uint64
	for _, e := range entries {
		var n uint64
		if _, err := fmt.Sscanf(e.Name(), "state-%d.base", &n); err != nil || n == 0 {
			continue
		}
		switch path := filepath.Join(c.dir, e.Name()); path {
		case c.basePath(n):
			list = append(list, n)
		case c.basePath(n) + temporary:
			_ = os.Remove(path)
		}
	}
	slices.Sort(list)
	slices.Reverse(list)
	return list, nil
}

func (c *localCopy) basePath(n uint64) string {
	return filepath.Join(c.dir, fmt.Sprintf("state-%010d.base", n))
}

func (c *localCopy) logPath(n uint64) string {
	return filepath.Join(c.dir, fmt.Sprintf("state-%010d.log", n))
}
