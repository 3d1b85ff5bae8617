package chaos

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	patience = 5 * time.Second  // how long a probe may take on a link that is expected to answer
	undoTime = 10 * time.Second // how long taking an effect back may take
	provedBy = 5 * time.Second  // how long a cleared effect may still show: probes meet a busy machine
)

// A linkFault is what distinguishes one fault of a link from another; the lifecycle around it is the same.
type linkFault struct {
	fault  Fault
	link   string
	effect Effect
	// giveUp is how long to wait for the probe that should show the effect, given the one before it.
	giveUp func(before Probe) time.Duration
	// landed judges the effect on one link by a probe before it and one under it.
	landed func(link string, before, now Probe) Evidence
	// gone says whether a probe after clearing shows the effect gone.
	gone func(during, now Probe) bool
	// met judges what real traffic met, summed over all links.
	met func(Counters) Evidence
}

// linkInjection is a fault in force on every link of one name.
type linkInjection struct {
	linkFault
	id     string
	links  []Link
	start  []Counters // before the effect
	during []Probe    // under the effect
	proof  Evidence

	mu      sync.Mutex
	counted bool // evidence is final
	healed  bool
	traffic Evidence
}

// injectLinks puts the fault in force on all its links and proves it on each. When it fails, it has undone
// what it did. An effect that is in force but cannot be seen is no failure: Landed says so.
func injectLinks(ctx context.Context, s Surface, f linkFault) (Injection, error) {
	if err := f.fault.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.fault.Kind(), err)
	}
	links, err := linksOf(s, f.link)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.fault, err)
	}
	// The id only has to differ from those of other injections, also those of an earlier process that crashed.
	in := &linkInjection{linkFault: f, links: links, id: fmt.Sprintf("%s-%016x", f.fault.Kind(), rand.Uint64())}
	if err := in.inject(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", f.fault, err), in.clear(ctx))
	}
	return in, nil
}

func (in *linkInjection) inject(ctx context.Context) error {
	// The baseline is what the effect is told from, so it is never left to a single probe.
	before, err := in.probe(ctx, 3, func(int) time.Duration { return patience })
	if err != nil {
		return fmt.Errorf("probing before: %w", err)
	}
	if in.start, err = in.counters(ctx); err != nil {
		return err
	}
	for _, l := range in.links {
		if err := l.Shape(ctx, in.id, in.effect); err != nil {
			return fmt.Errorf("shaping %s: %w", l.Name(), err)
		}
	}
	giveUp := func(i int) time.Duration { return in.giveUp(before[i]) }
	for range attempts(before) {
		if in.during, err = in.probe(ctx, 1, giveUp); err != nil {
			return fmt.Errorf("probing for the effect: %w", err)
		}
		seen := make([]Evidence, len(in.links))
		for i, l := range in.links {
			seen[i] = in.landed(l.Name(), before[i], in.during[i])
		}
		if in.proof = worst(seen); in.proof.Seen {
			break
		}
	}
	return nil
}

// attempts is how often to look for an effect: what a busy machine hides once shows later, but on a link that did
// not even answer before, nothing will show.
func attempts(before []Probe) int {
	if slices.ContainsFunc(before, func(p Probe) bool { return !answered(p) }) {
		return 1
	}
	return 3
}

// Landed is the weakest observation among the links.
func (in *linkInjection) Landed() Evidence { return in.proof }

// Heal clears the effect, even when ctx is done, and then proves it gone for as long as ctx allows.
// The evidence sums over the links: one that carried nothing does not make the fault unseen.
func (in *linkInjection) Heal(ctx context.Context) (Evidence, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.healed {
		return in.traffic, nil
	}
	counting := in.count(context.WithoutCancel(ctx))
	if err := errors.Join(counting, in.clear(ctx)); err != nil {
		return in.traffic, fmt.Errorf("healing %s: %w", in.fault, err)
	}
	if err := in.proveGone(ctx); err != nil {
		return in.traffic, fmt.Errorf("healing %s: %w", in.fault, err)
	}
	in.healed = true
	return in.traffic, nil
}

