package proxy

import (
	"container/heap"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// An alarm wakes sleepers at times of internal/clock. Go's timers wait in epoll with a time-out in whole
// milliseconds, which makes a delay of 2 ms up to 1 ms too long; a timerfd (timerfd_create(2)) is as sharp as the
// kernel's high-resolution timers and wakes the poller as a socket does, without a thread of its own.
type alarm struct {
	file *os.File
	done chan struct{} // closed when the alarm's goroutine has ended

	mu    sync.Mutex
	fd    int // of file; -1 once closed. File.Fd would make it blocking
	queue sleepers
}

// A sleeper is one wait. It belongs to one goroutine; at and pos belong to the alarm.
type sleeper struct {
	wake chan struct{} // gets a token when the time has come
	at   time.Duration
	pos  int // in the alarm's heap, plus one; 0 is not in it
}

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("timerfd_create: %w", err)
	}
	a := &alarm{file: os.NewFile(uintptr(fd), "timerfd"), fd: fd, done: make(chan struct{})}
	go a.run()
	return a, nil
}

// run wakes sleepers until the file is closed.
func (a *alarm) run() {
	defer close(a.done)
	var expirations [8]byte // how often it fired says nothing; the heap knows
	for {
		if _, err := a.file.Read(expirations[:]); err != nil {
			return
		}
		a.mu.Lock()
		now := monotonic()
		for len(a.queue) > 0 && a.queue[0].at <= now {
			token(heap.Pop(&a.queue).(*sleeper).wake)
		}
		a.arm()
		a.mu.Unlock()
	}
}

// set wakes the sleeper at the given time, and not at any time set before.
func (a *alarm) set(s *sleeper, at time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.at = at
	if s.pos > 0 {
		heap.Fix(&a.queue, s.pos-1)
	} else {
		heap.Push(&a.queue, s)
	}
	if a.queue[0] == s {
		a.arm()
	}
}

// drop forgets the sleeper.
func (a *alarm) drop(s *sleeper) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.pos > 0 {
		heap.Remove(&a.queue, s.pos-1) // an alarm for nobody does no harm
	}
}

// arm sets the timer to the first sleeper. The caller holds mu.
func (a *alarm) arm() {
	if a.fd < 0 || len(a.queue) == 0 {
		return
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(a.queue[0].at, 1)))} // 0 would disarm it
	if err := unix.TimerfdSettime(a.fd, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
		panic("timerfd_settime: " + err.Error()) // the descriptor and the time are valid
	}
}

// close ends the alarm; nobody is woken any more.
func (a *alarm) close() {
	a.mu.Lock()
	a.fd = -1
	a.mu.Unlock()
	_ = a.file.Close() // it only fails when closed before
	<-a.done
}

// sleepers is a heap by time.
type sleepers []*sleeper

func (q sleepers) Len() int           { return len(q) }
func (q sleepers) Less(i, j int) bool { return q[i].at < q[j].at }
func (q sleepers) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].pos, q[j].pos = i+1, j+1
}

func (q *sleepers) Push(x any) {
	s := x.(*sleeper)
	*q = append(*q, s)
	s.pos = len(*q)
}

func (q *sleepers) Pop() any {
	last := len(*q) - 1
	s := (*q)[last]
	(*q)[last], *q = nil, (*q)[:last]
	s.pos = 0
	return s
}
