// Package favour gives this process the processor ahead of others while it measures: it must wake on time beside services that
// use every core. It knows nothing of what is measured; the orchestrator of experiments and the load command call it.
package favour

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"

	"shakedown/internal/clock"
)

// favoured is the nice value of the process while it measures, where it may not have the real-time priority, clock.Urgent.
const favoured = -10

// rareGC is the growth of the heap between collections, in percent; samples leave the heap every tenth of a second, so it stays small.
const rareGC = 800

func calm(procs, gc int) {
	runtime.GOMAXPROCS(procs)
	debug.SetGCPercent(gc)
}

// Threads puts every thread of the process, and so those that they make, into the real-time class, or at least gives them a better
// nice value; a keeper made before starts its children as the process was. It needs root or CAP_SYS_NICE; without,
// arrivals may leave late on a busy machine, which the send lag shows. The undoing is for programs that do more than one run.
//
// That it is all threads and not just the one that sends has a reason: every ten milliseconds the Go runtime takes that thread's turn away
// and has another thread give it back. Where every core is busy, a thread that is not in the real-time class takes milliseconds to do so.
// The process sleeps nearly all the time; should it not, the kernel leaves the others a twentieth (sched_rt_runtime_us, sched(7)).
//
// It also gives the Go scheduler two more threads to run on than there are cores, so that the pacer does not wait for one when it
// comes back from its sleep, and lets the heap grow further between collections, which stop everything: on a machine without idle
// time a stop can take tens of milliseconds.
func Threads() (undo func()) {
	procs, gc := runtime.GOMAXPROCS(runtime.NumCPU()+2), debug.SetGCPercent(rareGC)
	first, err := unix.SchedGetAttr(os.Getpid(), 0)
	if err != nil {
		return func() { calm(procs, gc) }
	}
	before := map[int]*unix.SchedAttr{}
	for _, tid := range threads() {
		now, err := unix.SchedGetAttr(tid, 0)
		if err == nil && prefer(tid, now) {
			before[tid] = now
		}
	}
	return func() {
		calm(procs, gc)
		for _, tid := range threads() {
			attr := before[tid]
			if attr == nil { // it was made since, and got what its maker had
				attr = first
			}
			_ = unix.SchedSetAttr(tid, attr, 0)
		}
	}
}

// threads are those of the process.
func threads() []int {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil
	}
	var tids []int
	for _, e := range entries {
		if tid, err := strconv.Atoi(e.Name()); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids
}

// prefer gives one thread what it may have.
func prefer(tid int, now *unix.SchedAttr) bool {
	want := *now
	want.Policy, want.Priority, want.Nice = unix.SCHED_RR, clock.Urgent, 0
	if unix.SchedSetAttr(tid, &want, 0) == nil {
		return true
	}
	want = *now
	want.Nice = favoured
	return unix.SchedSetAttr(tid, &want, 0) == nil
}
