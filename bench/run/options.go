package run

import (
	"errors"
	"fmt"
	"slices"

	"shakedown/bench"
)

// Options say what to run, and where.
type Options struct {
	Pattern    bench.Pattern
	Experiment bench.Experiment // resolved: overrides and --quick applied
	Claims     []bench.Claim    // those that the experiment's checks decide
	Seed       uint64
	Repeats    int
	Again      int // how often a void trial is run again; all are recorded
	Quick      bool
	Out        string            // the run directory, which must not hold anything yet
	Attach     map[string]string // engines that the user gives, name → URL
	Program    string            // the shakedown binary, for services and proxy
	Command    []string          // runs it again; stored, never interpreted
	Version    string
	Commit     string
	Telemetry  string   // the address that /metrics and /sd are served on; empty: nowhere
	Progress   Progress // nil: nobody looks
}

// ErrAborted says that the run was stopped before its end, in order. What it recorded is there, marked so.
var ErrAborted = errors.New("aborted")

// EnvironmentError says that this machine lacks something that the run needs.
type EnvironmentError struct{ Err error }

func (e *EnvironmentError) Error() string { return e.Err.Error() }

// Unwrap is what is missing.
func (e *EnvironmentError) Unwrap() error { return e.Err }

// InputError says that what the user asked for makes no sense, or the server that the user named does not answer.
type InputError struct{ Err error }

func (e *InputError) Error() string { return e.Err.Error() }

// Unwrap is what is wrong.
func (e *InputError) Unwrap() error { return e.Err }

func (o Options) validate() error {
	if o.Repeats < 1 || o.Repeats > 1000 {
		return fmt.Errorf("repeats: must be 1 to 1000, got %d", o.Repeats)
	}
	if err := o.Experiment.Validate(); err != nil {
		return fmt.Errorf("%s: %w", o.Experiment.Name, err)
	}
	if e := o.Experiment; e.Probes() && o.Pattern.Probes[e.Probe].Run == nil {
		return fmt.Errorf("%s: %s has no probe %q", e.Name, o.Pattern.Name, e.Probe)
	}
	for engine := range o.Attach {
		if !uses(o.Experiment, engine) {
			return fmt.Errorf("a URL for %s was given, but %s does not use it", engine, o.Experiment.Name)
		}
	}
	return nil
}

func uses(e bench.Experiment, engine string) bool {
	return slices.ContainsFunc(e.AllEngines(), func(s bench.EngineSpec) bool { return s.Name == engine })
}
