// Package subject owns what faults of processes act on: one process of a run, through all its restarts, with the control group
// and the clock that it was started with. It knows how to start, limit and end it, and never what it is: an engine and an instance
// of a service are subjects alike. Package stack and the orchestrator build on it.
package subject

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"shakedown/chaos"
	"shakedown/internal/cgroup"
	"shakedown/internal/faketime"
	"shakedown/internal/proc"
)

// Journal is told of what is changed beside processes. *workdir.Journal is one.
type Journal interface {
	Fault(text, undo string, args ...string) (int, error)
	Healed(fault int) error
}

// Options say what a Subject is made of.
type Options struct {
	Keeper  *proc.Keeper
	Journal Journal
	// Name is one that nothing else in the run has, of lower-case letters, digits and dashes. Run is the run's id.
	Name, Run string
	// Dir is where the process may read files, for the one that its clock is set by.
	Dir         string
	Arrangement chaos.Arrangement
	_           struct{}
}

// Subject is one process of the run that faults may act on.
type Subject struct {
	o Options

	mu      sync.Mutex // held while the process is replaced
	process *proc.Process
	group   *cgroup.Group   // nil: it was started without
	clock   *faketime.Clock // nil: it was started without
	limited *limitedFiles   // nil: its limit on files is its own
}

// New makes a Subject, of which nothing runs yet.
func New(o Options) *Subject { return &Subject{o: o} }

// Launch starts the process, the first time or again. One that runs already is an error.
func (s *Subject) Launch(ctx context.Context, spec proc.Spec) (*proc.Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.over(ctx); err != nil {
		return nil, fmt.Errorf("starting %s: %w", spec.Name, err)
	}
	if err := s.arrange(&spec); err != nil {
		return nil, fmt.Errorf("starting %s: %w", spec.Name, err)
	}
	p, err := s.o.Keeper.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	s.process = p
	return p, nil
}

// over returns once the process that was started last has ended. One that is dead to the kernel is waited for; one that lives is an error.
func (s *Subject) over(ctx context.Context) error {
	if s.process == nil {
		return nil
	}
	st, err := s.process.State()
	if err != nil {
		return err
	}
	if st != proc.Gone {
		return errors.New("it runs already")
	}
	select {
	case <-s.process.Done():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// arrange makes the group and the clock, once, and gives them to the process.
func (s *Subject) arrange(spec *proc.Spec) error {
	if err := s.makeGroup(); err != nil {
		return err
	}
	if s.group != nil {
		spec.Admit = s.group.Add // before the program begins: all it starts is in the group, whenever that is
	}
	if err := s.makeClock(*spec); err != nil {
		return err
	}
	if s.clock == nil {
		return nil
	}
	spec.Env = append(slices.Clone(spec.Environment()), s.clock.Env()...)
	return s.clock.Ready()
}

func (s *Subject) makeGroup() (err error) {
	var controllers []cgroup.Controller
	if s.o.Arrangement.CPUGroup {
		controllers = append(controllers, cgroup.CPU)
	}
	if s.o.Arrangement.MemoryGroup {
		controllers = append(controllers, cgroup.Memory)
	}
	if s.group == nil && controllers != nil {
		s.group, err = cgroup.New(s.o.Journal, s.unique(), controllers...)
	}
	return err
}

func (s *Subject) makeClock(spec proc.Spec) (err error) {
	if s.clock != nil || !s.o.Arrangement.Clock {
		return nil
	}
	if err := faketime.CanFool(spec.Path); err != nil {
		return err
	}
	uid, gid := -1, -1 // as they are
	if c := spec.Credential; c != nil {
		uid, gid = int(c.Uid), int(c.Gid)
	}
	s.clock, err = faketime.New(s.o.Journal, s.unique(), filepath.Join(s.o.Dir, s.o.Name+".clock"), uid, gid)
	return err
}

// unique is the name that the machine knows the process by.
func (s *Subject) unique() string { return s.o.Run + "-" + s.o.Name }

// Process is the process that was started last, or nil.
func (s *Subject) Process() *proc.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

func (s *Subject) current() (*proc.Process, error) {
	if p := s.Process(); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%s was never started", s.o.Name)
}

// Close removes the group and the clock. The process, and what was busy beside it, must have ended.
func (s *Subject) Close(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if s.group != nil {
		errs = append(errs, s.group.Remove(ctx))
	}
	if s.clock != nil {
		errs = append(errs, s.clock.Close())
	}
	err := errors.Join(errs...)
	if err == nil {
		s.group, s.clock = nil, nil
	}
	return err
}
