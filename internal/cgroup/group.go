package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"shakedown/internal/workdir"
)

// Journal is told of each group before it is made. *workdir.Journal is one.
type Journal interface {
	Fault(text, undo string, args ...string) (int, error)
	Healed(fault int) error
}

// prefix starts the name of every group that this package makes; it removes no others.
const prefix = "shakedown-"

// undoKind is what journals call the removal of a group.
const undoKind = "cgroup"

// Undo removes the groups of a run that was killed. Its arguments are their directories.
var Undo = workdir.Undo{Kind: undoKind, Do: func(ctx context.Context, dirs []string) error {
	for _, dir := range dirs {
		if !strings.HasPrefix(filepath.Base(dir), prefix) || !filepath.IsAbs(dir) {
			return fmt.Errorf("%s is not the group of a run", dir)
		}
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if !isCgroup(dir) {
			return fmt.Errorf("%s is no control group", dir)
		}
		if err := remove(ctx, dir, os.Remove); err != nil {
			return err
		}
	}
	return nil
}}

// isCgroup says whether the directory is the kernel's and not one of a disk.
func isCgroup(dir string) bool {
	var s unix.Statfs_t
	return unix.Statfs(dir, &s) == nil && (s.Type == unix.CGROUP_SUPER_MAGIC || s.Type == unix.CGROUP2_SUPER_MAGIC)
}

// Group is one control group. With version 1 it is a directory for each controller, with version 2 it is one.
type Group struct {
	journal Journal
	entry   int
	dirs    map[Controller]Place // Dir is the group's own directory
	rmdir   func(string) error
}

// New makes a group with the given controllers, named shakedown-NAME; the name must be the run's own.
func New(j Journal, name string, controllers ...Controller) (*Group, error) {
	return machine{}.make(j, name, os.Mkdir, os.Remove, controllers)
}

func (m machine) make(j Journal, name string, mkdir func(string, fs.FileMode) error, rmdir func(string) error, controllers []Controller) (*Group, error) {
	g := &Group{journal: j, dirs: map[Controller]Place{}, rmdir: rmdir}
	for _, c := range controllers {
		place, err := m.find(c)
		if err != nil {
			return nil, fmt.Errorf("control group %s: %w", name, err)
		}
		place.Dir = filepath.Join(place.Dir, prefix+name)
		g.dirs[c] = place
	}
	var err error
	if g.entry, err = j.Fault("control group "+name, undoKind, g.paths()...); err != nil {
		return nil, err
	}
	for i, dir := range g.paths() {
		if err := mkdir(dir, 0o755); err != nil {
			for _, made := range g.paths()[:i] {
				err = errors.Join(err, rmdir(made))
			}
			return nil, errors.Join(fmt.Errorf("control group %s: %w", name, err), j.Healed(g.entry))
		}
	}
	return g, nil
}

// paths are the group's directories, each once.
func (g *Group) paths() []string {
	var paths []string
	for _, p := range g.dirs {
		paths = append(paths, p.Dir)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// Add moves a process into the group. What it starts from then on is in the group too; what it has started is not, so a
// process is best added before it has started anything.
func (g *Group) Add(pid int) error {
	for _, dir := range g.paths() {
		if err := write(dir, "cgroup.procs", strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("moving process %d into its control group: %w", pid, err)
		}
	}
	return nil
}

// Has says whether the group has the controller.
func (g *Group) Has(c Controller) bool {
	_, ok := g.dirs[c]
	return ok
}

// Remove removes the group, in which nothing may run any more. Removing it twice is no error.
func (g *Group) Remove(ctx context.Context) error {
	for _, dir := range g.paths() {
		if err := remove(ctx, dir, g.rmdir); err != nil {
			return err
		}
	}
	return g.journal.Healed(g.entry)
}

// remove removes an empty group. A process that has just ended may still be counted for a moment.
func remove(ctx context.Context, dir string, rmdir func(string) error) error {
	for until := time.Now().Add(removeTime); ; {
		err := rmdir(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(until) {
			raw, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			return fmt.Errorf("removing a control group: %w (processes in it: %v)", err, strings.Fields(string(raw)))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("removing a control group: %w: %w", err, context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

const removeTime = 5 * time.Second

// write writes one of the kernel's files, which are there or not, but never made.
func write(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
