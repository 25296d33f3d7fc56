package distribution

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

// Sizes of what is sealed, in bytes.
const (
	saltSize   = 32
	sealExtra  = 16      // that a seal adds to what it holds
	nonceSize  = 12      // of a seal
	chunkSize  = 1 << 20 // from which a chunk of a base file is full; an item is in one chunk
	maxChunk   = chunkSize + artifact.MaxSize + maxItemID + 1<<10
	chunkField = 4 // length of a chunk
)

// copyKey seals a gateway's local copy with AES-256-GCM. Its keys come from the
// gateway's own, so that nobody else can write a copy that it would read, and
// so that the copy says nothing without the identity beside it.
type copyKey struct {
	secret []byte
	log    cipher.AEAD
}

// newCopyKey returns the key of the gateway that has the seed.
func newCopyKey(seed sluice.Secret) (*copyKey, error) {
	k := &copyKey{secret: []byte(seed.Reveal())}
	var err error
	k.log, err = k.derive(nil, "sluice local copy: log")
	return k, err
}

// base returns what seals the chunks of the base file that begins with salt. No
// two files have the same, so that a chunk's number will do as its nonce.
func (k *copyKey) base(salt []byte) (cipher.AEAD, error) {
	return k.derive(salt, "sluice local copy: base")
}

func (k *copyKey) derive(salt []byte, purpose string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, k.secret, salt, purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("key of the local copy: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("key of the local copy: %w", err)
	}
	return cipher.NewGCM(block)
}

// sealRecord appends fields to b as the record of a log that is to be at an
// offset: length of all that follows, nonce, and the sealed fields. The offset is
// sealed with them, so that records cannot be moved.
func (k *copyKey) sealRecord(b, fields []byte, offset int64) []byte {
	var nonce [nonceSize]byte
	_, _ = rand.Read(nonce[:]) // never fails
	b = binary.BigEndian.AppendUint32(b, uint32(nonceSize+len(fields)+sealExtra))
	b = append(b, nonce[:]...)
	return k.log.Seal(b, nonce[:], fields, offsetOf(offset))
}

// openRecord returns the fields of a record without its length, whose memory
// they take.
func (k *copyKey) openRecord(record []byte, offset int64) ([]byte, error) {
	if len(record) < nonceSize {
		return nil, errDamaged
	}
	nonce, sealed := record[:nonceSize], record[nonceSize:]
	fields, err := k.log.Open(sealed[:0], nonce, sealed, offsetOf(offset))
	if err != nil {
		return nil, errDamaged
	}
	return fields, nil
}

func offsetOf(n int64) []byte { return binary.BigEndian.AppendUint64([]byte(logMagic), uint64(n)) }

// chunkNonce is a chunk's number, and whether it is the last one: neither can
// chunks be exchanged nor the end be cut off unseen.
func chunkNonce(number uint64, last bool) []byte {
	var nonce [nonceSize]byte
	binary.BigEndian.PutUint64(nonce[:], number)
	if last {
		nonce[nonceSize-1] = 1
	}
	return nonce[:]
}

// chunkWriter writes a base file: magic, salt, then chunks, each as its length
// and what is sealed.
type chunkWriter struct {
	w      io.Writer
	aead   cipher.AEAD
	number uint64
	plain  []byte // not written yet
	sealed []byte
	size   int64 // written
}

func newChunkWriter(w io.Writer, key *copyKey) (*chunkWriter, error) {
	head := append([]byte(baseMagic), make([]byte, saltSize)...)
	_, _ = rand.Read(head[len(baseMagic):]) // never fails
	aead, err := key.base(head[len(baseMagic):])
	if err != nil {
		return nil, err
	}
	_, err = w.Write(head)
	return &chunkWriter{w: w, aead: aead, size: int64(len(head))}, err
}

// item adds an item.
func (c *chunkWriter) item(it Item) error {
	if len(c.plain) >= chunkSize {
		if err := c.flush(false); err != nil {
			return err
		}
	}
	c.plain = appendText(c.plain, it.ID)
	c.plain = append(c.plain, it.Digest[:]...)
	c.plain = appendText(c.plain, it.Body)
	return nil
}

// flush writes what was added as one chunk; last says that nothing follows.
func (c *chunkWriter) flush(last bool) error {
	c.sealed = binary.BigEndian.AppendUint32(c.sealed[:0], uint32(len(c.plain)+sealExtra))
	c.sealed = c.aead.Seal(c.sealed, chunkNonce(c.number, last), c.plain, []byte(baseMagic))
	c.number++
	c.plain = c.plain[:0]
	c.size += int64(len(c.sealed))
	_, err := c.w.Write(c.sealed)
	return err
}

// chunkReader reads what a chunkWriter has written.
type chunkReader struct {
	r      *bufio.Reader
	aead   cipher.AEAD
	number uint64
}

// newChunkReader begins to read a base file whose magic was read.
func newChunkReader(r *bufio.Reader, key *copyKey) (*chunkReader, error) {
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(r, salt); err != nil {
		return nil, errDamaged
	}
	aead, err := key.base(salt)
	return &chunkReader{r: r, aead: aead}, err
}

// sealedChunk is a chunk that was read and not opened.
type sealedChunk struct {
	number uint64
	last   bool
	b      []byte
}

// next returns the next chunk, in memory of its own.
func (c *chunkReader) next() (sealedChunk, error) {
	var head [chunkField]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return sealedChunk{}, errDamaged
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxChunk {
		return sealedChunk{}, errDamaged
	}
	s := sealedChunk{number: c.number, b: make([]byte, n)}
	c.number++
	if _, err := io.ReadFull(c.r, s.b); err != nil {
		return sealedChunk{}, errDamaged
	}
	_, err := c.r.Peek(1)
	s.last = err == io.EOF
	return s, nil
}

// open returns what was sealed, in the same memory.
func (c *chunkReader) open(s sealedChunk) ([]byte, error) {
	plain, err := c.aead.Open(s.b[:0], chunkNonce(s.number, s.last), s.b, []byte(baseMagic))
	if err != nil {
		return nil, errDamaged
	}
	return plain, nil
}

// all opens all chunks and gives each to f with its number, on all processors at
// once, while further ones are read.
func (c *chunkReader) all(f func(number uint64, plain []byte) error) error {
	work := make(chan sealedChunk, 1) // closed below
	var once sync.Once
	var failed error
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for s := range work {
				plain, err := c.open(s)
				if err == nil {
					err = f(s.number, plain)
				}
				if err != nil {
					once.Do(func() { failed = err })
				}
			}
		})
	}
	var err error
	for s := (sealedChunk{}); err == nil && !s.last; {
		if s, err = c.next(); err == nil {
			work <- s
		}
	}
	close(work)
	wg.Wait()
	if err != nil {
		return err
	}
	return failed
}
