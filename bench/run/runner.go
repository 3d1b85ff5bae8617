package run

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"shakedown/bench/check"
	"shakedown/bench/record"
	"shakedown/chaos/proxy/api"
	"shakedown/internal/favour"
	"shakedown/internal/proc"
	"shakedown/internal/telemetry"
	"shakedown/internal/undo"
	"shakedown/internal/workdir"
)

// runner is one run in progress: what all its trials share.
type runner struct {
	o         Options
	progress  Progress
	work      *workdir.Run
	keeper    *proc.Keeper
	writer    *record.Writer
	proxy     *api.Client
	hub       *telemetry.Hub
	client    *http.Client // for scraping
	capacity  float64
	completed int // trials
	available map[string]engineSource
}

// Run runs the experiment and leaves a run directory at o.Out. It returns an error that wraps ErrAborted when ctx ended it, an
// *InputError when what was asked for makes no sense, an *EnvironmentError when this machine lacks something, and another
// error when something broke. Whatever it returns, nothing that it started lives on. A directory that it made is marked, unless the
// input or the machine kept the first trial from completing: then it is removed again.
func Run(ctx context.Context, o Options) (err error) {
	if err := o.validate(); err != nil {
		return &InputError{err}
	}
	defer func() {
		if err != nil && ctx.Err() != nil && !errors.Is(err, ErrAborted) {
			err = fmt.Errorf("%w: %w", ErrAborted, context.Cause(ctx)) // what failed, failed because it was stopped
		}
	}()
	r := &runner{o: o, progress: o.Progress, client: &http.Client{Timeout: 2 * time.Second}}
	if r.progress == nil {
		r.progress = silent{}
	}
	defer func() { err = errors.Join(err, letGo(context.WithoutCancel(ctx), r.available)) }()
	if r.available, err = preflight(ctx, o); err != nil {
		return err
	}
	root, err := workdir.Open()
	if err != nil {
		return &EnvironmentError{err}
	}
	if _, err := root.Sweep(ctx, undo.Kinds()...); err != nil {
		return fmt.Errorf("clean up after an earlier run: %w", err)
	}
	if r.work, err = root.NewRun(workdir.NewID()); err != nil {
		return &EnvironmentError{err}
	}
	defer func() { err = errors.Join(err, r.work.Close()) }()
	r.keeper = proc.NewKeeper(r.work.Journal())
	defer func() { err = errors.Join(err, r.keeper.Close()) }()
	if !o.Experiment.Probes() { // which has no arrivals to be late with, and may itself be what the engines are put to
		defer favour.Threads()()
	}
	trials := plan(o.Experiment, o.Repeats, o.Seed)
	unmake := undoDir(o.Out)
	if r.writer, err = record.Create(o.Out, r.describe(len(trials))); err != nil {
		return errors.Join(&InputError{err}, unmake())
	}
	err = r.all(ctx, trials)
	if err != nil && ctx.Err() == nil && r.completed == 0 && neverBegan(err) {
		return errors.Join(err, unmake())
	}
	return r.finish(ctx, err)
}

// describe is what run.json says before anything has run.
func (r *runner) describe(planned int) record.Run {
	o := r.o
	return record.Run{
		SchemaVersion: record.SchemaVersion, ID: r.work.ID(), Started: time.Now().UTC(), Version: o.Version, Commit: o.Commit,
		Command: o.Command, Seed: o.Seed, Repeats: o.Repeats, Quick: o.Quick, Pattern: o.Pattern.Name, Claims: o.Claims,
		Experiment: o.Experiment, Host: Host(string(r.keeper.Containment())), Engines: describeEngines(o.Experiment, r.available), Planned: planned,
	}
}

