package schedule

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
)

const ms = units.Millisecond

// someBounds are random, from least on.
func someBounds(rng *rand.Rand, least, most units.Duration) bench.Bounds {
	from := least + units.Duration(rng.Int64N(int64(most-least)))
	if rng.IntN(2) == 0 {
		return bench.Exactly(from)
	}
	return bench.Bounds{From: from, To: from + units.Duration(rng.Int64N(int64(most-from)+1))}
}

// someEntry is a random entry that is valid in a phase of the given length.
func someEntry(rng *rand.Rand, name string, length units.Duration, above []bench.Entry) bench.Entry {
	e := bench.Entry{
		Name: name, At: someBounds(rng, 0, length), Faults: chaos.Faults{&chaos.Latency{Link: "a→b", Delay: 10 * ms}},
	}
	if rng.IntN(2) == 0 {
		e.For = someBounds(rng, ms, length/4)
	}
	steady := slices.DeleteFunc(slices.Clone(above), func(o bench.Entry) bool { return o.Ramp != nil })
	switch {
	case len(steady) > 0 && rng.IntN(3) == 0:
		e.After, e.At = steady[rng.IntN(len(steady))].Name, someBounds(rng, 0, length/8)
	case e.For != bench.Bounds{} && rng.IntN(2) == 0:
		e.Every = someBounds(rng, e.For.To+1, length/2)
		e.Times = rng.IntN(4)
	}
	if rng.IntN(3) == 0 {
		e.Ramp = &bench.FieldRamp{Field: "delay", From: "10ms", To: "100ms", Steps: 2 + rng.IntN(4)}
	}
	return e
}

// somePhases are random, and valid.
func somePhases(t *testing.T, rng *rand.Rand) []bench.Phase {
	t.Helper()
	var phases []bench.Phase
	for i := range 1 + rng.IntN(3) {
		p := bench.Phase{Name: fmt.Sprint("p", i), For: units.Duration(1+rng.IntN(10)) * units.Second, Judged: true}
		if rng.IntN(2) == 0 {
			p.Faults = chaos.Faults{&chaos.Blackhole{Link: "a→b"}}
		}
		for j := range rng.IntN(5) {
			p.Schedule = append(p.Schedule, someEntry(rng, fmt.Sprint("e", j), p.For, p.Schedule))
		}
		phases = append(phases, p)
	}
	e := bench.Experiment{
		Name: "a/b/c", Question: "?", Variants: []bench.Variant{{Name: "v"}}, Phases: phases,
		Workload: bench.Workload{Ops: []bench.Op{{Name: "get", Path: "/"}}, SLO: units.Second, Timeout: units.Second},
	}
	if err := e.Validate(); err != nil {
		t.Fatalf("the test made an experiment that is not valid: %v", err)
	}
	return phases
}

// eachRandom runs a claim about the schedules of many random phases.
func eachRandom(t *testing.T, claim func(t *testing.T, seed uint64, phases []bench.Phase, all []Instance)) {
	t.Helper()
	for n := range uint64(500) {
		rng := rand.New(rand.NewPCG(n, 7))
		phases, seed := somePhases(t, rng), rng.Uint64()
		all, err := New(seed, phases)
		if err != nil {
			t.Fatal(err)
		}
		claim(t, seed, phases, all)
		if t.Failed() {
			t.Fatalf("number %d: %+v\n%+v", n, phases, all)
		}
	}
}

func TestTheSameSeedGivesTheSameSchedule(t *testing.T) {
	differ := 0
	eachRandom(t, func(t *testing.T, seed uint64, phases []bench.Phase, all []Instance) {
		again, err := New(seed, phases)
		if err != nil || !reflect.DeepEqual(all, again) {
			t.Errorf("again: %+v, %v", again, err)
		}
		other, err := New(seed+1, phases)
		if err != nil {
			t.Error(err)
		}
		if !reflect.DeepEqual(all, other) {
			differ++
		}
	})
	if differ < 100 {
		t.Errorf("of 500 schedules %d depend on their seed", differ)
	}
}

func TestEveryInstanceIsInItsPhaseAndInOrder(t *testing.T) {
	eachRandom(t, func(t *testing.T, _ uint64, phases []bench.Phase, all []Instance) {
		if !slices.IsSortedFunc(all, order) {
			t.Error("not in order")
		}
		for _, x := range all {
			start, end := bounds(phases, x.Phase)
			if x.Begin < start || x.Begin >= x.End || x.End > end || len(x.Faults) == 0 {
				t.Errorf("%+v is not in its phase, %v to %v", x, start, end)
			}
		}
	})
}

func bounds(phases []bench.Phase, n int) (start, end time.Duration) {
	for _, p := range phases[:n] {
		start += p.For.D()
	}
	return start, start + phases[n].For.D()
}

