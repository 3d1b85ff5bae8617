package synth

import (
	"context"
	"errors"

	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
)

// Outage is an experiment with a control, a pattern, and an outage of a backend between a baseline and a recovery.
func Outage() bench.Experiment {
	rate := bench.PerSecond(200)
	return bench.Experiment{
		Name:     "synthetic/pattern/outage",
		Question: "Does the pattern survive an outage?",
		Variants: []bench.Variant{{Name: "control", About: "without the pattern"}, {Name: "pattern"}},
		Workload: bench.Workload{
			Ops: []bench.Op{{Name: "get", Path: "/get"}},
			SLO: 100 * units.Millisecond, Timeout: units.Second,
		},
		Phases: []bench.Phase{
			{Name: "warmup", For: units.Second, Rate: rate},
			{Name: "baseline", For: 4 * units.Second, Rate: rate, Judged: true},
			{Name: "fault", For: 4 * units.Second, Rate: rate, Judged: true, Faults: chaos.Faults{Fault{Link: "service→backend"}}},
			{Name: "recovery", For: 6 * units.Second, Rate: rate, Judged: true},
		},
		Columns: []bench.Column{
			{Title: "goodput in the fault", Of: bench.Query{Phase: "fault", Metric: "goodput"}},
			{Title: "p99 in the baseline", Unit: "ms", Of: bench.Query{Phase: "baseline", Metric: "response_ms", Stat: "p99"}},
		},
	}
}

// Fault stands for a link that holds all bytes. It can be written and read, and it never acts.
type Fault struct {
	Link string `json:"link"`
}

var _ chaos.Fault = Fault{}

var errActs = errors.New("a synthetic fault acts on nothing")

// Kind is that of a real fault, so that a stored experiment can be read again.
func (Fault) Kind() string { return "blackhole" }

func (f Fault) String() string { return "blackhole on " + f.Link }

// Validate finds nothing wrong.
func (Fault) Validate() error { return nil }

// Available fails: there is nothing that the fault could act on.
func (Fault) Available(chaos.Surface) error { return errActs }

// Inject fails.
func (Fault) Inject(context.Context, chaos.Surface) (chaos.Injection, error) { return nil, errActs }
