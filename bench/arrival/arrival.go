package arrival

import (
	"fmt"
	"math"
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
// §4.7). For Poisson, s_n is a sum of independent exponential variates of mean 1. For Constant, Ramp, Step and Spike,
// s_n = n for n = 0, 1, 2, …: they are deterministic, so that a change of the rate is the only thing that changes, and
// the number of arrivals is exactly ⌈Λ(length)⌉.
type Process struct {
	length time.Duration
	rate   []segment
	at     int // the segment that the next arrival is sought in
	s      float64
	rng    *rand.Rand // nil: deterministic
}

// New is the process a over a phase of the given length. Rates are in arrivals per second; peak is the other rate of a
// Ramp, Step or Spike, as bench.Arrival documents, and is ignored by the rest. A rate of 0 is silence. It fails when a
// rate is negative, not a number, infinite or above MaxRate, when length is negative, and when a is unknown.
func New(a bench.Arrival, rate, peak float64, length time.Duration, seed uint64) (*Process, error) {
	if length < 0 {
		return nil, fmt.Errorf("arrivals: length must not be negative, got %v", length)
	}
	if err := valid("rate", rate); err != nil {
		return nil, err
	}
	p := &Process{length: length}
	l := length.Seconds()
	switch a {
	case bench.Poisson:
		p.rate = []segment{{len: l, from: rate, to: rate}}
		p.rng = rand.New(rand.NewPCG(seed, 0))
		p.s = p.rng.ExpFloat64()
		return p, nil
	case bench.Constant:
		p.rate = []segment{{len: l, from: rate, to: rate}}
		return p, nil
	case bench.Ramp:
		p.rate = []segment{{len: l, from: rate, to: peak}}
	case bench.Step:
		p.rate = []segment{{len: l / 2, from: rate, to: rate}, {len: l / 2, from: peak, to: peak}}
	case bench.Spike:
		p.rate = []segment{
			{len: 2 * l / 5, from: rate, to: rate}, {len: l / 5, from: peak, to: peak}, {len: 2 * l / 5, from: rate, to: rate},
		}
	default:
		return nil, fmt.Errorf("arrivals: unknown process %d", a)
	}
	if err := valid("peak", peak); err != nil {
		return nil, err
	}
	chain(p.rate)
	return p, nil
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
	for p.at < len(p.rate) && p.s >= p.rate[p.at].end() {
		p.at++
	}
	if p.at == len(p.rate) {
		return 0, false
	}
	due = time.Duration(math.Round(p.rate[p.at].when(p.s) * float64(time.Second)))
	if due >= p.length {
		p.at = len(p.rate)
		return 0, false
	}
	if p.rng != nil {
		p.s += p.rng.ExpFloat64()
	} else {
		p.s++ // exact: a float64 counts to 2⁵³
	}
	return due, true
}

// A segment is a stretch of the phase in which the rate changes linearly. Times are in seconds.
type segment struct {
	start, len float64
	from, to   float64 // the rate at its start and end
	before     float64 // Λ(start): arrivals expected before it
}

// chain fills in where each segment starts.
func chain(segs []segment) {
	for i := 1; i < len(segs); i++ {
		prev := segs[i-1]
		segs[i].start = prev.start + prev.len
		segs[i].before = prev.end()
	}
}

// end is Λ at the segment's end.
func (g segment) end() float64 { return g.before + (g.from+g.to)/2*g.len }

// when is Λ⁻¹(s) for an s within the segment. With rate from + a·x, Λ grows by c = from·x + a·x²/2; the root is written
// so that nothing cancels as a approaches 0.
func (g segment) when(s float64) float64 {
	c := s - g.before
	if c <= 0 {
		return g.start
	}
	if g.from == g.to {
		return g.start + c/g.from
	}
	a := (g.to - g.from) / g.len
	return g.start + 2*c/(g.from+math.Sqrt(max(0, g.from*g.from+2*a*c)))
}
