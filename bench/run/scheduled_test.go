package run

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shakedown/bench"
	"shakedown/bench/record"
	"shakedown/bench/schedule"
	"shakedown/chaos"
	"shakedown/internal/units"
)

// virtual is a timeline in virtual time, from which every moment can be told exactly.
func virtual(d *diary, phases []bench.Phase) *timeline {
	start := time.Now()
	tl := &timeline{
		clock: func() time.Duration { return time.Since(start) }, seed: 1, journal: d, spans: spansFor(phases, 0),
		event:   func(record.Event) {},
		entered: func(p bench.Phase) { d.note("%v enter %s", time.Since(start), p.Name) },
		changed: func(f record.FaultSpan, active bool) {
			d.note("%v %s %s", time.Since(start), map[bool]string{true: "inject", false: "heal"}[active], f.Fault)
		},
	}
	return tl
}

func fakes(d *diary, names ...string) (faults chaos.Faults) {
	for _, n := range names {
		faults = append(faults, &fakeFault{diary: d, name: n})
	}
	return faults
}

const second = units.Second

func secs(n float64) bench.Bounds { return bench.Exactly(units.Duration(n * float64(second))) }

// dated are the lines that say when something happened, without the time's unit.
func (d *diary) dated() (lines []string) {
	for _, l := range d.lines {
		if l[0] >= '0' && l[0] <= '9' {
			lines = append(lines, l)
		}
	}
	return lines
}

func TestAScheduleIsKept(t *testing.T) {
	for name, tc := range map[string]struct {
		plain    []string
		schedule func(d *diary) []bench.Entry
		want     []string
	}{
		"at, for, every and times": {nil, func(d *diary) []bench.Entry {
			return []bench.Entry{{Faults: fakes(d, "a", "b"), At: secs(1), For: secs(1), Every: secs(3), Times: 2}}
		}, []string{
			"0s enter p", "1s inject a", "1s inject b", "2s heal b", "2s heal a", "4s inject a", "4s inject b", "5s heal b", "5s heal a",
		}},
		"to the end of the phase, beside its own faults": {[]string{"x"}, func(d *diary) []bench.Entry {
			return []bench.Entry{{Faults: fakes(d, "a"), At: secs(2)}, {Faults: fakes(d, "b"), At: secs(1), For: secs(2)}}
		}, []string{"0s enter p", "0s inject x", "1s inject b", "2s inject a", "3s heal b", "10s heal a", "10s heal x"}},
		"one after the other": {nil, func(d *diary) []bench.Entry {
			return []bench.Entry{
				{Name: "outer", Faults: fakes(d, "a"), At: secs(1), For: secs(2), Every: secs(5)},
				{Name: "inner", Faults: fakes(d, "b"), After: "outer", At: secs(0.5)},
			}
		}, []string{
			"0s enter p", "1s inject a", "1.5s inject b", "3s heal b", "3s heal a", "6s inject a", "6.5s inject b", "8s heal b", "8s heal a",
		}},
		"one after the other at the same time, to the end": {nil, func(d *diary) []bench.Entry {
			return []bench.Entry{
				{Name: "outer", Faults: fakes(d, "a"), At: secs(1)},
				{Name: "inner", Faults: fakes(d, "b"), After: "outer"},
				{Faults: fakes(d, "c"), After: "inner", For: secs(1)},
			}
		}, []string{"0s enter p", "1s inject a", "1s inject b", "1s inject c", "2s heal c", "10s heal b", "10s heal a"}},
		"several at once": {nil, func(d *diary) []bench.Entry {
			return []bench.Entry{{Faults: fakes(d, "a"), At: secs(1), For: secs(4)}, {Faults: fakes(d, "b"), At: secs(2), For: secs(1)}}
		}, []string{"0s enter p", "1s inject a", "2s inject b", "3s heal b", "5s heal a"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &diary{}
				phases := []bench.Phase{{Name: "p", For: 10 * second, Faults: fakes(d, tc.plain...), Schedule: tc.schedule(d)}}
				if err := virtual(d, phases).run(t.Context(), phases); err != nil {
					t.Fatal(err)
				}
				wantActs(t, d.dated(), tc.want...)
			})
		})
	}
}

func TestAScheduleIsRecordedAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		slow := &fakeFault{diary: d, name: "slow", onInject: func() { time.Sleep(time.Second) }}
		phases := []bench.Phase{{Name: "before", For: second}, {Name: "p", For: 10 * second, Schedule: []bench.Entry{
			{Name: "often", Faults: chaos.Faults{slow}, At: secs(1), For: secs(2), Every: secs(4), Times: 2},
			{Faults: fakes(d, "late"), At: secs(9)},
		}}}
		tl := virtual(d, phases)
		if err := tl.run(t.Context(), phases); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range tl.spans[1].Faults {
			got = append(got, fmt.Sprintf("%s %d: %v %v %v %v", f.Entry, f.Number, f.Asked, f.Began, f.Injected, f.Healed))
		}
		wantActs(t, got, "often 0: 2s 2s 3s 4s", "often 1: 6s 6s 7s 8s", "#1 0: 10s 10s 10s 11s")
	})
}

