package load

import (
	"time"

	"shakedown/bench"
	"shakedown/internal/clock"
)

// nap bounds how long the pacing thread sleeps at a time, and so how late it sees that the load was stopped.
const nap = 20 * time.Millisecond

// pace hands every arrival of the open phases over when it is due. It never skips: after a late wake-up all that is due
// leaves at once, with the due times it had, so that its lateness is part of the latency. It returns at the end of the plan, or when the load is stopped.
func (g *generator) pace() {
	p := clock.NewPacer(true)
	defer p.Close()
	var now time.Duration
	for _, ph := range g.Phases {
		if ph.Arrivals == nil {
			continue
		}
		for due, ok := ph.Arrivals.Next(); ok; due, ok = ph.Arrivals.Next() {
			due += ph.Start
			if now < due {
				if now = g.sleepUntil(p, due); now < due {
					return // stopped before it was due: it was never scheduled
				}
			}
			g.dispatch(due)
		}
	}
	g.sleepUntil(p, g.end())
}

// sleepUntil returns the time at which it woke, which is before t only when the load was stopped.
func (g *generator) sleepUntil(p *clock.Pacer, t time.Duration) time.Duration {
	now := g.now()
	for now < t && !g.stopped.Load() {
		p.SleepUntil(g.Zero + min(t, now+nap))
		now = g.now()
	}
	return now
}

// dispatch hands an arrival to an idle worker, or to a new one: never does an arrival wait for an answer to another.
func (g *generator) dispatch(due time.Duration) {
	a := arrival{seq: g.seq.Add(1) - 1, due: due}
	g.rec.lane(a.seq).schedule(due)
	if g.stopped.Load() || g.handed.Load() >= int64(g.MaxInFlight) {
		r := g.Requests.Next(a.seq)
		g.unsent(bench.Sample{Seq: a.seq, Op: r.Op, Key: r.Key, Due: due}, causeGuard)
		return
	}
	g.handed.Add(1)
	select {
	case g.jobs <- a: // a worker stands ready
	default:
		g.work.Go(func() { g.worker(a) })
	}
}

// worker sends an arrival, and then others that it is handed, until there will be no more.
func (g *generator) worker(a arrival) {
	for ok := true; ok; a, ok = <-g.jobs {
		g.send(a)
		g.handed.Add(-1)
	}
}
