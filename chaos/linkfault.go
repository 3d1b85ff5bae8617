package chaos

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"shakedown/internal/units"
)

const (
	patient  = 5 * time.Second  // how long a probe may take on a link that is expected to answer
	brisk    = time.Second      // and where it is asked again when it did not, or is expected to be hidden
	undoTime = 10 * time.Second // how long taking an effect back may take
	provedBy = 20 * time.Second // how long a cleared effect may still show: probes meet a busy machine, and what others do to it
)

// A linkFault is what distinguishes one fault of a link from another; the lifecycle around it is the same.
type linkFault struct {
	fault  Fault
	link   string
	effect Effect
	// timed: the effect is told by a time or a rate, and so from the best of several probes before it.
	timed bool
	// tries is how many probes it may take until one shows the effect; 0 means that each does.
	tries int
	// mean: the effect shows in the mean round trip of so many probes; 0 means that it shows in the least of a few.
	mean int
	// countLate: what traffic meets counts from when the effect has been seen, not from just before it was put in force.
	countLate bool
	// giveUp is how long to wait for the probe that should show the effect, given the one before it, and how long a probe may
	// take that is to be answered.
	giveUp func(before Probe, patience time.Duration) time.Duration
	// landed judges the effect on one link by a probe without it and one under it.
	landed func(link string, without, under Probe) Evidence
	// met judges what real traffic met, summed over all links, between two readings of the counters.
	met func(Counters) Evidence
}

