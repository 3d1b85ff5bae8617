package run

import (
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// favoured is the nice value of the harness while it runs: it must wake on time beside services that use every core.
const favoured = -10

// favour raises the priority of every thread of the harness, and so of those that they make; the keeper starts its children at
// the priority that the harness had before. It needs root or CAP_SYS_NICE; without, arrivals may leave late on a busy machine,
// which the send lag shows. The undoing is for programs that do more than one run.
//
// It also gives the Go scheduler two more threads to run on than there are cores, so that the pacer does not wait for one when it
// comes back from its sleep.
func favour() (undo func()) {
	procs := runtime.GOMAXPROCS(runtime.NumCPU() + 2)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return func() { runtime.GOMAXPROCS(procs) }
	}
	before := map[int]int{}
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		p, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
		if err == nil && unix.Setpriority(unix.PRIO_PROCESS, tid, favoured) == nil {
			before[tid] = 20 - p // the system call answers with 20 − nice (getpriority(2))
		}
	}
	return func() {
		runtime.GOMAXPROCS(procs)
		for tid, nice := range before {
			_ = unix.Setpriority(unix.PRIO_PROCESS, tid, nice)
		}
	}
}
