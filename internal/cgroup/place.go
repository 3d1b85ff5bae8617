package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Controller is a part of the kernel that groups can be limited by.
type Controller string

// The controllers that this package knows.
const (
	CPU    Controller = "cpu"
	Memory Controller = "memory"
)

// Place is a directory in which this process may make groups for a controller.
type Place struct {
	Version int // of the kernel's interface: 1 or 2
	Dir     string
}

func (p Place) String() string { return fmt.Sprintf("v%d, below %s", p.Version, p.Dir) }

// Find says where groups for a controller can be made: in this process's own group or else in the nearest one above it, so
// that limits which hold for this process hold for its groups too. The error is one line that says what is missing.
func Find(c Controller) (Place, error) { return machine{}.find(c) }

// machine is where the kernel's files are. Tests have one of their own below root.
type machine struct{ root string }

// mount is one line of proc_pid_mountinfo(5) that is about control groups.
type mount struct {
	fs, root, dir string
	options       []string // version 1: the controllers are among them
}

func (m machine) find(c Controller) (Place, error) {
	mounts, err := m.mounts()
	if err != nil {
		return Place{}, err
	}
	own, err := m.own()
	if err != nil {
		return Place{}, err
	}
	for _, at := range mounts {
		if at.fs == "cgroup" && slices.Contains(at.options, string(c)) {
			return m.search(c, 1, at, own[string(c)])
		}
	}
	for _, at := range mounts {
		if at.fs == "cgroup2" && has(filepath.Join(at.dir, "cgroup.controllers"), c) {
			return m.search(c, 2, at, own[""])
		}
	}
	return Place{}, fmt.Errorf("no mounted control group has the controller %s; mount cgroup2, or boot with it enabled", c)
}

// search walks up from this process's own group to the mount, and takes the first directory that will do.
func (m machine) search(c Controller, version int, at mount, own string) (Place, error) {
	var first error
	dir := at.dir
	if rel, err := filepath.Rel(at.root, own); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		dir = filepath.Join(at.dir, rel)
	}
	for ; ; dir = filepath.Dir(dir) {
		err := usable(c, version, dir)
		if err == nil {
			return Place{version, dir}, nil
		}
		if first == nil || errors.Is(first, errNotEnabled) { // who may not write at all is told that, and not what to switch on
			first = err
		}
		if dir == at.dir || dir == "/" {
			return Place{}, first
		}
	}
}

var errNotEnabled = errors.New("not enabled")

func usable(c Controller, version int, dir string) error {
	if version == 2 && !has(filepath.Join(dir, "cgroup.subtree_control"), c) {
		return fmt.Errorf("the controller %s is %w for groups below %s: as root, echo +%s > %s/cgroup.subtree_control",
			c, errNotEnabled, dir, c, dir)
	}
	for _, path := range []string{dir, filepath.Join(dir, "cgroup.procs")} {
		if err := unix.Access(path, unix.W_OK); err != nil {
			hint := "become root"
			if version == 2 {
				hint += ", or start this with `systemd-run --user --scope`"
			}
			return fmt.Errorf("no group can be made below %s: %w: %s", dir, err, hint)
		}
	}
	return nil
}

// has says whether a file of controllers, which are separated by spaces, names the controller.
func has(path string, c Controller) bool {
	raw, err := os.ReadFile(path)
	return err == nil && slices.Contains(strings.Fields(string(raw)), string(c))
}

func (m machine) mounts() ([]mount, error) {
	f, err := os.Open(m.root + "/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("looking for control groups: %w", err)
	}
	defer func() { _ = f.Close() }()
	var found []mount
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " - ") // optional fields end with a dash
		fields, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(kind) < 3 || !strings.HasPrefix(kind[0], "cgroup") {
			continue
		}
		found = append(found, mount{fs: kind[0], root: fields[3], dir: m.root + fields[4], options: strings.Split(kind[2], ",")})
	}
	return found, nil
}

// own are this process's groups: by controller for version 1, and by "" for version 2.
func (m machine) own() (map[string]string, error) {
	raw, err := os.ReadFile(m.root + "/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("looking for this process's control groups: %w", err)
	}
	own := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3) // "4:memory:/a", "0::/a"
		if len(fields) != 3 {
			continue
		}
		for c := range strings.SplitSeq(fields[1], ",") {
			own[c] = fields[2]
		}
	}
	return own, nil
}
