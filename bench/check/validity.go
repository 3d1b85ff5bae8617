package check

import (
	"fmt"
	"math"
	"time"

	"shakedown/bench"
	"shakedown/bench/measure"
	"shakedown/bench/record"
	"shakedown/bench/schedule"
)

// The bounds of validity. They bound what the harness does to a measurement, so they are the same for every pattern.
const (
	// MaxLagP99 and MaxLag bound how late requests leave. Effects here are tens of ms and more, so 10 ms at p99 cannot
	// make one; a single stop of 250 ms is a stall that no p99 of a long phase would show.
	MaxLagP99 = 10 * time.Millisecond
	MaxLag    = 250 * time.Millisecond
	// MaxUnsent bounds the arrivals of the open loop that never left: more, and the load was not open any longer.
	MaxUnsent = 0.001
	// PoissonSigmas is how far the number of arrivals may be from rate × length, in standard deviations √(rate × length)
	// of a Poisson process: beyond 5, chance is 1 in 1.7 million.
	PoissonSigmas = 5
	// CountSlack and CountSlackShare are how far a deterministic process may be off: a fence post at either end of the
	// phase, and a phase whose recorded ends are a little off its planned ones.
	CountSlack      = 2
	CountSlackShare = 0.002
	// MaxSteal bounds the share of all cores' time that the hypervisor took: 5 % is a core gone for 1 s in 10 on two.
	MaxSteal = 0.05
	// MinIdle and TightLagP99: a machine with less idle time than this, on which the generator is late by more than a
	// fifth of its bound, is saturated, and the lag is not the service's doing. Where the median response takes longer than
	// 100 ms, TightLagShare of it is what may go astray.
	MinIdle       = 0.03
	TightLagP99   = 2 * time.Millisecond
	TightLagShare = 0.02
	// MaxGCPause bounds the generator's longest stop-the-world pause, which delays every request in flight.
	MaxGCPause = 10 * time.Millisecond
	// LittleShare and LittleRequests bound how far the sampled mean in-flight may be from what the samples imply.
	LittleShare    = 0.10
	LittleRequests = 1.0
	// MinArrivals is the least number of judged arrivals from which anything may be concluded.
	MinArrivals = 50
)

// trial is what every rule looks at.
type trial struct {
	*measure.Trial
	run     record.Run
	data    record.Data
	arrived []bench.Sample // due in judged phases
	judged  []record.PhaseSpan
}

// rule says what makes the trial void, or nothing.
type rule func(trial) []string

// rules are all the rules. They do not depend on each other, so that a report names every reason at once.
var rules = []rule{
	finished, ledger, phasesRan, enough, lag, unsent, achieved, starved, collector, little, faults, healthy,
}

// Validity says why the trial may not be judged: one line for each reason, with its numbers and its bound. There is
// none for a valid trial. Load is looked at over judged phases only; faults in all phases, since a judged recovery
// rests on a fault that may stand in a phase that is not.
func Validity(run record.Run, data record.Data) []string {
	t := trial{Trial: measure.New(run, data), run: run, data: data}
	for _, p := range data.Trial.Phases {
		if p.Judged {
			t.judged = append(t.judged, p)
		}
	}
	for _, s := range data.Samples {
		if t.inJudged(s.Due) {
			t.arrived = append(t.arrived, s)
		}
	}
	var reasons []string
	for _, r := range rules {
		reasons = append(reasons, r(t)...)
	}
	return reasons
}

func (t trial) inJudged(at time.Duration) bool {
	for _, p := range t.judged {
		if p.Start <= at && at < p.End {
			return true
		}
	}
	return false
}

func reason(format string, args ...any) []string { return []string{fmt.Sprintf(format, args...)} }

// finished: a trial that was cut short has phases that were not what they say.
func finished(t trial) []string {
	switch {
	case t.data.Truncated || t.data.Trial.Status == record.Truncated || t.data.Trial.Status == record.Running:
		return reason("the trial was killed before its end")
	case t.data.Trial.Status != record.Complete && t.data.Trial.Error != "":
		return reason("the trial was %s: %s", t.data.Trial.Status, t.data.Trial.Error)
	case t.data.Trial.Status != record.Complete:
		return reason("the trial is not complete but %q", t.data.Trial.Status)
	}
	return nil
}

// ledger: every scheduled arrival ends in exactly one outcome, and leaves exactly one sample that says so.
func ledger(t trial) []string {
	l := t.data.Trial.Ledger
	if !l.Balances() {
		return reason("the ledger does not balance: %d arrivals were scheduled and %d ended", l.Scheduled, l.Ended())
	}
	seen := bench.Ledger{Scheduled: int64(len(t.data.Samples))}
	for _, s := range t.data.Samples {
		seen.Add(s.Outcome)
	}
	if seen.Scheduled != l.Scheduled {
		return reason("the ledger has %d scheduled arrivals and the recording %d samples", l.Scheduled, seen.Scheduled)
	}
	if seen != l {
		return reason("the ledger and the samples disagree on outcomes: %+v and %+v", l, seen)
	}
	return nil
}

