package distribution

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-api/sluice/internal/artifact"
)

// The files of a local copy. Fields are those of messages (message.go); how they
// are sealed is in copyseal.go, and the forms before that in copyplain.go.
//
//	base: baseMagic, salt, then sealed chunks. The first begins with the header:
//	      signed root, the digest of each bucket, how many items are in it. Then
//	      id, digest and body of each item, in order of buckets and ids
//	log:  logMagic, then sealed records: the fields of a change
//
// The gateway seals nothing that it has not verified. So what opens under its
// key is verified as soon as the header's digests add up to the root, and that
// is signed; loadedCopy.check computes all of it again when there is time.
const (
	baseMagic    = "sluice state 2\n"
	logMagic     = "sluice log 2\n"
	recordHeader = 4 // length of a record
	maxItemID    = 4 << 10
	temporary    = ".tmp"
)

var (
	errDamaged = errors.New("the file is damaged, or was written by another gateway")
	errCopy    = errors.New("what the file holds does not add up to its signed root")
)

// loadedCopy is a state with bodies, as it was read.
type loadedCopy struct {
	signed signedRoot
	state  *state
	plain  bool // the files were not sealed
}

// check computes every digest anew, which loading a sealed copy does not.
func (l *loadedCopy) check() error {
	digests := new([bucketCount]artifact.Digest)
	for b, bucket := range l.state.buckets {
		for i := range bucket {
			if e := &bucket[i]; artifact.DigestOf(e.body) != e.digest || int(bucketOf(e.id)) != b {
				return fmt.Errorf("%w: item %q", errCopy, e.id)
			}
		}
		if digests[b] = bucketDigest(bucket); digests[b] != l.state.digests[b] {
			return errCopy
		}
	}
	if rootOf(digests) != l.signed.root {
		return errCopy
	}
	return nil
}

// appendRecord appends a change as a record of a log that is to be at offset.
func appendRecord(b []byte, key *copyKey, c *change, offset int64) []byte {
	return key.sealRecord(b, c.append(nil), offset)
}

// readLog gives each intact record at the beginning of a log of the given size
// to f, with the offset it ends at. It returns the offset behind the last one,
// 0 where not even the beginning is that of a log.
func readLog(in io.Reader, size int64, key *copyKey, f func(c *change, end int64)) (good int64) {
	r := bufio.NewReaderSize(in, 64<<10)
	magic := make([]byte, len(logMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != logMagic && string(magic) != plainLog {
		return 0
	}
	open := key.openRecord
	if string(magic) == plainLog {
		open = func(record []byte, _ int64) ([]byte, error) { return openPlainRecord(record) }
	}
	good = int64(len(logMagic))
	for {
		var head [recordHeader]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return good
		}
		length := int64(binary.BigEndian.Uint32(head[:]))
		if string(magic) == plainLog {
			length += 4 // the checksum was not counted
		}
		end := good + recordHeader + length
		if end > size {
			return good
		}
		record := make([]byte, length)
		if _, err := io.ReadFull(r, record); err != nil {
			return good
		}
		fields, err := open(record, good)
		if err != nil {
			return good
		}
		c, err := readChange(&reader{b: fields})
		if err != nil {
			return good
		}
		f(c, end)
		good = end
	}
}

// readBase returns what a base file holds. Of a sealed one only the root is
// computed, of a plain one everything.
func readBase(in io.Reader, key *copyKey) (*loadedCopy, error) {
	r := bufio.NewReaderSize(in, 256<<10)
	magic := make([]byte, len(baseMagic))
	if _, err := io.ReadFull(r, magic); err != nil {
		return nil, errDamaged
	}
	switch string(magic) {
	case plainBase:
		return readPlainBase(r)
	case baseMagic:
		return readSealedBase(r, key)
	}
	return nil, errDamaged
}

// baseHead is the header of a base file.
type baseHead struct {
	signed  signedRoot
	digests [bucketCount]artifact.Digest
	counts  [bucketCount]int // of items
}

func readBaseHead(r *reader) *baseHead {
	h := &baseHead{signed: r.root()}
	for i := range h.digests {
		h.digests[i] = r.digest()
		h.counts[i] = int(min(r.number(), 1<<32))
	}
	return h
}

func readSealedBase(r *bufio.Reader, key *copyKey) (*loadedCopy, error) {
	chunks, err := newChunkReader(r, key)
	if err != nil {
		return nil, err
	}
	var head *baseHead
	var mu sync.Mutex
	var parts [][]entry
	if err := chunks.all(func(number uint64, plain []byte) error {
		fields := &reader{b: plain}
		var h *baseHead
		if number == 0 {
			h = readBaseHead(fields)
		}
		entries := readEntries(fields)
		if fields.err != nil {
			return errDamaged
		}
		mu.Lock()
		defer mu.Unlock()
		if number == 0 {
			head = h
		}
		for uint64(len(parts)) <= number {
			parts = append(parts, nil)
		}
		parts[number] = entries
		return nil
	}); err != nil {
		return nil, err
	}
	entries := slices.Concat(parts...)
	s := &state{digests: head.digests, root: rootOf(&head.digests), size: len(entries)}
	for b, n := range head.counts {
		if n > len(entries) {
			return nil, errDamaged
		}
		s.buckets[b], entries = entries[:n:n], entries[n:]
	}
	if len(entries) > 0 {
		return nil, errDamaged
	}
	return &loadedCopy{signed: head.signed, state: s}, nil
}

// readEntries reads the items of a chunk. Bodies are parts of the chunk, ids
// share memory.
func readEntries(r *reader) []entry {
	rest := *r
	n, size := 0, 0
	for ; len(rest.b) > 0; n++ {
		size += len(rest.bytes())
		rest.digest()
		rest.bytes()
	}
	var ids strings.Builder
	ids.Grow(size)
	entries := make([]entry, 0, n)
	for len(r.b) > 0 {
		from := ids.Len()
		ids.Write(r.bytes())
		entries = append(entries, entry{id: ids.String()[from:], digest: r.digest(), body: r.bytes()})
	}
	return entries
}

// replay returns the last state of a base and its log that adds up to a root
// that verify accepts, and how many bytes of the log lead to it. All of the
// log may be missing.
func replay(base, log io.Reader, logSize int64, key *copyKey, verify func(*signedRoot) error) (*loadedCopy, int64, error) {
	loaded, err := readBase(base, key)
	if err != nil {
		return nil, 0, err
	}
	var changes []*change
	var ends []int64
	good := readLog(log, logSize, key, func(c *change, end int64) {
		changes, ends = append(changes, c), append(ends, end)
	})
	if n := len(changes); n > 0 {
		// Mostly all of the log is good, and then its last root vouches for all
		// before it: one signature, and each bucket computed once.
		last := changes[n-1].signed
		put, remove := overlay(changes)
		state := loaded.state.with(put, remove)
		if state.root == last.root && verify(&last) == nil {
			return &loadedCopy{last, state, loaded.plain}, good, nil
		}
		good = int64(len(logMagic))
	}
	if err := verify(&loaded.signed); err != nil {
		return nil, 0, err
	}
	if loaded.state.root != loaded.signed.root {
		return nil, 0, errCopy
	}
	for i, c := range changes {
		state := loaded.state.with(entriesOf(c.put, true), c.remove)
		if state.root != c.signed.root || verify(&c.signed) != nil {
			break
		}
		loaded, good = &loadedCopy{c.signed, state, loaded.plain}, ends[i]
	}
	return loaded, good, nil
}

// overlay returns what changes in a row put and remove together.
func overlay(changes []*change) (put []entry, remove []string) {
	gone := make(map[string]bool)
	for _, c := range changes {
		for _, it := range c.put {
			gone[it.ID] = false
		}
		for _, id := range c.remove {
			gone[id] = true
		}
		put = append(put, entriesOf(c.put, true)...)
	}
	for id, is := range gone {
		if is {
			remove = append(remove, id)
		}
	}
	return put, remove
}

// writeBase writes a base file beside its place, makes it safe and puts it
// there. It returns its size. The items, which each gives in order, are those of
// s, whose root is the signed one.
func writeBase(path string, key *copyKey, signed *signedRoot, s *state, each func(put func(Item) error) error) (size int64, err error) {
	f, err := os.OpenFile(path+temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(path + temporary)
		}
	}()
	w, err := newChunkWriter(f, key)
	if err != nil {
		return 0, err
	}
	w.plain = appendRoot(w.plain, signed)
	for b, d := range s.digests {
		w.plain = append(w.plain, d[:]...)
		w.plain = binary.AppendUvarint(w.plain, uint64(len(s.buckets[b])))
	}
	written := 0
	if err := each(func(it Item) error {
		written++
		return w.item(it)
	}); err != nil {
		return 0, err
	}
	if written != s.size {
		return 0, fmt.Errorf("%d of the state's %d items are there", written, s.size)
	}
	if err := w.flush(true); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	if err := os.Rename(path+temporary, path); err != nil {
		return 0, err
	}
	return w.size, syncDir(filepath.Dir(path))
}

