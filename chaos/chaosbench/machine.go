package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A machine is what the numbers are of.
type machine struct {
	Cores       int
	CPU, Kernel string
	Began       time.Time
	Commit, Go  string
	LoadAvg     string
	Versions    []string
}

func thisMachine(tools string) (machine, error) {
	m := machine{Cores: runtime.NumCPU(), Began: time.Now(), Go: runtime.Version()}
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
	m.Commit = firstLine("unknown", "git", "describe", "--always", "--dirty", "--abbrev=12")
	m.Versions = []string{
		firstLine("HAProxy is not installed", "haproxy", "-v"),
		"toxiproxy " + toxiproxyVersion,
		firstLine("redis-benchmark is not installed", "redis-benchmark", "--version"),
	}
	if _, err := os.Stat(filepath.Join(tools, "toxiproxy-"+toxiproxyVersion, "server")); err != nil {
		return m, fmt.Errorf("%w; scripts/bench-chaos builds it", err)
	}
	return m, nil
}

func firstLine(otherwise, name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return otherwise
	}
	line, _, _ := strings.Cut(string(bytes.TrimSpace(out)), "\n")
	line, _, _ = strings.Cut(line, " - ")
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
