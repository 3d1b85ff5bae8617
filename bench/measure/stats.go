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

// stat is a statistic of sorted values, of which there is at least one; its name has been validated.
func stat(sorted []float64, name string) float64 {
	switch name {
	case "mean":
		return mean(sorted)
	case "max":
		return sorted[len(sorted)-1]
	case "min":
		return sorted[0]
	}
	q := map[string]float64{"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}[name]
	return nearestRank(sorted, q)
}