// linkInjection is a fault in force on every link of one name.
type linkInjection struct {
	linkFault
	id     string
	links  []Link
	start  []Counters // from where on traffic counts
	before []Probe    // before the effect
	during []Probe    // under the effect

	mu      sync.Mutex
	proof   Evidence
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
	if err := f.fault.Available(s); err != nil {
		return nil, fmt.Errorf("%s: %w", f.fault, err)
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

func (in *linkInjection) inject(ctx context.Context) (err error) {
	if in.before, err = in.each(func(i int) (Probe, error) { return in.baseline(ctx, in.links[i]) }); err != nil {
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
	in.during = in.before
	in.proof = in.judge(in.before, in.during)
	for range attempts(in.before) {
		if in.during, err = in.lookAll(ctx, in.tries, patient); err != nil {
			return fmt.Errorf("probing for the effect: %w", err)
		}
		if in.proof = in.judge(in.before, in.during); in.proof.Seen {
			break
		}
	}
	if in.countLate {
		in.start, err = in.counters(ctx)
	}
	return err
}

// baseline is the probe of a link that the effect is told from. A link that does not answer beside another fault will not.
func (in *linkInjection) baseline(ctx context.Context, l Link) (Probe, error) {
	probe := func(giveUp time.Duration) (Probe, error) {
		if !in.timed { // proving takes as long as probes do, and the schedule waits for it
			return l.Probe(ctx, giveUp)
		}
		return leastProbe(ctx, l, 3, giveUp)
	}
	p, err := probe(brisk)
	if err != nil || answered(p) {
		return p, err
	}
	if lister, ok := l.(Lister); ok {
		if ids, err := lister.InForce(ctx); err != nil || len(ids) > 0 {
			return p, err
		}
	}
	return probe(patient)
}

// attempts is how often to look for an effect: what a busy machine hides once shows later, but on a link that did
// not even answer before, nothing will show.
func attempts(before []Probe) int {
	if slices.ContainsFunc(before, func(p Probe) bool { return !answered(p) }) {
		return 0
	}
	return 3
}

// judge is the weakest observation of the effect among the links.
func (in *linkInjection) judge(without, under []Probe) Evidence {
	seen := make([]Evidence, len(in.links))
	for i, l := range in.links {
		seen[i] = in.landed(l.Name(), without[i], under[i])
	}
	return worst(seen)
}

// lookAll probes every link for the effect, with so many probes for a rare one.
func (in *linkInjection) lookAll(ctx context.Context, tries int, patience time.Duration) ([]Probe, error) {
	return in.each(func(i int) (Probe, error) { return in.look(ctx, i, tries, patience) })
}

// look probes the ith link for the effect, which is to be told from the probe before it.
func (in *linkInjection) look(ctx context.Context, i, tries int, patience time.Duration) (Probe, error) {
	l, before := in.links[i], in.before[i]
	giveUp := in.giveUp(before, patience)
	switch {
	case in.tries > 1:
		return rareProbe(ctx, l, tries, giveUp, func(p Probe) bool { return in.landed(l.Name(), before, p).Seen })
	case in.mean > 1:
		return meanProbe(ctx, l, in.mean, giveUp)
	}
	return leastProbe(ctx, l, 1, giveUp)
}

// Landed is the weakest observation among the links. Where another fault hid the effect when it was injected, Heal may
// still have seen it.
func (in *linkInjection) Landed() Evidence {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.proof
}

// Heal clears the effect, even when ctx is done, and then proves it gone for as long as ctx allows.
// The evidence sums over the links: one that carried nothing does not make the fault unseen.
func (in *linkInjection) Heal(ctx context.Context) (Evidence, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.healed {
		return in.traffic, nil
	}
	late := in.lookLate(ctx)
	counting := in.count(context.WithoutCancel(ctx))
	if err := errors.Join(counting, in.clear(ctx)); err != nil {
		return in.traffic, fmt.Errorf("healing %s: %w", in.fault, err)
	}
	after, err := in.proveGone(ctx)
	if err != nil {
		return in.traffic, fmt.Errorf("healing %s: %w", in.fault, err)
	}
	in.proveLate(late, after)
	in.healed = true
	return in.traffic, nil
}

// lookLate probes every link again for an effect that was hidden when it was injected. What it finds can be judged only by
// what follows the effect.
func (in *linkInjection) lookLate(ctx context.Context) [][]Probe {
	if in.proof.Seen || in.counted || attempts(in.before) > 0 {
		return nil
	}
	late := make([][]Probe, len(in.links))
	_, err := in.each(func(i int) (p Probe, err error) {
		if in.tries <= 1 {
			p, err := in.look(ctx, i, in.tries, brisk)
			late[i] = []Probe{p}
			return p, err
		}
		keep := func(p Probe) bool { late[i] = append(late[i], p); return false }
		return rareProbe(ctx, in.links[i], in.tries, in.giveUp(in.before[i], brisk), keep)
	})
	if err != nil {
		return nil // it stays unseen
	}
	return late
}

// proveLate judges what lookLate found by the probes after the effect.
func (in *linkInjection) proveLate(late [][]Probe, after []Probe) {
	if late == nil {
		return
	}
	under := make([]Probe, len(in.links))
	for i, l := range in.links {
		at := slices.IndexFunc(late[i], func(p Probe) bool { return in.landed(l.Name(), after[i], p).Seen })
		under[i] = late[i][max(at, 0)]
	}
	if proof := in.judge(after, under); proof.Seen {
		in.proof = proof
	}
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
		sum = sum.plus(c, 1).plus(in.start[i], -1)
	}
	in.traffic, in.counted = in.met(sum), true
	return nil
}

// plus adds another reading so many times.
func (c Counters) plus(o Counters, times int64) Counters {
	delays, asked := Histogram{}, Histogram{}
	delays.Merge(c.Delays, 1)
	delays.Merge(o.Delays, times)
	asked.Merge(c.Asked, 1)
	asked.Merge(o.Asked, times)
	sum, add := reflect.ValueOf(&c).Elem(), reflect.ValueOf(o)
	for i := range sum.NumField() {
		if f := sum.Field(i); f.CanInt() {
			f.SetInt(f.Int() + times*add.Field(i).Int())
		}
	}
	c.Delays, c.Asked = delays, asked
	return c
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

// triesGone is how many probes look for a rare effect that has been cleared: it is the link that says that the effect is no
// longer in force, and a probe that could show the contrary.
const triesGone = 20

// proveGone probes until no link shows the effect, and returns those probes. Where another fault in force hides what there
// is to see, it is enough that the link no longer has the effect.
func (in *linkInjection) proveGone(ctx context.Context) ([]Probe, error) {
	until := time.Now().Add(provedBy)
	for patience := brisk; ; patience = patient {
		before, err := in.effects(ctx)
		if err != nil {
			return nil, err
		}
		now, err := in.lookAll(ctx, min(in.tries, triesGone), patience)
		if err != nil {
			return nil, fmt.Errorf("probing for its end: %w", err)
		}
		after, err := in.effects(ctx)
		if err != nil {
			return nil, err
		}
		shows := ""
		for i, l := range in.links {
			hidden := before[i].others || after[i].others || after[i].known && !answered(in.before[i]) && answered(now[i])
			if !hidden && !in.gone(i, now[i]) {
				shows = fmt.Sprintf("%s still shows it (%s before it, %s under it, %s after clearing)",
					l.Name(), in.before[i], in.during[i], now[i])
			}
		}
		if shows == "" {
			return now, nil
		}
		if patience == patient && time.Now().After(until) {
			return nil, errors.New(shows)
		}
	}
}

// gone says whether a probe after clearing shows the effect gone from the ith link: the probe does not differ from the one
// before it, or the one under it differs from the probe, which by itself shows nothing.
func (in *linkInjection) gone(i int, now Probe) bool {
	name, before, during := in.links[i].Name(), in.before[i], in.during[i]
	switch {
	case !answered(now):
		return false
	case answered(before) && !in.landed(name, before, now).Seen:
		return true
	case in.landed(name, now, during).Seen && !in.landed(name, now, now).Seen:
		return true
	}
	return !answered(before) && !answered(during)
}

// inForce is what a link says of its effects, once this one has been cleared.
type inForce struct {
	known  bool // the link can tell
	others bool // other effects are in force
}

// effects asks the links for their effects, of which this one is not to be any more.
func (in *linkInjection) effects(ctx context.Context) ([]inForce, error) {
	all := make([]inForce, len(in.links))
	for i, l := range in.links {
		lister, ok := l.(Lister)
		if !ok {
			continue
		}
		ids, err := lister.InForce(ctx)
		if err != nil {
			return nil, fmt.Errorf("effects of %s: %w", l.Name(), err)
		}
		if slices.Contains(ids, in.id) {
			return nil, fmt.Errorf("%s still has %s in force after clearing it", l.Name(), in.id)
		}
		all[i] = inForce{known: true, others: len(ids) > 0}
	}
	return all, nil
}

// each does something with every link at the same time.
func (in *linkInjection) each(do func(i int) (Probe, error)) ([]Probe, error) {
	probes, errs := make([]Probe, len(in.links)), make([]error, len(in.links))
	var wg sync.WaitGroup
	for i, l := range in.links {
		wg.Go(func() {
			if probes[i], errs[i] = do(i); errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", l.Name(), errs[i])
			}
		})
	}
	wg.Wait()
	return probes, errors.Join(errs...)
}

// leastProbe probes at least the given number of times, and up to ten times for as long as that takes no more than a
// blink. It keeps the least of each figure: what a busy machine adds to a probe is noise, and never negative.
func leastProbe(ctx context.Context, l Link, least int, giveUp time.Duration) (Probe, error) {
	var best Probe
	start := time.Now()
	for i := 0; i < 10 && (i < least || time.Since(start) < 100*time.Millisecond); i++ {
		p, err := l.Probe(ctx, giveUp)
		if err != nil || !answered(p) {
			return p, err
		}
		if i == 0 {
			best = p
		}
		best.First, best.RoundTrip = min(best.First, p.First), min(best.RoundTrip, p.RoundTrip)
		best.Took, best.End = min(best.Took, p.Took), min(best.End, p.End)
		best.BytesPerSecond = min(best.BytesPerSecond, p.BytesPerSecond)
		best.Corrupt, best.Got = max(best.Corrupt, p.Corrupt), max(best.Got, p.Got)
		best.Doubled, best.Reordered = max(best.Doubled, p.Doubled), max(best.Reordered, p.Reordered)
	}
	return best, nil
}

// meanProbe probes so many times and takes the mean of the round trips.
func meanProbe(ctx context.Context, l Link, times int, giveUp time.Duration) (Probe, error) {
	var mean Probe
	for n := range times {
		p, err := l.Probe(ctx, giveUp)
		if err != nil || !answered(p) {
			return p, err
		}
		sum := mean.RoundTrip
		mean = p
		mean.RoundTrip += sum
		if n == times-1 {
			mean.RoundTrip /= units.Duration(times)
		}
	}
	return mean, nil
}

// rareProbe probes until a probe shows the effect, which only some do, or until one is hidden by something else.
func rareProbe(ctx context.Context, l Link, tries int, giveUp time.Duration, shows func(Probe) bool) (p Probe, err error) {
	for range tries {
		if p, err = l.Probe(ctx, giveUp); err != nil || shows(p) || !answered(p) {
			return p, err
		}
	}
	return p, nil
}

// rarely is how many probes it takes until one shows, but for once in 10 000, what a probe shows with the given probability.
func rarely(probability float64) int {
	if probability <= 0 || probability >= 1 {
		return 1
	}
	return int(math.Ceil(math.Log(1e-4) / math.Log1p(-probability)))
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

// answered says whether the probe came back whole.
func answered(p Probe) bool { return !p.Lost && !p.Reset && !p.Closed && !p.Refused }

func (p Probe) String() string {
	var ended []string
	for _, e := range []struct {
		is   bool
		what string
	}{{p.Refused, "refused"}, {p.Lost, "lost"}, {p.Reset, "reset"}, {p.Closed, "closed"}} {
		if e.is {
			ended = append(ended, e.what)
		}
	}
	if ended != nil {
		return strings.Join(ended, ", ")
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
