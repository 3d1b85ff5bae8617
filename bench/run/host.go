package run

import (
	"bufio"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"shakedown/bench/record"
	"shakedown/internal/clock"
)

// Host is what this machine is, for the record: also how late it wakes up, which takes some hundred sleeps to find out.
func Host(containment string) record.Host {
	h := Machine()
	h.Containment, h.TimerSlackUS = containment, float64(TimerOvershoot().Nanoseconds())/1e3
	return h
}

// Machine is what there is to be read of Host.
func Machine() record.Host {
	h := record.Host{
		OS: osName(), Kernel: kernel(), Arch: runtime.GOARCH, CPU: procField("/proc/cpuinfo", "model name"),
		Cores: runtime.NumCPU(), GoVersion: runtime.Version(),
	}
	if kb, err := strconv.ParseFloat(strings.TrimSuffix(procField("/proc/meminfo", "MemTotal"), " kB"), 64); err == nil {
		h.MemoryGiB = float64(int(kb/(1<<20)*10)) / 10
	}
	return h
}

func osName() string {
	if name := strings.Trim(field("/etc/os-release", "PRETTY_NAME", "="), `"`); name != "" {
		return name
	}
	return runtime.GOOS
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

func procField(path, name string) string { return field(path, name, ":") }

// field is the value of the first "name<sep>value" line of a file, or nothing.
func field(path, name, sep string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if k, v, ok := strings.Cut(lines.Text(), sep); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// TimerOvershoot is how late the pacing thread wakes, at the 99th percentile of a hundred sleeps of 200 µs.
func TimerOvershoot() time.Duration {
	late := make(chan []time.Duration)
	go func() { // a goroutine of its own, because a pacer takes its thread
		pacer := clock.NewPacer(true)
		defer pacer.Close()
		var all []time.Duration
		for range 100 {
			due := clock.Now() + 200*time.Microsecond
			pacer.SleepUntil(due)
			all = append(all, clock.Now()-due)
		}
		late <- all
	}()
	all := <-late
	slices.Sort(all)
	return all[98]
}
