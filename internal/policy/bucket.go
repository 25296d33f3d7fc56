package policy

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
)

// bucketKey names what is counted together: one operation, one application at
// an API, one user of an application, one address at an API.
type bucketKey struct {
	kind                 bucketKind
	first, second, third string     // ids, verb, target, user: what the kind needs
	client               netip.Addr // of callers nobody knows more of
}

type bucketKind byte

const (
	apiBucket bucketKind = iota
	operationBucket
	burstBucket
	subscriptionBucket
	applicationBucket
	clientBucket
	productionBucket
	sandboxBucket
)

// hash is not the same in another process, so that nobody can choose keys that
// fall together.
func (k *bucketKey) hash() uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_ = h.WriteByte(byte(k.kind)) // never fails, nor do the others
	for _, s := range [...]string{k.first, k.second, k.third} {
		_, _ = h.WriteString(s)
		_ = h.WriteByte(0)
	}
	client := k.client.As16()
	_, _ = h.Write(client[:])
	return h.Sum64()
}

// bucket counts the calls of a key by the generic cell rate algorithm: all it
// remembers is when it would be full again if nobody called.
type bucket struct {
	key  bucketKey
	full atomic.Int64 // Unix nanoseconds
}

// maxSkew is how much the times of calls at one moment may differ, in
// nanoseconds; each call counts at the time when it began.
const maxSkew = 1e9

// take counts a call at a time in Unix nanoseconds. Where the limit allows none
// it counts nothing and returns after how many nanoseconds it would.
func (b *bucket) take(l limit, now int64) (wait int64) {
	for {
		full := b.full.Load()
		from := max(full, now)
		if from-now > l.depth+maxSkew { // the clock was set back, or the limit's window became shorter
			if b.full.CompareAndSwap(full, now+l.depth) {
				return l.interval
			}
			continue
		}
		next := from + l.interval
		if wait := next - l.depth - now; wait > 0 {
			return wait
		}
		if b.full.CompareAndSwap(full, next) {
			return 0
		}
	}
}

// giveBack takes a call out of the count again.
func (b *bucket) giveBack(l limit) { b.full.Add(-l.interval) }

const (
	bucketSets = 1 << 15
	bucketWays = 8 // buckets in a set; all together 262,144, of some 100 bytes each
)

// buckets holds the buckets of many keys, a bounded number of them. Finding one
// needs no lock and no memory. It may be used by many goroutines.
//
// A key belongs to one set. Where that has no room the bucket that is full, or
// nearest to it, makes place: a full one says no more than none does, and one
// that is nearly so allows its key only few calls too many. The zero value is
// empty.
type buckets struct {
	sets   [bucketSets]atomic.Pointer[bucketSet]
	adding [64]sync.Mutex // each guards the places, not the buckets, of the sets whose index it divides
}

type bucketSet [bucketWays]atomic.Pointer[bucket]

// of returns the bucket of a key, a full one where it is new.
func (t *buckets) of(key *bucketKey) *bucket {
	i := int(key.hash() % bucketSets)
	if set := t.sets[i].Load(); set != nil {
		if b := set.find(key); b != nil {
			return b
		}
	}
	return t.add(i, key)
}

func (s *bucketSet) find(key *bucketKey) *bucket {
	for way := range s {
		if b := s[way].Load(); b != nil && b.key == *key {
			return b
		}
	}
	return nil
}

func (t *buckets) add(i int, key *bucketKey) *bucket {
	mu := &t.adding[i%len(t.adding)]
	mu.Lock()
	defer mu.Unlock()
	set := t.sets[i].Load()
	if set == nil {
		set = new(bucketSet)
		t.sets[i].Store(set)
	} else if b := set.find(key); b != nil { // somebody was faster
		return b
	}
	place := &set[0]
	for way := range set {
		b := set[way].Load()
		if b == nil {
			place = &set[way]
			break
		}
		if b.full.Load() < place.Load().full.Load() {
			place = &set[way]
		}
	}
	b := &bucket{key: *key}
	place.Store(b)
	return b
}
