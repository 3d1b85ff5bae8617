package arrival

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"time"

	"shakedown/bench"
)

// MaxRate is the highest rate, in arrivals per second, that a process accepts; more is a slip of the pen.
const MaxRate = 10_000_000

// A Process yields the due times of one phase, as offsets from the phase's start, in order and within [0, length).
// Once it has returned false it is spent. A Process is not safe for concurrent use.
//
// All processes are one construction, the time-rescaling of a unit process by the cumulative rate
// Λ(t) = ∫₀ᵗ λ(u) du: the nth arrival is due at Λ⁻¹(s_n) (E. Çinlar, Introduction to Stochastic Processes, 1975,
// §4.7). For Poisson, s_n is a sum of independent exponential variates of mean 1. For all others
// s_n = n for n = 0, 1, 2, …: they are deterministic, so that a change of the rate is the only thing that changes, and
// the number of arrivals is exactly ⌈Λ(length)⌉.
type Process struct {
	length  time.Duration
	rate    cumulative
	poisson bool
	seed    uint64

	n   uint64 // of the next arrival
	s   float64
	pcg rand.PCG
	rng *rand.Rand // on pcg; nil: deterministic
}

// cumulative is Λ, the number of arrivals expected up to a time in seconds.
type cumulative interface {
	total() float64
	// when is Λ⁻¹(s) for s < total, asked for in ascending order of s.
	when(s float64) float64
	// again is the same function for another sequence of questions.
	again() cumulative
}

// New is the process a over a phase of the given length. Rates are in arrivals per second; peak is the other rate of a
// Ramp, Step or Spike, as bench.Arrival documents, and is ignored by the rest. A rate of 0 is silence. It fails when a
// rate is negative, not a number, infinite or above MaxRate, when length is negative, and when a is unknown.
func New(a bench.Arrival, rate, peak float64, length time.Duration, seed uint64) (*Process, error) {
	l := length.Seconds()
	var segs []segment
	switch a {
	case bench.Poisson, bench.Constant:
		peak = 0
		segs = []segment{{len: l, from: rate, to: rate}}
	case bench.Ramp:
		segs = []segment{{len: l, from: rate, to: peak}}
	case bench.Step:
		segs = []segment{{len: l / 2, from: rate, to: rate}, {len: l / 2, from: peak, to: peak}}
	case bench.Spike:
		segs = []segment{
			{len: 2 * l / 5, from: rate, to: rate}, {len: l / 5, from: peak, to: peak}, {len: 2 * l / 5, from: rate, to: rate},
		}
	default:
		return nil, fmt.Errorf("arrivals: unknown process %d", a)
	}
	if err := errors.Join(validLength(length), valid("rate", rate), valid("peak", peak)); err != nil {
		return nil, err
	}
	chain(segs)
	return begin(Process{length: length, rate: &pieces{segs: segs}, poisson: a == bench.Poisson, seed: seed}), nil
}

// NewSine is a deterministic process whose rate is mean + (peak − mean)·sin(2πt/period). It fails where New does, when peak is
// below mean or above twice the mean, which would make the rate negative, and when period is not positive.
func NewSine(mean, peak float64, period, length time.Duration) (*Process, error) {
	if err := errors.Join(validLength(length), valid("rate", mean), valid("peak", peak)); err != nil {
		return nil, err
	}
	switch {
	case peak < mean || peak > 2*mean:
		return nil, fmt.Errorf("arrivals: the peak of a sine must be between its mean %v/s and twice that, got %v/s", mean, peak)
	case period <= 0:
		return nil, fmt.Errorf("arrivals: the period of a sine must be positive, got %v", period)
	}
	return begin(Process{length: length, rate: sine{mean: mean, swing: peak - mean, period: period.Seconds(), len: length.Seconds()}}), nil
}

// NewTrace is the process with the given due times, those within [0, length). It fails when they are not in order.
func NewTrace(dues []time.Duration, length time.Duration) (*Process, error) {
	if err := validLength(length); err != nil {
		return nil, err
	}
	for i, due := range dues {
		if due < 0 || i > 0 && due < dues[i-1] {
			return nil, fmt.Errorf("arrivals: arrival %d of the trace, at %v, is out of order", i+1, due)
		}
	}
	return begin(Process{length: length, rate: trace(dues)}), nil
}

// begin makes p ready for its first arrival.
func begin(p Process) *Process {
	p.rate, p.n, p.s, p.rng = p.rate.again(), 0, 0, nil
	q := &p
	if q.poisson {
		q.pcg.Seed(q.seed, 0)
		q.rng = rand.New(&q.pcg)
		q.s = q.rng.ExpFloat64()
	}
	return q
}

func validLength(length time.Duration) error {
	if length < 0 {
		return fmt.Errorf("arrivals: length must not be negative, got %v", length)
	}
	return nil
}

func valid(what string, rate float64) error {
	switch {
	case math.IsNaN(rate) || math.IsInf(rate, 0):
		return fmt.Errorf("arrivals: %s must be a finite number, got %v", what, rate)
	case rate < 0:
		return fmt.Errorf("arrivals: %s must not be negative, got %v/s", what, rate)
	case rate > MaxRate:
		return fmt.Errorf("arrivals: %s must be at most %d/s, got %v/s", what, MaxRate, rate)
	}
	return nil
}

// Next is the next due time; ok is false once the phase has no more. It allocates nothing.
func (p *Process) Next() (due time.Duration, ok bool) {
	if p.s >= p.rate.total() {
		return 0, false
	}
	due = time.Duration(math.Round(p.rate.when(p.s) * float64(time.Second)))
	if due >= p.length {
		p.s = math.Inf(1)
		return 0, false
	}
	p.n++
	if p.rng != nil {
		p.s += p.rng.ExpFloat64()
	} else {
		p.s++ // exact: a float64 counts to 2⁵³
	}
	return due, true
}

// Share is share i of k of the whole process, from its beginning, whatever p has yielded already. The k shares have every
// arrival of the process once, with its number in the whole, from 0. The shares of a Poisson process are themselves independent Poisson
// processes: each arrival belongs to one of them by a mark that depends on nothing but the seed and its number (the colouring theorem:
// J. Kingman, Poisson Processes, 1993, §5.1). Those of the others take turns. Every share walks through the whole process.
func (p *Process) Share(i, k int) func() (n uint64, due time.Duration, ok bool) {
	q := begin(*p)
	return func() (uint64, time.Duration, bool) {
		for {
			n := q.n
			due, ok := q.Next()
			if !ok || q.share(n, uint64(k)) == uint64(i) {
				return n, due, ok
			}
		}
	}
}

// share is the share that arrival n belongs to.
func (p *Process) share(n, k uint64) uint64 {
	if !p.poisson {
		return n % k
	}
	hi, _ := bits.Mul64(mix(p.seed^mix(n)), k)
	return hi
}

// mix is the finalizer of SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
