package wire

import (
	"encoding/binary"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// A Target is a server: Addr is "host:port".
type Target struct{ Addr string }

// An endpoint is a target as the kernel wants it, and what the loop has of it.
type endpoint struct {
	family      int
	loopback    bool
	sockaddr    []byte  // struct sockaddr_in or sockaddr_in6
	open        int     // connections, with those that are being opened
	idle        []*conn // the one that was used last is used next
	first, last *exchange
}

func resolve(t Target) (endpoint, error) {
	addr, err := net.ResolveTCPAddr("tcp", t.Addr)
	if err != nil {
		return endpoint{}, fmt.Errorf("%s: %w", t.Addr, err)
	}
	if ip := addr.IP.To4(); ip != nil || len(addr.IP) == 0 {
		b := make([]byte, unix.SizeofSockaddrInet4)
		binary.NativeEndian.PutUint16(b, unix.AF_INET)
		binary.BigEndian.PutUint16(b[2:], uint16(addr.Port))
		copy(b[4:], ip)
		return endpoint{family: unix.AF_INET, sockaddr: b, loopback: ip.IsLoopback()}, nil
	}
	b := make([]byte, unix.SizeofSockaddrInet6)
	binary.NativeEndian.PutUint16(b, unix.AF_INET6)
	binary.BigEndian.PutUint16(b[2:], uint16(addr.Port))
	copy(b[8:], addr.IP.To16())
	if addr.Zone != "" {
		ifi, err := net.InterfaceByName(addr.Zone)
		if err != nil {
			return endpoint{}, fmt.Errorf("%s: %w", t.Addr, err)
		}
		binary.NativeEndian.PutUint32(b[24:], uint32(ifi.Index))
	}
	return endpoint{family: unix.AF_INET6, sockaddr: b, loopback: addr.IP.IsLoopback()}, nil
}

// queue lets x wait for a connection.
func (e *endpoint) queue(x *exchange) {
	if e.last == nil {
		e.first = x
	} else {
		e.last.waiting = x
	}
	e.last = x
}

// unqueue is the exchange that has waited longest, which waits no more; nil when none does.
func (e *endpoint) unqueue() *exchange {
	x := e.first
	if x == nil {
		return nil
	}
	if e.first = x.waiting; e.first == nil {
		e.last = nil
	}
	x.waiting = nil
	return x
}
