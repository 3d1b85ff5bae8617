package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"shakedown/bench"
	"shakedown/bench/record"
	"shakedown/chaos/disk"
	"shakedown/internal/clock"
	"shakedown/internal/stack"
)

// engineSource is where an engine of the run comes from: programs on this machine, or an address that the user gave.
type engineSource struct {
	kind  stack.Kind
	found stack.Program
	given stack.Instance // the user's
}

// preflight finds every engine before anything starts. Servers that the user gives have to answer. Also with an error it
// returns what it has found, some of which has to be let go.
func preflight(ctx context.Context, o Options) (map[string]engineSource, error) {
	sources := map[string]engineSource{}
	for _, spec := range o.Experiment.AllEngines() {
		kind, err := stack.Lookup(spec.Name)
		if err != nil {
			return sources, &InputError{fmt.Errorf("%s: %w", o.Experiment.Name, err)}
		}
		specs := specsOf(o.Experiment, spec.Name)
		for _, at := range specs {
			if err := kind.CheckSettings(at.Settings); err != nil {
				return sources, &InputError{fmt.Errorf("%s: %w", o.Experiment.Name, err)}
			}
		}
		source := engineSource{kind: kind}
		if url := o.Attach[spec.Name]; url != "" {
			if source.given, err = kind.Attach(ctx, url); err != nil {
				return sources, &InputError{err}
			}
		} else if source.found, err = kind.Find(); err != nil {
			return sources, &EnvironmentError{err}
		}
		sources[spec.Name] = source
		for _, at := range specs {
			if err := checkReplicas(at, source); err != nil {
				return sources, &InputError{fmt.Errorf("%s: %w", o.Experiment.Name, err)}
			}
			if err := checkMembers(o.Experiment, at, source); err != nil {
				return sources, &InputError{fmt.Errorf("%s: %w", o.Experiment.Name, err)}
			}
			if err := checkPooler(at, source); err != nil {
				return sources, fmt.Errorf("%s: %w", o.Experiment.Name, err)
			}
		}
	}
	if err := checkIsolation(o.Experiment, sources); err != nil {
		return sources, err
	}
	return sources, checkFaults(o.Experiment, sources)
}

// specsOf is what the trials of the experiment want of one engine.
func specsOf(e bench.Experiment, engine string) (specs []bench.EngineSpec) {
	for _, v := range e.Variants {
		for _, level := range e.LevelList() {
			for _, spec := range e.EnginesAt(level, v) {
				if spec.Name == engine {
					specs = append(specs, spec)
				}
			}
		}
	}
	return specs
}

func (s engineSource) start(ctx context.Context, t *trial, spec bench.EngineSpec) (stack.Instance, error) {
	if s.given != nil {
		return s.given, nil
	}
	return s.kind.Start(ctx, t.startOptions(spec, spec.Name))
}

// startOptions are those of a server of an engine, or of a member of the group that it is.
func (t *trial) startOptions(spec bench.EngineSpec, name string) stack.StartOptions {
	o := stack.StartOptions{
		Name: name, Keeper: t.keeper, Run: t.work, LogDir: filepath.Dir(t.writer.LogPath(name)), Settings: spec.Settings,
		Arrangement: t.arrangement(name), Host: t.host(name),
	}
	if spec.Disk {
		o.Disk = t.o.Program
	}
	return o
}

// diskOf is the disk that an engine's data is on, nil when it has none of its own.
func diskOf(e stack.Instance) *disk.Disk {
	if d, ok := e.(stack.Disked); ok {
		return d.Disk()
	}
	return nil
}

// settleDisks puts on the disk what the engines have written so far: a trial begins on a machine that has been running for a while.
func (t *trial) settleDisks(ctx context.Context) error {
	for _, e := range t.engines {
		if d := diskOf(e); d != nil {
			if err := d.Settle(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// letGo lets go of the servers that the user gave.
func letGo(ctx context.Context, sources map[string]engineSource) error {
	var errs []error
	for _, s := range sources {
		if s.given != nil {
			errs = append(errs, s.given.Stop(ctx))
		}
	}
	return errors.Join(errs...)
}

func describeEngines(e bench.Experiment, sources map[string]engineSource) []record.Engine {
	var engines []record.Engine
	for _, spec := range e.AllEngines() {
		s := sources[spec.Name]
		d := record.Engine{Name: spec.Name, Version: s.found.Version, Source: s.found.Path, Settings: spec.Settings}
		if s.given != nil {
			d.Version, d.Source, d.Settings = s.given.Version(), s.given.Source(), nil
		}
		engines = append(engines, d)
	}
	return engines
}

// lookAtMemory reads what each backend of an engine keeps in memory: once, right after the load, because reading it costs
// the processor time that the load needs. The points are dated to the end of the last phase.
func (t *trial) lookAtMemory() {
	ctx, cancel := context.WithTimeout(context.Background(), healTimeout)
	defer cancel()
	at := clock.Now() - t.zero
	if n := len(t.timeline.spans); n > 0 {
		at = min(at, t.timeline.spans[n-1].End-1)
	}
	for _, e := range t.engines {
		m, ok := e.(stack.MemoryReader)
		if !ok {
			continue
		}
		if found, err := families(m.Memory(ctx)); err == nil {
			t.scraper.keep(at, t.labelsOf(e), found)
		}
	}
}
