// Package favour gives this process the processor ahead of others while it measures: it must wake on time beside services that
// use every core. It knows nothing of what is measured; the orchestrator of experiments and the load command call it.
package favour

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"
)

// favoured is the nice value of the process while it measures.
const favoured = -10

// rareGC is the growth of the heap between collections, in percent; samples leave the heap every tenth of a second, so it stays small.
const rareGC = 800

func calm(procs, gc int) {
	runtime.GOMAXPROCS(procs)
	debug.SetGCPercent(gc)
}

// Threads raises the priority of every thread of the process, and so of those that they make; a keeper made before starts its
// children at the priority that the process had. It needs root or CAP_SYS_NICE; without, arrivals may leave late on a busy machine,
// which the send lag shows. The undoing is for programs that do more than one run.
//
// It also gives the Go scheduler two more threads to run on than there are cores, so that the pacer does not wait for one when it
// comes back from its sleep, and lets the heap grow further between collections, which stop everything: on a machine without idle
// time a stop can take tens of milliseconds.
func Threads() (undo func()) {
	procs, gc := runtime.GOMAXPROCS(runtime.NumCPU()+2), debug.SetGCPercent(rareGC)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return func() { calm(procs, gc) }
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
		calm(procs, gc)
		for tid, nice := range before {
			_ = unix.Setpriority(unix.PRIO_PROCESS, tid, nice)
		}
	}
}
