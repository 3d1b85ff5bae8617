// Package clock owns the one monotonic clock that all processes of a run share. CLOCK_MONOTONIC counts from the
// same moment in every process of a machine, so a service and the generator can state times that compare without
// any exchange. Wall clocks never enter a measurement.
package clock

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Now is the time since the machine's monotonic epoch.
func Now() time.Duration {
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
	slack int
}

// NewPacer locks the calling goroutine to its thread and sharpens the thread's timers. Close undoes both.
func NewPacer() *Pacer {
	runtime.LockOSThread()
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		slack = 50_000 // the kernel's default
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return &Pacer{slack: slack}
}

// SleepUntil returns at the given time of Now, or as soon after as the kernel can.
func (*Pacer) SleepUntil(t time.Duration) {
	ts := unix.NsecToTimespec(int64(t))
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
	}
}

// Close gives the thread back.
func (p *Pacer) Close() {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(p.slack), 0, 0, 0)
	runtime.UnlockOSThread()
}
