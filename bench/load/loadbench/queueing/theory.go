package queueing

import (
	"fmt"
	"math"
)

// A Queue has Poisson arrivals, one line, first come first served, and Servers servers, each of which takes a mean of MeanS seconds for a
// customer: exponentially distributed, or always the same.
type Queue struct {
	Servers int
	MeanS   float64
	Fixed   bool // every service takes MeanS
}

// String is the queue in Kendall's notation.
func (q Queue) String() string {
	if q.Fixed {
		return fmt.Sprintf("M/D/%d", q.Servers)
	}
	return fmt.Sprintf("M/M/%d", q.Servers)
}

// Rate is the arrivals per second that bring the load, a share of what the servers can do.
func (q Queue) Rate(load float64) float64 { return load * float64(q.Servers) / q.MeanS }

// Quantile is the time in seconds, waiting and service together, that a share p of the customers does not exceed at a load below 1. It is
// found by bisection of the distribution. There is no formula here for fixed times and several servers.
func (q Queue) Quantile(load, p float64) (float64, error) {
	within := q.within(load)
	switch {
	case within == nil:
		return 0, fmt.Errorf("no formula for %v", q)
	case load <= 0 || load >= 1 || p < 0 || p >= 1:
		return 0, fmt.Errorf("%v: a load of %v and a share of %v: both must be below 1", q, load, p)
	}
	lo, hi := 0.0, q.MeanS
	for within(hi) < p {
		lo, hi = hi, 2*hi
	}
	for range 60 {
		if mid := (lo + hi) / 2; within(mid) < p {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi, nil
}

// within is the distribution function of the time that a customer stays.
func (q Queue) within(load float64) func(t float64) float64 {
	switch {
	case !q.Fixed:
		return q.markov(load)
	case q.Servers == 1:
		waits := fixedWaits(load)
		return func(t float64) float64 { return waits(t/q.MeanS - 1) }
	default:
		return nil
	}
}

// markov is that of M/M/c. A customer waits with the probability that Erlang's C formula gives, and then for an exponential time of rate
// θ = cμ − λ; its service, of rate μ, comes on top (D. Gross et al., Fundamentals of Queueing Theory, 4th ed., 2008, §2.3).
func (q Queue) markov(load float64) func(t float64) float64 {
	mu := 1 / q.MeanS
	theta := (1 - load) * float64(q.Servers) * mu
	wait := ErlangC(q.Servers, load*float64(q.Servers))
	return func(t float64) float64 {
		both := wait * mu * t * math.Exp(-mu*t)
		if d := mu - theta; math.Abs(d) > 1e-9*mu {
			both = wait * mu / d * (math.Exp(-theta*t) - math.Exp(-mu*t))
		}
		return 1 - math.Exp(-mu*t) - both
	}
}

// ErlangC is the probability that a customer of an M/M/c queue with an offered load of a Erlang must wait, from Erlang's B by its recursion
// (Gross et al., §2.3 and §2.5).
func ErlangC(c int, a float64) float64 {
	b := 1.0
	for k := 1; k <= c; k++ {
		b = a * b / (float64(k) + a*b)
	}
	return b / (1 - a/float64(c)*(1-b))
}

// fixedWaits is the distribution of the waiting time in M/D/1, in units of the service time. Erlang's alternating series loses all digits at
// a high load; this sum has positive terms only (V. Iversen and L. Staalhage, Electronics Letters 35, 1999; G. Franx, Operations Research
// Letters 29, 2001): P(W ≤ x) = e^−y Σ_{j<k} Q(k−1−j) y^j/j!, with k = ⌊x⌋ + 1, y = ρ(k − x), and Q(n) the probability that n or fewer wait.
func fixedWaits(load float64) func(x float64) float64 {
	waiting := fixedLengths(load)
	return func(x float64) float64 {
		if x < 0 {
			return 0
		}
		k := int(x) + 1
		y := load * (float64(k) - x)
		sum, term := 0.0, math.Exp(-y)
		for j := range k {
			sum += waiting(k-1-j) * term
			term *= y / float64(j+1)
		}
		return sum
	}
}

// fixedLengths is the probability that n or fewer customers wait in M/D/1. The number in the system is that of the chain embedded at
// departures, in which as many cross from n to n + 1 as back: π(n+1) P(A = 0) = π(0) P(A > n) + Σ_{k=1..n} π(k) P(A > n − k + 1),
// with A the Poisson arrivals during a service (Gross et al., §5.1).
func fixedLengths(load float64) func(n int) float64 {
	pi, upTo := []float64{1 - load}, []float64{1 - load}
	none := math.Exp(-load)
	more, term := []float64{1 - none}, none // P(A > n), and P(A = n)
	return func(n int) float64 {
		for len(pi) < n+2 { // n wait when n + 1 are there
			at := len(pi) - 1
			for j := len(more); j <= at; j++ {
				term *= load / float64(j)
				more = append(more, max(0, more[j-1]-term))
			}
			next := pi[0] * more[at]
			for k := 1; k <= at; k++ {
				next += pi[k] * more[at-k+1]
			}
			pi = append(pi, next/none)
			upTo = append(upTo, upTo[at]+next/none)
		}
		return upTo[n+1]
	}
}
