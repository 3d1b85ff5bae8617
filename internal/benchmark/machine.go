package benchmark

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Machine is what the numbers are of.
type Machine struct {
	Cores       int
	CPU, Kernel string
	Began       time.Time
	Commit, Go  string
	LoadAvg     string // of one minute, at the start
}

func thisMachine() (Machine, error) {
	m := Machine{Cores: runtime.NumCPU(), Began: time.Now(), Go: runtime.Version()}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m, err
	}
	m.CPU = cpuModel(info)
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return m, fmt.Errorf("uname: %w", err)
	}
	m.Kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	avg, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return m, err
	}
	m.LoadAvg, _, _ = strings.Cut(string(avg), " ")
	m.Commit = FirstLine("unknown", "git", "describe", "--always", "--dirty", "--abbrev=12")
	return m, nil
}

// FirstLine is the first line that a program says, of either output: its version, as a rule. What cannot be run has said otherwise.
func FirstLine(otherwise, name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return otherwise
	}
	line, _, _ := strings.Cut(string(bytes.TrimSpace(out)), "\n")
	return line
}

// cpuModel is the model name in /proc/cpuinfo (proc_cpuinfo(5)).
func cpuModel(info []byte) string {
	for lines := bufio.NewScanner(bytes.NewReader(info)); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// times are the sums of the first line of /proc/stat, in its own unit (proc_stat(5)).
type times struct{ all, steal float64 }

func readTimes() (times, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return times{}, err
	}
	return parseTimes(b)
}

func parseTimes(stat []byte) (t times, err error) {
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return t, fmt.Errorf("/proc/stat: unexpected first line %q", line)
	}
	for i, f := range fields[1:9] {
		v, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return t, fmt.Errorf("/proc/stat: %w", err)
		}
		t.all += v
		if i == 7 {
			t.steal = v
		}
	}
	return t, nil
}

// stealSince is the share of the processors that the hypervisor took.
func (t times) stealSince(before times) float64 {
	if t.all <= before.all {
		return 0
	}
	return (t.steal - before.steal) / (t.all - before.all)
}
