package sluice

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"slices"
	"time"
)

// Histogram counts durations in buckets that are the same everywhere, so that
// histograms of any gateways and times can be added up (Merge), which
// percentiles cannot. Up to 32 µs there is a bucket for each microsecond; beyond,
// each power of two has 16 of the same width. A quantile is the middle of its
// bucket: within 1/32 (3.2 %) of the true value, or half a microsecond. What took
// longer than 71 minutes counts as that.
//
// The zero value is empty and ready to use. It is not to be used by several
// goroutines at once.
type Histogram struct {
	first  int      // bucket of counts[0]
	counts []uint64 // of the buckets that are in use, and those between them
}

const (
	bucketBits    = 4                                             // of a value are told apart, behind its first one
	bucketsAPower = 1 << bucketBits                               // of two
	histogramMax  = 1<<32 - 1                                     // microseconds
	bucketCount   = (32-bucketBits)*bucketsAPower + bucketsAPower // 464
)

// bucketOf returns the bucket of a number of microseconds.
func bucketOf(micros uint64) int {
	power := max(0, bits.Len64(micros)-bucketBits-1)
	return power*bucketsAPower + int(micros>>power)
}

// bucketMiddle returns the duration in the middle of a bucket.
func bucketMiddle(bucket int) time.Duration {
	power := max(0, bucket/bucketsAPower-1)
	from := uint64(bucket-power*bucketsAPower) << power
	return time.Duration(from)*time.Microsecond + time.Duration(uint64(1)<<power)*time.Microsecond/2
}

// Add counts one duration; less than nothing counts as nothing.
func (h *Histogram) Add(d time.Duration) {
	*h.at(bucketOf(uint64(min(max(0, d.Microseconds()), histogramMax))))++
}

// Merge adds all that o has counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.counts {
		if n > 0 {
			*h.at(o.first + i) += n
		}
	}
}

// at returns where a bucket is counted. Calls of one kind take about as long as
// each other, so that few buckets are in use.
func (h *Histogram) at(bucket int) *uint64 {
	switch {
	case h.counts == nil:
		h.first, h.counts = bucket, make([]uint64, 1, 8)
	case bucket < h.first:
		h.counts = slices.Insert(h.counts, 0, make([]uint64, h.first-bucket)...)
		h.first = bucket
	case bucket >= h.first+len(h.counts):
		h.counts = append(h.counts, make([]uint64, bucket+1-h.first-len(h.counts))...)
	}
	return &h.counts[bucket-h.first]
}

// Count returns how many durations were counted.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h.counts {
		n += c
	}
	return n
}

// Quantile returns the duration that a share q of those counted did not exceed,
// 0.99 for the 99th percentile; 0 where none was counted.
func (h *Histogram) Quantile(q float64) time.Duration {
	total := h.Count()
	if total == 0 {
		return 0
	}
	rank, seen := uint64(math.Ceil(q*float64(total))), uint64(0)
	rank = min(max(rank, 1), total)
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return bucketMiddle(h.first + i)
		}
	}
	return 0 // rank is at most total
}

// AppendBinary implements encoding.BinaryAppender: how many buckets are not
// empty, then for each how many empty ones are before it and its count, all as
// uvarints.
func (h *Histogram) AppendBinary(b []byte) ([]byte, error) {
	used := 0
	for _, n := range h.counts {
		if n > 0 {
			used++
		}
	}
	b = binary.AppendUvarint(b, uint64(used))
	last := -1
	for i, n := range h.counts {
		if n > 0 {
			b = binary.AppendUvarint(b, uint64(h.first+i-last-1))
			b = binary.AppendUvarint(b, n)
			last = h.first + i
		}
	}
	return b, nil
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (h *Histogram) MarshalBinary() ([]byte, error) { return h.AppendBinary(nil) }

var errHistogram = errors.New("histogram is damaged")

// maxCounted is how much a decoded histogram may have counted, so that adding up
// many of them does not overflow.
const maxCounted = 1 << 48

// UnmarshalBinary implements encoding.BinaryUnmarshaler.
func (h *Histogram) UnmarshalBinary(b []byte) error {
	*h = Histogram{}
	number := func() uint64 {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			b = nil
			return maxCounted + 1 // more than anything may be
		}
		b = b[size:]
		return n
	}
	used, bucket, total := number(), uint64(0), uint64(0)
	if used > bucketCount {
		return errHistogram
	}
	for i := range used {
		gap, n := number(), number()
		if gap >= bucketCount || n == 0 || n > maxCounted {
			return errHistogram
		}
		bucket, total = bucket+gap, total+n
		if i > 0 {
			bucket++
		}
		if bucket >= bucketCount || total > maxCounted {
			return errHistogram
		}
		*h.at(int(bucket)) = n
	}
	if len(b) > 0 {
		return errHistogram
	}
	return nil
}