// count settles the evidence, once, just before the effect is first cleared.
func (in *linkInjection) count(ctx context.Context) error {
	if in.counted {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, undoTime)
	defer cancel()
	now, err := in.counters(ctx)
	if err != nil {
		return err
	}
	var sum Counters
	for i, c := range now {
		sum.Delayed += c.Delayed - in.start[i].Delayed
		sum.DelayedMicros += c.DelayedMicros - in.start[i].DelayedMicros
		sum.Held += c.Held - in.start[i].Held
		sum.Throttled += c.Throttled - in.start[i].Throttled
		sum.Resets += c.Resets - in.start[i].Resets
	}
	in.traffic, in.counted = in.met(sum), true
	return nil
}

// clear takes the effect off every link, whether or not it was put there.
func (in *linkInjection) clear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	var errs []error
	for _, l := range in.links {
		if err := l.Clear(ctx, in.id); err != nil {
			errs = append(errs, fmt.Errorf("clearing %s: %w", l.Name(), err))
		}
	}
	return errors.Join(errs...)
}

func (in *linkInjection) proveGone(ctx context.Context) error {
	until := time.Now().Add(provedBy)
	for {
		now, err := in.probe(ctx, 1, func(int) time.Duration { return patience })
		if err != nil {
			return fmt.Errorf("probing for its end: %w", err)
		}
		shows := ""
		for i, l := range in.links {
			if !in.gone(in.during[i], now[i]) {
				shows = fmt.Sprintf("%s still shows it (%s before, %s after clearing); is another fault in force there?",
					l.Name(), in.during[i], now[i])
			}
		}
		if shows == "" {
			return nil
		}
		if time.Now().After(until) {
			return errors.New(shows)
		}
	}
}

// probe sends probes through every link at the same time.
func (in *linkInjection) probe(ctx context.Context, least int, giveUp func(i int) time.Duration) ([]Probe, error) {
	probes, errs := make([]Probe, len(in.links)), make([]error, len(in.links))
	var wg sync.WaitGroup
	for i, l := range in.links {
		wg.Go(func() { probes[i], errs[i] = bestProbe(ctx, l, least, giveUp(i)) })
	}
	wg.Wait()
	return probes, errors.Join(errs...)
}

// bestProbe probes at least the given number of times, and up to ten times for as long as that takes no more than a
// blink. It keeps the least of each figure: what a busy machine adds to a probe is noise, and never negative.
func bestProbe(ctx context.Context, l Link, least int, giveUp time.Duration) (Probe, error) {
	var best Probe
	start := time.Now()
	for i := 0; i < 10 && (i < least || time.Since(start) < 100*time.Millisecond); i++ {
		p, err := l.Probe(ctx, giveUp)
		if err != nil {
			return p, fmt.Errorf("%s: %w", l.Name(), err)
		}
		if i == 0 {
			best = p
		}
		if !answered(p) {
			return p, nil
		}
		best.RoundTrip = min(best.RoundTrip, p.RoundTrip)
		best.BytesPerSecond = min(best.BytesPerSecond, p.BytesPerSecond)
	}
	return best, nil
}

func (in *linkInjection) counters(ctx context.Context) ([]Counters, error) {
	all := make([]Counters, len(in.links))
	for i, l := range in.links {
		var err error
		if all[i], err = l.Counters(ctx); err != nil {
			return nil, fmt.Errorf("counters of %s: %w", l.Name(), err)
		}
	}
	return all, nil
}

// answered says whether the probe came back.
func answered(p Probe) bool { return !p.Lost && !p.Reset }

func (p Probe) String() string {
	switch {
	case p.Lost:
		return "lost"
	case p.Reset:
		return "reset"
	}
	return fmt.Sprintf("round trip %s, %.4g B/s", p.RoundTrip, p.BytesPerSecond)
}

// worst is the evidence that says least for the fault: one unseen, or else the farthest from what was asked.
func worst(all []Evidence) Evidence {
	var w Evidence
	off := func(e Evidence) float64 {
		switch {
		case !e.Seen:
			return math.Inf(1)
		case e.Want == 0:
			return 0
		}
		return math.Abs(e.Got-e.Want) / e.Want
	}
	for i, e := range all {
		if i == 0 || off(e) > off(w) {
			w = e
		}
	}
	return w
}
