package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// A hostFault is what distinguishes one fault of hosts from another; the lifecycle around it is the same.
type hostFault interface {
	// before looks at the network without the fault.
	before(ctx context.Context) error
	// apply puts the fault in force under the id, and clear takes it away, wherever it has come to.
	apply(ctx context.Context, id string) error
	clear(ctx context.Context, id string) error
	// landed looks for the effect. An effect that cannot be seen is no error.
	landed(ctx context.Context, id string) (Evidence, error)
	// met says what real traffic has met since the effect landed.
	met(ctx context.Context, id string) (Evidence, error)
	// gone says what still shows the effect after it was cleared, or nothing.
	gone(ctx context.Context) (shows string, err error)
}

// hostInjection is a fault in force on hosts.
type hostInjection struct {
	hostFault
	fault Fault
	id    string
	proof Evidence

	mu      sync.Mutex
	counted bool // traffic is final
	healed  bool
	traffic Evidence
}

// looks is how often an effect is looked for: what a busy machine hides once shows later.
const looks = 3

// injectHosts puts a fault in force and proves it. When it fails, it has undone what it did.
func injectHosts(ctx context.Context, f Fault, h hostFault) (Injection, error) {
	in := &hostInjection{hostFault: h, fault: f, id: fmt.Sprintf("%s-%016x", f.Kind(), rand.Uint64())}
	if err := in.inject(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", f, err), in.undo(ctx))
	}
	return in, nil
}

func (in *hostInjection) inject(ctx context.Context) (err error) {
	if err := in.before(ctx); err != nil {
		return fmt.Errorf("looking at the network before: %w", err)
	}
	if err := in.apply(ctx, in.id); err != nil {
		return err
	}
	for range looks {
		if in.proof, err = in.landed(ctx, in.id); err != nil {
			return fmt.Errorf("looking for the effect: %w", err)
		}
		if in.proof.Seen {
			break
		}
	}
	return nil
}

// Landed is what was seen of the effect.
func (in *hostInjection) Landed() Evidence { return in.proof }

// Heal takes the effect away, even when ctx is done, and then proves it gone for as long as ctx allows.
func (in *hostInjection) Heal(ctx context.Context) (Evidence, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.healed {
		return in.traffic, nil
	}
	counting := in.count(ctx)
	err := errors.Join(counting, in.undo(ctx))
	if err == nil {
		err = in.proveGone(ctx)
	}
	if err != nil {
		return in.traffic, fmt.Errorf("healing %s: %w", in.fault, err)
	}
	in.healed = true
	return in.traffic, nil
}

// count settles the evidence, once, just before the effect is first cleared.
func (in *hostInjection) count(ctx context.Context) (err error) {
	if in.counted {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	in.traffic, err = in.met(ctx, in.id)
	in.counted = err == nil
	return err
}

func (in *hostInjection) undo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	return in.clear(ctx, in.id)
}

func (in *hostInjection) proveGone(ctx context.Context) error {
	until := time.Now().Add(provedBy)
	for {
		shows, err := in.gone(ctx)
		if err != nil {
			return fmt.Errorf("looking for its end: %w", err)
		}
		if shows == "" {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("after clearing, %s; is another fault in force there?", shows)
		}
	}
}
