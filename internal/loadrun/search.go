package loadrun

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"shakedown/bench/load"
	"shakedown/bench/load/search"
	"shakedown/bench/run"
	"shakedown/internal/exit"
)

// The lengths of a search's trials, when --duration does not say: those that only look for the neighbourhood are shorter.
const (
	searchLength = 10 * time.Second
	searchLook   = 4 * time.Second
	lookShare    = 3 // of --duration, that such a trial has
	leastLook    = 2000 * time.Millisecond
)

// A searching is a search in progress: its trials, each with what was recorded of it.
type searching struct {
	j     *job
	w     *output
	tried []tried
}

type tried struct {
	rate   float64
	trial  trial
	record *recording
}

// search looks for the highest rate that meets the SLO, and reports the last trial at that rate, with the search beside it.
func (j *job) search(ctx context.Context, w *output) error {
	length, look := searchLength, searchLook
	if j.o.given("duration") {
		length = j.o.Duration
		look = min(length, max(length/lookShare, leastLook))
	}
	s := &searching{j: j, w: w}
	found, err := search.Find(ctx, search.Options{Start: j.shape.from, Length: length, Look: look, OnTrial: s.ended}, s.try)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("search: %w", err)
	}
	if len(s.tried) == 0 {
		return aborted(ctx)
	}
	shown := s.shown(found)
	shown.trial.aborted = ctx.Err() != nil
	if err := w.result(j, shown.trial, shown.record, &found); err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return aborted(ctx)
	case found.KneePerS != nil:
		return nil
	case found.Limit == search.Generator:
		return exit.Status(exit.Void)
	default:
		return exit.Status(exit.Unexpected)
	}
}

// try runs one trial. Each has arrivals of its own, which the seed decides.
func (s *searching) try(ctx context.Context, rate float64, length time.Duration) (search.Outcome, error) {
	if err := s.rest(ctx); err != nil {
		return search.Outcome{}, err
	}
	n := uint64(len(s.tried))
	shape, seed := s.j.shape.at(rate, length), rand.New(rand.NewPCG(s.j.o.Seed, n)).Uint64()
	var hdr *bytes.Buffer
	if s.w.hdr != nil {
		hdr = new(bytes.Buffer) // which trial is reported is not known yet
	}
	record, err := s.w.record(shape, hdr)
	if err != nil {
		return search.Outcome{}, err
	}
	s.w.showing(fmt.Sprintf("trial %d, %.4g/s", n+1, rate), shape)
	t, err := s.j.run(ctx, shape, seed, func(t load.Tick) { s.w.tick(record, t) })
	if err != nil {
		return search.Outcome{}, err
	}
	s.forget()
	s.tried = append(s.tried, tried{rate, t, record})
	if t.aborted {
		return search.Outcome{}, run.ErrAborted
	}
	return t.outcome(), nil
}

// mostRest bounds the time that a server is given to come to itself.
const mostRest = 10 * time.Second

// rest lets the server deal with what the last trial's users no longer wait for, as long as it takes at the rate at which it answered:
// else a trial would be about the one before.
func (s *searching) rest(ctx context.Context) error {
	if len(s.tried) == 0 {
		return nil
	}
	last := s.tried[len(s.tried)-1].trial
	left, answered := float64(last.stats.Ledger.Unsure), float64(last.stats.Ledger.OK)
	if left == 0 {
		return nil
	}
	timer := time.NewTimer(time.Duration(min(left/max(answered, 1)*last.shape.length.Seconds(), mostRest.Seconds()) * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return aborted(ctx)
	}
}

// forget lets go of the last trial's distributions, unless it may be the one that is reported.
func (s *searching) forget() {
	if len(s.tried) == 0 {
		return
	}
	if last := &s.tried[len(s.tried)-1]; len(last.trial.void) > 0 || !Met(last.trial.found) {
		last.trial.stats.Dist, last.record = nil, nil
	}
}

// outcome is the trial as a search sees it.
func (t trial) outcome() search.Outcome {
	o := search.Outcome{Met: Met(t.found), Valid: len(t.void) == 0, Why: t.void, GrowthPerS: t.growth}
	if d := t.stats.Dist; d != nil && d.Ledger.Scheduled > 0 {
		o.Goodput = float64(d.Ledger.OK) / float64(d.Ledger.Scheduled)
		o.AchievedPerS = float64(d.Ledger.OK+d.Ledger.Degraded) / t.shape.length.Seconds()
		o.P50MS, o.P99MS = inMS(d.Response.ValueAtPercentile(50)), inMS(d.Response.ValueAtPercentile(99))
	}
	if !o.Valid {
		return o
	}
	for _, f := range t.found {
		if !f.Met {
			o.Why = append(o.Why, f.missed())
		}
	}
	return o
}

// ended is told of each trial when it has ended.
func (s *searching) ended(t search.Trial) {
	if s.w.view != nil {
		s.w.view.Tried(t)
	}
	if s.w.lines != nil && s.w.err == nil {
		s.w.err = line(s.w.out, "trial", t)
	}
}

// shown is the trial that is reported in full: the last one at the knee that met, else the last of all.
func (s *searching) shown(found search.Result) tried {
	if found.KneePerS != nil {
		for i := len(s.tried) - 1; i >= 0; i-- {
			if t := s.tried[i]; t.rate == *found.KneePerS && len(t.trial.void) == 0 && Met(t.trial.found) {
				return t
			}
		}
	}
	return s.tried[len(s.tried)-1]
}