func TestDrawsStayWithinTheirBounds(t *testing.T) {
	within := func(d time.Duration, b bench.Bounds) bool { return b.From.D() <= d && d <= b.To.D() }
	eachRandom(t, func(t *testing.T, _ uint64, phases []bench.Phase, all []Instance) {
		last := map[[2]int]Instance{}
		times := map[[2]int]int{}
		for _, x := range all {
			if x.Entry == Whole || x.Step > 0 {
				continue
			}
			e := phases[x.Phase].Schedule[x.Entry]
			start, end := bounds(phases, x.Phase)
			key := [2]int{x.Phase, x.Entry}
			if before, again := last[key]; again && e.After == "" {
				if !within(x.Begin-before.Begin, e.Every) || before.End > x.Begin {
					t.Errorf("%+v follows %+v", x, before)
				}
			} else if e.After == "" && !within(x.Begin-start, e.At) {
				t.Errorf("%+v begins out of bounds", x)
			}
			if e.For != (bench.Bounds{}) && e.Ramp == nil && x.End-x.Begin > e.For.To.D() {
				t.Errorf("%+v lasts too long", x)
			}
			if e.For != (bench.Bounds{}) && e.Ramp == nil && e.After == "" && x.End < end && !within(x.End-x.Begin, e.For) {
				t.Errorf("%+v lasts %v", x, x.End-x.Begin)
			}
			last[key] = x
			times[key]++
		}
		for key, n := range times {
			if most := phases[key[0]].Schedule[key[1]].Times; most > 0 && n > most {
				t.Errorf("entry %v takes effect %d times", key, n)
			}
		}
	})
}

func TestWhatComesAfterAnotherIsInForceWithinIt(t *testing.T) {
	depend := 0
	eachRandom(t, func(t *testing.T, _ uint64, phases []bench.Phase, all []Instance) {
		for i, x := range all {
			if x.Entry == Whole || phases[x.Phase].Schedule[x.Entry].After == "" {
				if x.After != -1 {
					t.Errorf("%+v comes after something", x)
				}
				continue
			}
			depend++
			if x.After < 0 || x.After >= i {
				t.Fatalf("%+v comes after nothing that is before it", x)
			}
			if o := all[x.After]; x.Begin < o.Begin || x.End > o.End || o.Name != phases[x.Phase].Schedule[x.Entry].After {
				t.Errorf("%+v is not within %+v", x, o)
			}
		}
	})
	if depend < 100 {
		t.Errorf("only %d instances come after others", depend)
	}
}

func TestEntriesDoNotKnowOfEachOther(t *testing.T) {
	eachRandom(t, func(t *testing.T, seed uint64, phases []bench.Phase, all []Instance) {
		for i, p := range phases {
			for j, e := range p.Schedule {
				if e.After != "" {
					continue
				}
				alone := slices.Clone(phases)
				alone[i].Schedule = []bench.Entry{e}
				got, err := New(seed, alone)
				if err != nil {
					t.Fatal(err)
				}
				if have, want := begins(got, i, 0), begins(all, i, j); !slices.Equal(have, want) {
					t.Errorf("entry %s of %s alone begins at %v, with others at %v", e.Name, p.Name, have, want)
				}
			}
		}
	})
}

func begins(all []Instance, phase, entry int) (at []time.Duration) {
	for _, x := range all {
		if x.Phase == phase && x.Entry == entry {
			at = append(at, x.Begin)
		}
	}
	return at
}

func TestARampClimbsInStepsWithoutAGap(t *testing.T) {
	all, err := New(1, []bench.Phase{{Name: "p", For: 10 * units.Second, Schedule: []bench.Entry{{
		At: bench.Exactly(units.Second), For: bench.Exactly(8 * units.Second),
		Faults: chaos.Faults{&chaos.Bandwidth{Link: "a→b", BytesPerSecond: 1}},
		Ramp:   &bench.FieldRamp{Field: "bytes_per_second", From: 1000, To: 2000, Steps: 4, Over: 4 * units.Second},
	}}}})
	if err != nil || len(all) != 4 {
		t.Fatalf("%+v, %v", all, err)
	}
	for i, x := range all {
		f := x.Faults[0].(*chaos.Bandwidth)
		want := []int64{1000, 1333, 1667, 2000}[i]
		begin, end := time.Duration(1+i)*time.Second, time.Duration(2+i)*time.Second
		if i == 3 {
			end = 9 * time.Second
		}
		if f.BytesPerSecond != want || x.Begin != begin || x.End != end || x.Step != i {
			t.Errorf("step %d: %d B/s, %v to %v", i, f.BytesPerSecond, x.Begin, x.End)
		}
	}
}

func TestPlainFaultsAreInForceForTheirPhase(t *testing.T) {
	faults := chaos.Faults{&chaos.Reset{Link: "a→b"}, &chaos.Blackhole{Link: "a→b"}}
	all, err := New(1, []bench.Phase{{Name: "p", For: units.Second}, {Name: "q", For: units.Second, Faults: faults}})
	want := []Instance{{Phase: 1, Entry: Whole, Faults: faults, Begin: time.Second, End: 2 * time.Second, After: -1}}
	if err != nil || !reflect.DeepEqual(all, want) {
		t.Errorf("%+v, %v", all, err)
	}
}
