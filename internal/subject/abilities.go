package subject

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"shakedown/chaos"
	"shakedown/internal/proc"
	"shakedown/internal/proc/procfs"
)

// Kill ends it, and all it started, with SIGKILL and returns once they are gone.
func (s *Subject) Kill(ctx context.Context) error {
	p, err := s.current()
	if err != nil {
		return err
	}
	return p.Kill(ctx)
}

// Pause stops it and all it started.
func (s *Subject) Pause(ctx context.Context) error {
	p, err := s.current()
	if err != nil {
		return err
	}
	return p.Pause(ctx)
}

// Resume lets them go on.
func (s *Subject) Resume(ctx context.Context) error {
	p, err := s.current()
	if err != nil {
		return err
	}
	return p.Resume(ctx)
}

// State is what the kernel says of it.
func (s *Subject) State(context.Context) (chaos.State, error) {
	p, err := s.current()
	if err != nil {
		return chaos.Gone, err
	}
	st, err := p.State()
	return chaos.State(st), err
}

// Terminate asks it to end, and kills it after the grace. The first process of a pid namespace ends at a signal only if it
// handles it (pid_namespaces(7)), as servers do.
func (s *Subject) Terminate(ctx context.Context, sig chaos.Signal, grace time.Duration) (chaos.Ending, error) {
	p, err := s.current()
	if err != nil {
		return chaos.Ending{}, err
	}
	number := unix.SignalNum("SIG" + string(sig))
	if number == 0 {
		return chaos.Ending{}, fmt.Errorf("there is no signal %q", sig)
	}
	began := time.Now()
	err = p.Stop(ctx, number, grace)
	return chaos.Ending{How: p.ExitState(), Killed: p.Killed(), Took: time.Since(began)}, err
}

// LimitCPU sets the quota of its control group.
func (s *Subject) LimitCPU(_ context.Context, cores float64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.group == nil {
		return s.noGroup()
	}
	return s.group.LimitCPU(cores)
}

// CPU reads the quota, and what it did.
func (s *Subject) CPU(context.Context) (chaos.CPUUse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.group == nil {
		return chaos.CPUUse{}, s.noGroup()
	}
	u, err := s.group.CPU()
	return chaos.CPUUse(u), err
}

// LimitMemory sets the limit of its control group.
func (s *Subject) LimitMemory(_ context.Context, bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.group == nil {
		return s.noGroup()
	}
	return s.group.LimitMemory(bytes)
}

// Memory reads the limit, and what it did.
func (s *Subject) Memory(context.Context) (chaos.MemoryUse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.group == nil {
		return chaos.MemoryUse{}, s.noGroup()
	}
	u, err := s.group.Memory()
	return chaos.MemoryUse{Limit: u.Limit, Bytes: u.Bytes, Met: u.Met(), Kills: u.Kills}, err
}

func (s *Subject) noGroup() error {
	return fmt.Errorf("%s was not started in a control group: a fault that wants one has to be known before the start", s.o.Name)
}

// limitedFiles is a limit on open files that was lowered.
type limitedFiles struct {
	process *proc.Process
	before  int
}

// LimitFiles lowers the soft limit on open files of it and all it started.
func (s *Subject) LimitFiles(ctx context.Context, number, spare int) error {
	p, err := s.current()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limited != nil && s.limited.process == p {
		return errors.New("its limit on open files is lowered already; heal that first")
	}
	files, err := p.Files()
	if err != nil {
		return err
	}
	s.limited = &limitedFiles{p, files[0].Limit}
	return p.LimitFiles(ctx, func(f procfs.Files) int {
		if number > 0 {
			return min(number, f.Limit)
		}
		return min(f.LimitFor(spare), f.Limit)
	})
}

// UnlimitFiles gives them the limit that it had before.
func (s *Subject) UnlimitFiles(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limited == nil {
		return nil
	}
	p, before := s.limited.process, s.limited.before
	if st, err := p.State(); err == nil && st != proc.Gone {
		if err := p.LimitFiles(ctx, func(procfs.Files) int { return before }); err != nil {
			if st, again := p.State(); again != nil || st != proc.Gone {
				return err
			}
		}
	}
	s.limited = nil
	return nil
}

// Files reads the limits and open files of it and all it started.
func (s *Subject) Files(context.Context) ([]chaos.FileUse, error) {
	p, err := s.current()
	if err != nil {
		return nil, err
	}
	all, err := p.Files()
	var uses []chaos.FileUse
	for _, f := range all {
		uses = append(uses, chaos.FileUse{PID: f.PID, Limit: f.Limit, Open: len(f.Open), Spare: f.Spare()})
	}
	return uses, err
}

// CanSkew says why its clock cannot be changed.
func (s *Subject) CanSkew() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clock == nil {
		return fmt.Errorf("%s was not started with a clock that can be changed: a fault that wants one has to be known before the start", s.o.Name)
	}
	return nil
}

// Skew changes its clock.
func (s *Subject) Skew(_ context.Context, skew chaos.Skew) error {
	if err := s.CanSkew(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rate := skew.Rate
	if rate == 0 {
		rate = 1
	}
	return s.clock.Set(skew.Offset, rate, skew.Since)
}
