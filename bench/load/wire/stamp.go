package wire

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"shakedown/internal/clock"
)

// Stamps receive with the time at which the kernel had the last of what is received (SO_TIMESTAMPNS, socket(7)). An answer is
// done when it is there, not when the loop gets to it: so a loop may sleep without making answers look late.
//
// The kernel's stamps are of the wall clock. They are put on the monotonic clock by the distance of the two, looked up
// right before; a stamp that a leap of the wall clock has made impossible is not believed.
type stamps struct {
	ahead   time.Duration // the wall clock's lead on the monotonic clock
	msg     unix.Msghdr
	iov     unix.Iovec
	control [64]byte
}

// stamped makes a socket stamp what it receives. Where that cannot be, the time of reading has to do.
func stamped(fd int) { _ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) }

// align looks up the distance of the clocks.
func (s *stamps) align() { s.ahead = time.Duration(time.Now().UnixNano()) - clock.Now() }

// receive reads what is there; at is when the last of it came, as clock.Now has it.
func (s *stamps) receive(fd int, b []byte) (n int, at time.Duration, errno syscall.Errno) {
	s.iov.Base = &b[0]
	s.iov.SetLen(len(b))
	s.msg.Iov, s.msg.Iovlen = &s.iov, 1
	s.msg.Control = &s.control[0]
	s.msg.SetControllen(len(s.control))
	r, _, errno := syscall.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&s.msg)), 0)
	if errno != 0 {
		return 0, 0, errno
	}
	return int(r), s.stamp(s.control[:s.msg.Controllen]), 0
}

// stamp is the time in a control message, or now.
func (s *stamps) stamp(control []byte) time.Duration {
	const size = unix.SizeofCmsghdr + int(unsafe.Sizeof(unix.Timespec{}))
	if len(control) < size {
		return clock.Now()
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	if h.Level != unix.SOL_SOCKET || h.Type != unix.SCM_TIMESTAMPNS {
		return clock.Now()
	}
	ts := (*unix.Timespec)(unsafe.Pointer(&control[unix.SizeofCmsghdr]))
	return time.Duration(ts.Nano()) - s.ahead
}

// nearby is about what falling asleep and waking up take of the processor: a time that is no farther off is waited for awake.
const nearby = 15 * time.Microsecond

// sleep sleeps until a time of clock.Now, or until a signal.
func sleep(until time.Duration) {
	if until-clock.Now() < nearby {
		for clock.Now() < until {
		}
		return
	}
	ts := unix.NsecToTimespec(int64(until))
	_, _, _ = syscall.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
}
