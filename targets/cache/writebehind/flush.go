package writebehind

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shakedown/internal/clock"
)

// flusher takes what waits in the queue to the database. There is one in each process; it writes one batch after the other.
type flusher struct {
	*service
	queue   queue
	aside   []attempt // set aside, in the order in which they are due
	backlog atomic.Int64

	failures, dropped, dead prometheus.Counter
}

// attempt is a batch that could not be written.
type attempt struct {
	batch []event
	tries int // of an event by itself
	due   time.Duration
}

func newFlusher(s *service, q queue) *flusher {
	f := &flusher{service: s, queue: q}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "shakedown_flush_" + name, Help: help})
		s.server.Registry().MustRegister(c)
		return c
	}
	f.failures = counter("failures_total", "Batches that could not be written, tries counted each.")
	f.dropped = counter("dropped_events_total", "Events that were given up.")
	f.dead = counter("dead_letters_total", "Events that became dead letters.")
	s.server.Registry().MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "shakedown_backlog_events", Help: "Events acknowledged by this process that are not settled.",
	}, func() float64 { return float64(max(0, f.backlog.Load())) }))
	return f
}

// run flushes until ctx ends.
func (f *flusher) run(ctx context.Context) error {
	tick := time.NewTicker(f.config.Every.D())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			f.round(ctx)
		}
	}
}

// drain writes what is left when the process is asked to end: what its memory holds would end with it.
func (f *flusher) drain(ctx context.Context) {
	for i := range f.aside {
		f.aside[i].due = 0
	}
	f.round(ctx)
}

// round tries again what is due, and empties the queue. What Redis does not answer is asked again in the next round.
func (f *flusher) round(ctx context.Context) {
	f.again(ctx)
	for ctx.Err() == nil {
		batch, err := f.queue.take(ctx, f.config.Batch)
		if err != nil || len(batch) == 0 || !f.flush(ctx, attempt{batch: batch}) || len(batch) < f.config.Batch {
			return
		}
	}
}

// again tries what was set aside and is due.
func (f *flusher) again(ctx context.Context) {
	now := clock.Now()
	due := f.aside
	f.aside = nil
	for i, a := range due {
		if a.due > now {
			f.aside = append(f.aside, due[i:]...)
			return
		}
		f.flush(ctx, a)
	}
}

// flush writes a batch and lets go of it, or does with it what the configuration says. It returns false when ctx ended first.
func (f *flusher) flush(ctx context.Context, a attempt) bool {
	for {
		err := f.writeBatch(ctx, a.batch)
		if err == nil {
			return f.settle(ctx, a.batch)
		}
		f.failures.Inc()
		switch f.config.Retry {
		case retryNever:
			f.dropped.Add(float64(len(a.batch)))
			return f.settle(ctx, a.batch)
		case retryLater:
			return f.setAside(ctx, a, err)
		}
		if !f.pause(ctx) {
			return false
		}
	}
}

// setAside puts a batch off. One that the database refuses is divided, so that what is wrong with one event does not keep the others;
// an event that is refused by itself becomes a dead letter after some tries.
func (f *flusher) setAside(ctx context.Context, a attempt, why error) bool {
	if f.config.Tries > 0 && refused(why) {
		if len(a.batch) > 1 {
			for _, e := range a.batch {
				if !f.flush(ctx, attempt{batch: []event{e}}) {
					return false
				}
			}
			return true
		}
		a.tries++
		if a.tries >= f.config.Tries && f.bury(ctx, a.batch[0], why) == nil {
			f.dead.Inc()
			return f.settle(ctx, a.batch)
		}
	}
	a.due = clock.Now() + f.config.Pause.D()
	f.aside = append(f.aside, a)
	return ctx.Err() == nil
}

// settle lets go of a batch. Until that is done no other is taken: a list would give the same events again.
func (f *flusher) settle(ctx context.Context, batch []event) bool {
	f.backlog.Add(-int64(len(batch)))
	for f.queue.settle(ctx, batch) != nil {
		if !f.pause(ctx) {
			return false
		}
	}
	return true
}

// pause waits before the next try; it returns false when ctx ends first.
func (f *flusher) pause(ctx context.Context) bool {
	t := time.NewTimer(f.config.Pause.D())
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
