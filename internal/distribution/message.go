package distribution

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/sluice-api/sluice/internal/artifact"
)

// Sizes of messages, in bytes.
const (
	maxPayload   = 9 << 20  // of a message on the bus
	maxPlain     = 16 << 20 // of a message before compression
	compressFrom = 1 << 10  // smaller ones are sent as they are
)

// A message is one byte for the version of the forms below, one for its coding,
// and its fields in order. A later version of Sluice may add fields at the end,
// which a reader that does not know them leaves out; forms that cannot be read
// so get a new version.
const (
	messageVersion = 1
	codingPlain    = 0
	codingZstd     = 1
)

// errMessage is given for bytes that are no message of the expected form.
var errMessage = errors.New("message is damaged")

// framer puts messages into frames and takes them out. It may be used by many
// goroutines.
type framer struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

func newFramer() (*framer, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2),
		zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPlain), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return &framer{encoder, decoder}, nil
}

// frame makes a message of fields. It returns false where the message is too
// large to be sent.
func (f *framer) frame(fields []byte) ([]byte, bool) {
	if len(fields) > maxPlain {
		return nil, false
	}
	if len(fields) < compressFrom {
		return append([]byte{messageVersion, codingPlain}, fields...), true
	}
	b := f.encoder.EncodeAll(fields, []byte{messageVersion, codingZstd})
	return b, len(b) <= maxPayload
}

// open returns a reader of a message's fields.
func (f *framer) open(message []byte) (*reader, error) {
	if len(message) < 2 {
		return nil, errMessage
	}
	if message[0] != messageVersion {
		return nil, fmt.Errorf("message has version %d, only %d is known here", message[0], messageVersion)
	}
	switch fields := message[2:]; message[1] {
	case codingPlain:
		return &reader{b: fields}, nil
	case codingZstd:
		plain, err := f.decoder.DecodeAll(fields, nil)
		if err != nil {
			return nil, errMessage
		}
		return &reader{b: plain}, nil
	}
	return nil, errMessage
}

// reader takes fields off the front of b. After the first that is not there all
// others are zero and err is set.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.b)) {
		r.err, r.b = errMessage, nil
		return nil
	}
	taken := r.b[:n:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if r.err != nil || size <= 0 {
		r.err, r.b = errMessage, nil
		return 0
	}
	r.b = r.b[size:]
	return n
}

// count reads the length of a list whose elements have at least least bytes
// each, so that nothing is allocated for elements that cannot be there.
func (r *reader) count(least int) int {
	n := r.number()
	if n > uint64(len(r.b)/least) {
		r.err, r.b = errMessage, nil
		return 0
	}
	return int(n)
}

func (r *reader) integer() int64 { return int64(r.number()) }
func (r *reader) bytes() []byte  { return r.take(r.number()) }
func (r *reader) text() string   { return string(r.bytes()) }
func (r *reader) flag() bool     { return r.octet() != 0 }

func (r *reader) octet() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) digest() (d artifact.Digest) {
	copy(d[:], r.take(uint64(len(d))))
	return d
}

func (r *reader) root() (s signedRoot) {
	s.environment = r.text()
	s.epoch, s.generation = r.integer(), r.integer()
	s.root = r.digest()
	s.time = time.Unix(0, r.integer()).UTC()
	copy(s.signature[:], r.take(uint64(len(s.signature))))
	return s
}

func (r *reader) items() []Item {
	items := make([]Item, r.count(2))
	for i := range items {
		items[i] = r.item()
	}
	return items
}

// item reads an id and a body, and takes the body's digest. The body is part of
// the message's own memory.
func (r *reader) item() Item {
	it := Item{ID: r.text(), Body: r.bytes()}
	it.Digest = artifact.DigestOf(it.Body)
	return it
}

func (r *reader) texts() []string {
	list := make([]string, r.count(1))
	for i := range list {
		list[i] = r.text()
	}
	return list
}

