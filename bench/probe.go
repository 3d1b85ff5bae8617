package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// A Probe asks the engines of a trial something for which no load is needed: which anomalies an isolation level lets happen, how many
// pages a query reads. The trial of an experiment that names a probe starts the engines, seeds them, runs it once, and records what it
// found as an audit's; services, phases and faults it has none.
type Probe struct {
	// Run asks. env.URLs lead straight to the engines; config is the variant's. What it returns is recorded: the metric "audit" asks for
	// its numbers, and Of is how many questions were answered. An error makes the trial fail.
	Run func(ctx context.Context, env Env, config json.RawMessage) (Audit, error)
	// Config is the zero value of the probe's configuration struct, as that of a Role.
	Config any
}

// Probes says whether the experiment's trials run a probe, and have no load.
func (e Experiment) Probes() bool { return e.Probe != "" }

// validateProbe says what an experiment with a probe states that only a load can have.
func (e Experiment) validateProbe() error {
	var errs []error
	never := func(is bool, what string) {
		if is {
			errs = append(errs, fmt.Errorf("%s: the experiment has the probe %s, and so no load", what, e.Probe))
		}
	}
	never(len(e.Workload.Ops) > 0, "workload")
	never(len(e.Phases) > 0, "phases")
	never(len(e.Network) > 0, "network")
	never(len(e.Backends) > 0, "backends")
	never(e.Capacity != nil, "capacity")
	never(e.Abort != nil, "abort")
	never(e.Isolation != Shared, "isolation")
	for _, v := range e.Variants {
		never(v.Instances > 0, fmt.Sprintf("variants[%s].instances", v.Name))
	}
	for _, l := range e.Levels {
		at := fmt.Sprintf("levels[%s].", l.Name)
		never(l.Workload != nil, at+"workload")
		never(len(l.Phases) > 0, at+"phases")
		never(len(l.Network) > 0, at+"network")
		never(l.Closed != nil, at+"closed")
	}
	return errors.Join(errs...)
}
