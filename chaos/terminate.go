package chaos

import (
	"context"
	"fmt"
	"time"

	"shakedown/internal/units"
)

// Terminate asks a process to end, as an orchestrator does when it moves it: a signal, a grace, and SIGKILL for what is left
// then. Healing starts it again.
type Terminate struct {
	Process string `json:"process"`
	// Signal is TERM (when left out), INT, QUIT or HUP. PostgreSQL waits for its clients at TERM, and not at INT.
	Signal Signal `json:"signal,omitempty"`
	// Grace is how long it may take to end; left out, ten seconds.
	Grace units.Duration `json:"grace,omitempty"`
}

var _ Fault = (*Terminate)(nil)

// Kind is "terminate".
func (*Terminate) Kind() string { return "terminate" }

func (f *Terminate) String() string {
	return fmt.Sprintf("SIG%s to %s, and SIGKILL after %v", f.signal(), f.Process, f.grace())
}

func (f *Terminate) signal() Signal {
	if f.Signal == "" {
		return TERM
	}
	return f.Signal
}

func (f *Terminate) grace() time.Duration {
	if f.Grace == 0 {
		return 10 * time.Second
	}
	return f.Grace.D()
}

// Validate wants the name of a process, a signal that asks for an end, and a grace that is not negative.
func (f *Terminate) Validate() error {
	switch f.signal() {
	case TERM, INT, QUIT, HUP:
	default:
		return fmt.Errorf("signal %q does not ask for an end; it is TERM, INT, QUIT or HUP", f.Signal)
	}
	if f.Grace < 0 || f.Grace > 60*units.Second {
		return fmt.Errorf("grace is %v; it is at most a minute, and 10s when left out", f.Grace)
	}
	return checkProcessName(f.Process)
}

const cannotTerminate = "be asked to end"

// Available wants a process of that name that can be asked to end.
func (f *Terminate) Available(s Surface) error {
	_, err := ableOf[Terminator](s, f.Process, cannotTerminate)
	return err
}

// Inject proves itself by the process being gone, and says whether it went in order.
func (f *Terminate) Inject(ctx context.Context, s Surface) (Injection, error) {
	return effectFault[Terminator]{fault: f, process: f.Process, lacks: cannotTerminate, begin: f.begin}.inject(ctx, s)
}

func (f *Terminate) begin(ctx context.Context, p Terminator) (processEffect, error) {
	t := &termination{process: p, since: time.Now()}
	ending, err := p.Terminate(ctx, f.signal(), f.grace())
	if err != nil {
		return t, err
	}
	gone, err := observe(ctx, p, Gone)
	if err != nil {
		return t, err
	}
	how := fmt.Sprintf("%s ended in order after %v (%s)", p.Name(), ending.Took.Round(time.Millisecond), ending.How)
	if ending.Killed {
		how = fmt.Sprintf("%s did not end within %v and was killed", p.Name(), f.grace())
	}
	t.proof = Evidence{What: how, Seen: gone.Seen}
	return t, nil
}

// termination is a process that was ended and is started again.
type termination struct {
	process Process
	since   time.Time
	proof   Evidence
}

func (t *termination) landed() Evidence { return t.proof }

func (t *termination) end(ctx context.Context) (Evidence, error) {
	if err := running(ctx, t.process); err != nil {
		return Evidence{}, err
	}
	return Evidence{What: fmt.Sprintf("%s back after %v", t.process.Name(), time.Since(t.since).Round(time.Millisecond)), Seen: true}, nil
}
