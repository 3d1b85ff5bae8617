package bench

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"shakedown/internal/units"
)

func probing() Experiment {
	return Experiment{
		Name: "db/isolation/matrix", Question: "What does each level let happen?", Probe: "hermitage", Engines: []EngineSpec{{Name: "postgres"}},
		Variants: []Variant{{Name: "read-committed"}}, Checks: []Check{{Claim: "db/isolation#1", Text: "none", Of: Query{Metric: "audit", Name: "G0"}}},
	}
}

func TestAProbeNeedsNoLoadAndTakesNone(t *testing.T) {
	if err := probing().Validate(); err != nil {
		t.Error(err)
	}
	phase := []Phase{{Name: "p", For: units.Second, Judged: true}}
	for what, spoil := range map[string]func(*Experiment){
		"workload":                           func(e *Experiment) { e.Workload.Ops = []Op{{Name: "x", Path: "/"}} },
		"phases":                             func(e *Experiment) { e.Phases = phase },
		"backends":                           func(e *Experiment) { e.Backends = []Backend{{Role: "backend"}} },
		"capacity":                           func(e *Experiment) { e.Capacity = &Capacity{} },
		"abort":                              func(e *Experiment) { e.Abort = &Abort{Deadline: 60 * units.Second} },
		"variants[read-committed].instances": func(e *Experiment) { e.Variants[0].Instances = 2 },
		"levels[l].phases":                   func(e *Experiment) { e.Factor, e.Levels = "f", []Level{{Name: "l", Phases: phase}} },
		"levels[l].closed":                   func(e *Experiment) { e.Factor, e.Levels = "f", []Level{{Name: "l", Closed: &Closed{Users: 1}}} },
	} {
		e := probing()
		spoil(&e)
		if err := e.Validate(); err == nil || !strings.Contains(err.Error(), what+": the experiment has the probe hermitage") {
			t.Errorf("with %s: %v", what, err)
		}
	}
}

func TestAnExperimentWithAProbeIsWrittenWithoutALoad(t *testing.T) {
	e, err := probing().Clone()
	if err != nil || e.Probe != "hermitage" || !reflect.DeepEqual(e.Workload, Workload{}) || e.Phases != nil {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestAHistoryIsThatOfAllProcesses(t *testing.T) {
	env := Env{Role: ServiceRole, History: t.TempDir()}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(env.History, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := ReadHistory[int](env); got != nil || err != nil {
		t.Errorf("nobody wrote: %v, %v", got, err)
	}
	write("service-1.ndjson", "3\n4\n5 and torn")
	write(filepath.Base(env.HistoryFile()), "1\n2\n")
	if got, err := ReadHistory[int](env); !reflect.DeepEqual(got, []int{1, 2, 3, 4}) || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	write("service-1.ndjson", "3\nx\n4\n")
	if _, err := ReadHistory[int](env); err == nil || !strings.Contains(err.Error(), "service-1.ndjson, line 2") {
		t.Errorf("damage in the middle: %v", err)
	}
	if _, err := ReadHistory[int](Env{}); err == nil {
		t.Error("no history was kept, and it was read")
	}
}
