package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shakedown/bench"
	"shakedown/bench/load"
	"shakedown/internal/units"
)

// watched is a tripwire over 100 arrivals a second, of which good says whether they are answered within the SLO. It returns
// when the wire says something, and what.
func watched(t *testing.T, whole *bench.Abort, phases []bench.Phase, good func(at time.Duration) bool) (at time.Duration, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		now := func() time.Duration { return time.Since(start) }
		tl := &timeline{clock: now}
		w := newTripwire(bench.Experiment{Abort: whole}, phases, bench.Workload{SLO: 100 * units.Millisecond}, tl)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			var ledger bench.Ledger
			for n := 0; ctx.Err() == nil; n++ {
				due := now()
				s := bench.Sample{Outcome: bench.Failed, Due: due, Done: due}
				if good(due) {
					s.Outcome = bench.OK
				}
				w.samples([]bench.Sample{s})
				ledger.Scheduled++
				if n%25 == 0 {
					w.tick(load.Tick{At: due, Ledger: ledger})
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
		go func() {
			for i, p := range phases {
				tl.over.Store(int32(i))
				time.Sleep(p.For.D())
			}
			tl.over.Store(int32(len(phases)))
		}()
		err = w.run(ctx)
		at = now()
		cancel()
		synctest.Wait()
		time.Sleep(time.Minute) // until the phases are over
	})
	return at, err
}

func TestATrialIsGivenUpWhenItsGoodputIsTooLow(t *testing.T) {
	three := func(abort *bench.Abort) []bench.Phase {
		return []bench.Phase{
			{Name: "before", For: 10 * second}, {Name: "during", For: 10 * second, Abort: abort}, {Name: "after", For: 10 * second},
		}
	}
	floor := func(g float64) *bench.Abort { return &bench.Abort{Goodput: g, Window: 2 * second} }
	always := func(time.Duration) bool { return true }
	half := func(at time.Duration) bool { // of the arrivals of the second phase
		return at < 10*time.Second || at >= 20*time.Second || at.Milliseconds()/10%2 == 0
	}
	for name, tc := range map[string]struct {
		whole, during *bench.Abort
		good          func(time.Duration) bool
		want          string // empty: it goes on to the end
	}{
		"all is well":                               {floor(0.99), nil, always, ""},
		"a floor of the experiment":                 {floor(0.8), nil, half, "in phase during a share of 0.5"},
		"a floor that holds":                        {floor(0.4), nil, half, ""},
		"a floor of the phase":                      {nil, floor(0.8), half, "in phase during a share of 0.5"},
		"a floor of the phase replaces the other":   {floor(0.8), floor(0.4), half, ""},
		"a deadline of the phase leaves the other":  {floor(0.8), &bench.Abort{Deadline: 100 * second}, half, "in phase during a share of 0.5"},
		"a window that is longer than any phase is": {&bench.Abort{Goodput: 0.8, Window: 11 * second}, nil, half, ""},
	} {
		t.Run(name, func(t *testing.T) {
			at, err := watched(t, tc.whole, three(tc.during), tc.good)
			if tc.want == "" {
				if err != nil {
					t.Errorf("at %v: %v", at, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || !tripped(err) {
				t.Fatalf("it says %v, want %q", err, tc.want)
			}
			if at < 12*time.Second || at > 14*time.Second { // the window, the SLO, and what settles, with their grain
				t.Errorf("it says so at %v", at)
			}
		})
	}
}

func TestATrialIsGivenUpAfterItsDeadline(t *testing.T) {
	phases := []bench.Phase{{Name: "p", For: 4 * second}, {Name: "q", For: 10 * second, Abort: &bench.Abort{Deadline: 5 * second}}}
	at, err := watched(t, &bench.Abort{Deadline: 60 * second}, phases, func(time.Duration) bool { return true })
	if err == nil || err.Error() != "given up: phase q is not over after its deadline of 5s" || at < 9*time.Second || at > 10*time.Second {
		t.Errorf("at %v: %v", at, err)
	}
	phases[1].Abort = nil
	at, err = watched(t, &bench.Abort{Deadline: 7 * second}, phases, func(time.Duration) bool { return true })
	if err == nil || err.Error() != "given up: the trial is not over after its deadline of 7s" || at > 8*time.Second {
		t.Errorf("at %v: %v", at, err)
	}
}

func TestOnlyWhatTrippedIsNoFailure(t *testing.T) {
	trip, other := &TrippedError{"x"}, errors.New("disk full")
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{trip, true},
		{fmt.Errorf("trial: %w", trip), true},
		{errors.Join(trip, context.Canceled), true},
		{errors.Join(trip, other), false},
		{errors.Join(errors.Join(trip, context.Canceled), nil, other), false},
		{other, false},
		{context.Canceled, false},
		{nil, false},
	} {
		if got := tripped(tc.err); got != tc.want {
			t.Errorf("tripped(%v) is %v", tc.err, got)
		}
	}
}
