package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"shakedown/internal/netns"
	"shakedown/internal/tcp"
)

// socketEvents are all that a loop wants to know of a connected socket.
const socketEvents = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLPRI

// recv reads what is there, up to the size of b.
func recv(fd int, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// send writes what the socket takes.
func send(fd int, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// sendAll writes what the socket takes of several pieces.
func sendAll(fd int, pieces []unix.Iovec) (int, syscall.Errno) {
	msg := unix.Msghdr{Iov: &pieces[0], Iovlen: uint64(len(pieces))}
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_NOSIGNAL)
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// shutdownWrite sends the end of the stream: a FIN.
func shutdownWrite(fd int) {
	_, _, _ = syscall.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0) // fails when the peer is gone, which reading tells
}

// closeSocket closes, and abruptly with a RST in place of a FIN (SO_LINGER 0, socket(7)). A unix socket knows no RST: its
// peer sees the end of the stream, or ECONNRESET when it had sent bytes that nobody read.
func closeSocket(fd int, abrupt bool) {
	if abrupt {
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // a unix socket ignores it
	}
	_, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// prompt makes a TCP socket send at once, and notice a peer that is gone for good.
func prompt(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // all fail on unix sockets only
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1) == nil {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15)
	}
}

// unpaced makes a socket of a loopback address, and all that it accepts, send as fast as it can.
func unpaced(fd int, to unix.Sockaddr) {
	var ip net.IP
	switch to := to.(type) {
	case *unix.SockaddrInet4:
		ip = to.Addr[:]
	case *unix.SockaddrInet6:
		ip = to.Addr[:]
	}
	if ip.IsLoopback() {
		tcp.Unpace(fd)
	}
}

// connectTo starts to connect a new socket in a namespace: it is under way when the error is EINPROGRESS. A unix socket whose server does
// not accept fast enough is EAGAIN.
func connectTo(space *netns.Namespace, to unix.Sockaddr) (fd int, err error) {
	family := unix.AF_UNIX
	switch to.(type) {
	case *unix.SockaddrInet4:
		family = unix.AF_INET
	case *unix.SockaddrInet6:
		family = unix.AF_INET6
	}
	fd, err = socket(space, family, unix.SOCK_STREAM)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if family != unix.AF_UNIX {
		prompt(fd)
		unpaced(fd, to)
	}
	if err := unix.Connect(fd, to); err != nil && !errors.Is(err, unix.EINPROGRESS) && !errors.Is(err, unix.EINTR) {
		closeSocket(fd, false)
		return -1, err
	}
	return fd, nil
}

// socketError is the error that a socket met while nobody looked.
func socketError(fd int) error {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = syscall.Errno(errno)
	}
	return err
}

// resolve finds the addresses of an upstream. They are looked up for each connection, because names may move.
func resolve(ctx context.Context, network, address string) ([]unix.Sockaddr, error) {
	if network == "unix" {
		return []unix.Sockaddr{&unix.SockaddrUnix{Name: address}}, nil
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return nil, err
	}
	if host == "" {
		host = "127.0.0.1"
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, err
	}
	var all []unix.Sockaddr
	for _, ip := range ips {
		all = append(all, sockaddr(ip, port))
	}
	return all, nil
}

func sockaddr(ip net.IPAddr, port int) unix.Sockaddr {
	if v4 := ip.IP.To4(); v4 != nil {
		return &unix.SockaddrInet4{Port: port, Addr: [4]byte(v4)}
	}
	return &unix.SockaddrInet6{Port: port, Addr: [16]byte(ip.IP.To16()), ZoneId: zone(ip.Zone)}
}

// own are addresses that other loops do not use: connecting writes to them (package unix).
func own(all []unix.Sockaddr) (mine []unix.Sockaddr) {
	for _, a := range all {
		switch a := a.(type) {
		case *unix.SockaddrInet4:
			mine = append(mine, &unix.SockaddrInet4{Port: a.Port, Addr: a.Addr})
		case *unix.SockaddrInet6:
			mine = append(mine, &unix.SockaddrInet6{Port: a.Port, Addr: a.Addr, ZoneId: a.ZoneId})
		case *unix.SockaddrUnix:
			mine = append(mine, &unix.SockaddrUnix{Name: a.Name})
		}
	}
	return mine
}

// zone is the index of an interface that an IPv6 address names.
func zone(name string) uint32 {
	if i, err := net.InterfaceByName(name); name != "" && err == nil {
		return uint32(i.Index)
	}
	return 0
}

// literal is the address that needs no looking up, or nil.
func literal(network, address string) []unix.Sockaddr {
	if network != "unix" {
		host, _, err := net.SplitHostPort(address)
		if err != nil || net.ParseIP(host) == nil {
			return nil
		}
	}
	to, err := resolve(context.Background(), network, address) // does not ask anybody
	if err != nil {
		return nil
	}
	return to
}
