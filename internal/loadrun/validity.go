package loadrun

import (
	"fmt"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"shakedown/bench/check"
	"shakedown/bench/load"
)

// The bounds of validity that experiments do not have. The others are those of package check, and the rules are alike:
// docs/measurement.md has them.
const (
	// MaxBusy is the share of the processor time that the generator can have from which on it is at its end: near it, what it
	// sends and what it reads waits for itself. With a share of ρ the mean wait grows as ρ/(1 − ρ): ten times the work at 0.9.
	MaxBusy = 0.90
	// LittleRequests bounds what the mean number in flight may be off by where it is small: loops send in bursts.
	LittleRequests = 2.0
	// Unnoticed is how long an answer may wait for an event loop that sleeps until the next arrival, if it does not gather arrivals for
	// longer: it is in flight still for who looks from outside, and done as far as its times go.
	Unnoticed = 2 * time.Millisecond
	// SampledEvery is how often the number in flight is looked at, and SampledSigmas how many standard errors its mean may be off by.
	SampledEvery  = 50 * time.Millisecond
	SampledSigmas = 4
	// MaxUnseen is the share of the processor time of all cores from which on loops that have them all keep the ticker from looking.
	MaxUnseen = 0.5
)

// A fare is how the generator fared, and with what.
type fare struct {
	stats     load.Stats
	window    time.Duration // that was measured, or was to be
	timeout   time.Duration
	closed    bool
	loops     int           // event loops; 0: a blocking client
	gather    time.Duration // how long they may hold arrivals back
	cores     int           // that the process may run on
	machine   int           // cores of the machine
	scheduled int64         // that the schedule has for the window; -1: not known
	aborted   bool
}

// void says why what was measured may not be believed: one line for each reason, with its numbers and its bound. It never looks at how
// the server fared, so that no result, however odd, is void for itself.
func (f fare) void() []string {
	d := f.stats.Dist
	if d == nil || d.Ledger.Scheduled == 0 {
		return []string{"nothing was measured: no arrival was due in the time that is"}
	}
	var reasons []string
	for _, rule := range []func(*load.Distributions) string{
		f.ledger, f.achieved, f.unsent, f.lag, f.longestLag, f.busy, f.starved, f.steal, f.collector, f.little,
	} {
		if why := rule(d); why != "" {
			reasons = append(reasons, why)
		}
	}
	return reasons
}

// ledger: every scheduled arrival ends in exactly one outcome.
func (f fare) ledger(d *load.Distributions) string {
	for _, l := range []struct{ n, ended int64 }{
		{f.stats.Ledger.Scheduled, f.stats.Ledger.Ended()}, {d.Ledger.Scheduled, d.Ledger.Ended()},
	} {
		if l.n != l.ended {
			return fmt.Sprintf("the ledger does not balance: %d arrivals were scheduled and %d ended", l.n, l.ended)
		}
	}
	return ""
}

// achieved: the arrivals were those of the schedule.
func (f fare) achieved(d *load.Distributions) string {
	if f.closed || f.aborted || f.scheduled < 0 || d.Ledger.Scheduled == f.scheduled {
		return ""
	}
	return fmt.Sprintf("%d arrivals were due and the schedule has %d", d.Ledger.Scheduled, f.scheduled)
}

// unsent: an open loop that holds arrivals back has become a closed one.
func (f fare) unsent(d *load.Distributions) string {
	n := d.Ledger.Unsent
	if share := float64(n) / float64(d.Ledger.Scheduled); !f.closed && !f.aborted && share > check.MaxUnsent {
		return fmt.Sprintf("%d of %d arrivals were never sent (%.2f %%), bound ≤ %.1f %%", n, d.Ledger.Scheduled, 100*share, 100*check.MaxUnsent)
	}
	return ""
}

// lag: requests must leave when they are due.
func (f fare) lag(d *load.Distributions) string {
	if p99 := lagAt(d, 99); p99 > check.MaxLagP99 {
		return fmt.Sprintf("send lag p99 %v, bound ≤ %v", short(p99), check.MaxLagP99)
	}
	return ""
}

func (f fare) longestLag(d *load.Distributions) string {
	if worst := time.Duration(d.Lag.Max()); worst > check.MaxLag {
		return fmt.Sprintf("largest send lag %v, bound ≤ %v", short(worst), check.MaxLag)
	}
	return ""
}

func lagAt(d *load.Distributions, percentile float64) time.Duration {
	return time.Duration(d.Lag.ValueAtPercentile(percentile))
}

// capacity is how many cores' time the generator can have: an event loop runs on one, the standard library's clients on all.
func (f fare) capacity() float64 {
	if f.loops == 0 {
		return float64(f.cores)
	}
	return float64(min(f.loops, f.cores))
}

