// Package schedule owns when the faults of a trial's phases take effect and are healed: a pure function of the trial's seed
// and its phases. It injects nothing; package run carries a schedule out, package check looks whether it was, and the
// command line shows it.
package schedule

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"shakedown/bench"
	"shakedown/chaos"
)

// An Instance is one time at which faults are in force together.
type Instance struct {
	Phase  int // index of the phase
	Entry  int // index of the entry in the phase's schedule; Whole for the faults of the whole phase
	Number int // counts the times of the entry
	Step   int // counts the steps of its ramp
	Name   string
	Faults chaos.Faults
	// Begin and End are when the faults are asked to take effect and to be healed, from the trial's zero.
	Begin, End time.Duration
	// After is the index of the instance that has to be in force before and after; -1 is none.
	After int
}

// Whole is the Entry of the faults that are in force for the whole phase.
const Whole = -1

// New is the schedule of a trial, in the order of beginning. The entries do not know of each other, so that what one of
// them draws stays the same whatever becomes of the others. The error is that of a fault which a ramp leads astray; an
// experiment that is valid has none.
func New(seed uint64, phases []bench.Phase) ([]Instance, error) {
	var all []Instance
	var start time.Duration
	for i, p := range phases {
		end := start + p.For.D()
		if len(p.Faults) > 0 {
			all = append(all, Instance{Phase: i, Entry: Whole, Faults: p.Faults, Begin: start, End: end, After: -1})
		}
		byName := map[string][]Instance{}
		for j, e := range p.Schedule {
			d := drawing{e, i, j, start, end, draws(seed, p.Name, e, j)}
			times := d.times()
			if e.After != "" {
				times = d.within(byName[e.After])
			}
			byName[e.Name] = times
			steps, err := d.steps(times)
			if err != nil {
				return nil, fmt.Errorf("phase %s: schedule[%d]: %w", p.Name, j, err)
			}
			all = append(all, steps...)
		}
		start = end
	}
	slices.SortFunc(all, order)
	for i := range all {
		all[i].After = before(all, all[i], phases)
	}
	return all, nil
}

// order is by beginning; what another one comes after stands above it in the phase, and so comes first.
func order(a, b Instance) int {
	return cmp.Or(cmp.Compare(a.Begin, b.Begin), a.Phase-b.Phase, a.Entry-b.Entry, a.Number-b.Number, a.Step-b.Step)
}

// before is the index of the instance that x comes after.
func before(all []Instance, x Instance, phases []bench.Phase) int {
	if x.Entry == Whole {
		return -1
	}
	after := phases[x.Phase].Schedule[x.Entry].After
	return slices.IndexFunc(all, func(o Instance) bool {
		return after != "" && o.Phase == x.Phase && o.Name == after && o.Number == x.Number
	})
}

// draws are the random numbers of an entry. One with a name keeps them when it moves.
func draws(seed uint64, phase string, e bench.Entry, index int) *rand.Rand {
	name := e.Name
	if name == "" {
		name = fmt.Sprint(index)
	}
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s\x00%s", phase, name) // a hash never fails
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// A drawing makes the instances of one entry.
type drawing struct {
	bench.Entry
	phase, index int
	start, end   time.Duration // of the phase
	rng          *rand.Rand
}

func (d drawing) draw(b bench.Bounds) time.Duration {
	return b.From.D() + time.Duration(d.rng.Int64N(int64(b.To-b.From)+1))
}

// times are the instances of an entry by itself.
func (d drawing) times() (list []Instance) {
	begin := d.start + d.draw(d.At)
	for begin < d.end && (d.Times == 0 || len(list) < d.Times) {
		list = append(list, d.instance(len(list), begin, d.end))
		if d.Every == (bench.Bounds{}) {
			break
		}
		begin += d.draw(d.Every)
	}
	return list
}

// within are the instances of an entry that comes after another: one in each of the other's, if it is long enough.
func (d drawing) within(others []Instance) (list []Instance) {
	for _, o := range others {
		if begin := o.Begin + d.draw(d.At); begin < o.End {
			list = append(list, d.instance(o.Number, begin, o.End))
		}
	}
	return list
}

// instance begins when it is told, and ends when its time is over, and no later than last.
func (d drawing) instance(number int, begin, last time.Duration) Instance {
	end := last
	if d.For != (bench.Bounds{}) {
		end = min(begin+d.draw(d.For), last)
	}
	return Instance{
		Phase: d.phase, Entry: d.index, Number: number, Name: d.Name, Faults: d.Faults, Begin: begin, End: end, After: -1,
	}
}

// steps are the instances with each of those of a ramp cut into its steps.
func (d drawing) steps(list []Instance) ([]Instance, error) {
	if d.Ramp == nil {
		return list, nil
	}
	var steps []Instance
	for _, whole := range list {
		over := min(d.Ramp.Over.D(), whole.End-whole.Begin)
		if over == 0 {
			over = whole.End - whole.Begin
		}
		for n := range d.Ramp.Steps {
			f, err := d.Ramp.At(d.Faults[0], n)
			if err != nil {
				return nil, fmt.Errorf("ramp: %w", err)
			}
			step := whole
			step.Step, step.Faults = n, chaos.Faults{f}
			step.Begin = whole.Begin + over*time.Duration(n)/time.Duration(d.Ramp.Steps)
			if n < d.Ramp.Steps-1 {
				step.End = whole.Begin + over*time.Duration(n+1)/time.Duration(d.Ramp.Steps)
			}
			steps = append(steps, step)
		}
	}
	return steps, nil
}
