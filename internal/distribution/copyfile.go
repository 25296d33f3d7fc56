package distribution

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluice-api/sluice/internal/artifact"
)

// The files of a local copy. Fields are those of messages (message.go), lengths
// of headers and records and checksums (CRC-32C) have 4 bytes, big endian.
//
//	base: baseMagic, length and fields of the header: signed root, number of
//	      items; then id and body of each item
//	log:  logMagic, then records: length, checksum, fields of a change
//
// What makes them trustworthy is the root alone; the checksum finds the end of
// a log that was cut while it was written, without computing anything.
const (
	baseMagic    = "sluice state 1\n"
	logMagic     = "sluice log 1\n"
	recordHeader = 8
	maxBaseHead  = 4 << 10
	maxItemID    = 4 << 10
	temporary    = ".tmp"
)

var (
	errDamaged = errors.New("the file is damaged")
	errCopy    = errors.New("what the file holds does not add up to its signed root")
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// appendRecord appends a change as a record of a log.
func appendRecord(b []byte, c *change) []byte {
	start := len(b)
	b = c.append(append(b, make([]byte, recordHeader)...))
	fields := b[start+recordHeader:]
	binary.BigEndian.PutUint32(b[start:], uint32(len(fields)))
	binary.BigEndian.PutUint32(b[start+4:], checksum(fields))
	return b
}

// readLog gives each intact record at the beginning of a log of the given size
// to f, with the offset it ends at. It returns the offset behind the last one,
// 0 where not even the beginning is that of a log.
func readLog(in io.Reader, size int64, f func(c *change, end int64) error) (good int64, err error) {
	r := bufio.NewReaderSize(in, 64<<10)
	magic := make([]byte, len(logMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != logMagic {
		return 0, nil
	}
	good = int64(len(logMagic))
	for {
		var head [recordHeader]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return good, nil
		}
		length, sum := int64(binary.BigEndian.Uint32(head[:])), binary.BigEndian.Uint32(head[4:])
		end := good + recordHeader + length
		if end > size {
			return good, nil
		}
		fields := make([]byte, length)
		if _, err := io.ReadFull(r, fields); err != nil || checksum(fields) != sum {
			return good, nil
		}
		c, err := readChange(&reader{b: fields})
		if err != nil {
			return good, nil
		}
		if err := f(c, end); err != nil {
			return good, err
		}
		good = end
	}
}

// readBase gives each item of a base file to f, which is told how many there
// are to be, and returns the root in its header; nothing of it is verified.
// Bodies share memory by the block.
func readBase(in io.Reader, f func(it Item, count uint64) error) (signedRoot, error) {
	r := bufio.NewReaderSize(in, 256<<10)
	head := make([]byte, len(baseMagic)+4)
	if _, err := io.ReadFull(r, head); err != nil || string(head[:len(baseMagic)]) != baseMagic {
		return signedRoot{}, errDamaged
	}
	length := binary.BigEndian.Uint32(head[len(baseMagic):])
	if length > maxBaseHead {
		return signedRoot{}, errDamaged
	}
	fields := make([]byte, length)
	if _, err := io.ReadFull(r, fields); err != nil {
		return signedRoot{}, errDamaged
	}
	h := &reader{b: fields}
	signed, count := h.root(), h.number()
	if h.err != nil {
		return signedRoot{}, errDamaged
	}
	var memory blocks
	for range count {
		id, err := memory.read(r, maxItemID)
		if err != nil {
			return signedRoot{}, err
		}
		body, err := memory.read(r, artifact.MaxSize)
		if err != nil {
			return signedRoot{}, err
		}
		if err := f(Item{ID: string(id), Digest: artifact.DigestOf(body), Body: body}, count); err != nil {
			return signedRoot{}, err
		}
	}
	if _, err := r.ReadByte(); err != io.EOF {
		return signedRoot{}, errDamaged
	}
	return signed, nil
}

// blocks gives out memory in small pieces of large blocks: a state has a
// hundred thousand bodies, and most are short.
type blocks struct{ free []byte }

const blockSize = 256 << 10

// read reads a length and as many bytes.
func (m *blocks) read(r *bufio.Reader, limit uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil || n > limit {
		return nil, errDamaged
	}
	if n > uint64(len(m.free)) {
		m.free = make([]byte, max(n, blockSize))
	}
	var b []byte
	b, m.free = m.free[:n:n], m.free[n:]
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, errDamaged
	}
	return b, nil
}

// replay returns the last state of a base and its log that adds up to a root
// that verify accepts, and how many bytes of the log lead to it. All of the
// log may be missing.
func replay(base, log io.Reader, logSize int64, verify func(*signedRoot) error) (*loadedCopy, int64, error) {
	var entries []entry
	signed, err := readBase(base, func(it Item, count uint64) error {
		if entries == nil {
			entries = make([]entry, 0, min(count, 1<<17)) // the count is not verified
		}
		entries = append(entries, entry{it.ID, it.Digest, it.Body})
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	var changes []*change
	var ends []int64
	good, err := readLog(log, logSize, func(c *change, end int64) error {
		changes, ends = append(changes, c), append(ends, end)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	if n := len(changes); n > 0 {
		// Mostly all of the log is good, and then its last root vouches for all
		// before it: one signature, and each bucket computed once.
		last := changes[n-1].signed
		put, remove := overlay(changes)
		state := emptyState().with(append(slices.Clip(entries), put...), remove)
		if state.root == last.root && verify(&last) == nil {
			return &loadedCopy{last, state}, good, nil
		}
		good = int64(len(logMagic))
	}
	if err := verify(&signed); err != nil {
		return nil, 0, err
	}
	loaded := &loadedCopy{signed, emptyState().with(entries, nil)}
	if loaded.state.root != signed.root {
		return nil, 0, errCopy
	}
	for i, c := range changes {
		state := loaded.state.with(entriesOf(c.put, true), c.remove)
		if state.root != c.signed.root || verify(&c.signed) != nil {
			break
		}
		loaded, good = &loadedCopy{c.signed, state}, ends[i]
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
// there. It returns its size.
func writeBase(path string, signed *signedRoot, count int, each func(put func(Item) error) error) (size int64, err error) {
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
	w := bufio.NewWriterSize(f, 256<<10)
	fields := binary.AppendUvarint(appendRoot(nil, signed), uint64(count))
	head := append(binary.BigEndian.AppendUint32([]byte(baseMagic), uint32(len(fields))), fields...)
	if _, err := w.Write(head); err != nil {
		return 0, err
	}
	size = int64(len(head))
	written := 0
	if err := each(func(it Item) error {
		b := appendText(appendText(nil, it.ID), it.Body)
		size += int64(len(b))
		written++
		_, err := w.Write(b)
		return err
	}); err != nil {
		return 0, err
	}
	if written != count {
		return 0, fmt.Errorf("%d of the state's %d items are there", written, count)
	}
	if err := w.Flush(); err != nil {
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
	return size, syncDir(filepath.Dir(path))
}

// copyItems gives every item of s to put, with its body from a base file and
// its log. An item whose body is not there, or is not what its digest says, is
// not given.
func copyItems(base, log io.ReadSeeker, logSize int64, s *state, put func(Item) error) error {
	last := make(map[string]int64) // where the record that put an id last ends
	if _, err := readLog(log, logSize, func(c *change, end int64) error {
		for _, it := range c.put {
			last[it.ID] = end
		}
		return nil
	}); err != nil {
		return err
	}
	give := func(it Item) error {
		if e, found := s.find(it.ID); !found || e.digest != it.Digest {
			return nil
		}
		return put(it)
	}
	if _, err := readBase(base, func(it Item, _ uint64) error {
		if _, again := last[it.ID]; again {
			return nil
		}
		return give(it)
	}); err != nil {
		return err
	}
	if _, err := log.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := readLog(log, logSize, func(c *change, end int64) error {
		for _, it := range c.put {
			if last[it.ID] == end {
				if err := give(it); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return err
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
