package procfs

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Files is what /proc says of the open files of one process.
type Files struct {
	PID   int
	Limit int    // the soft limit (RLIMIT_NOFILE): one more than the largest descriptor that can be opened
	Hard  uint64 // the hard limit
	Open  []int  // the open descriptors, in order
}

// Spare is how many descriptors can still be opened: those below the limit that are free.
func (f Files) Spare() int {
	below, _ := slices.BinarySearch(f.Open, f.Limit)
	return max(0, f.Limit-below)
}

// LimitFor is the limit that leaves so many descriptors to be opened.
func (f Files) LimitFor(spare int) int {
	limit := 0
	for _, fd := range f.Open {
		free := fd - limit
		if free > spare {
			break
		}
		spare -= free
		limit = fd + 1
	}
	return limit + spare
}

// ReadFiles reads /proc/<pid>/limits and /proc/<pid>/fd.
func ReadFiles(pid int) (Files, error) {
	raw, err := os.ReadFile(path(pid, "limits"))
	if err != nil {
		return Files{}, gone(err)
	}
	f := Files{PID: pid}
	if f.Limit, f.Hard, err = parseLimits(string(raw)); err != nil {
		return Files{}, err
	}
	dir, err := os.Open(path(pid, "fd"))
	if err != nil {
		return Files{}, gone(err)
	}
	names, err := dir.Readdirnames(-1)
	_ = dir.Close()
	if err != nil {
		return Files{}, gone(err)
	}
	for _, name := range names {
		if fd, err := strconv.Atoi(name); err == nil {
			f.Open = append(f.Open, fd)
		}
	}
	slices.Sort(f.Open)
	return f, nil
}

// parseLimits picks the limit on open files out of proc_pid_limits(5): "Max open files  1024  524288  files".
func parseLimits(text string) (soft int, hard uint64, err error) {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, "Max open files")
		if fields := strings.Fields(rest); ok && len(fields) == 3 {
			s, err1 := limitValue(fields[0])
			h, err2 := limitValue(fields[1])
			if err1 == nil && err2 == nil {
				return int(min(s, math.MaxInt32)), h, nil
			}
		}
	}
	return 0, 0, fmt.Errorf("no limit on open files in %q", text)
}

func limitValue(text string) (uint64, error) {
	if text == "unlimited" {
		return math.MaxUint64, nil
	}
	return strconv.ParseUint(text, 10, 64)
}
