package verdict

import (
	"math"
	"math/rand/v2"
	"slices"
)

const (
	// resamples of the bootstrap; Hesterberg asks for 10 000 where accuracy matters.
	resamples = 10_000
	// tail is what a 95 % interval leaves on either side.
	tail = 0.025
)

// interval is a 95 % confidence interval for the mean of values, of which there are at least three.
//
// It is the expanded percentile bootstrap of T. Hesterberg, "What Teachers Should Know About the Bootstrap", The
// American Statistician 69(4), 2015, §4.1: the plain percentile interval is too narrow for small n, by √((n−1)/n) and
// by the quantile of the normal in place of Student's t, so its tails are taken at Φ(−√(n/(n−1))·t) instead.
//
// With three or four values those tails are thinner than nⁿ resamples can show: the percentile interval ends at the
// smallest and the largest value, which for three values covers the mean three times in four and not nineteen in
// twenty. There the t interval, which the expansion imitates, is taken itself.
//
// The interval depends on the values and the seed only, not on the order of the values.
func interval(values []float64, seed uint64) (lo, hi float64) {
	n := float64(len(values))
	sorted := slices.Sorted(slices.Values(values))
	if sorted[0] == sorted[len(sorted)-1] {
		return sorted[0], sorted[0]
	}
	t := studentT975(len(values) - 1)
	expanded := normalCDF(-math.Sqrt(n/(n-1)) * t)
	if expanded < math.Pow(n, -n) {
		m := mean(sorted)
		half := t * deviation(sorted, m) / math.Sqrt(n)
		return m - half, m + half
	}
	means := bootstrap(sorted, seed)
	return quantile(means, expanded), quantile(means, 1-expanded)
}

// bootstrap is the sorted means of resamples drawn with replacement.
func bootstrap(values []float64, seed uint64) []float64 {
	rng := rand.New(rand.NewPCG(seed, uint64(len(values))))
	means := make([]float64, resamples)
	for i := range means {
		var sum float64
		for range values {
			sum += values[rng.IntN(len(values))]
		}
		means[i] = sum / float64(len(values))
	}
	slices.Sort(means)
	return means
}

// quantile interpolates between order statistics (definition 7 of R. Hyndman, Y. Fan, "Sample Quantiles in Statistical
// Packages", The American Statistician 50(4), 1996).
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// mean is the arithmetic mean. The division comes first, so that large values cannot overflow the sum.
func mean(xs []float64) float64 {
	var m float64
	for _, x := range xs {
		m += x / float64(len(xs))
	}
	return m
}

// deviation is the sample standard deviation.
func deviation(xs []float64, m float64) float64 {
	var sum float64
	for _, x := range xs {
		sum += (x - m) * (x - m)
	}
	return math.Sqrt(sum / float64(len(xs)-1))
}

func normalCDF(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// studentT975 is the 97.5 % quantile of Student's t: a table up to ten degrees of freedom, and the expansion about the
// normal quantile beyond (M. Abramowitz, I. Stegun, Handbook of Mathematical Functions, 1964, 26.7.5).
func studentT975(df int) float64 {
	table := []float64{12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281}
	if df <= len(table) {
		return table[max(df, 1)-1]
	}
	const x = 1.959963985
	v := float64(df)
	return x + (x*x*x+x)/(4*v) + (5*math.Pow(x, 5)+16*x*x*x+3*x)/(96*v*v) +
		(3*math.Pow(x, 7)+19*math.Pow(x, 5)+17*x*x*x-15*x)/(384*v*v*v)
}
