package loadrun

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// A nullServer answers every HTTP/1.1 request with the same few bytes, as cheaply as that can be done, so that what limits a load on it is
// the generator and the machine. It trusts its client, which is the generator in the same process.
type nullServer struct {
	addr    string
	ln, ep  int // descriptors
	wake    int // an eventfd that ends it
	conns   map[int32]*nullConn
	running sync.WaitGroup
}

// A nullConn is what is left to read of a request.
type nullConn struct {
	head []byte // of a request whose head has not come whole
	body int    // bytes that are to come
}

var nullAnswer = []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

// newNullServer starts one on a free port of loopback.
func newNullServer() (s *nullServer, err error) {
	s = &nullServer{ln: -1, ep: -1, wake: -1, conns: map[int32]*nullConn{}}
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
	if err := unix.Listen(s.ln, 1024); err != nil {
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
	s.running.Go(s.serve)
	return s, nil
}

func (s *nullServer) watch(fd int) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(s.ep, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// close ends the server and waits for it.
func (s *nullServer) close() {
	_, _ = unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // cannot fail: it is written to once
	s.running.Wait()
	s.free()
}

func (s *nullServer) free() {
	for fd := range s.conns {
		_ = unix.Close(int(fd))
	}
	for _, fd := range []int{s.ln, s.ep, s.wake} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

func (s *nullServer) serve() {
	events := make([]unix.EpollEvent, 128)
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.EpollWait(s.ep, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		for _, e := range events[:max(n, 0)] {
			switch e.Fd {
			case int32(s.wake):
				return
			case int32(s.ln):
				s.accept()
			default:
				s.read(e.Fd, buf)
			}
		}
	}
}

func (s *nullServer) accept() {
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
		s.conns[int32(fd)] = &nullConn{}
	}
}

func (s *nullServer) read(fd int32, buf []byte) {
	n, err := unix.Read(int(fd), buf)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return
	}
	if n <= 0 || s.conns[fd].take(buf[:n]) && s.answer(fd) != nil {
		delete(s.conns, fd)
		_ = unix.Close(int(fd))
	}
}

// answer writes all at once: the client has read all answers before.
func (*nullServer) answer(fd int32) error {
	_, err := unix.Write(int(fd), nullAnswer)
	return err
}

// take reads more of a request, and says whether it is whole now. The client sends one at a time.
func (c *nullConn) take(b []byte) bool {
	if c.body > 0 {
		c.body -= len(b)
		return c.body <= 0
	}
	if len(c.head) > 0 {
		c.head = append(c.head, b...)
		b = c.head
	}
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(c.head) == 0 {
			c.head = bytes.Clone(b)
		}
		return false
	}
	c.body = contentLength(b[:end]) - (len(b) - end - 4)
	c.head = c.head[:0]
	return c.body <= 0
}

var lengthField = []byte("\r\ncontent-length:")

// contentLength is what a request's head says of its body; 0 when it says nothing.
func contentLength(head []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(head[at:], '\r')
		if i < 0 || at+i+len(lengthField) > len(head) {
			return 0
		}
		at += i
		if bytes.EqualFold(head[at:at+len(lengthField)], lengthField) {
			value, _, _ := bytes.Cut(head[at+len(lengthField):], []byte("\r"))
			n, err := strconv.Atoi(string(bytes.TrimSpace(value)))
			if err != nil {
				return 0
			}
			return n
		}
		at++
	}
}