func TestWhatComesTooLateIsNotInjected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		stuck := &fakeFault{diary: d, name: "stuck", onInject: func() { time.Sleep(4 * time.Second) }}
		phases := []bench.Phase{{Name: "p", For: 10 * second, Schedule: []bench.Entry{
			{Name: "stuck", Faults: chaos.Faults{stuck}, At: secs(1), For: secs(1), Every: secs(3), Times: 2},
			{Faults: fakes(d, "inner"), After: "stuck"},
		}}}
		if err := virtual(d, phases).run(t.Context(), phases); err != nil {
			t.Fatal(err)
		}
		wantActs(t, d.dated(), "0s enter p", "5s inject stuck", "5s heal stuck")
	})
}

func TestAScheduleEndsWithItsPhaseHoweverItGoes(t *testing.T) {
	for name, tc := range map[string]struct {
		last fakeFault
		err  string
	}{
		"a fault that cannot be injected":     {fakeFault{name: "c", broken: true}, "cannot inject c"},
		"a fault that has nothing to act on":  {fakeFault{name: "c", unavailable: true}, "nothing to act on"},
		"a fault that does not heal":          {fakeFault{name: "c", unhealing: true}, "cannot heal c"},
		"a fault that the journal cannot log": {fakeFault{name: "unwritable"}, "disk full"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &diary{}
				tc.last.diary = d
				phases := []bench.Phase{{Name: "p", For: 10 * second, Faults: fakes(d, "a"), Schedule: []bench.Entry{
					{Faults: fakes(d, "b"), At: secs(1)}, {Faults: chaos.Faults{&tc.last}, At: secs(2), For: secs(1)},
				}}, {Name: "never", For: second}}
				tl := virtual(d, phases)
				err := tl.run(t.Context(), phases)
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("the timeline says %v, want %q", err, tc.err)
				}
				if acts := d.acts("heal"); len(tl.active) != 0 || !slices.Equal(acts[max(0, len(acts)-2):], []string{"heal b", "heal a"}) {
					t.Errorf("%d faults are left; %v", len(tl.active), acts)
				}
			})
		})
	}
}

func TestAStopHealsWhatTheScheduleHasInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		phases := []bench.Phase{{Name: "p", For: 10 * second, Schedule: []bench.Entry{
			{Name: "a", Faults: fakes(d, "a"), At: secs(1), For: secs(8)}, {Faults: fakes(d, "b"), After: "a", At: secs(1)},
		}}}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := virtual(d, phases).run(ctx, phases); err == nil {
			t.Error("no error")
		}
		wantActs(t, d.dated(), "0s enter p", "1s inject a", "2s inject b", "3s heal b", "3s heal a")
	})
}

// Whatever a schedule is, its instances are in force when it says so, and each is healed once.
func TestEverySchedulesInstancesAreInForceInTime(t *testing.T) {
	for n := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(n, 3))
			d := &diary{}
			phases := []bench.Phase{{Name: "p", For: 10 * second}, {Name: "q", For: 10 * second}}
			for i := range phases {
				for j := range 1 + rng.IntN(4) {
					e := bench.Entry{
						Name: fmt.Sprint("e", j), Faults: fakes(d, fmt.Sprint("f", j)), For: bench.Bounds{From: 1, To: second},
						At: bench.Bounds{From: 0, To: 9 * second}, Every: bench.Bounds{From: second + 1, To: 4 * second},
					}
					if j > 0 && rng.IntN(2) == 0 {
						e.After, e.Every, e.At = fmt.Sprint("e", rng.IntN(j)), bench.Bounds{}, bench.Bounds{To: second}
					}
					phases[i].Schedule = append(phases[i].Schedule, e)
				}
			}
			tl := virtual(d, phases)
			tl.seed = n
			if err := tl.run(t.Context(), phases); err != nil {
				t.Fatal(err)
			}
			all, err := schedule.New(n, phases)
			if err != nil {
				t.Fatal(err)
			}
			var want, got []string
			for _, x := range all {
				want = append(want, fmt.Sprint(x.Phase, x.Name, x.Number, x.Begin, x.End))
			}
			for i, p := range tl.spans {
				for _, f := range p.Faults {
					got = append(got, fmt.Sprint(i, f.Entry, f.Number, f.Injected, f.Healed))
				}
			}
			slices.Sort(want)
			slices.Sort(got)
			wantActs(t, got, want...)
		})
	}
}
