package proxy

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"shakedown/internal/clock"
)

// accepts is how many connections are accepted before others have their turn, and backlog how many may wait to be.
const (
	accepts = 64
	backlog = 4096
)

// A listener accepts connections on its loop.
type listener struct {
	link     *Link
	loop     *loop
	fd       int
	slot     int32
	refusing bool
	retry    timer
}

// listen binds and listens on a TCP address. Its errors are in the words of package net.
func listen(address string) (fd int, addr net.Addr, err error) {
	tcp, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return -1, nil, &net.OpError{Op: "listen", Net: "tcp", Err: err}
	}
	fd, err = bind(tcp)
	if err == nil && tcp.Port == 0 {
		fd, tcp, err = claim(fd, tcp)
	}
	if err == nil {
		if err = os.NewSyscallError("listen", unix.Listen(fd, backlog)); err != nil {
			_ = unix.Close(fd)
		}
	}
	if err != nil {
		return -1, nil, &net.OpError{Op: "listen", Net: "tcp", Addr: tcp, Err: err}
	}
	return fd, tcp, nil
}

// claim binds another socket in place of one whose port the kernel chose. Such a port is given up when its socket stops
// listening, unlike one that was asked for (SOCK_BINDPORT_LOCK in the kernel's inet_bind); so it is asked for, while the
// first socket keeps it from others.
func claim(first int, tcp *net.TCPAddr) (int, *net.TCPAddr, error) {
	defer func() { _ = unix.Close(first) }() // nothing was written to it
	bound, err := boundTo(first, tcp)
	if err != nil {
		return -1, tcp, err
	}
	fd, err := bind(bound)
	return fd, bound, err
}

// bind makes a socket of an address. An address without an IP is every one of this machine, IPv4 and IPv6.
func bind(tcp *net.TCPAddr) (fd int, err error) {
	all := tcp.IP == nil || tcp.IP.Equal(net.IPv6unspecified)
	if tcp.IP.To4() != nil {
		return bindTo(unix.AF_INET, sockaddr(net.IPAddr{IP: tcp.IP}, tcp.Port), false)
	}
	to := &unix.SockaddrInet6{Port: tcp.Port}
	if !all {
		to = sockaddr(net.IPAddr{IP: tcp.IP, Zone: tcp.Zone}, tcp.Port).(*unix.SockaddrInet6)
	}
	fd, err = bindTo(unix.AF_INET6, to, all)
	if errors.Is(err, unix.EAFNOSUPPORT) && tcp.IP == nil { // no IPv6 here
		return bindTo(unix.AF_INET, &unix.SockaddrInet4{Port: tcp.Port}, false)
	}
	return fd, err
}

func bindTo(family int, to unix.Sockaddr, all bool) (fd int, err error) {
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	if err == nil && family == unix.AF_INET6 {
		only := 1
		if all {
			only = 0
		}
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only))
	}
	if err == nil {
		unpaced(fd, to)
		err = os.NewSyscallError("bind", unix.Bind(fd, to))
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// boundTo is the address with the port that the kernel chose.
func boundTo(fd int, tcp *net.TCPAddr) (*net.TCPAddr, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return tcp, os.NewSyscallError("getsockname", err)
	}
	bound := *tcp
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		bound.Port = sa.Port
	case *unix.SockaddrInet6:
		bound.Port = sa.Port
		if bound.IP == nil {
			bound.IP = net.IPv6unspecified
		}
	}
	return &bound, nil
}

// start begins to accept. It runs on the loop.
func (n *listener) start() (err error) {
	n.retry.owner = n
	n.slot, err = n.loop.watch(n.fd, unix.EPOLLIN, n)
	return err
}

// ready accepts what has come.
func (n *listener) ready(uint32) {
	for range accepts {
		if n.fd < 0 || n.refusing || !n.accept() {
			return
		}
	}
	n.loop.timers.set(&n.retry, clock.Now()) // after others
}

func (n *listener) alarmed() { n.ready(0) }

// accept takes one connection in; false when there is none.
func (n *listener) accept() bool {
	fd, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(n.fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	switch errno {
	case 0:
		prompt(int(fd))
		n.link.accepted(int(fd))
		return true
	case unix.EAGAIN:
		return false
	case unix.EINTR, unix.ECONNABORTED:
		return true
	}
	// Out of descriptors, most likely: connections that end will give some back.
	n.loop.timers.set(&n.retry, clock.Now()+10*time.Millisecond)
	return false
}

// refuse makes the kernel refuse connections, or accept them again. A listening socket that is shut down listens no more,
// but keeps its address, and may listen again (Linux; tcp_disconnect). Who had connected before is accepted.
func (n *listener) refuse(yes bool) error {
	if n.refusing == yes || n.fd < 0 {
		return nil
	}
	if yes {
		for n.accept() {
		}
		n.refusing = true
		if _, _, errno := syscall.RawSyscall(unix.SYS_SHUTDOWN, uintptr(n.fd), unix.SHUT_RDWR, 0); errno != 0 {
			return fmt.Errorf("shutdown: %w", errno)
		}
		return nil
	}
	if err := unix.Listen(n.fd, backlog); err != nil {
		return fmt.Errorf("listening again: %w", err)
	}
	n.refusing = false
	n.ready(0)
	return nil
}

func (n *listener) close() {
	if n.fd < 0 {
		return
	}
	n.loop.timers.drop(&n.retry)
	n.loop.forget(n.slot)
	closeSocket(n.fd, false)
	n.fd = -1
}

func (n *listener) follow(p *policy) error { return n.refuse(p.refuse) }
