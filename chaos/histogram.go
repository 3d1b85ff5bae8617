package chaos

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// A bucket of a Histogram is 1 µs wide up to linearBuckets µs, and from there on an octave has octaveBuckets: less than
// 0.8 % of its times. It is the layout of G. Tene's HdrHistogram at two digits, as an array that may be of atomics.
const (
	octaveBits    = 7
	octaveBuckets = 1 << octaveBits
	linearBuckets = 2 * octaveBuckets
	octaves       = 28 // up to 19 hours
	// Buckets is the number of buckets of a Histogram.
	Buckets = linearBuckets + octaves*octaveBuckets
)

// A Histogram counts durations: the key is a Bucket. It is a map because it is written as JSON, and mostly empty.
type Histogram map[int]int64

// Bucket is the bucket of a duration, in [0, Buckets). Times outside of them go to the first and the last.
func Bucket(d time.Duration) int {
	us := uint64(max(d, 0).Microseconds())
	if us < linearBuckets {
		return int(us)
	}
	shift := bits.Len64(us) - 1 - octaveBits
	return min(shift<<octaveBits+int(us>>shift), Buckets-1)
}

// Middle is the time in the middle of a bucket.
func Middle(bucket int) time.Duration {
	if bucket < linearBuckets {
		return time.Duration(bucket)*time.Microsecond + 500*time.Nanosecond
	}
	shift := bucket>>octaveBits - 1
	low := uint64(bucket-shift<<octaveBits) << shift
	return time.Duration(low)*time.Microsecond + time.Microsecond<<shift/2
}

// Add counts one duration.
func (h Histogram) Add(d time.Duration) { h[Bucket(d)]++ }

// Merge adds the counts of another histogram, and with times -1 takes them away: counters are cumulative, and what
// happened in between is a difference.
func (h Histogram) Merge(o Histogram, times int64) {
	for b, n := range o {
		if h[b] += n * times; h[b] == 0 {
			delete(h, b)
		}
	}
}

// Count is the number of durations.
func (h Histogram) Count() (n int64) {
	for _, c := range h {
		n += c
	}
	return n
}

// Quantile is the least time that a share q of the durations do not exceed, to within half a bucket; 0 of none.
func (h Histogram) Quantile(q float64) time.Duration {
	buckets := make([]int, 0, len(h))
	for b := range h {
		buckets = append(buckets, b)
	}
	slices.Sort(buckets)
	rank := max(1, int64(math.Ceil(q*float64(h.Count()))))
	for _, b := range buckets {
		if rank -= h[b]; rank <= 0 {
			return Middle(b)
		}
	}
	return 0
}

// Quantiles are a few figures of a distribution, in the unit of the evidence that they are part of.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// millis are the quantiles of a histogram in milliseconds.
func (h Histogram) millis() Quantiles {
	at := func(q float64) float64 { return millis(float64(h.Quantile(q))) }
	return Quantiles{P50: at(0.50), P99: at(0.99), Max: at(1)}
}

// A Spread is how a quantity was asked to be distributed, and how it was, over Count observations.
type Spread struct {
	Count    int64     `json:"count"`
	Asked    Quantiles `json:"asked"`
	Achieved Quantiles `json:"achieved"`
}
