package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"shakedown/internal/units"
)

// CrashLoop kills a process, starts it again, lets it run for a while, and kills it again, until it is healed. Healing leaves
// it running.
type CrashLoop struct {
	Process string `json:"process"`
	// Up is how long it runs, healthy, between its start and its next end.
	Up units.Duration `json:"up"`
	// Down is how long it is gone before it is started again; starting takes its own time on top.
	Down units.Duration `json:"down,omitempty"`
}

var _ Fault = (*CrashLoop)(nil)

// Kind is "crash_loop".
func (*CrashLoop) Kind() string { return "crash_loop" }

func (f *CrashLoop) String() string {
	return fmt.Sprintf("crash loop of %s, %v up and %v down", f.Process, f.Up, f.Down)
}

// Validate wants the name of a process, and times that are not negative.
func (f *CrashLoop) Validate() error {
	if f.Up <= 0 {
		return fmt.Errorf("up is %v; write how long it runs between its ends, such as 2s", f.Up)
	}
	if f.Down < 0 {
		return fmt.Errorf("down is %v; it is 0 or more", f.Down)
	}
	return checkProcessName(f.Process)
}

// Available wants a process of that name.
func (f *CrashLoop) Available(s Surface) error {
	_, err := processesOf(s, f.Process)
	return err
}

// Inject proves itself by the process being gone for the first time.
func (f *CrashLoop) Inject(ctx context.Context, s Surface) (Injection, error) {
	return effectFault[Process]{fault: f, process: f.Process, begin: f.begin}.inject(ctx, s)
}

func (f *CrashLoop) begin(ctx context.Context, p Process) (processEffect, error) {
	l := &crashLoop{CrashLoop: f, process: p, done: make(chan struct{}), since: time.Now()}
	if err := p.Kill(ctx); err != nil {
		close(l.done)
		return l, err
	}
	proof, err := observe(ctx, p, Gone)
	if err != nil {
		close(l.done)
		return l, err
	}
	l.proof, l.kills = proof, 1
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx)) // it goes on until it is healed
	go l.run(ctx)
	return l, nil
}

// crashLoop is the loop around one process.
type crashLoop struct {
	*CrashLoop
	process Process
	proof   Evidence
	since   time.Time
	stop    context.CancelFunc // nil when the loop never began
	done    chan struct{}      // closed when nobody kills or starts any more

	mu              sync.Mutex
	kills, restarts int
	failed          error // the last start that failed
}

func (l *crashLoop) landed() Evidence { return l.proof }

// run has one owner: end waits for it.
func (l *crashLoop) run(ctx context.Context) {
	defer close(l.done)
	for pause(ctx, l.Down.D()) {
		err := l.process.Start(ctx)
		l.count(ctx, &l.restarts, err)
		if err != nil {
			continue // it is gone still, and is started again after another while
		}
		if !pause(ctx, l.Up.D()) {
			return
		}
		l.count(ctx, &l.kills, l.process.Kill(context.WithoutCancel(ctx))) // a kill half done would end it after healing
	}
}

// count counts what was done, or keeps what kept it from being done; an end of the loop keeps nothing from being done.
func (l *crashLoop) count(ctx context.Context, n *int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		*n++
	case ctx.Err() == nil:
		l.failed = err
	}
}

// end stops the loop and leaves the process running.
func (l *crashLoop) end(ctx context.Context) (Evidence, error) {
	if l.stop != nil {
		l.stop()
	}
	select {
	case <-l.done:
	case <-ctx.Done():
		return Evidence{}, fmt.Errorf("it is still being killed or started: %w", context.Cause(ctx))
	}
	if err := running(ctx, l.process); err != nil {
		return Evidence{}, errors.Join(err, l.failed)
	}
	e := Evidence{
		What: fmt.Sprintf("%s killed %d times and started %d times in %v, then running", l.process.Name(), l.kills, l.restarts,
			time.Since(l.since).Round(time.Millisecond)),
		Want: 2, Got: float64(l.kills), Unit: "kills", Seen: l.kills >= 2 && l.restarts >= 1, // one kill is no loop
	}
	if l.failed != nil {
		e.What += fmt.Sprintf("; a start failed: %v", l.failed)
	}
	return e, nil
}

// pause waits, and says whether the time came before the end of ctx.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
