package bench

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"shakedown/chaos"
	"shakedown/internal/units"
)

func scheduled() Phase {
	const s = units.Second
	slow := chaos.Faults{&chaos.Latency{Link: "a→b", Delay: 10 * units.Millisecond}}
	return Phase{
		Name: "fault", For: 20 * s, Rate: PerSecond(10), Judged: true,
		Schedule: []Entry{
			{Name: "slow", Faults: slow, At: Bounds{s, 3 * s}, For: Exactly(2 * s), Every: Bounds{4 * s, 6 * s}, Times: 3},
			{Name: "cut", Faults: chaos.Faults{&chaos.Reset{Link: "a→b"}}, After: "slow", For: Exactly(s)},
			{Faults: slow, Ramp: &FieldRamp{Field: "delay", From: "10ms", To: "100ms", Steps: 4, Over: 10 * s}},
		},
		Abort: &Abort{Goodput: 0.5, Window: 2 * s, Deadline: 60 * s},
	}
}

func TestAScheduleSurvivesBeingWrittenAndRead(t *testing.T) {
	once := clone(t)
	once.Phases[1] = scheduled()
	if err := once.Validate(); err != nil {
		t.Fatal(err)
	}
	twice, err := once.Clone()
	if err != nil || !reflect.DeepEqual(once, twice) {
		t.Errorf("came back as %+v, %v", twice.Phases[1], err)
	}
}

func TestAWrongScheduleIsRefusedInOneLine(t *testing.T) {
	const s = units.Second
	slow := &chaos.Latency{Link: "a→b", Delay: 10 * units.Millisecond}
	ramp := func(field string, from, to any, steps int) func(*Phase) {
		return func(p *Phase) { p.Schedule[2].Ramp = &FieldRamp{Field: field, From: from, To: to, Steps: steps} }
	}
	for want, spoil := range map[string]func(*Phase){
		"schedule[slow].faults: needs at least one":                           func(p *Phase) { p.Schedule[0].Faults = nil },
		"schedule[slow].faults[0] (latency): delay is 0s":                     func(p *Phase) { p.Schedule[0].Faults = chaos.Faults{&chaos.Latency{Link: "a→b"}} },
		"schedule[slow].at: is 1s to 20s, and the phase lasts 20s":            func(p *Phase) { p.Schedule[0].At.To = 20 * s },
		"schedule[slow].at: is 3s to 1s":                                      func(p *Phase) { p.Schedule[0].At = Bounds{3 * s, s} },
		"schedule[slow].for: is 2s to 4s, and must be set and below every":    func(p *Phase) { p.Schedule[0].For.To = 4 * s },
		"schedule[slow].times: is -1":                                         func(p *Phase) { p.Schedule[0].Times = -1 },
		"schedule[2].times: is 2":                                             func(p *Phase) { p.Schedule[2].Times = 2 },
		"schedule: the name \"slow\" stands twice":                            func(p *Phase) { p.Schedule[1].Name = "slow" },
		"schedule[cut].after: there is no entry \"quick\"":                    func(p *Phase) { p.Schedule[1].After = "quick" },
		"schedule[cut].every: it takes effect each time that slow does":       func(p *Phase) { p.Schedule[1].Every = Exactly(3 * s) },
		"schedule[2].ramp: needs one fault, and there are 2":                  func(p *Phase) { p.Schedule[2].Faults = chaos.Faults{slow, slow} },
		"schedule[2].ramp.steps: is 1":                                        ramp("delay", "1ms", "2ms", 1),
		"schedule[2].ramp: needs a field":                                     ramp("", "1ms", "2ms", 2),
		"schedule[2].ramp: delay at 1: ":                                      ramp("delay", 1, 2, 2),
		"schedule[2].ramp: dely at 1ms: ":                                     ramp("dely", "1ms", "2ms", 2),
		"schedule[2].ramp: delay at 0s: faults[0] (latency): delay is 0s":     ramp("delay", "1ms", "0s", 2),
		"schedule[2].ramp: from is 1 and to is 2ms":                           ramp("delay", 1, "2ms", 2),
		"schedule[2].ramp: from: \"soon\" is neither a number nor a duration": ramp("delay", "soon", "2ms", 2),
		"abort: needs a goodput or a deadline":                                func(p *Phase) { p.Abort = &Abort{} },
		"abort.goodput: is 2":                                                 func(p *Phase) { p.Abort.Goodput = 2 },
		"abort.window: is 1ms":                                                func(p *Phase) { p.Abort.Window = units.Millisecond },
		"abort.window: is of a goodput, and there is none":                    func(p *Phase) { p.Abort.Goodput = 0 },
		"abort.deadline: is -1s":                                              func(p *Phase) { p.Abort.Deadline = -s },
	} {
		e := clone(t)
		p := scheduled()
		spoil(&p)
		e.Phases = []Phase{p}
		err := e.Validate()
		if err == nil || !strings.Contains(err.Error(), "phases[fault]."+want) || strings.Count(err.Error(), "\n") > 2 {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestARampSetsAnyNumericField(t *testing.T) {
	for _, tc := range []struct {
		fault chaos.Fault
		ramp  FieldRamp
		want  []string
	}{
		{
			&chaos.Latency{Link: "a→b", Delay: 1},
			FieldRamp{Field: "delay", From: 10 * units.Millisecond, To: "30ms", Steps: 3},
			[]string{`"delay":"10ms"`, `"delay":"20ms"`, `"delay":"30ms"`},
		},
		{
			&chaos.Bandwidth{Link: "a→b", BytesPerSecond: 1},
			FieldRamp{Field: "bytes_per_second", From: 10, To: 5, Steps: 3},
			[]string{`"bytes_per_second":10`, `"bytes_per_second":8`, `"bytes_per_second":5`},
		},
		{
			&chaos.Blackhole{Link: "a→b"},
			FieldRamp{Field: "share", From: 0.5, To: 1, Steps: 2},
			[]string{`"share":0.5`, `"share":1`},
		},
	} {
		for step, want := range tc.want {
			f, err := tc.ramp.At(tc.fault, step)
			if err != nil {
				t.Error(err)
				continue
			}
			if raw, err := json.Marshal(f); err != nil || !strings.Contains(string(raw), want) {
				t.Errorf("step %d: %s, %v; want %s", step, raw, err, want)
			}
		}
	}
}

func TestQuickenScalesASchedule(t *testing.T) {
	p := scheduled()
	p.Quick = 2 * units.Second
	e := Experiment{Phases: []Phase{p}}
	e.Quicken()
	const ms = units.Millisecond
	first, ramp := e.Phases[0].Schedule[0], e.Phases[0].Schedule[2].Ramp
	if first.At != (Bounds{100 * ms, 300 * ms}) || first.For != Exactly(200*ms) || first.Every != (Bounds{400 * ms, 600 * ms}) {
		t.Errorf("%+v", first)
	}
	if ramp.Over != units.Second || p.Schedule[2].Ramp.Over != 10*units.Second {
		t.Errorf("the ramp takes %v, the original's %v", ramp.Over, p.Schedule[2].Ramp.Over)
	}
}