// machineS is the processor time that the machine had; 0 when that is not known.
func (f fare) machineS() float64 { return f.stats.WallS * float64(f.machine) }

// busy: a generator that has used up its processor is what is measured.
func (f fare) busy(*load.Distributions) string {
	if f.stats.WallS <= 0 {
		return "the generator left no account of the processor time it had"
	}
	if share := f.stats.CPUS / (f.stats.WallS * f.capacity()); share >= MaxBusy {
		return fmt.Sprintf("the generator used %.0f %% of the processor time it can have, bound < %.0f %%", 100*share, 100*MaxBusy)
	}
	return ""
}

// starved: on a machine without idle time even a small lag is the machine's doing.
func (f fare) starved(d *load.Distributions) string {
	idle := f.stats.IdleS / f.machineS()
	bound := max(check.TightLagP99, time.Duration(check.TightLagShare*float64(d.Response.ValueAtPercentile(50))))
	if p99 := lagAt(d, 99); f.machineS() > 0 && idle < check.MinIdle && p99 > bound {
		return fmt.Sprintf("the machine was idle for %.1f %% of the time (bound ≥ %.0f %%) and send lag p99 was %v (bound then ≤ %v)",
			100*idle, 100*check.MinIdle, short(p99), short(bound))
	}
	return ""
}

// steal: what the hypervisor takes, nobody measures.
func (f fare) steal(*load.Distributions) string {
	if share := f.stats.StealS / f.machineS(); f.machineS() > 0 && share > check.MaxSteal {
		return fmt.Sprintf("the hypervisor took %.1f %% of the processors, bound ≤ %.0f %%", 100*share, 100*check.MaxSteal)
	}
	return ""
}

// collector: a pause of the generator's garbage collector delays all that is in flight.
func (f fare) collector(*load.Distributions) string {
	if pause := time.Duration(f.stats.GCPauseMS * float64(time.Millisecond)); pause > check.MaxGCPause {
		return fmt.Sprintf("the generator's collector paused it for %v, bound ≤ %v", short(pause), check.MaxGCPause)
	}
	return ""
}

// little: by Little's law the mean number in flight is the rate of requests times the mean time that each was (J. Little, Operations
// Research 9, 1961). One side is sampled by a ticker, the other comes from the histograms. They may differ by the sampling, by what
// crosses the ends of the window, by answers that nobody has noticed yet, and by requests that were turned away, whose times are in no
// histogram.
func (f fare) little(d *load.Distributions) string {
	w := f.window.Seconds()
	if f.aborted || w <= 0 || f.blind() {
		return "" // the window is not what it was to be
	}
	total := func(h *hdrhistogram.Histogram) float64 { return h.Mean() / 1e9 * float64(h.TotalCount()) }
	implied, sampled := (total(d.Wait)+total(d.Service))/w, f.stats.InFlightMean
	longest := min(float64(d.Service.Max()+d.Wait.Max())/1e9, w)
	slack := max(check.LittleShare*implied, LittleRequests) + 2*float64(f.stats.InFlightMax)*longest/w + f.samplingError()
	unseen := f.timeout.Seconds()*float64(d.Ledger.Refused+d.Ledger.Failed)/w + max(Unnoticed, f.gather).Seconds()*float64(d.Ledger.Scheduled)/w
	if sampled < implied-slack || sampled > implied+slack+unseen {
		return fmt.Sprintf("Little's law does not hold: %.1f requests in flight on average, %.1f by their rate and times, bound − %.1f + %.1f",
			sampled, implied, slack, slack+unseen)
	}
	return ""
}

// blind says that the ticker has no core to itself: it then runs only while the loops sleep, which is when less is in flight, and sees
// another mean the more they work.
func (f fare) blind() bool {
	return f.loops >= f.cores && f.stats.CPUS >= MaxUnseen*f.stats.WallS*f.capacity()
}

// samplingError is what the sampled mean may be off by. The variance of a number between 0 and a maximum is at most mean × (maximum −
// mean) (R. Bhatia, C. Davis, American Mathematical Monthly 107, 2000).
func (f fare) samplingError() float64 {
	mean, most := f.stats.InFlightMean, float64(f.stats.InFlightMax)
	n := max(1, f.window.Seconds()/SampledEvery.Seconds())
	return SampledSigmas * math.Sqrt(mean*max(0, most-mean)/n)
}

// short is a time without digits that nobody reads.
func short(d time.Duration) time.Duration {
	unit := time.Duration(math.Pow(10, math.Floor(math.Log10(float64(max(d, 1))))-2))
	return d.Round(max(unit, 1))
}
