package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"shakedown/internal/proc/procfs"
)

// Journal is told of each process before it starts, so that a later run can end what a killed harness left.
// *workdir.Journal is one.
type Journal interface {
	// Marker is a NAME=value that every child carries in its environment.
	Marker() string
	// Intent announces a program; the number names it from here on.
	Intent(name, exe string) (int, error)
	// Started gives the pid and start time, before the program itself runs.
	Started(intent, pid int, startTicks uint64) error
	// Ended says that nothing is left of it.
	Ended(intent int) error
}

// childEnv marks a child and all that it starts, so that the weakest containment can find what ran away from it.
const childEnv = "SHAKEDOWN_CHILD"

// killWait is how long a SIGKILL may take to work: long enough for a machine that is very busy.
const killWait = 30 * time.Second

// Keeper starts processes and answers for them. Make one with NewKeeper.
type Keeper struct {
	journal     Journal
	containment Containment
	thread      chan func() // runs on the one thread that all children are started from
	threadDone  chan struct{}
	owners      sync.WaitGroup  // the goroutines that wait for children
	sched       *unix.SchedAttr // of the harness when it made the Keeper; nil: not known

	mu      sync.Mutex
	closed  bool
	started int
	live    []*Process // in the order of their start
}

// NewKeeper makes a Keeper under the strongest containment that works here. The journal may be nil: then nothing can be
// swept later.
func NewKeeper(journal Journal) *Keeper { return NewKeeperWith(journal, Containments()[0]) }

// NewKeeperWith is NewKeeper under a given containment.
func NewKeeperWith(journal Journal, c Containment) *Keeper {
	k := &Keeper{journal: journal, containment: c, thread: make(chan func()), threadDone: make(chan struct{}), sched: sched()}
	if !c.namespaced() {
		// Orphans of a child come to the harness, which can then end them. This cannot fail since Linux 3.4.
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	go k.starter()
	return k
}

// sched is how the kernel schedules the calling thread.
func sched() *unix.SchedAttr {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return nil
	}
	return attr
}

// starter is the thread that children are started from. The parent-death signal comes when the parent's thread ends, not
// its process (PR_SET_PDEATHSIG(2const)), so that thread must live as long as the Keeper does.
func (k *Keeper) starter() {
	defer close(k.threadDone)
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	for f := range k.thread {
		if k.sched != nil { // the harness may have raised the priority of all its threads; its children run at the one it was started with
			_ = unix.SchedSetAttr(0, k.sched, 0)
		}
		f()
	}
}

// Containment says how the Keeper's children are kept.
func (k *Keeper) Containment() Containment { return k.containment }

// Start starts a process. The context bounds the starting only, not the process's life. An error is one line that says
// what kept the program from starting; nothing is left running then.
func (k *Keeper) Start(ctx context.Context, spec Spec) (*Process, error) {
	p, err := k.start(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", spec.Name, err)
	}
	return p, nil
}

func (k *Keeper) start(ctx context.Context, spec Spec) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := spec.check(); err != nil {
		return nil, err
	}
	p := &Process{spec: spec, keeper: k, done: make(chan struct{})}
	if err := k.fork(p); err != nil {
		return nil, err
	}
	return p, p.passGate(ctx)
}

// fork starts the gate in front of the program and registers the process. A fork that succeeded is owned from here on.
func (k *Keeper) fork(p *Process) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return errors.New("the harness is stopping")
	}
	k.started++
	p.marker = fmt.Sprintf("%s=%d-%d-%s", childEnv, os.Getpid(), k.started, p.spec.Name)
	if err := k.announce(p); err != nil {
		return err
	}
	cmd, gate, closeFiles, err := k.command(p)
	if err != nil {
		return err
	}
	started := make(chan error)
	k.thread <- func() { started <- within(p.spec.Network, cmd.Start) }
	err = <-started
	closeFiles()
	if err != nil {
		_ = gate.Close()
		return err
	}
	p.cmd, p.gate = cmd, gate
	if st, err := procfs.ReadStat(cmd.Process.Pid); err == nil {
		p.startTicks = st.StartTicks // the pid cannot be reused before it is waited for
	}
	k.live = append(k.live, p)
	k.owners.Go(p.wait)
	return nil
}

