package main

import (
	"fmt"
	"math"
	"slices"

	"shakedown/bench/load/loadbench/queueing"
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

// ms is a time in milliseconds, to three digits or to a microsecond.
func ms(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case math.Abs(v) >= 100:
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	case math.Abs(v) >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

// percentiles of sorted values.
func percentiles(sorted []float64, shares ...float64) []float64 {
	at := make([]float64, len(shares))
	for i, p := range shares {
		at[i] = queueing.At(sorted, p)
	}
	return at
}
