package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"shakedown/internal/proc/procfs"
)

// Files reads the limits and open files of the process and all it started, the process itself first. One that ends
// meanwhile is left out.
func (p *Process) Files() ([]procfs.Files, error) {
	tree, err := p.tree()
	if err != nil {
		return nil, err
	}
	var all []procfs.Files
	for _, st := range tree {
		files, err := procfs.ReadFiles(st.PID)
		switch {
		case err == nil:
			all = append(all, files)
		case !errors.Is(err, procfs.ErrGone):
			return nil, fmt.Errorf("open files of %s: %w", p.Name(), err)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("open files of %s: %w", p.Name(), errGone)
	}
	return all, nil
}

// LimitFiles sets the soft limit on open files (RLIMIT_NOFILE, prlimit(2)) of the process and all it started to what limit
// wants, given what each has open; the hard limit stays. It returns once a look at all of them finds nothing to change: what
// is forked in between inherits the limit of its parent, old or new, and is met by the next look.
func (p *Process) LimitFiles(ctx context.Context, limit func(procfs.Files) int) error {
	limited := map[int]int{} // what was wanted of each process when it was first met
	for quiet := 0; quiet < quietLooks; {
		all, err := p.Files()
		if err != nil {
			return err
		}
		quiet++
		for _, f := range all {
			want, met := limited[f.PID]
			if !met {
				want = limit(f)
				limited[f.PID] = want
			}
			if f.Limit == want {
				continue
			}
			quiet = 0
			if err := setSoftLimit(f, want); err != nil {
				return fmt.Errorf("limiting the open files of %s (pid %d): %w", p.Name(), f.PID, err)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("limiting the open files of %s: %w", p.Name(), context.Cause(ctx))
		case <-time.After(look):
		}
	}
	return nil
}

// setSoftLimit changes the limit of one process. A root that may not administer resources, as in most containers, may change
// the limits of its own user only (prlimit(2)); it becomes the process's user for that.
func setSoftLimit(f procfs.Files, limit int) error {
	set := func() error {
		return unix.Prlimit(f.PID, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(limit), Max: f.Hard}, nil)
	}
	err := set()
	if errors.Is(err, unix.EPERM) && os.Geteuid() == 0 {
		err = asUserOf(f.PID, set)
	}
	if errors.Is(err, unix.ESRCH) {
		return nil // it has ended
	}
	return err
}

// asUserOf does something on a thread that has the user and group of the process, and that ends with it.
func asUserOf(pid int, do func() error) error {
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return unix.ESRCH
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return unix.ENOTSUP
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- func() error {
			// System calls, not package syscall: that changes all threads.
			for _, id := range []struct {
				call uintptr
				id   uint32
			}{{unix.SYS_SETRESGID, owner.Gid}, {unix.SYS_SETRESUID, owner.Uid}} {
				if _, _, errno := unix.RawSyscall(id.call, uintptr(id.id), uintptr(id.id), uintptr(id.id)); errno != 0 {
					return errno
				}
			}
			return do()
		}()
	}()
	err = <-done
	// The kernel hides a process from its own user once one of its threads has changed it (PR_SET_DUMPABLE(2const)).
	return errors.Join(err, unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0))
}
