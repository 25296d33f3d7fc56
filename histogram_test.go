package sluice_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-api/sluice"
)

func histogramOf(values []time.Duration) *sluice.Histogram {
	h := new(sluice.Histogram)
	for _, v := range values {
		h.Add(v)
	}
	return h
}

func encoded(t testing.TB, h *sluice.Histogram) []byte {
	t.Helper()
	b, err := h.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestHistogramError holds the error that Histogram's comment promises, at the
// edges of every bucket.
func TestHistogramError(t *testing.T) {
	check := func(micros uint64) {
		t.Helper()
		value := time.Duration(micros) * time.Microsecond
		got := histogramOf([]time.Duration{value}).Quantile(0.5)
		if off := math.Abs(float64(got - value)); off > max(500, float64(value)/32) {
			t.Errorf("%v is taken for %v", value, got)
		}
	}
	for v := range uint64(10_000) {
		check(v)
	}
	for power := 10; power < 32; power++ {
		for part := range uint64(64) {
			edge := uint64(1)<<power + part<<(power-6)
			check(edge)
			check(edge - 1)
		}
	}
	check(1<<32 - 1)
	if got := histogramOf([]time.Duration{-1, math.MaxInt64}); got.Count() != 2 || got.Quantile(0) > time.Microsecond || got.Quantile(1) < 69*time.Minute {
		t.Errorf("beyond the range: %d, %v, %v", got.Count(), got.Quantile(0), got.Quantile(1))
	}
}

func TestHistogramQuantiles(t *testing.T) {
	var values []time.Duration
	for range 10_000 {
		values = append(values, time.Duration(math.Exp(rand.NormFloat64())*float64(3*time.Millisecond)))
	}
	h := histogramOf(values)
	slices.Sort(values)
	for _, q := range []float64{0.001, 0.5, 0.9, 0.99, 1} {
		want := values[int(math.Ceil(q*float64(len(values))))-1]
		if got := h.Quantile(q); math.Abs(float64(got-want)) > float64(want)/30 {
			t.Errorf("quantile %v = %v, want about %v", q, got, want)
		}
	}
	if got := new(sluice.Histogram).Quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing = %v", got)
	}
}

// TestHistogramMerge holds that merged histograms are those of all values, in
// whatever order, and that bytes keep all there is.
func TestHistogramMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOf(rapid.Map(rapid.Int64Range(0, 1<<43), func(n int64) time.Duration { return time.Duration(n) }))
		parts := rapid.SliceOfN(values, 0, 5).Draw(t, "parts")
		forward, backward := new(sluice.Histogram), new(sluice.Histogram)
		var all []time.Duration
		for i := range parts {
			all = append(all, parts[i]...)
			forward.Merge(histogramOf(parts[i]))
			backward.Merge(histogramOf(parts[len(parts)-1-i]))
		}
		want, _ := histogramOf(all).MarshalBinary()
		for _, h := range []*sluice.Histogram{forward, backward} {
			b, _ := h.MarshalBinary()
			if !bytes.Equal(b, want) {
				t.Fatalf("merged %v\nis %x, want %x", parts, b, want)
			}
			var back sluice.Histogram
			if err := back.UnmarshalBinary(b); err != nil {
				t.Fatal(err)
			}
			if again, _ := back.MarshalBinary(); !bytes.Equal(again, b) || back.Count() != uint64(len(all)) {
				t.Fatalf("decoded %x became %x, %d values", b, again, back.Count())
			}
		}
	})
}

func TestHistogramDamaged(t *testing.T) {
	good := encoded(t, histogramOf([]time.Duration{time.Millisecond, time.Second}))
	for name, b := range map[string][]byte{
		"nothing":            {},
		"cut":                good[:len(good)-1],
		"longer":             append(bytes.Clone(good), 0),
		"an empty bucket":    {1, 5, 0},
		"a bucket too far":   {1, 0xd0, 0x03, 1},
		"buckets too far":    {2, 0xcf, 0x03, 1, 0, 1},
		"too many buckets":   {0xd1, 0x03},
		"too much":           {1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"too much in sum":    {2, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40, 0, 1},
		"an endless uvarint": bytes.Repeat([]byte{0xff}, 12),
	} {
		if err := new(sluice.Histogram).UnmarshalBinary(b); err == nil {
			t.Errorf("%s: %x was taken", name, b)
		}
	}
}

func FuzzHistogram(f *testing.F) {
	f.Add(encoded(f, histogramOf([]time.Duration{1, time.Millisecond, time.Hour})))
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var h, back sluice.Histogram
		if h.UnmarshalBinary(b) != nil {
			return
		}
		if err := back.UnmarshalBinary(encoded(t, &h)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(encoded(t, &h), encoded(t, &back)); diff != "" || h.Quantile(0.5) > h.Quantile(0.99) {
			t.Errorf("%x: %s", b, diff)
		}
	})
}
