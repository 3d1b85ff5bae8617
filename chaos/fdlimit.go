package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// FDLimit lowers the soft limit on open files (RLIMIT_NOFILE, getrlimit(2)) of a live process and all it started, so that it
// runs out of descriptors: open(2), socket(2) and accept(2) fail with EMFILE, and what is open stays open.
type FDLimit struct {
	Process string `json:"process"`
	// Limit is the new limit; left out, it leaves each process Spare descriptors more than it has open.
	Limit int `json:"limit,omitempty"`
	Spare int `json:"spare,omitempty"`
}

var _ Fault = (*FDLimit)(nil)

// Kind is "fd_limit".
func (*FDLimit) Kind() string { return "fd_limit" }

func (f *FDLimit) String() string {
	if f.Limit == 0 {
		return fmt.Sprintf("%d descriptors left for %s", f.Spare, f.Process)
	}
	return fmt.Sprintf("limit of %d descriptors for %s", f.Limit, f.Process)
}

// Validate wants the name of a process and one of the two numbers.
func (f *FDLimit) Validate() error {
	if f.Limit < 0 || f.Spare < 0 {
		return errors.New("limit and spare are 0 or more")
	}
	if f.Limit > 0 && f.Spare > 0 {
		return errors.New("limit and spare exclude each other; leave one out")
	}
	return checkProcessName(f.Process)
}

const cannotLimitFiles = "be given a limit of open files"

// Available wants a process of that name whose limit can be changed.
func (f *FDLimit) Available(s Surface) error {
	_, err := ableOf[FileLimiter](s, f.Process, cannotLimitFiles)
	return err
}

// Inject proves itself by the limits that the kernel shows. That the process ran out shows when it is healed.
func (f *FDLimit) Inject(ctx context.Context, s Surface) (Injection, error) {
	return effectFault[FileLimiter]{fault: f, process: f.Process, lacks: cannotLimitFiles, begin: f.begin}.inject(ctx, s)
}

func (f *FDLimit) begin(ctx context.Context, p FileLimiter) (processEffect, error) {
	l := &fdLimit{process: p, done: make(chan struct{})}
	if err := f.limit(ctx, l); err != nil {
		close(l.done)
		return l, err
	}
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	go l.watch(ctx)
	return l, nil
}

func (f *FDLimit) limit(ctx context.Context, l *fdLimit) error {
	before, err := l.process.Files(ctx)
	if err != nil {
		return err
	}
	if err := l.process.LimitFiles(ctx, f.Limit, f.Spare); err != nil {
		return err
	}
	now, err := l.process.Files(ctx)
	if err != nil {
		return err
	}
	main := now[0]
	what := fmt.Sprintf("limit of %s %d instead of %d, with %d open", l.process.Name(), main.Limit, before[0].Limit, main.Open)
	if f.Limit > 0 {
		l.proof = Evidence{What: what, Want: float64(f.Limit), Got: float64(main.Limit), Unit: "descriptors", Seen: main.Limit == f.Limit}
	} else {
		l.proof = Evidence{What: what, Want: float64(f.Spare), Got: float64(main.Spare), Unit: "descriptors left", Seen: main.Limit < before[0].Limit}
	}
	return nil
}

// fdLimit is a limit in force on one process.
type fdLimit struct {
	process FileLimiter
	proof   Evidence
	stop    context.CancelFunc // nil when there was nothing to watch
	done    chan struct{}

	mu    sync.Mutex
	least FileUse // the process that came closest to its limit, when it did
	looks int
}

func (l *fdLimit) landed() Evidence { return l.proof }

// watch looks again and again how close the processes come to their limit: one that ran out may have closed files since.
func (l *fdLimit) watch(ctx context.Context) {
	defer close(l.done)
	for ok := true; ok; ok = pause(ctx, 10*time.Millisecond) {
		l.look(ctx)
	}
}

func (l *fdLimit) look(ctx context.Context) {
	uses, err := l.process.Files(ctx)
	if err != nil {
		return // it is being started again, or is gone
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, u := range uses {
		if l.looks == 0 || u.Spare < l.least.Spare {
			l.least = u
		}
		l.looks++
	}
}

func (l *fdLimit) end(ctx context.Context) (Evidence, error) {
	if l.stop != nil {
		l.stop()
	}
	<-l.done
	if l.stop != nil {
		l.look(ctx)
	}
	if err := l.process.UnlimitFiles(ctx); err != nil {
		return Evidence{}, err
	}
	if err := running(ctx, l.process); err != nil {
		return Evidence{}, err
	}
	e := Evidence{
		What: fmt.Sprintf("%s had a process with %d of %d descriptors open", l.process.Name(), l.least.Open, l.least.Limit),
		Got:  float64(l.least.Spare), Unit: "descriptors left", Seen: l.looks > 0 && l.least.Spare == 0,
	}
	return e, nil
}
