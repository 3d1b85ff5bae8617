package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// leverTime is how long a lever may take to show an effect, or its end.
	leverTime = 30 * time.Second
	// lookEvery is how often a fault in force looks at what traffic makes of it.
	lookEvery = 50 * time.Millisecond
)

// An engineFault is what distinguishes one fault of an engine from another; the lifecycle around it is the same.
type engineFault struct {
	fault  Fault
	engine string
	// pull acts on one engine and looks at the effect. When it returns an error, it has undone what it did.
	pull func(ctx context.Context, e Engine) (lever, Evidence, error)
}

// A lever is what a fault has pulled at one engine.
type lever interface {
	// met says what real traffic met so far. It is called once, before the lever is first released.
	met(ctx context.Context) Evidence
	// release undoes the effect and proves it gone. It is called again after an error.
	release(ctx context.Context) error
}

type engineInjection struct {
	engineFault
	levers []lever
	proof  Evidence

	mu      sync.Mutex
	looked  bool
	healed  bool
	traffic Evidence
}

// injectEngines acts on every engine of the name, and undoes what it did when it fails on one.
func injectEngines(ctx context.Context, s Surface, f engineFault) (Injection, error) {
	if err := f.fault.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.fault.Kind(), err)
	}
	if err := f.fault.Available(s); err != nil {
		return nil, fmt.Errorf("%s: %w", f.fault, err)
	}
	engines, err := enginesOf(s, f.engine)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.fault, err)
	}
	in := &engineInjection{engineFault: f}
	var proofs []Evidence
	for _, e := range engines {
		l, proof, err := f.pull(ctx, e)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %s: %w", f.fault, e.Name(), err), in.release(ctx))
		}
		in.levers, proofs = append(in.levers, l), append(proofs, proof)
	}
	in.proof = worst(proofs)
	return in, nil
}

// Landed is the weakest observation among the engines.
func (in *engineInjection) Landed() Evidence { return in.proof }

// Heal undoes the fault, even when ctx is done, and proves it gone. The evidence sums over the engines: one that nobody used
// does not make the fault unseen.
func (in *engineInjection) Heal(ctx context.Context) (Evidence, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.healed {
		return in.traffic, nil
	}
	if !in.looked {
		in.traffic, in.looked = in.look(ctx), true
	}
	if err := in.release(ctx); err != nil {
		return in.traffic, fmt.Errorf("healing %s: %w", in.fault, err)
	}
	in.healed = true
	return in.traffic, nil
}

func (in *engineInjection) look(ctx context.Context) Evidence {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	var sum Evidence
	for i, l := range in.levers {
		e := l.met(ctx)
		if i == 0 {
			sum = e
			continue
		}
		if e.Seen && !sum.Seen {
			sum.What = e.What
		}
		sum.Got, sum.Want, sum.Seen = sum.Got+e.Got, sum.Want+e.Want, sum.Seen || e.Seen
	}
	return sum
}

// release releases the levers, the last first, and forgets those that are released.
func (in *engineInjection) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*leverTime)
	defer cancel()
	var errs []error
	var left []lever
	for _, l := range slices.Backward(in.levers) {
		if err := l.release(ctx); err != nil {
			errs, left = append(errs, err), append(left, l)
		}
	}
	slices.Reverse(left)
	in.levers = left
	return errors.Join(errs...)
}

// A watch does something again and again until it is stopped.
type watch struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// watching starts a watch: do is called every so often, and an error of it is the business of do.
func watching(every time.Duration, do func(context.Context)) *watch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				do(ctx)
			}
		}
	}()
	return w
}

// stop ends the watch and waits for it; stopping twice does no harm.
func (w *watch) stop() {
	w.cancel()
	<-w.done
}

// within asks every few milliseconds until the answer is yes, an error, or the end of the patience or of ctx; then it is no.
func within(ctx context.Context, patience time.Duration, ask func(context.Context) (bool, error)) (bool, error) {
	deadline := time.Now().Add(patience)
	for {
		yes, err := ask(ctx)
		if yes || err != nil || time.Now().After(deadline) {
			return yes, err
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
