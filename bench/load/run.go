package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"shakedown/bench"
	"shakedown/internal/clock"
)

// errDrained is why the last requests are cut off.
var errDrained = errors.New("the load has ended and its time to drain is over")

// Run runs the plan and returns once every request has ended and every goroutine it started is gone. When ctx is done
// it stops at once: what was due and not sent is Unsent, what is in flight is cut off and Unsure. The ledger in Stats
// balances and the sink has a sample of every scheduled arrival, also when Run returns an error: that of the plan, of
// the sink, of the context, or of reading the machine's counters.
func Run(ctx context.Context, p Plan) (Stats, error) {
	if err := p.prepare(clock.Now()); err != nil {
		return Stats{}, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	g := &generator{Plan: p, ctx: ctx, jobs: make(chan arrival)}
	g.rec = newRecorder(&g.Plan, g.lanes())
	defer context.AfterFunc(ctx, func() { g.stopped.Store(true) })()

	var feed sync.WaitGroup
	ended := make(chan struct{})
	obs := &observer{plan: &g.Plan, flying: &g.flying}
	feeder := newFeeder(&g.Plan, g.rec, obs, &g.flying)
	feed.Go(func() { obs.run(ended) })
	feed.Go(func() { feeder.run(ended, stop) })

	lerr := g.generate(stop)
	drain := time.AfterFunc(g.untilDrained(), func() { stop(errDrained) })
	g.work.Wait()
	drain.Stop()
	close(ended)
	feed.Wait()

	err := feeder.finish()
	stats, serr := obs.stats()
	stats.Ledger = g.rec.ledger()
	stats.Users, stats.Dist = p.users(), feeder.total
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errDrained) && err == nil {
		err = fmt.Errorf("load stopped: %w", cause)
	}
	return stats, errors.Join(lerr, err, serr)
}

// A generator is a plan that runs.
type generator struct {
	Plan
	ctx     context.Context // of every request; done: send no more
	stopped atomic.Bool     // ctx is done, cheaper to ask
	rec     *recorder
	seq     atomic.Uint64 // of the next arrival
	work    sync.WaitGroup
	jobs    chan arrival
	handed  atomic.Int64 // arrivals handed to workers and not ended: what the guard limits
	flying  atomic.Int64 // requests between Sent and Done: what the observer samples
}

// An arrival is a request that is due.
type arrival struct {
	seq uint64
	due time.Duration
}

func (g *generator) now() time.Duration { return clock.Now() - g.Zero }

func (g *generator) untilDrained() time.Duration { return max(0, g.end()+g.Drain-g.now()) }

// lanes is how many may record without waiting for each other.
func (g *generator) lanes() int {
	if g.Wire != nil {
		return g.Wire.o.Loops
	}
	return lanes
}

// generate runs all phases, to their end. Requests may be in flight still.
func (g *generator) generate(stop func(cause error)) error {
	defer close(g.jobs)
	if g.Wire != nil {
		return g.loops(stop)
	}
	for n := range g.users() {
		g.work.Go(func() { g.live(newUser(&g.Plan, n)) })
	}
	var pacing sync.WaitGroup
	pacing.Go(g.pace) // a goroutine of its own: it takes a thread with it
	pacing.Wait()
	return nil
}

// send sends one arrival, waits for its answer, and records it.
func (g *generator) send(a arrival) {
	r := g.Requests.Next(a.seq)
	s := bench.Sample{Seq: a.seq, Op: r.Op, Key: r.Key, Due: a.due}
	if g.stopped.Load() {
		g.unsent(s, causeStopped)
		return
	}
	g.flying.Add(1)
	s.Sent = g.now()
	answer := g.Client.Do(g.ctx, a.seq, r, g.Timeout)
	s.Done = g.now()
	g.flying.Add(-1)
	wait := min(answer.Wait, s.Done-s.Sent)
	s.Sent += wait
	s.Outcome, s.Flags, s.Value = answer.Outcome, answer.Flags, answer.Value
	switch {
	case s.Outcome == bench.Unsent:
		s.Sent = 0
	case s.Outcome == bench.Failed && g.ctx.Err() != nil:
		s.Outcome = bench.Unsure // it was we who gave up
	}
	g.rec.lane(s.Seq).record(s, wait, answer.Cause)
}

// Causes that the generator itself states.
const (
	causeGuard   = "too many in flight"
	causeStopped = "the load was stopped"
)

// unsent records an arrival that was due and never left.
func (g *generator) unsent(s bench.Sample, cause string) {
	s.Outcome, s.Done = bench.Unsent, g.now()
	g.rec.lane(s.Seq).record(s, 0, cause)
}
