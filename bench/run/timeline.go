package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"shakedown/bench"
	"shakedown/bench/record"
	"shakedown/bench/schedule"
	"shakedown/chaos"
	"shakedown/internal/clock"
)

// healTimeout bounds the undoing of one fault, also when the run is being aborted: starting a killed engine again
// takes longest.
const healTimeout = 30 * time.Second

// journal is told of every fault before it acts. *workdir.Journal is one.
type journal interface {
	Fault(text, undo string, args ...string) (int, error)
	Healed(fault int) error
}

// timeline walks through the phases of one trial: it puts their faults in force and heals them.
type timeline struct {
	clock   func() time.Duration // clock.Now, but for tests
	zero    time.Duration
	seed    uint64 // of the trial; it decides the schedules
	surface chaos.Surface
	journal journal
	event   func(record.Event)
	entered func(bench.Phase)                     // a phase has begun
	changed func(f record.FaultSpan, active bool) // a fault took effect or was healed
	over    atomic.Int32                          // how many phases have ended, with everything healed

	unhealed error // what run could not heal on its way out; to be read when it has returned

	mu      sync.Mutex
	spans   []record.PhaseSpan
	network []record.FaultSpan
	active  []*activeFault // in the order of injection
}

type activeFault struct {
	phase, at int // indexes of the span it belongs to; phase < 0: the network of the whole trial
	entry     int // in the journal
	injection chaos.Injection
	span      record.FaultSpan
}

func (t *timeline) now() time.Duration { return t.clock() - t.zero }

// run enters every phase when its time has come, and returns when the last one has ended and everything is healed. It
// heals on every path out.
func (t *timeline) run(ctx context.Context, phases []bench.Phase) (err error) {
	defer func() {
		t.unhealed = t.healAll(ctx)
		err = errors.Join(err, t.unhealed)
	}()
	all, err := schedule.New(t.seed, phases)
	if err != nil {
		return &InputError{err}
	}
	for i, p := range phases {
		if err := t.upTo(ctx, i); err != nil {
			return err
		}
		t.event(record.Event{At: t.now(), Kind: "phase", Name: p.Name, Detail: fmt.Sprintf("%s for %v", loadOf(p), p.For)})
		t.entered(p)
		for _, f := range p.Faults {
			if _, err := t.inject(ctx, i, f, record.FaultSpan{Asked: t.spans[i].Start}); err != nil {
				return err
			}
		}
		if err := t.scheduled(ctx, i, all); err != nil {
			return err
		}
	}
	return t.upTo(ctx, len(phases))
}

// upTo waits for the start of the nth phase, which is the end of the one before, and heals what is still in force.
func (t *timeline) upTo(ctx context.Context, n int) error {
	var at time.Duration
	if n > 0 {
		at = t.spans[n-1].End
	}
	if err := t.sleepUntil(ctx, at); err != nil {
		return err
	}
	if err := t.healAll(ctx); err != nil {
		return err
	}
	t.over.Store(int32(n))
	return nil
}

func loadOf(p bench.Phase) string {
	switch {
	case p.Closed != nil:
		return fmt.Sprintf("%d users", p.Closed.Users)
	case p.Rate == (bench.Rate{}):
		return "silence"
	default:
		return p.Rate.String()
	}
}

// inject puts one fault in force, after the journal knows of it. The span says what asked for it.
func (t *timeline) inject(ctx context.Context, phase int, f chaos.Fault, span record.FaultSpan) (*activeFault, error) {
	if err := f.Available(t.surface); err != nil {
		return nil, &InputError{fmt.Errorf("fault %s: %w", f, err)}
	}
	entry, err := t.journal.Fault(f.String(), "") // it acts through processes of the run, and ends with them
	if err != nil {
		return nil, err
	}
	span.Fault, span.Kind, span.Began = f.String(), f.Kind(), t.now()
	injection, err := f.Inject(ctx, t.surface)
	if err != nil {
		return nil, fmt.Errorf("inject %s: %w", f, err)
	}
	span.Injected, span.Landed = t.now(), injection.Landed()
	t.mu.Lock()
	defer t.mu.Unlock()
	a := &activeFault{phase: phase, entry: entry, injection: injection, span: span}
	if phase >= 0 {
		a.at = len(t.spans[phase].Faults)
		t.spans[phase].Faults = append(t.spans[phase].Faults, span)
	} else {
		a.at = len(t.network)
		t.network = append(t.network, span)
	}
	t.active = append(t.active, a)
	t.event(record.Event{At: span.Injected, Kind: "fault_injected", Name: span.Fault, Detail: span.Landed.String()})
	t.changed(span, true)
	return a, nil
}

// healAll heals the faults of phases, the last first, whatever has become of ctx. The network of the trial stays.
func (t *timeline) healAll(ctx context.Context) error {
	return t.heal(ctx, func(a *activeFault) bool { return a.phase >= 0 })
}

// healNetwork heals what was in force for the whole trial.
func (t *timeline) healNetwork(ctx context.Context) error {
	return t.heal(ctx, func(*activeFault) bool { return true })
}

// heal heals some of the active faults, the last first.
func (t *timeline) heal(ctx context.Context, which func(*activeFault) bool) error {
	var errs []error
	for a := t.take(which); a != nil; a = t.take(which) {
		errs = append(errs, t.healOne(ctx, a))
	}
	return errors.Join(errs...)
}

// take removes the last such fault from the active ones; it is nil when there is none.
func (t *timeline) take(which func(*activeFault) bool) *activeFault {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := len(t.active) - 1; i >= 0; i-- {
		if a := t.active[i]; which(a) {
			t.active = slices.Delete(t.active, i, i+1)
			return a
		}
	}
	return nil
}

func (t *timeline) healOne(ctx context.Context, a *activeFault) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healTimeout)
	defer cancel()
	effect, err := a.injection.Heal(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	a.span.Healed, a.span.Effect = t.now(), effect
	a.span.Landed = a.injection.Landed() // what hid it when it was injected may be gone meanwhile
	if a.phase >= 0 {
		t.spans[a.phase].Faults[a.at] = a.span
	} else {
		t.network[a.at] = a.span
	}
	if err != nil {
		return fmt.Errorf("heal %s: %w", a.span.Fault, err)
	}
	t.event(record.Event{At: a.span.Healed, Kind: "fault_healed", Name: a.span.Fault, Detail: effect.String()})
	t.changed(a.span, false)
	return t.journal.Healed(a.entry)
}

// spansFor lays the phases out from the trial's zero.
func spansFor(phases []bench.Phase, capacity float64) []record.PhaseSpan {
	var at time.Duration
	spans := make([]record.PhaseSpan, len(phases))
	for i, p := range phases {
		spans[i] = record.PhaseSpan{Name: p.Name, Start: at, End: at + p.For.D(), Judged: p.Judged}
		if p.Closed != nil {
			spans[i].Users = p.Closed.Users
		} else {
			spans[i].RateS = p.Rate.At(capacity)
		}
		at += p.For.D()
	}
	return spans
}

// sleepUntil waits for a time from the trial's zero, to about a millisecond.
func (t *timeline) sleepUntil(ctx context.Context, at time.Duration) error {
	return clock.Sleep(ctx, at-t.now())
}
