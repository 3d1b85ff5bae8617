package proxy

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"shakedown/internal/clock"
)

const never = time.Duration(1<<63 - 1)

// bufferBytes is the most that one read takes. A loop has one buffer of this size; what is not sent on at once leaves it. A
// bulk stream is a sixth faster than with 64 KiB.
const bufferBytes = 256 << 10

// A loop is one thread that owns connections. It waits in epoll, edge-triggered: a socket is registered once, for
// everything (epoll(7)). Its other system calls never block and are raw. Waiting is an ordinary system call, in which the Go
// scheduler may take the processor away, so that a loop that idles costs nothing and stops nobody.
type loop struct {
	fd      int // of epoll
	bell    int // an eventfd that wakes the loop for orders
	alarm   int // a timerfd where the kernel has no epoll_pwait2, or -1
	events  [256]unix.EpollEvent
	buf     []byte
	pieces  [16]unix.Iovec
	blocks  blocks
	used    int      // bytes of buf that are staged
	staged  []staged // in buf, until all events of a batch have been looked at
	gathers bool
	rested  bool // the last sleep was a long one
	timers  timers
	slots   []slot
	free    []int32 // of slots
	again   []*flow // that have more to do and let others have their turn
	spare   []*flow // the array of again, next time
	stopped bool
	done    chan struct{}

	mu     sync.Mutex
	orders []func()
	over   bool // no more orders
}

// A slot is a place for what events are about. Its generation tells an event of what was there before.
type slot struct {
	gen uint32
	has watched
}

// watched is what a loop waits for: a socket.
type watched interface{ ready(events uint32) }

func newLoop(budget *budget) (*loop, error) {
	l := &loop{alarm: -1, buf: make([]byte, bufferBytes), blocks: blocks{budget: budget}, done: make(chan struct{})}
	var err error
	if l.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	if l.bell, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return nil, errors.Join(fmt.Errorf("eventfd: %w", err), unix.Close(l.fd))
	}
	if _, err = l.watch(l.bell, unix.EPOLLIN, bell{l}); err == nil && l.poll(0) == unix.ENOSYS {
		err = l.useTimerfd()
	}
	if err != nil {
		return nil, errors.Join(err, l.shut())
	}
	return l, nil
}

func (l *loop) shut() error {
	l.blocks.pipes.shut()
	err := errors.Join(unix.Close(l.fd), unix.Close(l.bell))
	if l.alarm >= 0 {
		err = errors.Join(err, unix.Close(l.alarm))
	}
	return err
}

// run is the loop's thread, until stop.
func (l *loop) run() {
	defer close(l.done)
	pacer := clock.NewPacer(false) // a thread of its own, with sharp timers
	defer pacer.Close()
	for !l.stopped {
		until := l.timers.next()
		if len(l.again) > 0 {
			until = 0
		}
		l.wait(until)
		l.turns()
		for t := l.timers.due(clock.Now()); t != nil; t = l.timers.due(clock.Now()) {
			t.owner.alarmed()
		}
	}
	_ = l.shut() // fails only when closed before
}

// turns gives every flow that has more to do its turn.
func (l *loop) turns() {
	turn := l.again
	l.again = l.spare[:0]
	for i, f := range turn {
		turn[i], f.waits = nil, false
		f.run()
	}
	l.spare = turn
}

// later gives the flow another turn, after others.
func (l *loop) later(f *flow) {
	if !f.waits {
		f.waits = true
		l.again = append(l.again, f)
	}
}

// wait handles what happens until a time, which may be never.
func (l *loop) wait(until time.Duration) {
	var n int
	switch d := until - clock.Now(); {
	case d <= 0:
		n = l.ready()
	case d > longSleep && until != never:
		n, l.rested = l.sleep(until-wakeTime, d-wakeTime), true
	case d <= wakeTime && l.rested:
		for n == 0 && clock.Now() < until {
			n = l.ready()
		}
		l.rested = false
	default:
		n, l.rested = l.sleep(until, d), false
	}
	l.gathers = n > 1
	for i := range l.events[:n] {
		e := &l.events[i]
		if s := &l.slots[e.Fd]; s.gen == uint32(e.Pad) && s.has != nil {
			s.has.ready(e.Events)
		}
	}
	l.flush()
	l.gathers = false
}

// What several connections have sent is read first and written then, while it is little: the peers wake up to many messages,
// and not once for each.
const (
	stageBytes = 2 << 10  // of one flow at most
	stageRoom  = 16 << 10 // of all
)

// A staged message is in the loop's buffer.
type staged struct {
	flow    *flow
	from, n int
}

// stage leaves the n bytes that a flow has read to be written with those of others; false when that is not to be.
func (l *loop) stage(f *flow, n int) bool {
	if !l.gathers || n > stageBytes || l.used+n > stageRoom {
		return false
	}
	l.staged = append(l.staged, staged{f, l.used, n})
	l.used += n
	f.staged = true
	return true
}