// copyItems gives every item of s to put, in order, with its body from a sealed
// base file and its log, each checked against its digest. Of the base one chunk
// is in memory, the log as a whole.
func copyItems(base, log io.Reader, logSize int64, key *copyKey, s *state, put func(Item) error) error {
	latest := make(map[string]Item)
	readLog(log, logSize, key, func(c *change, _ int64) {
		for _, it := range c.put {
			latest[it.ID] = it
		}
	})
	next, stop, err := baseItems(base, key)
	if err != nil {
		return err
	}
	defer stop()
	for _, bucket := range s.buckets {
		for _, e := range bucket {
			it, logged := latest[e.id]
			for there := true; !logged && it.ID != e.id; {
				if it, there = next(); !there {
					return fmt.Errorf("item %q: %w", e.id, errDamaged)
				}
			}
			if it.Digest != e.digest || artifact.DigestOf(it.Body) != e.digest {
				return fmt.Errorf("item %q: %w", e.id, errCopy)
			}
			if err := put(it); err != nil {
				return err
			}
		}
	}
	return nil
}

// baseItems returns what gives one item of a sealed base file after the other,
// until there is none or the file is damaged.
func baseItems(base io.Reader, key *copyKey) (next func() (Item, bool), stop func(), err error) {
	r := bufio.NewReaderSize(base, 256<<10)
	magic := make([]byte, len(baseMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != baseMagic {
		return nil, nil, errDamaged
	}
	chunks, err := newChunkReader(r, key)
	if err != nil {
		return nil, nil, err
	}
	next, stop = iter.Pull(func(yield func(Item) bool) {
		for last := false; !last; {
			sealed, err := chunks.next()
			if err != nil {
				return
			}
			plain, err := chunks.open(sealed)
			if err != nil {
				return
			}
			fields := &reader{b: plain}
			if sealed.number == 0 {
				readBaseHead(fields)
			}
			for _, e := range readEntries(fields) {
				if !yield(Item{ID: e.id, Digest: e.digest, Body: e.body}) {
					return
				}
			}
			last = sealed.last
		}
	})
	return next, stop, nil
}

// syncDir makes the names in a folder safe.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}
