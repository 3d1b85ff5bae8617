package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// A middle is the median of several values, with the least and the largest.
type middle struct{ median, min, max float64 }

// middleOf is NaN of nothing. Of an even number of values the median is the mean of the two in the middle.
func middleOf(values []float64) middle {
	v := slices.Sorted(slices.Values(values))
	if len(v) == 0 {
		return middle{math.NaN(), math.NaN(), math.NaN()}
	}
	m := v[len(v)/2]
	if len(v)%2 == 0 {
		m = (m + v[len(v)/2-1]) / 2
	}
	return middle{m, v[0], v[len(v)-1]}
}

// in writes it with its range.
func (m middle) in(format string) string {
	switch {
	case math.IsNaN(m.median):
		return "–"
	case m.min == m.max:
		return fmt.Sprintf(format, m.median)
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", m.median, m.min, m.max)
}

// ratios are a ÷ b, round by round: what was measured in the same minute is compared.
func ratios(a, b []float64) []float64 {
	var r []float64
	for i := range min(len(a), len(b)) {
		if b[i] > 0 {
			r = append(r, a[i]/b[i])
		}
	}
	return r
}

// quantile is the least of the sorted times that a share q of them do not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

func millis(d time.Duration) float64 { return float64(d) / 1e6 }
