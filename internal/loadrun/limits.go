package loadrun

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// spareFiles are the files that the program has open beside its connections.
const spareFiles = 128

// allowFiles raises the limit on open files so far that n connections fit, as root beyond the hard limit, and says how many fit.
func allowFiles(n int) (fit int, err error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("getrlimit: %w", err)
	}
	want := uint64(n) + spareFiles
	if l.Cur < want {
		raised := unix.Rlimit{Cur: min(want, l.Max), Max: l.Max}
		if want > l.Max {
			most := unix.Rlimit{Cur: min(want, openable()), Max: max(l.Max, min(want, openable()))}
			if unix.Setrlimit(unix.RLIMIT_NOFILE, &most) == nil { // root may
				raised = most
			}
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err != nil {
			return 0, fmt.Errorf("setrlimit: %w", err)
		}
		l = raised
	}
	return int(min(l.Cur, 1<<31)) - spareFiles, nil
}

// openable is the most that root may ask for (proc_sys_fs(5), nr_open).
func openable() uint64 {
	raw, err := os.ReadFile("/proc/sys/fs/nr_open")
	if err != nil {
		return 1 << 20
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64)
	if err != nil {
		return 1 << 20
	}
	return n
}

// ports is how many connections one address can have to one other (ip(7), ip_local_port_range).
func ports() int {
	raw, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 28_232
	}
	var from, to int
	if _, err := fmt.Sscan(string(raw), &from, &to); err != nil || to < from {
		return 28_232
	}
	return to - from + 1
}

// machineCores counts the cores of the machine, of which this process may have fewer.
func machineCores() (int, error) {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	n := 0
	for line := range bytes.Lines(raw) {
		if bytes.HasPrefix(line, []byte("cpu")) && len(line) > 3 && line[3] != ' ' {
			n++
		}
	}
	if n == 0 {
		return 0, errors.New("/proc/stat names no processor")
	}
	return n, nil
}
