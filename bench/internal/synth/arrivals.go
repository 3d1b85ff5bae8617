package synth

import (
	"math/rand/v2"
	"time"

	"shakedown/bench"
	"shakedown/bench/arrival"
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

// open makes the arrivals of the phase's own arrival process.
func (g *generator) open(p bench.Phase, span record.PhaseSpan, capacity float64, b Behaviour) {
	process, err := arrival.New(p.Arrival, p.Rate.At(capacity), p.Peak.At(capacity), span.End-span.Start, g.rng.Uint64())
	if err != nil {
		panic("synth: phase " + p.Name + ": " + err.Error()) // the experiment of a test is wrong
	}
	for due, ok := process.Next(); ok; due, ok = process.Next() {
		g.sample(span.Start+due, b)
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
