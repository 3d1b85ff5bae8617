// Package clock owns the one monotonic clock that all processes of a run share. CLOCK_MONOTONIC counts from the
// same moment in every process of a machine, so a service and the generator can state times that compare without
// any exchange. Wall clocks never enter a measurement.
package clock

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Now is the time since the machine's monotonic epoch. It reads the clock as package time does, from the vDSO, which costs a
// tenth of a system call.
func Now() time.Duration { return epoch + time.Since(origin) }

// The monotonic clock said epoch when package time read origin, which it reads from the same clock.
var origin, epoch = align()

// align reads package time's clock between two readings of the machine's, until these are close together: then the one in
// between is known to half their distance.
func align() (origin time.Time, epoch time.Duration) {
	closest := time.Duration(1<<63 - 1)
	for range 64 {
		before, at, after := monotonic(), time.Now(), monotonic()
		if d := after - before; d < closest {
			closest, origin, epoch = d, at, before+d/2
		}
	}
	return origin, epoch
}

func monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("clock_gettime(CLOCK_MONOTONIC): " + err.Error()) // cannot fail on Linux
	}
	return time.Duration(ts.Nano())
}

// Pacer sleeps to a nanosecond deadline on a thread of its own. Go's timers round short sleeps up, by as much as a
// millisecond when the process is idle, which makes an open loop bursty; clock_nanosleep on a thread with a timer
// slack of 1 ns does not (prctl(2), PR_SET_TIMERSLACK). A Pacer belongs to the goroutine that made it.
type Pacer struct {
	slack  int
	policy *unix.SchedAttr // the thread's own, when it could be given another
}

// NewPacer locks the calling goroutine to its thread and sharpens the thread's timers. Close undoes both. An urgent one also
// asks for the thread to be run as soon as its time has come; it should sleep most of the time. One that is not urgent gives such a
// right up, should the thread have it from package favour: it may use all the time there is.
func NewPacer(urgent bool) *Pacer {
	runtime.LockOSThread()
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		slack = 50_000 // the kernel's default
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	p := &Pacer{slack: slack}
	now, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return p
	}
	attr := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: now.Nice}
	switch {
	case urgent:
		// With the privilege for it, the thread runs as soon as its timer fires, whatever other processes want the core (sched(7)).
		// It is awake for microseconds at a time, and what it starts does not inherit this.
		attr.Policy, attr.Priority, attr.Flags = unix.SCHED_RR, Urgent, unix.SCHED_FLAG_RESET_ON_FORK
	case now.Policy == unix.SCHED_NORMAL:
		return p
	}
	if unix.SchedSetAttr(0, attr, 0) == nil {
		p.policy = now
	}
	return p
}

// Urgent is the real-time priority of an urgent pacer's thread, and of every other thread of a process that is favoured (package
// favour). It is one for all because the Go runtime has threads wait for each other by spinning: one that returns from a system call
// waits for the one that is about to take its turn away (runtime.retake, exitsyscall). Had it the higher priority and were there no other
// core, it would wait for ever. Among equals its sched_yield lets the other go on, and so does the end of its time slice.
const Urgent = 1

// SleepUntil returns at the given time of Now, or as soon after as the kernel can.
func (*Pacer) SleepUntil(t time.Duration) {
	ts := unix.NsecToTimespec(int64(t))
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
	}
}

// Close gives the thread back.
func (p *Pacer) Close() {
	if p.policy != nil {
		_ = unix.SchedSetAttr(0, p.policy, 0)
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(p.slack), 0, 0, 0)
	runtime.UnlockOSThread()
}
