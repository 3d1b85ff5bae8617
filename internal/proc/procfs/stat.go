package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Stat is what /proc/<pid>/stat says of one process.
type Stat struct {
	PID     int
	Command string // the first 15 bytes of the program's name
	State   byte   // R, S, D, T (stopped), t (traced), Z (zombie), X (dead), I
	Parent  int
	Group   int
	// StartTicks is when the process started, in clock ticks since boot. Together with the pid and the boot it names a
	// process for good: pids are reused, this triple is not.
	StartTicks uint64
}

// Gone says whether the process has ended: a zombie has, it only waits for its parent to look.
func (s Stat) Gone() bool { return s.State == 'Z' || s.State == 'X' || s.State == 'x' }

// Stopped says whether the process is stopped by a signal or a tracer.
func (s Stat) Stopped() bool { return s.State == 'T' || s.State == 't' }

// ErrGone is returned for a process that does not exist.
var ErrGone = errors.New("no such process")

// ReadStat reads the state of one process; the error is ErrGone when there is none.
func ReadStat(pid int) (Stat, error) {
	raw, err := os.ReadFile(path(pid, "stat"))
	if err != nil {
		return Stat{}, gone(err)
	}
	return parseStat(raw)
}

// parseStat reads the one line of proc_pid_stat(5). The command may hold spaces and parentheses, so fields are counted
// from the last ')'.
func parseStat(raw []byte) (Stat, error) {
	open, end := bytes.IndexByte(raw, '('), bytes.LastIndexByte(raw, ')')
	if open < 1 || end < open {
		return Stat{}, fmt.Errorf("malformed process status %q", raw)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw[:open])))
	if err != nil {
		return Stat{}, fmt.Errorf("malformed process status %q: %w", raw, err)
	}
	// fields[0] is the third field of the manual page, the state.
	fields := strings.Fields(string(raw[end+1:]))
	if len(fields) < 20 || len(fields[0]) != 1 {
		return Stat{}, fmt.Errorf("malformed process status %q", raw)
	}
	parent, err1 := strconv.Atoi(fields[1])
	group, err2 := strconv.Atoi(fields[2])
	start, err3 := strconv.ParseUint(fields[19], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return Stat{}, fmt.Errorf("malformed process status %q: %w", raw, err)
	}
	return Stat{
		PID: pid, Command: string(raw[open+1 : end]), State: fields[0][0],
		Parent: parent, Group: group, StartTicks: start,
	}, nil
}

// All lists every process that /proc shows. Processes that end while it reads are left out.
func All() ([]Stat, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	names, err := dir.Readdirnames(-1)
	_ = dir.Close()
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var all []Stat
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if st, err := ReadStat(pid); err == nil {
			all = append(all, st)
		}
	}
	return all, nil
}

// Tree is the process and everything below it, parents before children, as one pass over /proc shows it. It is empty
// when the process does not exist. Zombies are left out. A tree that forks meanwhile needs another pass.
func Tree(pid int) ([]Stat, error) {
	all, err := All()
	if err != nil {
		return nil, err
	}
	children := map[int][]Stat{}
	var tree []Stat
	for _, st := range all {
		if st.PID == pid {
			tree = append(tree, st)
		}
		children[st.Parent] = append(children[st.Parent], st)
	}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i].PID]...)
	}
	live := tree[:0]
	for _, st := range tree {
		if !st.Gone() {
			live = append(live, st)
		}
	}
	return live, nil
}

// BootID names the present boot of the machine.
var BootID = sync.OnceValues(func() (string, error) {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the boot id: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
})

func path(pid int, file string) string { return "/proc/" + strconv.Itoa(pid) + "/" + file }

// gone turns the two ways in which the kernel says "no such process" into ErrGone.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return ErrGone
	}
	return err
}
