package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"shakedown/bench"
	"shakedown/bench/load"
)

// TrippedError says that a trial was given up, because it went worse than its experiment allows. The run goes on: the trial
// is void, and not run again, since it is the system under test that ended it.
type TrippedError struct{ Why string }

func (e *TrippedError) Error() string { return "given up: " + e.Why }

// tripped says whether a trial ended because it was given up, and for no other reason.
func tripped(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all := joined.Unwrap()
		return slices.ContainsFunc(all, tripped) && !slices.ContainsFunc(all, func(e error) bool {
			return !tripped(e) && !errors.Is(e, context.Canceled)
		})
	}
	var t *TrippedError
	return errors.As(err, &t)
}

const (
	// tripEvery is how often a trial is looked at.
	tripEvery = 50 * time.Millisecond
	// leastJudged is the least number of arrivals in a window from which a goodput may be told.
	leastJudged = 20
	// settled is how long after its SLO an arrival is sure to have been fed to the sink: two ticks.
	settled = 2 * load.TickEvery
)

// A tripwire watches the goodput and the deadlines of one trial.
type tripwire struct {
	now      func() time.Duration // from the trial's zero
	over     func() int           // how many phases are over, faults healed
	whole    *bench.Abort         // of the experiment
	phases   []bench.Phase
	workload bench.Workload
	slo      time.Duration // the longest of any operation

	mu    sync.Mutex
	ticks []tick        // since the oldest window
	good  map[int]int64 // arrivals within their SLO, by the slot in which they were due
}

// A tick is how many arrivals had been scheduled by a time.
type tick struct {
	at        time.Duration
	scheduled int64
}

// goodSlot is the grain of a window.
const goodSlot = time.Millisecond

func newTripwire(e bench.Experiment, phases []bench.Phase, w bench.Workload, t *timeline) *tripwire {
	wire := &tripwire{
		now: t.now, over: func() int { return int(t.over.Load()) }, whole: e.Abort, phases: phases, workload: w, slo: w.SLO.D(),
		good: map[int]int64{}, ticks: []tick{{}},
	}
	for i := range w.Ops {
		wire.slo = max(wire.slo, w.SLOOf(bench.OpID(i)).D())
	}
	return wire
}

// tick takes in how many arrivals were scheduled by now.
func (w *tripwire) tick(t load.Tick) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ticks = append(w.ticks, tick{t.At, t.Ledger.Scheduled})
}

// samples takes in what became of arrivals.
func (w *tripwire) samples(batch []bench.Sample) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range batch {
		if s.Outcome == bench.OK && s.Response() <= w.workload.SLOOf(s.Op).D() {
			w.good[int(s.Due/goodSlot)]++
		}
	}
}

// armed says whether there is anything to watch for.
func (w *tripwire) armed() bool {
	return w.whole != nil || slices.ContainsFunc(w.phases, func(p bench.Phase) bool { return p.Abort != nil })
}

// run returns a *TrippedError once the trial is to be given up, and nil at the end of ctx or of the last phase.
func (w *tripwire) run(ctx context.Context) error {
	look := time.NewTicker(tripEvery)
	defer look.Stop()
	for w.over() < len(w.phases) {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			if why := w.trips(); why != "" {
				return &TrippedError{why}
			}
		}
	}
	return nil
}

// trips says why the trial is to be given up, or nothing.
func (w *tripwire) trips() string {
	now, over := w.now(), w.over()
	if w.whole != nil && w.whole.Deadline > 0 && now > w.whole.Deadline.D() {
		return fmt.Sprintf("the trial is not over after its deadline of %v", w.whole.Deadline)
	}
	var start time.Duration
	for i, p := range w.phases {
		if p.Abort != nil && p.Abort.Deadline > 0 && i >= over && now > start+p.Abort.Deadline.D() {
			return fmt.Sprintf("phase %s is not over after its deadline of %v", p.Name, p.Abort.Deadline)
		}
		if i+1 >= over { // the windows of the phase before the present one may just have become known
			if why := w.tooLow(p, start, now); why != "" {
				return why
			}
		}
		start += p.For.D()
	}
	return ""
}

// tooLow says in which way the goodput of a phase is too low, over the last window in it that is known by now.
func (w *tripwire) tooLow(p bench.Phase, start, now time.Duration) string {
	floor := w.whole
	if p.Abort != nil && p.Abort.Goodput > 0 {
		floor = p.Abort
	}
	if floor == nil || floor.Goodput == 0 {
		return ""
	}
	to := min(now-w.slo-settled, start+p.For.D())
	from := to - floor.Window.D()
	if from < start {
		return ""
	}
	got, n := w.goodput(from, to)
	if n < leastJudged || got >= floor.Goodput {
		return ""
	}
	return fmt.Sprintf("in phase %s a share of %.3g of %d arrivals within %v was answered within the SLO, bound %.3g",
		p.Name, got, n, floor.Window, floor.Goodput)
}

// goodput is the share of arrivals that were due between two times, on the grid of slots and ticks, and were answered
// within their SLO.
func (w *tripwire) goodput(from, to time.Duration) (share float64, scheduled int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first, last := w.tickAt(from), w.tickAt(to)
	scheduled = last.scheduled - first.scheduled
	var good int64
	for slot := int(first.at / goodSlot); slot < int(last.at/goodSlot); slot++ {
		good += w.good[slot]
	}
	return min(1, float64(good)/float64(max(scheduled, 1))), scheduled
}

// tickAt is the last tick no later than a time.
func (w *tripwire) tickAt(at time.Duration) tick {
	var last tick
	for _, t := range w.ticks {
		if t.at > at {
			break
		}
		last = t
	}
	return last
}
