package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"shakedown/internal/proc/procfs"
)

// State is the state of a process as the kernel sees it.
type State string

// The states of a process. A zombie is gone.
const (
	Running State = "running"
	Stopped State = "stopped"
	Gone    State = "gone"
)

// Process is a child that a Keeper started. Its methods may be called from many goroutines.
type Process struct {
	spec       Spec
	keeper     *Keeper
	marker     string
	intent     int
	cmd        *exec.Cmd
	gate       *os.File
	startTicks uint64
	logFrom    int64 // where this process's part of the log begins
	mu         sync.Mutex
	left       []procfs.Stat // without a namespace: what was below it when it was killed; see endRunaways
	expected   atomic.Bool
	done       chan struct{}
	err        error // set before done is closed
}

// Name is the name given in the Spec.
func (p *Process) Name() string { return p.spec.Name }

// Pid is the process's id as the harness sees it; inside its namespace it may have another.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed once the process is gone, its output written and, in every containment, all it started is gone too.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is nil while the process runs and when it ended with status 0; otherwise it says how it ended.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// ExitState says in words how the process ended: "exit status 1", "signal: killed"; "running" while it has not.
func (p *Process) ExitState() string {
	select {
	case <-p.done:
		return p.cmd.ProcessState.String()
	default:
		return "running"
	}
}

// Expected says whether the end of the process was asked for, by Kill, Stop, StopAll or Close, before it came.
func (p *Process) Expected() bool { return p.expected.Load() }

// expect notes that the end is asked for. Asking a process that has ended by itself does not make its end expected.
func (p *Process) expect() {
	if st, err := p.State(); err != nil || st != Gone {
		p.expected.Store(true)
	}
}

// Tail is the last n lines that this process wrote to its log, oldest first, for error messages.
func (p *Process) Tail(n int) []string { return lastLines(p.spec.Log, p.logFrom, n) }

// wait is the one goroutine that owns the process: it reaps it, and then what it left.
func (p *Process) wait() {
	err := p.cmd.Wait()
	if !errors.Is(err, exec.ErrWaitDelay) { // output cut off by a runaway says nothing about the process
		p.err = err
	}
	p.endRunaways()
	p.keeper.forget(p)
	close(p.done)
}

// Kill ends the process and all it started with SIGKILL and returns once they are gone.
func (p *Process) Kill(ctx context.Context) error {
	p.expect()
	if err := p.killAll(); err != nil {
		return fmt.Errorf("killing %s: %w", p.Name(), err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("killing %s: it is still there: %w", p.Name(), context.Cause(ctx))
	}
}

// Stop asks the process to end with the given signal, and kills it after the grace, or at once when the context ends. A
// paused process is resumed first, or it could not hear the signal. It returns once the process is gone.
func (p *Process) Stop(ctx context.Context, sig syscall.Signal, grace time.Duration) error {
	p.expect()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	if err := p.signal(sig); err != nil {
		return fmt.Errorf("stopping %s: %w", p.Name(), err)
	}
	if err := p.Resume(ctx); err == nil {
		select {
		case <-p.done:
			return nil
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), killWait)
	defer cancel()
	return p.Kill(clean)
}

// signal reaches the process alone. One that is gone is no error.
func (p *Process) signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// killAll reaches the process, and without a namespace its process group and what can be seen below it.
func (p *Process) killAll() error {
	if !p.keeper.containment.namespaced() {
		tree, err := p.tree()
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.left = append(p.left, tree...)
		p.mu.Unlock()
		// While the process is not waited for, neither its pid nor its group can be anybody else's.
		if st, err := procfs.ReadStat(p.Pid()); err == nil && st.StartTicks == p.startTicks {
			_ = syscall.Kill(-p.Pid(), syscall.SIGKILL)
		}
	}
	return p.signal(syscall.SIGKILL)
}

// Killed says whether the process has ended by SIGKILL.
func (p *Process) Killed() bool {
	select {
	case <-p.done:
		s, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
		return ok && s.Signaled() && s.Signal() == syscall.SIGKILL
	default:
		return false
	}
}

// State is what the kernel says of the process now.
func (p *Process) State() (State, error) {
	select {
	case <-p.done:
		return Gone, nil
	default:
	}
	st, err := procfs.ReadStat(p.Pid())
	switch {
	case errors.Is(err, procfs.ErrGone):
		return Gone, nil
	case err != nil:
		return "", fmt.Errorf("state of %s: %w", p.Name(), err)
	case st.Gone() || st.StartTicks != p.startTicks:
		return Gone, nil
	case st.Stopped():
		return Stopped, nil
	}
	return Running, nil
}
