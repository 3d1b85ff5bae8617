package load

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"shakedown/bench"
	"shakedown/internal/clock"
)

// TickEvery is the time between two calls of Plan.OnTick.
const TickEvery = 250 * time.Millisecond

// flushesPerTick is how often the sink, if there is one, is fed from one tick to the next.
const flushesPerTick = 2

// A Tick is the state of the load for a live display. Counts are since the start; percentiles are of the answers, ok and
// degraded, that came since the last tick, and 0 when there were none.
type Tick struct {
	At       time.Duration // offset from the plan's zero
	Ledger   bench.Ledger
	InFlight int64
	// Interval is what ended since the last tick; its Scheduled is what was scheduled since.
	Interval bench.Ledger
	// Dist is of what ended since the last tick, when the plan measures. It is the generator's again when OnTick returns.
	Dist *Distributions
	// P50 and P99 are of the response time, from due, and LagP99 of how late requests were sent, of all that were sent; when the plan
	// does not measure, or else they are in Dist.
	P50, P99, LagP99 time.Duration
}

// A feeder passes what the generator records on to the sink and to the live display.
type feeder struct {
	plan   *Plan
	rec    *recorder
	obs    *observer
	flying *atomic.Int64

	err      error
	batch    []bench.Sample
	points   []point
	last     bench.Ledger
	response []time.Duration // since the last tick
	lag      []time.Duration
	interval *Distributions // since the last tick; nil when the plan does not measure
	total    *Distributions
}

func newFeeder(p *Plan, rec *recorder, obs *observer, flying *atomic.Int64) *feeder {
	f := &feeder{plan: p, rec: rec, obs: obs, flying: flying}
	if p.Measure {
		f.interval, f.total = newDistributions(p.Ops), newDistributions(p.Ops)
	}
	return f
}

// run feeds until ended is closed. A sink that fails stops the load: what is not recorded is not worth sending.
func (f *feeder) run(ended <-chan struct{}, stop func(cause error)) {
	flushes := 1
	if f.plan.Sink != nil {
		flushes = flushesPerTick
	}
	ticker := time.NewTicker(TickEvery / time.Duration(flushes))
	defer ticker.Stop()
	for n := 1; ; n++ {
		select {
		case <-ended:
			return
		case <-ticker.C:
		}
		if f.flush(); f.err != nil {
			stop(f.err)
		}
		if n%flushes == 0 {
			f.tick()
		}
	}
}

// finish passes on what came last. It is called when nothing records any more, and returns the sink's first error.
func (f *feeder) finish() error {
	f.flush()
	f.tick()
	if f.total != nil && f.plan.OnTick == nil {
		f.rec.measure(f.total)
	}
	return f.err
}

// flush empties the recorder even when the sink has failed, so that memory stays bounded.
func (f *feeder) flush() {
	f.batch = f.rec.take(f.batch[:0])
	f.points = f.obs.take(f.points[:0])
	f.note(f.batch)
	if f.plan.Sink == nil {
		return
	}
	if f.err == nil && len(f.batch) > 0 {
		if err := f.plan.Sink.Samples(f.batch); err != nil {
			f.err = fmt.Errorf("recording samples: %w", err)
		}
	}
	for _, p := range f.points {
		if f.err != nil {
			return
		}
		if err := f.plan.Sink.InFlight(p.at, p.n); err != nil {
			f.err = fmt.Errorf("recording what is in flight: %w", err)
		}
	}
}

// note keeps what the next tick's percentiles are of.
func (f *feeder) note(samples []bench.Sample) {
	if f.plan.OnTick == nil || f.interval != nil {
		return
	}
	for _, s := range samples {
		if s.Outcome.Answered() {
			f.response = append(f.response, s.Response())
		}
		if s.Outcome != bench.Unsent {
			f.lag = append(f.lag, s.Lag())
		}
	}
}

func (f *feeder) tick() {
	if f.plan.OnTick == nil {
		return
	}
	ledger := f.rec.ledger()
	t := Tick{At: clock.Now() - f.plan.Zero, Ledger: ledger, InFlight: f.flying.Load(), Interval: minus(ledger, f.last), Dist: f.interval}
	if f.interval != nil {
		f.rec.measure(f.interval)
	} else {
		slices.Sort(f.response)
		slices.Sort(f.lag)
		t.P50, t.P99, t.LagP99 = quantile(f.response, 0.50), quantile(f.response, 0.99), quantile(f.lag, 0.99)
	}
	f.plan.OnTick(t)
	if f.interval != nil {
		f.total.merge(f.interval)
		f.interval.reset()
	}
	f.last, f.response, f.lag = ledger, f.response[:0], f.lag[:0]
}

// quantile is the smallest value that at least a fraction q of the sorted values do not exceed: the inverse of the
// empirical distribution function (type 1 of R. Hyndman, Y. Fan, The American Statistician 50(4), 1996).
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	n := float64(len(sorted)) * q
	i := int(n)
	if float64(i) == n {
		i--
	}
	return sorted[i]
}

func plus(a, b bench.Ledger) bench.Ledger {
	return bench.Ledger{
		Scheduled: a.Scheduled + b.Scheduled, OK: a.OK + b.OK, Degraded: a.Degraded + b.Degraded, Refused: a.Refused + b.Refused,
		Failed: a.Failed + b.Failed, Unsure: a.Unsure + b.Unsure, Unsent: a.Unsent + b.Unsent,
	}
}

func minus(a, b bench.Ledger) bench.Ledger {
	return bench.Ledger{
		Scheduled: a.Scheduled - b.Scheduled, OK: a.OK - b.OK, Degraded: a.Degraded - b.Degraded, Refused: a.Refused - b.Refused,
		Failed: a.Failed - b.Failed, Unsure: a.Unsure - b.Unsure, Unsent: a.Unsent - b.Unsent,
	}
}
