package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"shakedown/internal/proc/procfs"
)

const (
	// look is the pause between two looks at /proc.
	look = time.Millisecond
	// quietLooks in a row must find nothing: a process may fork after a look has listed the pids, and end before the
	// look comes to it.
	quietLooks = 3
)

// Pause stops the process and all it started, top-down, and returns once the kernel says that every one is stopped. When it
// cannot, it resumes what it stopped and says why.
func (p *Process) Pause(ctx context.Context) error {
	err := p.settle(ctx, syscall.SIGSTOP, procfs.Stat.Stopped)
	if err == nil {
		return nil
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), killWait)
	defer cancel()
	return fmt.Errorf("pausing %s: %w", p.Name(), errors.Join(err, p.Resume(clean)))
}

// Resume lets the process and all it started go on. Resuming what is not paused, or is gone, is no error.
func (p *Process) Resume(ctx context.Context) error {
	err := p.settle(ctx, syscall.SIGCONT, func(st procfs.Stat) bool { return !st.Stopped() })
	if err != nil && !errors.Is(err, errGone) {
		return fmt.Errorf("resuming %s: %w", p.Name(), err)
	}
	return nil
}

var errGone = errors.New("the process is gone")

// settle signals the tree until a whole look at it finds every process in the wanted state. A parent is signalled before
// its children, so that it cannot start more of them unseen; what was started during a look is met by the next one.
func (p *Process) settle(ctx context.Context, sig syscall.Signal, settled func(procfs.Stat) bool) error {
	for {
		tree, err := p.tree()
		if err != nil {
			return err
		}
		if len(tree) == 0 {
			return errGone
		}
		open := 0
		for _, st := range tree {
			if !settled(st) {
				open++
				_ = signalExactly(st, sig) // the next look sees whether it worked
			}
		}
		if open == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of its %d processes do not follow: %w", open, len(tree), context.Cause(ctx))
		case <-time.After(look):
		}
	}
}

// tree is the process with all below it, and without a namespace also what ran away from it.
func (p *Process) tree() ([]procfs.Stat, error) {
	select {
	case <-p.done:
		return nil, nil
	default:
	}
	tree, err := procfs.Tree(p.Pid())
	if err != nil || p.keeper.containment.namespaced() || len(tree) == 0 {
		return tree, err
	}
	known := map[int]bool{}
	for _, st := range tree {
		known[st.PID] = true
	}
	strays, err := marked(p.marker)
	for _, st := range strays {
		if !known[st.PID] && !st.Gone() {
			tree = append(tree, st)
		}
	}
	return tree, err
}

// marked lists the processes, zombies too, that came to this harness as orphans or carry the marker.
func marked(marker string) ([]procfs.Stat, error) {
	all, err := procfs.All()
	if err != nil {
		return nil, err
	}
	var found []procfs.Stat
	for _, st := range all {
		if st.PID != os.Getpid() && procfs.HasEnv(st.PID, marker) {
			found = append(found, st)
		}
	}
	return found, nil
}

// endRunaways kills what the process started and left behind. In a namespace the kernel has done so already. Elsewhere
// the orphans are now children of this harness, their subreaper, and are reaped too.
func (p *Process) endRunaways() {
	if p.keeper.containment.namespaced() {
		return
	}
	quiet := 0
	for deadline := time.Now().Add(killWait); quiet < quietLooks && time.Now().Before(deadline); time.Sleep(look) {
		strays, err := marked(p.marker)
		if err != nil {
			return
		}
		p.mu.Lock()
		strays = append(strays, p.left...) // some programs overwrite their environment, and the marker in it
		p.mu.Unlock()
		quiet++
		for _, st := range strays {
			if st.PID != p.Pid() && !ended(st) {
				quiet = 0
			}
		}
	}
}

// ended kills the process that was looked at, reaps it if that falls to the harness, and says whether it is gone.
func ended(was procfs.Stat) bool {
	now, err := procfs.ReadStat(was.PID)
	if err != nil || now.StartTicks != was.StartTicks {
		return true
	}
	if !now.Gone() {
		_ = signalExactly(was, syscall.SIGKILL)
	}
	if now.Parent != os.Getpid() {
		return now.Gone()
	}
	// Only a process that ran away can get here: the Keeper's own children are left out by the caller.
	got, err := unix.Wait4(was.PID, nil, unix.WNOHANG, nil)
	return got == was.PID || err != nil
}

// signalExactly signals the process that was looked at, never one that has taken over its pid: the descriptor holds on
// to the process while its start time is compared (pidfd_open(2)).
func signalExactly(want procfs.Stat, sig syscall.Signal) error {
	p, err := os.FindProcess(want.PID)
	if err != nil {
		return err
	}
	defer func() { _ = p.Release() }()
	if now, err := procfs.ReadStat(want.PID); err != nil || now.StartTicks != want.StartTicks {
		return nil
	}
	return p.Signal(sig)
}
