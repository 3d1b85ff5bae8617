package measure

import "math"

// nearestRank is the smallest value that at least the fraction q of all values does not exceed. The values are sorted
// and there is at least one. (The nearest-rank definition: every percentile is a value that was observed.)
func nearestRank(sorted []float64, q float64) float64 {
	// Products such as 0.99 × 100 come out a hair above the integer they mean; that must not move the rank.
	rank := int(math.Ceil(q*float64(len(sorted)) - 1e-9))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

func mean(xs []float64) float64 {
	var sum float64
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}
