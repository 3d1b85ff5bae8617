package wire

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"shakedown/internal/tcp"
)

// An epoll transport is edge-triggered: a connection is registered once, for everything (epoll(7)). Its system calls are raw:
// they never block but in wait, where the thread has nothing else to do.
type epoll struct {
	l      *Loop
	fd     int
	events [256]unix.EpollEvent
	buf    []byte
	stamps stamps
	again  []*conn // that have more to read
	spare  []*conn // the array of again, next time
}

func newEpoll(l *Loop) (*epoll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	return &epoll{l: l, fd: fd, buf: make([]byte, 64<<10)}, nil
}

func (e *epoll) start() error { return nil }

func (e *epoll) shut() { _ = unix.Close(e.fd) }

func (e *epoll) dial(c *conn, to *endpoint) error {
	fd, err := socket(c, to, unix.SOCK_NONBLOCK)
	if err != nil {
		return err
	}
	c.fd = fd
	// The two halves of the user data are the connection's place and generation.
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: c.id, Pad: int32(c.gen)}
	if err := unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return err
	}
	return connect(fd, to.sockaddr)
}

// socket is a TCP socket for c that sends at once, and stamps what it receives.
func socket(c *conn, to *endpoint, flags int) (int, error) {
	fd, err := unix.Socket(to.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|flags, 0)
	if err != nil {
		return -1, err
	}
	stamped(fd)
	err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if to.loopback {
		tcp.Unpace(fd)
	}
	if n := c.id / portsEach; err == nil && n > 0 && n < 254 && to.loopback && to.family == unix.AF_INET {
		err = bindLoopback(fd, byte(n))
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// portsEach is how many connections to a server on this machine come from one address. There are 28 000 ports to an address as
// Linux comes (ip_local_port_range), and to find one of the last takes the kernel a hundred times as long as one of the first.
const portsEach = 8192

// bindLoopback lets the connection come from 127.0.0.1+n; the port is chosen when it connects (IP_BIND_ADDRESS_NO_PORT, ip(7)).
func bindLoopback(fd int, n byte) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return err
	}
	return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1 + n}})
}

func connect(fd int, sockaddr []byte) error {
	_, _, errno := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sockaddr[0])), uintptr(len(sockaddr)))
	if errno != 0 && errno != unix.EINPROGRESS && errno != unix.EINTR {
		return errno
	}
	return nil
}

func (e *epoll) close(c *conn, abrupt bool) { closeSocket(c.fd, abrupt) }

func closeSocket(fd int, abrupt bool) {
	if abrupt {
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	_, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

func (e *epoll) flush(c *conn) {
	for c.off < len(c.out) {
		b := c.out[c.off:]
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(c.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
		e.l.look()
		switch errno {
		case 0:
			e.l.wrote(c, int(n), nil)
		case unix.EINTR:
		case unix.EAGAIN:
			return // the socket says when it takes more
		default:
			e.l.wrote(c, 0, errno)
			return
		}
	}
}

func (e *epoll) wait(until time.Duration, events int) {
	switch {
	case events == 1:
		e.tell(until)
	case events < all:
		sleep(e.l.o.Zero + until)
		e.tell(0)
	default:
		if e.tell(0); e.l.calm() && len(e.again) == 0 {
			sleep(e.l.o.Zero + until)
			e.l.unread = true
		}
	}
}

// tell waits for something to happen, at most until the given time, and tells all that has.
func (e *epoll) tell(until time.Duration) {
	again := e.again
	e.again, e.spare = e.spare[:0], again
	d := max(until-e.l.now, 0)
	if len(again) > 0 {
		d = 0
	}
	ts := unix.NsecToTimespec(int64(d))
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(e.fd), uintptr(unsafe.Pointer(&e.events[0])), uintptr(len(e.events)),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
	if errno != 0 {
		n = 0 // EINTR, by the Go runtime's signals
	}
	if n > 0 {
		e.stamps.align()
	}
	e.l.unread = false
	for i := range e.events[:n] {
		ev := &e.events[i]
		if c := e.l.byID(ev.Fd, uint32(ev.Pad)); c != nil {
			e.happened(c, ev.Events)
		}
	}
	for _, c := range again {
		if c.more && c.fd >= 0 {
			e.read(c)
		}
	}
}

func (e *epoll) happened(c *conn, events uint32) {
	if c.dialing {
		errno, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
			e.l.connected(c, err)
			return
		case errno != 0:
			e.l.connected(c, syscall.Errno(errno))
			return
		case events&unix.EPOLLOUT == 0:
			return
		}
		e.l.connected(c, nil)
	} else if events&unix.EPOLLOUT != 0 && c.x != nil && c.off < len(c.out) {
		e.flush(c)
	}
	if c.fd >= 0 && events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.more = events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
		e.read(c)
	}
}

// reads is how often one connection is read from before others have their turn.
const reads = 8

// read reads until nothing is left: an edge is told only once. Less than was asked for means that nothing is left, unless the
// connection has ended.
func (e *epoll) read(c *conn) {
	ended := c.more
	gen := c.gen
	for range reads {
		n, at, errno := e.stamps.receive(c.fd, e.buf)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			c.more = false
			return
		case errno != 0:
			e.l.closed(c, errno)
			return
		case n == 0:
			e.l.closed(c, nil)
			return
		}
		e.l.received(c, e.buf[:n], at-e.l.o.Zero)
		if c.gen != gen || c.fd < 0 {
			return
		}
		if n < len(e.buf) && !ended {
			c.more = false
			return
		}
	}
	c.more = true
	e.again = append(e.again, c)
}
