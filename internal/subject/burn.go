package subject

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shakedown/chaos"
	"shakedown/internal/proc"
	"shakedown/internal/proc/procfs"
)

// busy is a program that only runs.
const busy = "while :; do :; done"

// burn is a number of busy processes beside a Subject.
type burn struct {
	processes []*proc.Process
	used      time.Duration // by those that have ended
}

// Burn starts so many busy processes, in the Subject's control group if it has one.
func (s *Subject) Burn(ctx context.Context, processes int) (chaos.Burn, error) {
	s.mu.Lock()
	group := s.group
	s.mu.Unlock()
	b := &burn{}
	for i := range processes {
		spec := proc.Spec{Name: fmt.Sprintf("busy-%d beside %s", i, s.o.Name), Path: "/bin/sh", Args: []string{"-c", busy}, Env: []string{}}
		if group != nil {
			spec.Admit = group.Add
		}
		p, err := s.o.Keeper.Start(ctx, spec)
		if err != nil {
			return nil, errors.Join(err, b.Stop(context.WithoutCancel(ctx)))
		}
		b.processes = append(b.processes, p)
	}
	return b, nil
}

// CPU is the processor time that they have used.
func (b *burn) CPU(context.Context) (time.Duration, error) {
	used := b.used
	for _, p := range b.processes {
		t, err := procfs.CPUTime(p.Pid())
		if err != nil {
			return 0, fmt.Errorf("processor time of %s (%s): %w", p.Name(), p.ExitState(), err)
		}
		used += t
	}
	return used, nil
}

// Stop ends them.
func (b *burn) Stop(ctx context.Context) error {
	if used, err := b.CPU(ctx); err == nil {
		b.used = used
	}
	var errs []error
	for _, p := range b.processes {
		errs = append(errs, p.Kill(ctx))
	}
	err := errors.Join(errs...)
	if err == nil {
		b.processes = nil
	}
	return err
}
