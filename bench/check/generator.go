package check

import (
	"fmt"
	"math"
	"time"

	"shakedown/bench"
	"shakedown/bench/record"
)

// lag: requests must leave when they are due.
func lag(t trial) []string {
	p99, ok := t.lag("p99")
	if !ok {
		return nil // nothing was sent; enough or unsent says so
	}
	var reasons []string
	if p99 > MaxLagP99 {
		reasons = append(reasons, fmt.Sprintf("send lag p99 %v, bound ≤ %v", round(p99), MaxLagP99))
	}
	if worst, _ := t.lag("max"); worst > MaxLag {
		reasons = append(reasons, fmt.Sprintf("largest send lag %v, bound ≤ %v", round(worst), MaxLag))
	}
	return reasons
}

func (t trial) lag(stat string) (time.Duration, bool) {
	v := t.Value(bench.Query{Metric: "send_lag_ms", Stat: stat})
	return time.Duration(v.V * float64(time.Millisecond)), v.OK
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// unsent: an open loop that holds arrivals back has become a closed one.
func unsent(t trial) []string {
	n := 0
	for _, s := range t.arrived {
		if s.Outcome == bench.Unsent {
			n++
		}
	}
	if share := float64(n) / float64(max(len(t.arrived), 1)); !t.data.Trial.Closed && share > MaxUnsent {
		return reason("%d of %d arrivals were never sent (%.2f %%), bound ≤ %.1f %%", n, len(t.arrived), 100*share, 100*MaxUnsent)
	}
	return nil
}

// achieved: the number of arrivals in each judged phase must be what its rate makes likely.
func achieved(t trial) []string {
	level, _ := t.run.Experiment.Level(t.data.Trial.Level)
	var reasons []string
	for _, p := range t.run.Experiment.PhasesAt(level) {
		span, ok := t.phase(p.Name)
		if !ok || !span.Judged || p.Closed != nil || span.Users > 0 {
			continue
		}
		got := 0
		for _, s := range t.arrived {
			if span.Start <= s.Due && s.Due < span.End {
				got++
			}
		}
		want := (span.End - span.Start).Seconds() * t.meanRate(p, span)
		bound := CountSlack + CountSlackShare*want
		if p.Arrival == bench.Poisson {
			bound = max(bound, PoissonSigmas*math.Sqrt(want))
		}
		if math.Abs(float64(got)-want) > bound {
			reasons = append(reasons, fmt.Sprintf("phase %s: %d arrivals, scheduled %.0f, bound ± %.0f", p.Name, got, want, bound))
		}
	}
	return reasons
}

// meanRate is the phase's mean rate: it began at the rate that the recording states, and its shape is the experiment's.
func (t trial) meanRate(p bench.Phase, span record.PhaseSpan) float64 {
	from, peak := span.RateS, p.Peak.At(t.run.CapacityPerS)
	switch p.Arrival {
	case bench.Ramp, bench.Step:
		return (from + peak) / 2
	case bench.Spike:
		return from + (peak-from)/5
	default:
		return from
	}
}

// starved: a generator that does not get the processor measures the machine, not the service.
func starved(t trial) []string {
	g, cores := t.data.Trial.Gen, float64(max(t.run.Host.Cores, 1))
	if len(t.judged) == 0 {
		return nil // phasesRan or enough says so
	}
	if g.WallS <= 0 {
		return reason("the generator left no account of the processor time it had")
	}
	var reasons []string
	if steal := g.StealS / (g.WallS * cores); steal > MaxSteal {
		reasons = append(reasons,
			fmt.Sprintf("the hypervisor took %.1f %% of the processors, bound ≤ %.0f %%", 100*steal, 100*MaxSteal))
	}
	idle := g.IdleS / (g.WallS * cores)
	bound := t.tightLag()
	if p99, ok := t.lag("p99"); ok && idle < MinIdle && p99 > bound {
		reasons = append(reasons, fmt.Sprintf(
			"the machine was idle for %.1f %% of the time (bound ≥ %.0f %%) and send lag p99 was %v (bound then ≤ %v)",
			100*idle, 100*MinIdle, round(p99), round(bound)))
	}
	return reasons
}

// tightLag is the lag that a saturated machine may show: an error in proportion to what is measured.
func (t trial) tightLag() time.Duration {
	v := t.Value(bench.Query{Metric: "response_ms", Stat: "p50"})
	return max(TightLagP99, time.Duration(TightLagShare*v.V*float64(time.Millisecond)))
}

// collector: a pause of the generator's garbage collector delays all that is in flight.
func collector(t trial) []string {
	pause := time.Duration(t.data.Trial.Gen.GCPauseMS * float64(time.Millisecond))
	if pause > MaxGCPause {
		return reason("the generator's collector paused it for %v, bound ≤ %v", round(pause), MaxGCPause)
	}
	return nil
}
