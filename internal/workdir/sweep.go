package workdir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"shakedown/internal/proc/procfs"
)

// Swept says what a sweep did.
type Swept struct {
	// Runs are the ids of the dead runs whose directories were removed.
	Runs []string
	// Processes are those that were ended, in words: "redis (pid 4711)".
	Processes []string
	// Faults are those that a dead run had not healed and that the sweep undid, in the words of their journal. What acted
	// through the run's own processes ended with them, and is not among them.
	Faults []string
}

// Sweep ends what dead runs left behind and removes their directories. A run is dead when its lock is free. It ends a
// process only when the dead run's journal names its pid, start time and boot, when it carries the run's own marker in
// its environment, or when it runs a program that the journal names in the run's directory. Then it takes back what the
// run changed beside its processes, the last change first; a run of which something cannot be taken back keeps its
// directory, so that the next sweep tries again. Sweeps may run at the same time as each other and as new runs.
func (r *Root) Sweep(ctx context.Context, undos ...Undo) (Swept, error) {
	var swept Swept
	var errs []error
	for deadline := time.Now().Add(forkWait); ; {
		claims, dying, err := r.claim()
		errs = append(errs, err)
		for _, c := range claims {
			errs = append(errs, c.clean(ctx, undos, &swept))
		}
		if dying == 0 || time.Now().After(deadline) || errors.Join(errs...) != nil {
			return swept, errors.Join(errs...)
		}
		select {
		case <-ctx.Done():
			return swept, fmt.Errorf("waiting for the locks of %d dead runs: %w", dying, context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// forkWait is how long a sweep waits for a lock whose owner is dead. A harness that was killed in the middle of a fork left a
// child that holds the lock until it executes its program; on a busy machine that may take a while.
const forkWait = 10 * time.Second

// claim is a dead run's directory, under the lock that its owner lost. lock is nil when the owner died before it made one.
type claim struct {
	id, dir string
	lock    *os.File
}

// claim takes the dead runs, and counts those whose owner is dead while their lock is not free yet.
func (r *Root) claim() (claims []claim, dying int, err error) {
	unlock, err := r.lock()
	if err != nil {
		return nil, 0, err
	}
	defer unlock()
	dirs, err := os.ReadDir(r.work())
	if err != nil {
		return nil, 0, fmt.Errorf("listing runs: %w", err)
	}
	var errs []error
	for _, d := range dirs {
		if strings.HasPrefix(d.Name(), deadPrefix) { // its removal was cut short
			errs = append(errs, os.RemoveAll(filepath.Join(r.work(), d.Name())))
		}
		if !d.IsDir() || !runID.MatchString(d.Name()) {
			continue
		}
		c := claim{id: d.Name(), dir: filepath.Join(r.work(), d.Name())}
		switch dead, err := c.take(); {
		case err != nil:
			errs = append(errs, err)
		case dead:
			claims = append(claims, c)
		case c.ownerGone():
			dying++
		}
	}
	return claims, dying, errors.Join(errs...)
}

// take locks the directory when its owner is dead. It is called under the root's lock.
func (c *claim) take() (dead bool, err error) {
	path := filepath.Join(c.dir, lockFile)
	// A maker holds the root's lock until it holds this one: a directory without it has no maker any more. The sweep
	// makes the lock, so that no other sweep claims the directory too.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // another sweep has just removed the directory
	}
	if err != nil {
		return false, explain("claiming a dead run", path, err)
	}
	if err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return false, nil
		}
		return false, fmt.Errorf("locking %s: %w", path, err)
	}
	// Another sweep may have removed the directory between the opening and the locking.
	mine, err1 := f.Stat()
	now, err2 := os.Stat(path)
	if err1 != nil || err2 != nil || !os.SameFile(mine, now) {
		return false, f.Close()
	}
	c.lock = f
	return true, nil
}

// ownerGone says whether the harness that made the run is known to be dead. It decides only whether a lock is worth
// waiting for: seen from another pid namespace, a live harness looks dead too.
func (c *claim) ownerGone() bool {
	boot, err1 := procfs.BootID()
	l, err2 := readJournal(c.dir)
	return err1 == nil && err2 == nil && l.owner.gone(boot)
}

func (c *claim) clean(ctx context.Context, undos []Undo, swept *Swept) error {
	defer func() { _ = c.lock.Close() }()
	l, err := readJournal(c.dir)
	if err != nil {
		return fmt.Errorf("run %s: %w", c.id, err)
	}
	ended, err := c.endAll(ctx, l)
	swept.Processes = append(swept.Processes, ended...)
	if err != nil {
		return fmt.Errorf("run %s: %w", c.id, err)
	}
	undone, err := undo(ctx, undos, l.faults)
	swept.Faults = append(swept.Faults, undone...)
	if err != nil {
		return fmt.Errorf("run %s: %w", c.id, err)
	}
	if err := remove(c.dir); err != nil {
		return fmt.Errorf("run %s: removing its directory: %w", c.id, err)
	}
	swept.Runs = append(swept.Runs, c.id)
	return nil
}

// quietLooks is how many looks in a row must find nothing. One is not enough: a process may fork after the look has listed
// the pids, and end before the look comes to it.
const quietLooks = 3

// endAll kills what is left of the run and returns once nothing of it is found any more.
func (c *claim) endAll(ctx context.Context, l left) ([]string, error) {
	var ended []string
	told := map[int]bool{}
	for quiet := 0; ; {
		live, err := c.find(l)
		if err != nil {
			return ended, err
		}
		if quiet++; len(live) > 0 {
			quiet = 0
		}
		if quiet == quietLooks {
			return ended, nil
		}
		for _, st := range live {
			if !told[st.PID] {
				told[st.PID] = true
				ended = append(ended, fmt.Sprintf("%s (pid %d)", st.Command, st.PID))
			}
			if err := kill(st); err != nil {
				return ended, fmt.Errorf("ending %s (pid %d): %w", st.Command, st.PID, err)
			}
		}
		select {
		case <-ctx.Done():
			return ended, fmt.Errorf("waiting for %d processes to end: %w", len(live), context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// find lists the live processes that the dead run left.
func (c *claim) find(l left) ([]procfs.Stat, error) {
	boot, err := procfs.BootID()
	if err != nil {
		return nil, err
	}
	all, err := procfs.All()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(st procfs.Stat) bool {
		return st.Gone() || st.PID == os.Getpid() || !c.owns(l, st, boot)
	}), nil
}

func (c *claim) owns(l left, st procfs.Stat, boot string) bool {
	for _, p := range l.procs {
		if p.PID == st.PID && p.StartTicks == st.StartTicks && p.Boot == boot {
			return true
		}
	}
	if l.marker != "" && procfs.HasEnv(st.PID, l.marker) {
		return true
	}
	// PostgreSQL's backends and Redis overwrite their environment with a title.
	dir := procfs.Dir(st.PID)
	return strings.HasPrefix(dir, c.dir+"/") && slices.Contains(l.exes, procfs.Exe(st.PID))
}

// kill ends exactly the process that was looked at: the descriptor holds on to it, so that a pid which was reused in
// between is noticed (pidfd_open(2)).
func kill(want procfs.Stat) error {
	p, err := os.FindProcess(want.PID)
	if err != nil {
		return err
	}
	defer func() { _ = p.Release() }()
	if now, err := procfs.ReadStat(want.PID); err != nil || now.StartTicks != want.StartTicks {
		return nil
	}
	if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// String says in a line what the sweep did.
func (s Swept) String() string {
	if len(s.Runs)+len(s.Processes)+len(s.Faults) == 0 {
		return "nothing was left"
	}
	line := fmt.Sprintf("removed what %d killed runs left", len(s.Runs))
	if len(s.Processes) > 0 {
		line += "; ended " + strings.Join(s.Processes, ", ")
	}
	if len(s.Faults) > 0 {
		line += "; undid " + strings.Join(s.Faults, ", ")
	}
	return line
}
