package load

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"shakedown/internal/clock"
)

// What is in flight is looked at often when it is kept, and less often when only its mean and its maximum are.
const (
	sampleInFlightEvery = 5 * time.Millisecond
	glanceEvery         = 50 * time.Millisecond
	sampleRSSEvery      = 100 * time.Millisecond
)

type point struct {
	at time.Duration
	n  int64
}

// An observer watches the generator from the side, by a ticker of its own: it counts what is in flight, and reads what
// the process and the machine spent over the plan's window.
type observer struct {
	plan   *Plan
	flying *atomic.Int64

	mu     sync.Mutex
	points []point

	// These belong to run until it has returned.
	before, after *usage
	rss           resident
	maxRSS        float64
	nextRSS       time.Duration
	seen, sum     int64 // in flight: how often looked at in the window, and the sum of it
	most          int64
	err           error
}

// run observes until ended is closed.
func (o *observer) run(ended <-chan struct{}) {
	every := sampleInFlightEvery
	if o.plan.Sink == nil {
		every = glanceEvery
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for done := false; !done; {
		select {
		case <-ended:
			done = true
		case <-ticker.C:
		}
		at, n := clock.Now()-o.plan.Zero, o.flying.Load()
		o.mu.Lock()
		if o.plan.Sink != nil {
			o.points = append(o.points, point{at, n})
		}
		o.mu.Unlock()
		if from, to := o.plan.window(); from <= at && at < to {
			o.seen, o.sum, o.most = o.seen+1, o.sum+n, max(o.most, n)
		}
		o.watch(at, done)
	}
	o.err = errors.Join(o.err, o.rss.close())
}

// take appends the points observed since the last call to b.
func (o *observer) take(b []point) []point {
	o.mu.Lock()
	defer o.mu.Unlock()
	b = append(b, o.points...)
	o.points = o.points[:0]
	return b
}

// watch reads usage when the window begins and when it ends, or when the load does.
func (o *observer) watch(at time.Duration, last bool) {
	from, to := o.plan.window()
	if at < from || o.after != nil {
		return
	}
	if at >= o.nextRSS {
		mb, err := o.rss.MB()
		o.err = errors.Join(o.err, err)
		o.maxRSS, o.nextRSS = max(o.maxRSS, mb), at+sampleRSSEvery
	}
	switch {
	case o.before == nil:
		o.before = o.read(at)
	case at >= to || last:
		o.after = o.read(at)
	}
}

func (o *observer) read(at time.Duration) *usage {
	u, err := readUsage()
	o.err = errors.Join(o.err, err)
	u.at = at
	return u
}

// stats is what was spent over the window. A load that ended before its window began has none.
func (o *observer) stats() (Stats, error) {
	if o.before == nil || o.after == nil {
		return Stats{}, o.err
	}
	a, b := o.before, o.after
	return Stats{
		WallS: (b.at - a.at).Seconds(), CPUS: b.cpuS - a.cpuS, StealS: b.stealS - a.stealS, IdleS: b.idleS - a.idleS,
		GCPauseMS: longestPause(a.pauses, b.pauses) * 1000, MaxRSSMB: o.maxRSS,
		InFlightMean: float64(o.sum) / float64(max(o.seen, 1)), InFlightMax: o.most,
	}, o.err
}
