package distribution

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/sluice-api/sluice/internal/artifact"
)

// The files of a local copy as they were before they were sealed, which are read
// once and written anew. Lengths of headers and records and checksums (CRC-32C)
// have 4 bytes, big endian.
//
//	base: plainBase, length and fields of the header: signed root, number of
//	      items; then id and body of each item
//	log:  plainLog, then records: length, checksum, fields of a change
const (
	plainBase    = "sluice state 1\n"
	plainLog     = "sluice log 1\n"
	maxPlainHead = 4 << 10
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// openPlainRecord returns the fields of a record without its length.
func openPlainRecord(record []byte) ([]byte, error) {
	if len(record) < 4 || binary.BigEndian.Uint32(record) != checksum(record[4:]) {
		return nil, errDamaged
	}
	return record[4:], nil
}

// readPlainBase reads a base file whose magic was read, and verifies it in
// full: it could have been written by anybody. Bodies share memory by the block.
func readPlainBase(r *bufio.Reader) (*loadedCopy, error) {
	var entries []entry
	signed, err := readPlainItems(r, func(it Item, count uint64) {
		if entries == nil {
			entries = make([]entry, 0, min(count, 1<<17)) // the count is not verified
		}
		entries = append(entries, entry{it.ID, it.Digest, it.Body})
	})
	if err != nil {
		return nil, err
	}
	return &loadedCopy{signed: signed, state: emptyState().with(entries, nil), plain: true}, nil
}

// readPlainItems gives each item to f, which is told how many there are to be,
// and returns the root in the header.
func readPlainItems(r *bufio.Reader, f func(it Item, count uint64)) (signedRoot, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return signedRoot{}, errDamaged
	}
	length := binary.BigEndian.Uint32(head)
	if length > maxPlainHead {
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
		f(Item{ID: string(id), Digest: artifact.DigestOf(body), Body: body}, count)
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
