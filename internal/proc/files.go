package proc

import (
	"context"
	"errors"
	"fmt"
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

func setSoftLimit(f procfs.Files, limit int) error {
	err := unix.Prlimit(f.PID, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(limit), Max: f.Hard}, nil)
	if errors.Is(err, unix.ESRCH) {
		return nil // it has ended
	}
	return err
}
