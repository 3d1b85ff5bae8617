package benchmark

import (
	"fmt"
	"math"
	"slices"
)

// A Middle is the median of several values, with the least and the largest.
type Middle struct{ Median, Min, Max float64 }

// MiddleOf is NaN of nothing. Of an even number of values the median is the mean of the two in the middle.
func MiddleOf(values []float64) Middle {
	v := slices.Sorted(slices.Values(values))
	if len(v) == 0 {
		return Middle{math.NaN(), math.NaN(), math.NaN()}
	}
	m := v[len(v)/2]
	if len(v)%2 == 0 {
		m = (m + v[len(v)/2-1]) / 2
	}
	return Middle{m, v[0], v[len(v)-1]}
}

// In writes it with its range, each number in a format of fmt; what is not known is a dash.
func (m Middle) In(format string) string {
	switch {
	case math.IsNaN(m.Median):
		return "–"
	case m.Min == m.Max:
		return fmt.Sprintf(format, m.Median)
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", m.Median, m.Min, m.Max)
}

// Ratio is the middle of a ÷ b, round by round: what was measured in the same minute is compared. A round in which b is nothing is left out.
func Ratio(a, b []float64) Middle {
	var r []float64
	for i := range min(len(a), len(b)) {
		if b[i] > 0 {
			r = append(r, a[i]/b[i])
		}
	}
	return MiddleOf(r)
}
