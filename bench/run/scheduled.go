package run

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"shakedown/bench/record"
	"shakedown/bench/schedule"
)

// An appointment is an instance of a schedule that is being kept.
type appointment struct {
	schedule.Instance
	landed chan struct{} // closed when its faults are in force
	over   chan struct{} // closed when nothing more will come of it but its healing at the end of the phase
	within []*appointment
	after  *appointment
}

// scheduled keeps the schedule of a phase: the entries at the same time, and the instances of each in turn. It returns when
// all that ends before the phase has ended; what ends with the phase is still in force.
func (t *timeline) scheduled(ctx context.Context, phase int, all []schedule.Instance) error {
	lanes := map[int][]*appointment{}
	made := make([]*appointment, len(all))
	for i, x := range all {
		if x.Phase != phase || x.Entry == schedule.Whole {
			continue
		}
		a := &appointment{Instance: x, landed: make(chan struct{}), over: make(chan struct{})}
		if x.After >= 0 {
			a.after = made[x.After]
			a.after.within = append(a.after.within, a)
		}
		made[i] = a
		lanes[x.Entry] = append(lanes[x.Entry], a)
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, lane := range lanes {
		g.Go(func() error {
			for _, a := range lane {
				if err := t.keep(ctx, a); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// keep injects and heals the faults of one appointment in time. One that comes too late to be in force at all is not kept;
// the record lacks it then, which makes the trial void.
func (t *timeline) keep(ctx context.Context, a *appointment) error {
	defer close(a.over)
	if err := t.sleepUntil(ctx, a.Begin); err != nil {
		return err
	}
	if a.after != nil {
		if err := either(ctx, a.after.landed, a.after.over); err != nil {
			return err
		}
	}
	if t.now() >= a.End || a.after != nil && !a.after.kept() {
		return nil
	}
	mine := map[*activeFault]bool{}
	for _, f := range a.Faults {
		active, err := t.inject(ctx, a.Phase, f, record.FaultSpan{Entry: entryName(a.Instance), Number: a.Number, Asked: a.Begin})
		if err != nil {
			return err
		}
		mine[active] = true
	}
	close(a.landed)
	if a.End >= t.spans[a.Phase].End {
		return nil // it is healed with all the others, in the reverse order of their injection
	}
	if err := t.sleepUntil(ctx, a.End); err != nil {
		return err
	}
	for _, inner := range a.within {
		if err := either(ctx, inner.over, nil); err != nil {
			return err
		}
	}
	return t.heal(ctx, func(f *activeFault) bool { return mine[f] })
}

// kept says whether the faults have come into force.
func (a *appointment) kept() bool {
	select {
	case <-a.landed:
		return true
	default:
		return false
	}
}

func entryName(x schedule.Instance) string {
	if x.Name != "" {
		return x.Name
	}
	return fmt.Sprintf("#%d", x.Entry)
}

// either waits for one of two channels to be closed.
func either(ctx context.Context, a, b <-chan struct{}) error {
	select {
	case <-a:
		return nil
	case <-b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
