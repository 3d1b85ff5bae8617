package server

import (
	"bytes"
	"container/heap"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"shakedown/internal/clock"
)

// A Server speaks as much HTTP/1.1 as the clients of the benchmark do: requests without a body, one at a time on a connection. Each answer
// says in X-Spent-Ns what the request spent in the server, from the moment it was read until its answer was handed to the kernel; GET
// /stated asks for the percentiles of all.
type Server struct {
	addr       string
	behaviour  Behaviour
	start      time.Duration // a time of clock.Now
	ln, ep     int           // descriptors
	wake       int           // an eventfd that ends it
	conns      map[int32]*conn
	departures departures
	due        []departure // of one moment
	writers    [2]writer   // the second is another thread's
	half       chan []departure
	halfDone   chan struct{}
	buf        []byte
	running    sync.WaitGroup
}

// A writer writes answers, and knows which.
type writer struct {
	out    []byte
	spent  []time.Duration
	failed []*conn
}

// A conn is a connection, and what it has sent of a request.
type conn struct {
	fd   int32 // -1 once closed
	head []byte
}

// A departure is an answer that is to come.
type departure struct {
	at, read time.Duration
	c        *conn
}

type departures []departure

func (d departures) Len() int { return len(d) }
func (d departures) Less(i, j int) bool {
	if d[i].at == d[j].at {
		return d[i].read < d[j].read // at the end of a freeze
	}
	return d[i].at < d[j].at
}
func (d departures) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *departures) Push(x any)   { *d = append(*d, x.(departure)) }
func (d *departures) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}

// backlog is how many connections may wait to be accepted (listen(2)); the kernel takes less when somaxconn says so.
const backlog = 16 << 10

// New starts a server on a free port of loopback. An urgent one runs as soon as an answer is due, where it may (see clock.NewPacer).
func New(b Behaviour, urgent bool) (s *Server, err error) {
	s = &Server{
		behaviour: b, start: clock.Now(), ln: -1, ep: -1, wake: -1, conns: map[int32]*conn{}, buf: make([]byte, 64<<10),
		half: make(chan []departure), halfDone: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			s.free()
		}
	}()
	if s.ln, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := unix.Bind(s.ln, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(s.ln, backlog); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	name, err := unix.Getsockname(s.ln)
	if err != nil {
		return nil, fmt.Errorf("getsockname: %w", err)
	}
	s.addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*unix.SockaddrInet4).Port))
	if s.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	if err := errors.Join(s.watch(s.ln), s.watch(s.wake)); err != nil {
		return nil, err
	}
	s.running.Go(func() { s.serve(urgent) })
	s.running.Go(func() { s.help(urgent) })
	return s, nil
}

// Addr is where it listens.
func (s *Server) Addr() string { return s.addr }

// Close ends the server and waits for it.
func (s *Server) Close() {
	_, _ = unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // cannot fail: it is written to once
	s.running.Wait()
	s.free()
}

func (s *Server) free() {
	for fd := range s.conns {
		_ = unix.Close(int(fd))
	}
	for _, fd := range []int{s.ln, s.ep, s.wake} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

func (s *Server) watch(fd int) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(s.ep, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func (s *Server) now() time.Duration { return clock.Now() - s.start }

func (s *Server) serve(urgent bool) {
	p := clock.NewPacer(urgent)
	defer p.Close()
	defer close(s.half)
	events := make([]unix.EpollEvent, 256)
	for {
		n := s.wait(events)
		s.depart()
		for _, e := range events[:n] {
			switch e.Fd {
			case int32(s.wake):
				return
			case int32(s.ln):
				s.accept()
			default:
				s.read(s.conns[e.Fd])
			}
			s.depart()
		}
	}
}

// wait is until something has happened or the next answer is due.
func (s *Server) wait(events []unix.EpollEvent) int {
	left := time.Duration(math.MaxInt32) * time.Second
	if len(s.departures) > 0 {
		left = max(0, s.departures[0].at-s.now())
	}
	ts := unix.NsecToTimespec(int64(left))
	n, _, errno := syscall.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(s.ep), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
	if errno != 0 {
		return 0 // EINTR, by the Go runtime's signals
	}
	return int(n)
}

func (s *Server) accept() {
	for {
		fd, _, err := unix.Accept4(s.ln, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return // no more, or no more descriptors: then the client sees it
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		if s.watch(fd) != nil {
			_ = unix.Close(fd)
			continue
		}
		s.conns[int32(fd)] = &conn{fd: int32(fd)}
	}
}

var endOfHead = []byte("\r\n\r\n")

func (s *Server) read(c *conn) {
	n, err := unix.Read(int(c.fd), s.buf)
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return
	case n <= 0:
		s.close(c)
		return
	}
	head := s.buf[:n]
	if len(c.head) > 0 || !bytes.HasSuffix(head, endOfHead) {
		c.head = append(c.head, head...)
		head = c.head
	}
	if !bytes.HasSuffix(head, endOfHead) {
		return
	}
	c.head = c.head[:0]
	if bytes.HasPrefix(head, []byte("GET /stated ")) {
		s.state(c)
		return
	}
	read := s.now()
	if at, ok := s.behaviour.Answer(read); ok {
		heap.Push(&s.departures, departure{at, read, c})
	}
}

// crowd is how many answers of one moment are worth the waking of a second thread.
const crowd = 16

// depart answers what is due. When a freeze ends that is much at once: two threads then write every other answer each, so that the last
// ones do not wait for as long as it takes to write all.
func (s *Server) depart() {
	s.due = s.due[:0]
	for len(s.departures) > 0 && s.departures[0].at <= s.now() {
		s.due = append(s.due, heap.Pop(&s.departures).(departure))
	}
	if len(s.due) < crowd {
		s.write(&s.writers[0], s.due, 1)
	} else {
		s.half <- s.due[1:]
		s.write(&s.writers[0], s.due, 2)
		<-s.halfDone
	}
	for i := range s.writers {
		w := &s.writers[i]
		for _, c := range w.failed {
			s.close(c)
		}
		w.failed = w.failed[:0]
	}
}

// help writes the half of a crowd.
func (s *Server) help(urgent bool) {
	p := clock.NewPacer(urgent)
	defer p.Close()
	for due := range s.half {
		s.write(&s.writers[1], due, 2)
		s.halfDone <- struct{}{}
	}
}

// write writes the first of every n answers.
func (s *Server) write(w *writer, due []departure, n int) {
	for i := 0; i < len(due); i += n {
		d := due[i]
		spent := s.now() - d.read
		w.spent = append(w.spent, spent)
		w.out = append(w.out[:0], "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Spent-Ns: "...)
		w.out = strconv.AppendInt(w.out, int64(spent), 10)
		if !answer(d.c, append(w.out, "\r\n\r\nok\n"...)) {
			w.failed = append(w.failed, d.c)
		}
	}
}

// answer writes all at once: a client has read all that came before. A connection that takes nothing is to be closed.
func answer(c *conn, b []byte) bool {
	if c.fd < 0 {
		return true
	}
	_, err := unix.Write(int(c.fd), b)
	return err == nil
}

func (s *Server) close(c *conn) {
	delete(s.conns, c.fd)
	_ = unix.Close(int(c.fd))
	c.fd = -1
}