// flush writes what was staged.
func (l *loop) flush() {
	if l.used == 0 {
		return
	}
	for i, s := range l.staged {
		l.staged[i].flow = nil
		s.flow.staged = false
		if s.flow.conn.state == open && !s.flow.over() {
			s.flow.forward(l.buf[s.from : s.from+s.n])
		}
	}
	l.staged, l.used = l.staged[:0], 0
}

// A core that idled takes tens of microseconds to wake up, on a virtual machine more. So a loop that sleeps for long wakes up a
// little early, and waits for the rest of the time awake: that is at most a twelfth of it.
const (
	longSleep = time.Millisecond
	wakeTime  = 80 * time.Microsecond
)

// ready is the number of events that are there already.
func (l *loop) ready() int {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.fd), uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), 0, 0, 0)
	if errno != 0 {
		return 0 // EINTR
	}
	return int(n)
}

// sleep waits for events, for d at most. A timerfd, where it has to do, is as sharp as epoll_pwait2.
func (l *loop) sleep(until, d time.Duration) int {
	var timeout unsafe.Pointer
	ts := unix.NsecToTimespec(int64(d))
	if until != never {
		timeout = unsafe.Pointer(&ts)
	}
	call, arg := uintptr(unix.SYS_EPOLL_PWAIT2), uintptr(timeout)
	if l.alarm >= 0 {
		l.arm(until)
		call, arg = unix.SYS_EPOLL_PWAIT, ^uintptr(0)
	}
	n, _, errno := syscall.Syscall6(call, uintptr(l.fd), uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), arg, 0, 0)
	runtime.KeepAlive(&ts)
	if errno != 0 {
		return 0 // EINTR, by the Go runtime's signals
	}
	return int(n)
}

// poll tries epoll_pwait2, which came with Linux 5.11.
func (l *loop) poll(d time.Duration) syscall.Errno {
	ts := unix.NsecToTimespec(int64(d))
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(l.fd), uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
	return errno
}

// useTimerfd makes the loop wake on time where there is no epoll_pwait2 (timerfd_create(2)).
func (l *loop) useTimerfd() (err error) {
	if l.alarm, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		l.alarm = -1
		return fmt.Errorf("timerfd_create: %w", err)
	}
	_, err = l.watch(l.alarm, unix.EPOLLIN, rung{}) // edge-triggered: nobody needs to read it
	return err
}

func (l *loop) arm(until time.Duration) {
	spec := unix.ItimerSpec{} // disarms it
	if until != never {
		spec.Value = unix.NsecToTimespec(int64(until))
	}
	_ = unix.TimerfdSettime(l.alarm, unix.TFD_TIMER_ABSTIME, &spec, nil) // the descriptor and the time are valid
}

// rung is the timerfd: that it woke the loop is all.
type rung struct{}

func (rung) ready(uint32) {}

// watch registers a socket, for good: closing it ends that. The slot is to be given back with forget.
func (l *loop) watch(fd int, events uint32, w watched) (id int32, err error) {
	if n := len(l.free); n > 0 {
		id, l.free = l.free[n-1], l.free[:n-1]
	} else {
		id = int32(len(l.slots))
		l.slots = append(l.slots, slot{})
	}
	s := &l.slots[id]
	s.has = w
	// The two halves of the user data are the slot and its generation.
	ev := unix.EpollEvent{Events: events | unix.EPOLLET, Fd: id, Pad: int32(s.gen)}
	if err := unix.EpollCtl(l.fd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		l.forget(id)
		return -1, fmt.Errorf("epoll_ctl: %w", err)
	}
	return id, nil
}

// forget gives a slot back; events of what was there go nowhere.
func (l *loop) forget(id int32) {
	s := &l.slots[id]
	s.gen++
	s.has = nil
	l.free = append(l.free, id)
}

// post leaves an order, which the loop carries out on its thread; false when the loop has ended.
func (l *loop) post(order func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	if l.orders = append(l.orders, order); len(l.orders) == 1 {
		_, _ = unix.Write(l.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // it never blocks, and cannot be full
	}
	return true
}

// call leaves an order and returns when it has been carried out. The loop's own thread must not call it.
func (l *loop) call(order func()) {
	done := make(chan struct{})
	if l.post(func() { order(); close(done) }) {
		<-done
	}
}

// stop ends the loop after the orders that it has, and waits.
func (l *loop) stop() {
	l.post(func() { l.stopped = true })
	<-l.done
}

// bell is the eventfd.
type bell struct{ *loop }

func (b bell) ready(uint32) {
	var n [8]byte
	_, _, _ = syscall.RawSyscall(unix.SYS_READ, uintptr(b.bell), uintptr(unsafe.Pointer(&n[0])), 8)
	b.mu.Lock()
	orders := b.orders
	b.orders = nil
	b.mu.Unlock()
	b.flush() // an order finds everything where it belongs
	for i, order := range orders {
		order()
		if b.stopped {
			b.mu.Lock()
			b.over = true
			rest := slices.Concat(orders[i+1:], b.orders)
			b.mu.Unlock()
			for _, order := range rest {
				order()
			}
			return
		}
	}
}