func appendText[T string | []byte](b []byte, s T) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendFlag(b []byte, f bool) []byte {
	if f {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendRoot(b []byte, s *signedRoot) []byte {
	b = appendText(b, s.environment)
	b = binary.AppendUvarint(b, uint64(s.epoch))
	b = binary.AppendUvarint(b, uint64(s.generation))
	b = append(b, s.root[:]...)
	b = binary.AppendUvarint(b, uint64(s.time.UnixNano()))
	return append(b, s.signature[:]...)
}

func appendItems(b []byte, items []Item) []byte {
	b = binary.AppendUvarint(b, uint64(len(items)))
	for i := range items {
		b = appendText(b, items[i].ID)
		b = appendText(b, items[i].Body)
	}
	return b
}

func appendTexts(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendText(b, s)
	}
	return b
}

// change is one generation of an environment on its way to the gateways. Where
// it is not whole it is the root alone, which says that there is something to
// catch up with.
type change struct {
	signed signedRoot
	whole  bool
	put    []Item
	remove []string
}

func (c *change) append(b []byte) []byte {
	b = appendRoot(b, &c.signed)
	b = appendFlag(b, c.whole)
	b = appendItems(b, c.put)
	return appendTexts(b, c.remove)
}

func readChange(r *reader) (*change, error) {
	c := &change{signed: r.root(), whole: r.flag(), put: r.items(), remove: r.texts()}
	return c, r.err
}

// size is about how much memory c keeps.
func (c *change) size() int {
	n := 256
	for i := range c.put {
		n += len(c.put[i].ID) + len(c.put[i].Body)
	}
	for _, id := range c.remove {
		n += len(id)
	}
	return n
}

// trial asks gateways whether they could take a change that is not made yet, and
// perhaps never will be.
type trial struct {
	id     string
	part   int // of a change that is too large for one message; each is judged by itself
	put    []Item
	remove []string
}

func (t *trial) append(b []byte) []byte {
	b = appendText(b, t.id)
	b = binary.AppendUvarint(b, uint64(t.part))
	b = appendItems(b, t.put)
	return appendTexts(b, t.remove)
}

func readTrial(r *reader) (*trial, error) {
	t := &trial{id: r.text(), part: int(r.number() & math.MaxInt32), put: r.items(), remove: r.texts()}
	return t, r.err
}

// verdict is a gateway's answer to a trial.
type verdict struct {
	id       string
	part     int
	refusals []Refusal
}

func (v *verdict) append(b []byte) []byte {
	b = appendText(b, v.id)
	b = binary.AppendUvarint(b, uint64(v.part))
	b = binary.AppendUvarint(b, uint64(len(v.refusals)))
	for _, r := range v.refusals {
		b = appendText(b, r.ItemID)
		b = appendText(b, r.Reason)
	}
	return b
}

func readVerdict(r *reader) (*verdict, error) {
	v := &verdict{id: r.text(), part: int(r.number() & math.MaxInt32)}
	v.refusals = make([]Refusal, r.count(2))
	for i := range v.refusals {
		v.refusals[i] = Refusal{ItemID: r.text(), Reason: r.text()}
	}
	return v, r.err
}

// heartbeat is what a gateway says of itself. The list of deployments is left
// out while it is the one the control plane has acknowledged.
type heartbeat struct {
	epoch       int64
	generation  int64
	root        artifact.Digest
	version     string
	deployments artifact.Digest // of the list
	list        []byte          // JSON of []sluice.DeploymentReport; empty: left out
	trouble     string          // what is wrong with the gateway itself; empty: nothing
	time        time.Time       // when the control plane signed epoch, generation and root; zero: not said
	signature   [ed25519.SignatureSize]byte
}

func (h *heartbeat) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(h.epoch))
	b = binary.AppendUvarint(b, uint64(h.generation))
	b = append(b, h.root[:]...)
	b = appendText(b, h.version)
	b = append(b, h.deployments[:]...)
	b = appendText(b, h.list)
	b = appendText(b, h.trouble)
	if h.time.IsZero() {
		return b
	}
	b = binary.AppendUvarint(b, uint64(h.time.UnixNano()))
	return append(b, h.signature[:]...)
}

