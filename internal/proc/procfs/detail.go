package procfs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Command is the command line of a process, its arguments joined by single spaces. Programs may rewrite it: PostgreSQL
// says there what a backend does.
func Command(pid int) (string, error) {
	raw, err := os.ReadFile(path(pid, "cmdline"))
	if err != nil {
		return "", gone(err)
	}
	return strings.TrimSpace(strings.ReplaceAll(string(raw), "\x00", " ")), nil
}

// HasEnv says whether the process was started with the given NAME=value in its environment. A program that overwrites
// its environment to show a title (PostgreSQL's backends, Redis) may hide it; a process of somebody else is never seen to have it.
func HasEnv(pid int, entry string) bool {
	for range execLooks {
		raw, err := os.ReadFile(path(pid, "environ"))
		if err != nil {
			return false
		}
		for v := range bytes.SplitSeq(raw, []byte{0}) {
			if string(v) == entry {
				return true
			}
		}
		if len(raw) > 0 || !amidExec(pid) {
			return false
		}
		time.Sleep(time.Millisecond)
	}
	return false
}

// execLooks bounds how often, a millisecond apart, a process is looked at that seems to be in the middle of execve(2).
const execLooks = 5000

// amidExec says whether the process has memory but neither arguments nor environment yet: the kernel shows both as empty
// until a new program is set up, and a process without either is taken for one that is about to have them.
func amidExec(pid int) bool {
	cmdline, err := os.ReadFile(path(pid, "cmdline"))
	if err != nil || len(cmdline) > 0 || Exe(pid) == "" { // a kernel thread has no program
		return false
	}
	st, err := ReadStat(pid)
	return err == nil && !st.Gone()
}

// Exe is the path of the program that the process runs; "" when it cannot be known.
func Exe(pid int) string {
	exe, err := os.Readlink(path(pid, "exe"))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(exe, " (deleted)")
}

// Dir is the working directory of the process; "" when it cannot be known.
func Dir(pid int) string {
	dir, err := os.Readlink(path(pid, "cwd"))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(dir, " (deleted)")
}

// InnerPID is the pid that the process has in its own, innermost pid namespace (NSpid in proc_pid_status(5)).
func InnerPID(pid int) (int, error) {
	raw, err := os.ReadFile(path(pid, "status"))
	if err != nil {
		return 0, gone(err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(rest)
			if len(fields) == 0 {
				break
			}
			return strconv.Atoi(fields[len(fields)-1])
		}
	}
	return 0, fmt.Errorf("process %d: its status has no NSpid", pid)
}

// CPUTime is the processor time that the process has used, in steps of a clock tick, which is 10 ms on every Linux that Go
// runs on (utime and stime in proc_pid_stat(5)).
func CPUTime(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(path(pid, "stat"))
	if err != nil {
		return 0, gone(err)
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:])) // fields[0] is the third of the manual page
	if len(fields) < 13 {
		return 0, fmt.Errorf("malformed process status %q", raw)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// Memory is what a process holds, in bytes.
type Memory struct {
	// PSS is the proportional set size: private memory plus a fair share of what is shared.
	PSS int64
	// Private is memory that would come free if the process ended: private clean and dirty pages.
	Private int64
}

// ReadMemory reads /proc/<pid>/smaps_rollup.
func ReadMemory(pid int) (Memory, error) {
	raw, err := os.ReadFile(path(pid, "smaps_rollup"))
	if err != nil {
		return Memory{}, gone(err)
	}
	return parseRollup(raw)
}

func parseRollup(raw []byte) (Memory, error) {
	var m Memory
	seen := 0
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		kb, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return Memory{}, fmt.Errorf("malformed memory map %q: %w", lines.Text(), err)
		}
		switch fields[0] {
		case "Pss:":
			m.PSS = kb << 10
			seen++
		case "Private_Clean:", "Private_Dirty:":
			m.Private += kb << 10
			seen++
		}
	}
	if seen != 3 {
		return Memory{}, fmt.Errorf("memory map without Pss and private pages: %w", ErrGone)
	}
	return m, nil
}
