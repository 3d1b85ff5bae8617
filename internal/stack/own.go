package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"shakedown/chaos"
	"shakedown/chaos/disk"
	"shakedown/internal/netns"
	"shakedown/internal/proc"
	"shakedown/internal/subject"
	"shakedown/internal/workdir"
)

// own is a server's process that the run started, and that faults may act on: it is started again on the same data and socket.
type own struct {
	*subject.Subject
	keeper  *proc.Keeper
	dir     string // of its data and socket; gone when the server is stopped
	spec    proc.Spec
	sig     syscall.Signal                           // asks the server to end
	healthy func(context.Context) error              // asks the server a question
	now     func(context.Context) (time.Time, error) // asks the server for the time
	words   func(lines []string) string              // what the server says is wrong, from the end of its log
	refuses func(lines []string) bool                // whether the end of the log is about a setting
	tail    int                                      // how many of its last lines those two are given; 0: 20
	prepare func(context.Context) error              // before each start; nil for nothing
	disk    *dataDisk                                // of its data; nil when that is in dir

	mu sync.Mutex // held while the process is replaced
}

var _ chaos.Subject = (*own)(nil)

// newSubject is what faults act on of a server that is started so.
func newSubject(o StartOptions, dir string) *subject.Subject {
	return subject.New(subject.Options{
		Keeper: o.Keeper, Journal: o.Run.Journal(), Run: o.Run.ID(), Name: filepath.Base(dir), Dir: dir, Arrangement: o.Arrangement,
	})
}

const (
	// startWait bounds a start; a server that recovers from a kill replays its log first.
	startWait = 2 * time.Minute
	// stopGrace is how long a server may take to end in order.
	stopGrace = 10 * time.Second
	askEvery  = 5 * time.Millisecond
)

// Name is the server's name.
func (o *own) Name() string { return o.spec.Name }

// Start starts the server and returns once it answers. One that runs already is an error.
func (o *own) Start(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if st, err := o.State(ctx); err == nil && st != chaos.Gone { // before anything of the running server's is prepared anew
		return fmt.Errorf("starting %s: it runs already", o.Name())
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startWait, fmt.Errorf("it did not answer within %v", startWait))
	defer cancel()
	if o.prepare != nil {
		if err := o.prepare(ctx); err != nil {
			return fmt.Errorf("starting %s: %w", o.Name(), err)
		}
	}
	p, err := o.Launch(ctx, o.spec)
	if err != nil {
		return err
	}
	if err := o.await(ctx, p); err != nil {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), startWait)
		defer cancel()
		return errors.Join(fmt.Errorf("starting %s: %w", o.Name(), err), p.Kill(clean))
	}
	return nil
}

// await asks until the server answers or dies.
func (o *own) await(ctx context.Context, p *proc.Process) error {
	for {
		err := o.healthy(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.Done():
			if o.refuses(o.lastLines(p)) {
				return &SettingError{o.lastWords(p)}
			}
			return o.lastWords(p)
		case <-ctx.Done():
			return fmt.Errorf("%w (last: %w)", context.Cause(ctx), err)
		case <-time.After(askEvery):
		}
	}
}

func (o *own) lastLines(p *proc.Process) []string { return p.Tail(cmp.Or(o.tail, 20)) }

// lastWords says in one line how the server ended and what it said last.
func (o *own) lastWords(p *proc.Process) error {
	words := o.words(o.lastLines(p))
	if words == "" {
		words = "it said nothing"
	}
	return fmt.Errorf("the server ended (%s): %s", p.ExitState(), words)
}

// Answers asks the server a question.
func (o *own) Answers(ctx context.Context) error { return o.healthy(ctx) }

// ownDisk is the disk of a server that may not be the run's own.
func (o *own) ownDisk() *disk.Disk {
	if o == nil || o.disk == nil {
		return nil
	}
	return o.disk.Disk
}

// Time asks the server for the time.
func (o *own) Time(ctx context.Context) (time.Time, error) { return o.now(ctx) }

// stop ends the server and removes what it kept, so that a run of many trials does not fill the disk.
func (o *own) stop(ctx context.Context) error {
	var errs []error
	if p := o.Process(); p != nil {
		errs = append(errs, p.Stop(ctx, o.sig, stopGrace))
	}
	if err := errors.Join(append(errs, o.Close(ctx), o.disk.close(ctx))...); err != nil {
		return err
	}
	return os.RemoveAll(o.dir)
}

func (o *own) crashed() error {
	if err := o.disk.crashed(); err != nil {
		return err
	}
	p := o.Process()
	select {
	case <-p.Done():
		if !p.Expected() {
			return fmt.Errorf("%s died: %w", o.Name(), o.lastWords(p))
		}
	default:
	}
	return nil
}

// networkOf is the namespace of a host; nil, the machine's own, for none.
func networkOf(host *netns.Host) *os.File {
	if host == nil {
		return nil
	}
	return host.Namespace().File()
}

// addrOn is a port of a host's address; empty for no host.
func addrOn(host *netns.Host, port string) string {
	if host == nil {
		return ""
	}
	return net.JoinHostPort(host.Addr().String(), port)
}

// newDir makes a directory for one server of the run: <run>/<name>, or <name>-2 and so on when there are several.
func newDir(run *workdir.Run, name string) (string, error) {
	for n := 1; ; n++ {
		dir := filepath.Join(run.Dir(), name)
		if n > 1 {
			dir = fmt.Sprintf("%s-%d", dir, n)
		}
		err := os.Mkdir(dir, 0o755)
		if err == nil {
			return dir, giveAway(dir)
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("making the directory of %s: %w", name, err)
		}
	}
}

// giveAway makes the engines' user the owner of a file, where there is such a user.
func giveAway(path string) error {
	if user, drops := workdir.EngineUser(); drops {
		return os.Lchown(path, int(user.UID), int(user.GID))
	}
	return nil
}

// credential is the user that engines run as; nil when that is the harness's own.
func credential() *syscall.Credential {
	user, drops := workdir.EngineUser()
	if !drops {
		return nil
	}
	return &syscall.Credential{Uid: user.UID, Gid: user.GID}
}

// oneLine joins lines and drops what is blank.
func oneLine(lines []string) string {
	var parts []string
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, " | ")
}