func readHeartbeat(r *reader) (*heartbeat, error) {
	h := &heartbeat{epoch: r.integer(), generation: r.integer(), root: r.digest(), version: r.text(), deployments: r.digest(), list: r.bytes(), trouble: r.text()}
	if r.err == nil && len(r.b) > 0 { // gateways of an earlier version do not say
		h.time = time.Unix(0, r.integer()).UTC()
		copy(h.signature[:], r.take(uint64(len(h.signature))))
	}
	return h, r.err
}

// answer is the control plane's to a heartbeat: the state there is to have,
// signed at that moment, which list of deployments it knows, and the addresses
// of all control planes where there are several.
type answer struct {
	signed      signedRoot
	deployments artifact.Digest
	controls    []string // "https://host:9443"
}

func (a *answer) append(b []byte) []byte {
	b = appendRoot(b, &a.signed)
	b = append(b, a.deployments[:]...)
	return appendTexts(b, a.controls)
}

func readAnswer(r *reader) (*answer, error) {
	a := &answer{signed: r.root(), deployments: r.digest(), controls: r.texts()}
	return a, r.err
}

// comparison is the state there is to have, by the digests of its buckets.
type comparison struct {
	signed  signedRoot
	digests [bucketCount]artifact.Digest
}

func (c *comparison) append(b []byte) []byte {
	b = appendRoot(b, &c.signed)
	for i := range c.digests {
		b = append(b, c.digests[i][:]...)
	}
	return b
}

func readComparison(r *reader) (*comparison, error) {
	c := &comparison{signed: r.root()}
	for i := range c.digests {
		c.digests[i] = r.digest()
	}
	return c, r.err
}

// fetch asks for what the sender lacks of the state at one generation, in some
// buckets, which are in order.
type fetch struct {
	epoch      int64
	generation int64
	wants      []want
}

// want is one bucket of a fetch: what the sender has of the ids behind after.
type want struct {
	bucket uint8
	after  string
	have   []entry // without bodies, in order of id
}

func (f *fetch) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(f.epoch))
	b = binary.AppendUvarint(b, uint64(f.generation))
	b = binary.AppendUvarint(b, uint64(len(f.wants)))
	for _, w := range f.wants {
		b = append(b, w.bucket)
		b = appendText(b, w.after)
		b = binary.AppendUvarint(b, uint64(len(w.have)))
		for i := range w.have {
			b = appendText(b, w.have[i].id)
			b = append(b, w.have[i].digest[:]...)
		}
	}
	return b
}

func readFetch(r *reader) (*fetch, error) {
	f := &fetch{epoch: r.integer(), generation: r.integer()}
	f.wants = make([]want, r.count(3))
	for i := range f.wants {
		w := want{bucket: r.octet(), after: r.text()}
		w.have = make([]entry, r.count(1+sha256.Size))
		for n := range w.have {
			w.have[n] = entry{id: r.text(), digest: r.digest()}
		}
		f.wants[i] = w
	}
	return f, r.err
}

// page answers a fetch: what is to be put and removed up to next, where the
// following fetch is to go on. Where the state asked for is no longer kept it
// is gone, and the gateway compares anew.
type page struct {
	gone   bool
	put    []Item
	remove []string
	next   cursor
}

// cursor is a place in a state: behind the id after in a bucket. A bucket of
// bucketCount is the end.
type cursor struct {
	bucket int
	after  string
}

// before reports whether c comes before o.
func (c cursor) before(o cursor) bool {
	return c.bucket < o.bucket || c.bucket == o.bucket && c.after < o.after
}

func (p *page) append(b []byte) []byte {
	b = appendFlag(b, p.gone)
	b = appendItems(b, p.put)
	b = appendTexts(b, p.remove)
	b = binary.AppendUvarint(b, uint64(p.next.bucket))
	return appendText(b, p.next.after)
}

func readPage(r *reader) (*page, error) {
	p := &page{gone: r.flag(), put: r.items(), remove: r.texts()}
	p.next = cursor{bucket: int(min(r.number(), bucketCount)), after: r.text()}
	return p, r.err
}
