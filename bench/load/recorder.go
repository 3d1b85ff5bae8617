package load

import (
	"sync"
	"sync/atomic"
	"time"

	"shakedown/bench"
)

// lanes is how many goroutines at a time record without waiting when there is no event loop to own a lane.
const lanes = 4

// A recorder gathers what became of arrivals. It has lanes, each with books of its own, so that recording hardly ever waits:
// an event loop has a lane to itself, blocking clients share a few by sequence number.
type recorder struct {
	lanes  []*lane
	window []span // of what is measured; empty: nothing is
}

// A span is an interval of due times.
type span struct{ from, to time.Duration }

// A lane has two of everything that grows: one is written to while the other is being read.
type lane struct {
	mu      sync.Mutex
	keep    bool // single samples
	window  []span
	ledger  bench.Ledger // of the whole plan; Scheduled is in scheduled
	samples []bench.Sample
	dist    *Distributions // nil: nothing is measured
	full    *Distributions // the other one
	spare   []bench.Sample

	scheduled atomic.Int64
	inWindow  atomic.Int64 // scheduled with a due time in the window
	_         [64]byte     // keeps the neighbours off this cache line
}

func newRecorder(p *Plan, n int) *recorder {
	r := &recorder{lanes: make([]*lane, n)}
	if p.Measure {
		r.window = p.measured()
	}
	for i := range r.lanes {
		l := &lane{keep: p.Sink != nil, window: r.window}
		if p.Measure {
			l.dist, l.full = newDistributions(p.Ops), newDistributions(p.Ops)
		}
		r.lanes[i] = l
	}
	return r
}

// lane is the lane of an arrival of blocking clients.
func (r *recorder) lane(seq uint64) *lane { return r.lanes[seq%uint64(len(r.lanes))] }

// schedule counts an arrival as due.
func (l *lane) schedule(due time.Duration) {
	l.scheduled.Add(1)
	if l.measures(due) {
		l.inWindow.Add(1)
	}
}

func (l *lane) measures(due time.Duration) bool {
	for _, w := range l.window {
		if w.from <= due && due < w.to {
			return true
		}
	}
	return false
}

// record takes what became of an arrival that was counted by schedule.
func (l *lane) record(s bench.Sample, wait time.Duration, cause string) {
	measured := l.measures(s.Due)
	l.mu.Lock()
	l.ledger.Add(s.Outcome)
	if l.keep {
		l.samples = append(l.samples, s)
	}
	if measured {
		l.dist.record(s, wait, cause)
	}
	l.mu.Unlock()
}

// take appends the samples recorded since the last call to b.
func (r *recorder) take(b []bench.Sample) []bench.Sample {
	for _, l := range r.lanes {
		l.mu.Lock()
		l.samples, l.spare = l.spare[:0], l.samples
		l.mu.Unlock()
		b = append(b, l.spare...)
	}
	return b
}

// measure puts the distributions recorded since the last call into d, which is empty, and scheduled arrivals too.
func (r *recorder) measure(d *Distributions) {
	for i, l := range r.lanes {
		l.mu.Lock()
		l.dist, l.full = l.full, l.dist
		l.mu.Unlock()
		if i == 0 { // merging takes as long as all else that a tick does
			*d, *l.full = *l.full, *d
			d.settle()
		} else {
			d.merge(l.full)
			l.full.reset()
		}
		d.Ledger.Scheduled += l.inWindow.Swap(0)
	}
}

// ledger is the ledger up to now. While arrivals are in flight, it does not balance yet.
func (r *recorder) ledger() bench.Ledger {
	var sum bench.Ledger
	for _, l := range r.lanes {
		l.mu.Lock()
		sum = plus(sum, l.ledger)
		l.mu.Unlock()
	}
	for _, l := range r.lanes {
		sum.Scheduled += l.scheduled.Load()
	}
	return sum
}
