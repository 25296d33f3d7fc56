package distribution

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sluice-api/sluice/internal/artifact"
)

// bucketCount is how many buckets the ids of a state fall into.
const bucketCount = 256

// state is the set of items of an environment at one generation: ids and
// digests and, where they are kept in memory, bodies. It is immutable; with
// makes another one that shares every bucket it did not touch, so an old state
// costs little while somebody still reads it. The root is the SHA-256 over the
// buckets' digests, a bucket's digest the SHA-256 over its ids and digests in
// order of id. The zero value is not usable, emptyState is.
type state struct {
	buckets [bucketCount][]entry
	digests [bucketCount]artifact.Digest
	root    artifact.Digest
	size    int // items
}

// entry is one item of a state. Body is nil where bodies are not kept.
type entry struct {
	id     string
	digest artifact.Digest
	body   []byte
}

// emptyState returns the state without items.
func emptyState() *state {
	s := new(state)
	for i := range s.digests {
		s.digests[i] = bucketDigest(nil)
	}
	s.root = rootOf(&s.digests)
	return s
}

// bucketOf returns the bucket that an id falls into.
func bucketOf(id string) uint8 { return sha256.Sum256([]byte(id))[0] }

// bucketDigest returns the digest of a bucket, whose entries are in order of
// id. Ids are written with their length, so no two buckets are written alike.
func bucketDigest(entries []entry) artifact.Digest {
	size := 0
	for i := range entries {
		size += 4 + len(entries[i].id) + sha256.Size
	}
	b := make([]byte, 0, size)
	for i := range entries {
		e := &entries[i]
		b = binary.BigEndian.AppendUint32(b, uint32(len(e.id)))
		b = append(b, e.id...)
		b = append(b, e.digest[:]...)
	}
	return sha256.Sum256(b)
}

// rootOf returns the root over the digests of all buckets.
func rootOf(digests *[bucketCount]artifact.Digest) artifact.Digest {
	var b [bucketCount * sha256.Size]byte
	for i, d := range digests {
		copy(b[i*sha256.Size:], d[:])
	}
	return sha256.Sum256(b[:])
}

// edit is one entry put or, where gone is set, removed.
type edit struct {
	entry
	gone bool
}

// with returns the state after items were put and others removed; only the
// buckets these fall into are computed anew. To remove what is not there is no
// error. Where an id occurs more than once the last put counts, and removing
// over putting.
func (s *state) with(put []entry, remove []string) *state {
	edits := make([]edit, 0, len(put)+len(remove))
	for _, e := range put {
		edits = append(edits, edit{entry: e})
	}
	for _, id := range remove {
		edits = append(edits, edit{entry: entry{id: id}, gone: true})
	}
	next := *s
	for b, touching := range byBucket(edits) {
		if len(touching) == 0 {
			continue
		}
		next.buckets[b] = merge(s.buckets[b], touching)
		next.digests[b] = bucketDigest(next.buckets[b])
		next.size += len(next.buckets[b]) - len(s.buckets[b])
	}
	next.root = rootOf(&next.digests)
	return &next
}

// byBucket sorts edits by bucket, and leaves their order within one.
func byBucket(edits []edit) (groups [bucketCount][]edit) {
	buckets := make([]uint8, len(edits))
	var counts [bucketCount]int
	for i := range edits {
		buckets[i] = bucketOf(edits[i].id)
		counts[buckets[i]]++
	}
	room := make([]edit, len(edits))
	for b, n := range counts {
		groups[b], room = room[:0:n], room[n:]
	}
	for i, b := range buckets {
		groups[b] = append(groups[b], edits[i])
	}
	return groups
}

// merge returns a bucket after edits, which it puts in order.
func merge(old []entry, edits []edit) []entry {
	byID := func(a, b edit) int { return strings.Compare(a.id, b.id) }
	if !slices.IsSortedFunc(edits, byID) {
		slices.SortStableFunc(edits, byID)
	}
	merged := make([]entry, 0, len(old)+len(edits))
	for i := range edits {
		e := &edits[i]
		if i+1 < len(edits) && edits[i+1].id == e.id {
			continue // a later one counts
		}
		n, found := slices.BinarySearchFunc(old, e.id, compareID)
		merged = append(merged, old[:n]...)
		if old = old[n:]; found {
			old = old[1:]
		}
		if !e.gone {
			merged = append(merged, e.entry)
		}
	}
	return slices.Clip(append(merged, old...))
}

func compareID(e entry, id string) int { return strings.Compare(e.id, id) }

// find returns the entry of an id.
func (s *state) find(id string) (entry, bool) {
	bucket := s.buckets[bucketOf(id)]
	n, found := slices.BinarySearchFunc(bucket, id, compareID)
	if !found {
		return entry{}, false
	}
	return bucket[n], true
}

// items returns all items of a state that has bodies.
func (s *state) items() []Item {
	all := make([]Item, 0, s.size)
	for _, bucket := range s.buckets {
		for _, e := range bucket {
			all = append(all, Item{ID: e.id, Digest: e.digest, Body: e.body})
		}
	}
	return all
}

// withoutBodies returns the same state with ids and digests alone.
func (s *state) withoutBodies() *state {
	bare := *s
	for b, bucket := range s.buckets {
		bare.buckets[b] = make([]entry, len(bucket))
		for i, e := range bucket {
			bare.buckets[b][i] = entry{id: e.id, digest: e.digest}
		}
	}
	return &bare
}

// entriesOf returns the entries of items, with or without their bodies.
func entriesOf(items []Item, bodies bool) []entry {
	entries := make([]entry, len(items))
	for i, it := range items {
		entries[i] = entry{id: it.ID, digest: it.Digest}
		if bodies {
			entries[i].body = it.Body
		}
	}
	return entries
}

// signedRoot says what the root of an environment's state is at a generation,
// under the control plane's signature. The zero value stands for no state.
type signedRoot struct {
	environment string
	epoch       int64
	generation  int64
	root        artifact.Digest
	time        time.Time // when it was signed, the control plane's clock
	signature   [ed25519.SignatureSize]byte
}

// errSignature is given for a root that no trusted key has signed, or for
// another environment.
var errSignature = errors.New("the root is not signed by the control plane's key for this environment")

// signedText is what the signature is made over: a domain of its own, then
// fields of fixed or stated length.
func (r *signedRoot) signedText() []byte {
	b := append(make([]byte, 0, 128), "sluice state root 1\x00"...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.environment)))
	b = append(b, r.environment...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(r.generation))
	b = append(b, r.root[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(r.time.UnixNano()))
}

// sign signs r.
func (r *signedRoot) sign(key ed25519.PrivateKey) {
	copy(r.signature[:], ed25519.Sign(key, r.signedText()))
}

// verify returns nil where r is of the environment and signed by one of keys.
func (r *signedRoot) verify(environment string, keys []ed25519.PublicKey) error {
	if r.environment != environment {
		return errSignature
	}
	text := r.signedText()
	for _, k := range keys {
		if ed25519.Verify(k, text, r.signature[:]) {
			return nil
		}
	}
	return errSignature
}

// newerThan reports whether r is to take o's place: a later generation or, of
// the same one, another root that was signed later. Everything of a greater
// epoch is newer than everything of a smaller one.
func (r *signedRoot) newerThan(o *signedRoot) bool {
	return cmp.Or(
		cmp.Compare(r.epoch, o.epoch),
		cmp.Compare(r.generation, o.generation),
	) > 0 || r.epoch == o.epoch && r.generation == o.generation && r.root != o.root && r.time.After(o.time)
}
