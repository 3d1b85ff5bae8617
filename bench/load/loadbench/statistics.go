package main

import (
	"fmt"
	"math"

	"shakedown/bench/load/loadbench/queueing"
)

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
