package verdict

import (
	"math"
	"slices"
)

// scale says how values are averaged and resampled.
type scale uint8

const (
	arithmetic scale = iota
	geometric        // of logarithms: for ratios, where 2 and ½ are equally far from 1
)

// estimate puts what the repeats say together. Repeats that say nothing are left out.
//
// Ratios are averaged geometrically. A ratio that is zero or negative has no logarithm; where there is one, all are
// averaged arithmetically.
func estimate(data []datum, s scale, seed uint64) Estimate {
	var e Estimate
	for _, d := range data {
		if !d.known() {
			continue
		}
		if e.Repeats == 0 || d.n < e.N {
			e.N = d.n
		}
		e.Repeats++
		e.Values = append(e.Values, d.v)
		e.Censored = e.Censored || d.side == atLeast
		e.Below = e.Below || d.side == atMost
	}
	if e.Repeats == 0 {
		e.Missing = true
		return e
	}
	values := slices.Sorted(slices.Values(e.Values)) // the order of repeats must not move the last digit
	if values[0] <= 0 {
		s = arithmetic
	}
	if s == geometric {
		for i, v := range values {
			values[i] = math.Log(v)
		}
	}
	e.Value = back(mean(values), s)
	if e.Repeats >= 3 {
		lo, hi := interval(values, seed)
		lo, hi = clip(back(lo, s), back(hi, s), e.Values)
		if finite(lo) && finite(hi) {
			e.Lo, e.Hi = &lo, &hi
		}
	}
	return e
}

func finite(x float64) bool { return !math.IsInf(x, 0) && !math.IsNaN(x) }

func back(x float64, s scale) float64 {
	if s == geometric {
		return math.Exp(x)
	}
	return x
}

// clip keeps an interval of numbers that are never negative from reaching below zero.
func clip(lo, hi float64, values []float64) (float64, float64) {
	if slices.Min(values) >= 0 {
		return max(lo, 0), hi
	}
	return lo, hi
}