// phasesRan: every planned phase must be there, or a query about it would be answered from another.
func phasesRan(t trial) []string {
	level, ok := t.run.Experiment.Level(t.data.Trial.Level)
	if !ok {
		return reason("the experiment has no level %q", t.data.Trial.Level)
	}
	var reasons []string
	for _, p := range t.run.Experiment.PhasesAt(level) {
		if _, ok := t.phase(p.Name); !ok {
			reasons = append(reasons, fmt.Sprintf("phase %s was not run", p.Name))
		}
	}
	return reasons
}

func (t trial) phase(name string) (record.PhaseSpan, bool) {
	for _, p := range t.data.Trial.Phases {
		if p.Name == name && p.End > p.Start {
			return p, true
		}
	}
	return record.PhaseSpan{}, false
}

// enough: with a handful of arrivals anything can happen.
func enough(t trial) []string {
	if t.run.Experiment.Probes() {
		if t.data.Trial.Audit == nil {
			return reason("the probe left nothing")
		}
		return nil
	}
	if n := len(t.arrived); n < MinArrivals {
		return reason("%d arrivals in judged phases, bound ≥ %d", n, MinArrivals)
	}
	return nil
}

// little: by Little's law the mean number in flight is the rate of requests times the mean time that each was in
// flight (J. Little, "A proof for the queuing formula L = λW", Operations Research 9, 1961). Over a window it holds
// exactly when each request counts with the part of its time that lies inside, ∫N(t)dt ÷ T (J. Little, "Little's law
// as viewed on its 50th anniversary", Operations Research 59, 2011). One side comes from the generator's ticker and the
// other from the samples; when they differ, requests were not sent or answered when the samples say.
func little(t trial) []string {
	var inside, length time.Duration
	ticks, inFlight := 0, 0.0
	for _, p := range t.judged {
		length += p.End - p.Start
		for _, s := range t.data.Samples {
			if s.Outcome != bench.Unsent {
				inside += max(0, min(s.Done, p.End)-max(s.Sent, p.Start))
			}
		}
		for _, f := range t.data.InFlight {
			if p.Start <= f.At && f.At < p.End {
				inFlight += float64(f.N)
				ticks++
			}
		}
	}
	if length <= 0 || len(t.arrived) == 0 {
		return nil // enough says so
	}
	if ticks == 0 {
		return reason("the requests in flight were not recorded, so Little's law cannot be checked")
	}
	sampled, implied := inFlight/float64(ticks), inside.Seconds()/length.Seconds()
	if bound := max(LittleShare*implied, LittleRequests); math.Abs(sampled-implied) > bound {
		return reason("Little's law does not hold: %.2f requests in flight on average, %.2f by the samples, bound ± %.2f",
			sampled, implied, bound)
	}
	return nil
}

// faults: a fault that could not be seen to land, or that no traffic met, tested nothing.
func faults(t trial) []string {
	reasons := seen(t.data.Trial.Network, "on the network")
	for _, p := range t.data.Trial.Phases {
		reasons = append(reasons, seen(p.Faults, "in phase "+p.Name)...)
	}
	level, _ := t.run.Experiment.Level(t.data.Trial.Level)
	network := t.run.Experiment.Network
	if level.Network != nil {
		network = level.Network
	}
	if len(t.data.Trial.Network) != len(network) {
		reasons = append(reasons,
			fmt.Sprintf("the network is to have %d faults and %d were injected", len(network), len(t.data.Trial.Network)))
	}
	return append(reasons, t.missing(t.run.Experiment.PhasesAt(level))...)
}

// missing says in which phases other faults were in force than their schedule wants.
func (t trial) missing(phases []bench.Phase) []string {
	all, err := schedule.New(t.data.Trial.Seed, phases)
	if err != nil {
		return reason("the schedule of the faults makes no sense: %v", err)
	}
	want := make([]int, len(phases))
	for _, x := range all {
		want[x.Phase] += len(x.Faults)
	}
	var reasons []string
	for i, p := range phases {
		if span, ok := t.phase(p.Name); ok && len(span.Faults) != want[i] {
			reasons = append(reasons,
				fmt.Sprintf("phase %s has %d faults and %d were injected", p.Name, want[i], len(span.Faults)))
		}
	}
	return reasons
}

// seen says which of the faults were not observed.
func seen(faults []record.FaultSpan, where string) []string {
	var reasons []string
	for _, f := range faults {
		if !f.Landed.Seen {
			reasons = append(reasons, fmt.Sprintf("%s %s was not seen to land: %s", f.Fault, where, f.Landed))
		}
		if !f.Effect.Seen {
			reasons = append(reasons, fmt.Sprintf("%s %s was not seen to act: %s", f.Fault, where, f.Effect))
		}
	}
	return reasons
}

// healthy: an engine that was ill before or after the load may have been ill in between.
func healthy(t trial) []string {
	var reasons []string
	for _, name := range t.data.Trial.Unhealthy {
		reasons = append(reasons, fmt.Sprintf("engine %s was not healthy before or after the load", name))
	}
	return reasons
}