// all measures the capacity where one is needed, and runs every trial.
func (r *runner) all(ctx context.Context, trials []Planned) (err error) {
	r.progress.Planned(trials, Estimate(r.o.Experiment, r.o.Repeats))
	stop, err := r.startTelemetry(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := r.startProxy(ctx); err != nil {
		return err
	}
	if r.o.Experiment.Capacity != nil {
		r.progress.Doing("measuring the capacity")
		if err := r.measureCapacity(ctx); err != nil {
			return fmt.Errorf("measure the capacity: %w", err)
		}
	}
	index := 0
	for _, t := range trials {
		for again := range r.o.Again + 1 {
			if err := ctx.Err(); err != nil {
				return err
			}
			t.Index, t.Again = index, again > 0
			index++
			settled, err := r.once(ctx, t)
			if err != nil {
				return fmt.Errorf("trial %d (%s): %w", t.Index, describeTrial(t), err)
			}
			if settled {
				break
			}
		}
	}
	return nil
}

// once runs a trial and says whether that settles it: one that is void may be run again.
func (r *runner) once(ctx context.Context, t Planned) (settled bool, err error) {
	err = r.trial(ctx, t)
	if err != nil && !tripped(err) {
		return false, err
	}
	r.completed++
	if err != nil {
		r.progress.Finding(err.Error())
		return true, nil // it would be given up again
	}
	void, err := r.void(t.Index)
	if len(void) > 0 {
		r.progress.Finding("void: " + strings.Join(void, "; "))
	}
	return len(void) == 0, err
}

// void says why the trial with the given index may not be judged. The rules speak of the generator, the machine and the faults,
// never of how the system under test fared, so that running such a trial again favours no verdict.
func (r *runner) void(index int) ([]string, error) {
	rec, err := record.Open(r.writer.Dir())
	if err != nil {
		return nil, err
	}
	data, err := rec.Load(index)
	if err != nil {
		return nil, err
	}
	return check.Validity(rec.Run, data), nil
}

func describeTrial(t Planned) string {
	s := t.Variant.Name
	if t.Level.Name != "" {
		s += " at " + t.Level.Name
	}
	return fmt.Sprintf("%s, repeat %d", s, t.Repeat+1)
}

// finish marks the run directory with how the run ended.
func (r *runner) finish(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return r.writer.Finish(record.Complete, nil)
	case ctx.Err() != nil:
		return errors.Join(fmt.Errorf("%w: %w", ErrAborted, context.Cause(ctx)), r.writer.Finish(record.Aborted, context.Cause(ctx)))
	default:
		return errors.Join(err, r.writer.Finish(record.Aborted, err))
	}
}

// startProxy starts the process that every link runs through.
func (r *runner) startProxy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ready := newFirstLine()
	p, err := r.keeper.Start(ctx, proc.Spec{
		Name: "proxy", Path: r.o.Program, Args: []string{"chaos", "serve", "--for-run"}, Log: r.writer.Dir() + "/proxy.log", Stdout: ready,
	})
	if err != nil {
		return fmt.Errorf("start the proxy: %w", err)
	}
	var said api.Hello
	if err := ready.wait(ctx, p, &said); err != nil {
		return fmt.Errorf("start the proxy: %w", err)
	}
	if r.proxy, err = api.Dial(ctx, said.Control, said.Token); err != nil {
		return fmt.Errorf("reach the proxy: %w", err)
	}
	go r.watchProxy(p)
	return nil
}

// watchProxy reports a proxy that ends by itself; the trial then fails by its own means, because every link is gone.
func (r *runner) watchProxy(p *proc.Process) {
	<-p.Done()
	if !p.Expected() {
		r.progress.Finding("the proxy ended: " + p.ExitState() + tailOf(p))
	}
}

// startTelemetry serves what happens to Prometheus, until the returned function is called.
func (r *runner) startTelemetry(ctx context.Context) (stop func() error, err error) {
	r.hub = telemetry.New()
	if r.o.Telemetry == "" {
		return func() error { return nil }, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	if _, err := r.hub.Serve(ctx, r.o.Telemetry); err != nil {
		cancel()
		return nil, &InputError{fmt.Errorf("telemetry: %w", err)}
	}
	return func() error {
		cancel()
		return r.hub.Wait()
	}, nil
}
