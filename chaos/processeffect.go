package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// processEffect is a fault in force on one process.
type processEffect interface {
	// landed says what was observed when it took effect.
	landed() Evidence
	// end takes it back, proves it gone, and says what it did while it was in force. It is called again after an error.
	end(context.Context) (Evidence, error)
}

// effectFault is what distinguishes one fault of processes from another, where P is what a process has to be able to do.
type effectFault[P Process] struct {
	fault   Fault
	process string
	// lacks says what a process that is no P cannot do: "be asked to end".
	lacks string
	// begin acts on one process. The effect is not nil when there may be something to take back, also with an error.
	begin func(ctx context.Context, p P) (processEffect, error)
}

// ableOf resolves the name of processes that can do what P asks for.
func ableOf[P Process](s Surface, name, lacks string) ([]P, error) {
	procs, err := processesOf(s, name)
	if err != nil {
		return nil, err
	}
	able := make([]P, len(procs))
	for i, p := range procs {
		var ok bool
		if able[i], ok = p.(P); !ok {
			return nil, fmt.Errorf("%s cannot %s", p.Name(), lacks)
		}
	}
	return able, nil
}

// inject acts on every process of the name, and takes back what it did when it fails on one.
func (f effectFault[P]) inject(ctx context.Context, s Surface) (Injection, error) {
	if err := f.fault.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.fault.Kind(), err)
	}
	procs, err := ableOf[P](s, f.process, f.lacks)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.fault, err)
	}
	for _, p := range procs { // a process that is already gone would prove nothing
		if st, err := p.State(ctx); err != nil || st != Running {
			return nil, errors.Join(fmt.Errorf("%s: %s is %q, not running", f.fault, p.Name(), st), err)
		}
	}
	in := &effectInjection{fault: f.fault}
	var proofs []Evidence
	for _, p := range procs {
		effect, err := f.begin(ctx, p)
		if effect != nil {
			in.open = append(in.open, namedEffect{p.Name(), effect})
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %s: %w", f.fault, p.Name(), err), in.end(context.WithoutCancel(ctx)))
		}
		proofs = append(proofs, effect.landed())
	}
	in.proof = worst(proofs)
	return in, nil
}

type namedEffect struct {
	name string
	processEffect
}

// effectInjection is a fault in force on every process of a name.
type effectInjection struct {
	fault Fault
	proof Evidence

	mu   sync.Mutex
	open []namedEffect // those that are still in force
	did  []Evidence    // of those that were
}

// Landed is the weakest observation among the processes.
func (in *effectInjection) Landed() Evidence { return in.proof }

// Heal takes the effect back, even when ctx is done, and proves it gone. What it did on one of the processes is enough: the
// load need not have met all.
func (in *effectInjection) Heal(ctx context.Context) (Evidence, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	err := in.end(context.WithoutCancel(ctx))
	if err != nil {
		err = fmt.Errorf("healing %s: %w", in.fault, err)
	}
	return together(in.did), err
}

func (in *effectInjection) end(ctx context.Context) error {
	var errs []error
	var left []namedEffect
	for _, e := range in.open {
		did, err := endOne(ctx, e)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.name, err))
			left = append(left, e)
			continue
		}
		in.did = append(in.did, did)
	}
	in.open = left
	return errors.Join(errs...)
}

func endOne(ctx context.Context, e processEffect) (Evidence, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, restoreTime, fmt.Errorf("it took longer than %v", restoreTime))
	defer cancel()
	return e.end(ctx)
}

// together joins what was seen on several processes: the numbers are those of the first on which the effect was seen.
func together(all []Evidence) Evidence {
	var sum Evidence
	var what []string
	for i, e := range all {
		what = append(what, e.What)
		if i == 0 || e.Seen && !sum.Seen {
			sum = e
		}
	}
	sum.What = strings.Join(what, "; ")
	return sum
}

// running starts the process if it is gone, and returns once it runs and, where it can be asked, answers.
func running(ctx context.Context, p Process) error {
	st, err := p.State(ctx)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if st == Gone {
		if err := p.Start(ctx); err != nil {
			return err
		}
	}
	seen, err := observe(ctx, p, Running)
	if err == nil && !seen.Seen {
		err = errors.New(seen.String())
	}
	if err != nil {
		return err
	}
	return answering(ctx, p)
}

// answering returns once the process answers, where it can be asked.
func answering(ctx context.Context, p Process) error {
	a, ok := p.(Answerer)
	if !ok {
		return nil
	}
	return until(ctx, func() (bool, error) {
		err := a.Answers(ctx)
		return err == nil, err
	})
}

// until looks every few milliseconds until done, or the end of ctx; then the last error says what kept it.
func until(ctx context.Context, look func() (done bool, err error)) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := look()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// seenWithin is until for observations: that they do not come in time is no error, but evidence.
func seenWithin(ctx context.Context, limit time.Duration, look func() (seen bool, err error)) (bool, error) {
	short, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	seen := false
	var failed error
	_ = until(short, func() (bool, error) {
		seen, failed = look()
		return seen || failed != nil, failed
	})
	if failed == nil && !seen {
		failed = ctx.Err()
	}
	return seen, failed
}
