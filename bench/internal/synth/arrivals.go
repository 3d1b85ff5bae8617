package synth

import (
	"math/rand/v2"
	"time"

	"shakedown/bench"
	"shakedown/bench/record"
)

// lag is how late every request leaves.
const lag = 50 * time.Microsecond

// generator makes the samples of a trial, phase by phase.
type generator struct {
	workload bench.Workload
	rng      *rand.Rand
	samples  []bench.Sample
}

// open makes arrivals at the phase's rate: equal gaps for Constant, a Poisson process by thinning for the others
// (P. Lewis, G. Shedler, "Simulation of nonhomogeneous Poisson processes by thinning", 1979).
func (g *generator) open(p bench.Phase, span record.PhaseSpan, capacity float64, b Behaviour) {
	from, peak := p.Rate.At(capacity), p.Peak.At(capacity)
	top := max(from, peak)
	if top <= 0 {
		return
	}
	length := (span.End - span.Start).Seconds()
	for at := g.gap(p, top); at < length; at += g.gap(p, top) {
		if p.Arrival == bench.Constant || g.rng.Float64()*top < rateAt(p.Arrival, from, peak, at/length) {
			g.sample(span.Start+time.Duration(at*float64(time.Second)), b)
		}
	}
}

func (g *generator) gap(p bench.Phase, rate float64) float64 {
	if p.Arrival == bench.Constant {
		return 1 / rate
	}
	return g.rng.ExpFloat64() / rate
}

// rateAt is the rate at the fraction x of the phase.
func rateAt(a bench.Arrival, from, peak, x float64) float64 {
	switch {
	case a == bench.Ramp:
		return from + (peak-from)*x
	case a == bench.Step && x >= 0.5, a == bench.Spike && x >= 0.4 && x < 0.6:
		return peak
	default:
		return from
	}
}

// closed makes users who ask, wait and think.
func (g *generator) closed(span record.PhaseSpan, c bench.Closed, b Behaviour) {
	for range c.Users {
		for at := span.Start; at < span.End; {
			at = g.sample(at, b) + time.Duration(g.rng.ExpFloat64()*float64(c.Think.D()))
		}
	}
}

// sample adds one arrival and says when it was done.
func (g *generator) sample(due time.Duration, b Behaviour) time.Duration {
	s := bench.Sample{Due: due, Sent: due + lag}
	if n := len(g.workload.Ops); n > 1 {
		s.Op = bench.OpID(g.rng.IntN(n))
	}
	took := time.Duration(float64(b.Service) * (1 + b.Spread*(2*g.rng.Float64()-1)))
	u := g.rng.Float64()
	for _, o := range []struct {
		outcome bench.Outcome
		share   float64
	}{{bench.OK, b.OK}, {bench.Degraded, b.Degraded}, {bench.Refused, b.Refused}, {bench.Failed, b.Failed}} {
		if u < o.share {
			s.Outcome, s.Done = o.outcome, s.Sent+max(took, time.Microsecond)
			if o.outcome.Answered() {
				s.Flags, s.Value = b.Flags, b.Value
			}
			g.samples = append(g.samples, s)
			return s.Done
		}
		u -= o.share
	}
	s.Outcome, s.Done = bench.Unsure, s.Sent+g.workload.Timeout.D()
	g.samples = append(g.samples, s)
	return s.Done
}