func (k *Keeper) announce(p *Process) error {
	if k.journal == nil {
		return nil
	}
	exe, err := filepath.EvalSymlinks(p.spec.Path)
	if err != nil {
		return err
	}
	p.intent, err = k.journal.Intent(p.spec.Name, exe)
	return err
}

// command puts the gate in front of the program; closeFiles closes what only the child needs.
func (k *Keeper) command(p *Process) (cmd *exec.Cmd, gate *os.File, closeFiles func(), err error) {
	attr, err := k.containment.attributes(p.spec.Credential)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("containment %s: %w", k.containment, err)
	}
	log, err := p.spec.openLog()
	if err != nil {
		return nil, nil, nil, err
	}
	if info, err := log.Stat(); err == nil {
		p.logFrom = info.Size()
	}
	wait, gate, err := os.Pipe()
	if err != nil {
		_ = log.Close()
		return nil, nil, nil, err
	}
	path, err := filepath.Abs(p.spec.Path) // the child may start in another directory
	if err != nil {
		path = p.spec.Path
	}
	cmd = exec.Command(shell, append([]string{"-c", gateScript(len(p.spec.ExtraFiles)), p.spec.Name, path}, p.spec.Args...)...)
	cmd.SysProcAttr = attr
	cmd.Dir = p.spec.Dir
	cmd.Env = k.environment(p)
	cmd.Stdout, cmd.Stderr = log, log
	if p.spec.Stdout != nil {
		cmd.Stdout = p.spec.Stdout
	}
	if p.spec.Stdin != nil {
		cmd.Stdin = p.spec.Stdin
	}
	cmd.ExtraFiles = append(slices.Clone(p.spec.ExtraFiles), wait)
	// What runs away with the pipe must not keep the Keeper waiting for its end.
	cmd.WaitDelay = time.Second
	return cmd, gate, func() { _ = log.Close(); _ = wait.Close() }, nil
}

func (k *Keeper) environment(p *Process) []string {
	env := append(slices.Clone(p.spec.Environment()), p.marker)
	if k.journal != nil {
		env = append(env, k.journal.Marker())
	}
	return env
}

// forget is called once nothing is left of the process.
func (k *Keeper) forget(p *Process) {
	k.mu.Lock()
	k.live = slices.DeleteFunc(k.live, func(q *Process) bool { return q == p })
	k.mu.Unlock()
	if k.journal != nil {
		_ = k.journal.Ended(p.intent) // at worst a sweep looks for a process that is gone
	}
}

// StopAll ends every process in the reverse order of their start, each with SIGTERM and, five seconds later, SIGKILL. When
// the context ends first, the rest is killed at once. It returns when all are gone.
func (k *Keeper) StopAll(ctx context.Context) error {
	k.mu.Lock()
	live := slices.Clone(k.live)
	k.mu.Unlock()
	var errs []error
	for _, p := range slices.Backward(live) {
		errs = append(errs, p.Stop(ctx, syscall.SIGTERM, 5*time.Second))
	}
	return errors.Join(errs...)
}

// Close kills what still runs, waits until it is gone, and gives the thread back. No process can be started afterwards.
// Closing twice is no error.
func (k *Keeper) Close() error {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return nil
	}
	k.closed = true
	live := slices.Clone(k.live)
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), killWait)
	defer cancel()
	var errs []error
	for _, p := range slices.Backward(live) {
		errs = append(errs, p.Kill(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return err // the thread stays: it must outlive the children
	}
	k.owners.Wait()
	close(k.thread)
	<-k.threadDone
	return nil
}

// The gate is a shell that waits for a line on a pipe before it becomes the program. It shuts the one gap of the
// parent-death signal: a harness killed between fork and prctl(2) leaves a child that nobody will signal. Such a child
// reads the end of the pipe here, and ends. It also lets the journal have the pid before the program runs.
const (
	shell         = "/bin/sh"
	gateMark      = "|| exit 125; exec" // in the shell's command line until it becomes the program
	maxExtraFiles = 6                   // a POSIX shell need not know descriptors above 9
)

func gateScript(extra int) string {
	fd := strconv.Itoa(3 + extra)
	return strings.ReplaceAll(`read -r go <&FD `+gateMark+` FD<&-; unset go; exec "$@"`, "FD", fd)
}
