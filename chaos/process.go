package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// stateTime is how long the kernel may take to show a process in the state it was put into.
const stateTime = 5 * time.Second

// A processFault is what distinguishes one fault of a process from another.
type processFault struct {
	fault   Fault
	process string
	act     func(Process, context.Context) error
	undo    func(Process, context.Context) error
	during  State
}

type processInjection struct {
	processFault
	procs []Process
	since time.Time
	proof Evidence

	mu     sync.Mutex
	healed bool
	after  Evidence
}

// injectProcesses acts on every process of the name, and undoes what it did when it fails on one.
func injectProcesses(ctx context.Context, s Surface, f processFault) (Injection, error) {
	if err := f.fault.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.fault.Kind(), err)
	}
	procs, err := processesOf(s, f.process)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.fault, err)
	}
	for _, p := range procs { // a process that is already gone would prove nothing
		if st, err := p.State(ctx); err != nil || st != Running {
			return nil, errors.Join(fmt.Errorf("%s: %s is %q, not running", f.fault, p.Name(), st), err)
		}
	}
	in := &processInjection{processFault: f, since: time.Now()}
	var proofs []Evidence
	for _, p := range procs {
		in.procs = append(in.procs, p) // also when act fails: it may have acted
		if err := f.act(p, ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %s: %w", f.fault, p.Name(), err), in.restore(ctx))
		}
		proof, err := observe(ctx, p, f.during)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", f.fault, err), in.restore(ctx))
		}
		proofs = append(proofs, proof)
	}
	in.proof = worst(proofs)
	return in, nil
}

// Landed is the state that the kernel shows.
func (in *processInjection) Landed() Evidence { return in.proof }

// Heal undoes the fault, even when ctx is done, and looks that the processes run again. The evidence is
// that they do, and for how long they did not.
func (in *processInjection) Heal(ctx context.Context) (Evidence, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.healed {
		return in.after, nil
	}
	ctx = context.WithoutCancel(ctx)
	if err := in.restore(ctx); err != nil {
		return in.after, fmt.Errorf("healing %s: %w", in.fault, err)
	}
	in.after = Evidence{
		What: fmt.Sprintf("%s %s for %s, then running", in.process, in.during, time.Since(in.since).Round(time.Millisecond)),
		Seen: true,
	}
	in.healed = true
	return in.after, nil
}

// restore undoes the fault on each process that needs it, and waits until it runs.
func (in *processInjection) restore(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, p := range in.procs {
		errs = append(errs, in.restoreOne(ctx, p))
	}
	return errors.Join(errs...)
}

func (in *processInjection) restoreOne(ctx context.Context, p Process) error {
	ctx, cancel := context.WithTimeout(ctx, restoreTime)
	defer cancel()
	st, err := p.State(ctx)
	if err != nil {
		return fmt.Errorf("state of %s: %w", p.Name(), err)
	}
	// A stop may not show yet when the injection failed half-way, and continuing twice does no harm.
	if st != Running || in.during == Stopped {
		if err := in.undo(p, ctx); err != nil {
			return fmt.Errorf("%s: %w", p.Name(), err)
		}
	}
	seen, err := observe(ctx, p, Running)
	if err == nil && !seen.Seen {
		err = errors.New(seen.String())
	}
	return err
}

// restoreTime bounds the return of one process: an engine may have a log to replay.
const restoreTime = time.Minute

// observe waits for the kernel to show the state; the evidence is unseen when it does not in time.
func observe(ctx context.Context, p Process, want State) (Evidence, error) {
	until := time.Now().Add(stateTime)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		st, err := p.State(ctx)
		if err != nil {
			return Evidence{}, fmt.Errorf("state of %s: %w", p.Name(), err)
		}
		if st == want || time.Now().After(until) {
			return Evidence{What: fmt.Sprintf("%s is %s, wanted %s", p.Name(), st, want), Seen: st == want}, nil
		}
		select {
		case <-ctx.Done():
			return Evidence{}, fmt.Errorf("waiting for %s to be %s: %w", p.Name(), want, ctx.Err())
		case <-tick.C:
		}
	}
}

func checkProcessName(name string) error {
	if name == "" {
		return errors.New("process is missing; write the name of an engine, an instance or a role")
	}
	return nil
}
