package run

import (
	"strings"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/bench/check"
	"shakedown/bench/record"
	"shakedown/bench/schedule"
	"shakedown/chaos"
	"shakedown/internal/units"
)

func TestARunKeepsItsSchedule(t *testing.T) {
	const ms = units.Millisecond
	o := tiny(t, 300, 6*time.Second)
	slow := chaos.Faults{&chaos.Latency{Link: "service→redis", Delay: 5 * ms}}
	o.Experiment.Phases[1].Schedule = []bench.Entry{
		{Name: "slow", Faults: slow, At: bench.Bounds{From: 500 * ms, To: 1000 * ms}, For: bench.Exactly(1500 * ms), Every: bench.Exactly(2500 * ms), Times: 2},
		{Name: "slower", Faults: slow, After: "slow", At: bench.Exactly(300 * ms), For: bench.Exactly(600 * ms)},
		{
			Faults: chaos.Faults{&chaos.Latency{Link: "service→postgres", Delay: 5 * ms}},
			Ramp:   &bench.FieldRamp{Field: "delay", From: "2ms", To: "6ms", Steps: 2},
		},
	}
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantNothingLeft(t)
	rec := open(t, o.Out)
	data := mustLoad(t, rec, 0)
	all, err := schedule.New(data.Trial.Seed, rec.Run.Experiment.Phases)
	if err != nil {
		t.Fatal(err)
	}
	faults := data.Trial.Phases[1].Faults
	if len(all) != 6 || len(faults) != len(all) {
		t.Fatalf("%d instances are recorded of %d planned: %+v", len(faults), len(all), faults)
	}
	for _, f := range faults {
		if f.Began < f.Asked || f.Injected < f.Began || f.Healed <= f.Injected || !f.Landed.Seen {
			t.Errorf("%+v is out of order, or was not seen to land", f)
		}
		if f.Effect.Spread == nil && f.Effect.Seen {
			t.Errorf("%s does not say how its delays were spread: %s", f.Fault, f.Effect)
		}
	}
	for _, why := range check.Validity(rec.Run, data) {
		if strings.Contains(why, "were injected") {
			t.Error(why)
		}
	}
}

func TestATrialThatGoesTooBadlyIsGivenUpAndTheRunGoesOn(t *testing.T) {
	o := tiny(t, 200, time.Minute)
	o.Repeats, o.Again = 2, 2
	o.Experiment.Phases[1].Faults = chaos.Faults{&chaos.Blackhole{Link: "service→redis"}}
	o.Experiment.Phases[1].Abort = &bench.Abort{Goodput: 0.5, Window: units.Second}
	w := &watcher{}
	o.Progress = w
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantNothingLeft(t)
	rec := open(t, o.Out)
	if rec.Run.Status != record.Complete || rec.Trials() != 2 {
		t.Fatalf("the run is %s with %d trials; none is to be run again", rec.Run.Status, rec.Trials())
	}
	for i := range 2 {
		data := mustLoad(t, rec, i)
		if data.Trial.Status != record.Aborted || !strings.Contains(data.Trial.Error, "given up: in phase load a share of ") {
			t.Errorf("trial %d is %s: %s", i, data.Trial.Status, data.Trial.Error)
		}
		faults := data.Trial.Phases[1].Faults
		if len(faults) != 1 || faults[0].Healed <= faults[0].Injected || faults[0].Healed > 30*time.Second {
			t.Errorf("its faults are %+v", faults)
		}
		void := check.Validity(rec.Run, data)
		if len(void) == 0 || !strings.Contains(void[0], "the trial was aborted: given up") {
			t.Errorf("it is void because of %q", void)
		}
	}
	if len(w.findings) < 2 || !strings.Contains(w.findings[0], "given up") {
		t.Errorf("findings: %q", w.findings)
	}
}
