package proxy

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"shakedown/chaos"
	"shakedown/internal/clock"
)

const (
	// sessionTime is how long a session lives without a datagram.
	sessionTime = 60 * time.Second
	// mostSessions bounds the sessions of a link; datagrams of further clients are dropped.
	mostSessions = 16 << 10
	// reorderWait is how long a datagram that is to be overtaken waits for another one, and sendAgain when one is sent
	// again for which the kernel had no room.
	reorderWait = 100 * time.Millisecond
	sendAgain   = time.Millisecond
)

// A relay is the carrier of a UDP link. A session is what a connection is to a stream: all datagrams between one client
// address and the upstream.
type relay struct {
	link     *Link
	loop     *loop
	fd       int
	slot     int32
	idle     time.Duration // sessionTime
	sessions map[netip.AddrPort]*session
	probes   map[*session]struct{}
}

func listenUDP(l *Link, address string) (*relay, error) {
	udp, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp", udp)
	if err != nil {
		return nil, err
	}
	l.addr = conn.LocalAddr()
	fd, err := bare(conn)
	if err != nil {
		return nil, err
	}
	return &relay{
		link: l, loop: l.home, fd: fd, slot: -1, idle: sessionTime,
		sessions: map[netip.AddrPort]*session{}, probes: map[*session]struct{}{},
	}, nil
}

// checkUDP says which effects datagrams do not know.
func checkUDP(e chaos.Effect) error {
	for name, set := range map[string]bool{
		"reset": e.Reset, "close": e.Close, "half_open": e.HalfOpen, "refuse": e.Refuse, "connect_delay": e.ConnectDelay > 0,
		"slow_close": e.SlowClose > 0, "limit_bytes": e.LimitBytes > 0, "slice_bytes": e.SliceBytes > 0,
	} {
		if set {
			return errors.New(name + " acts on connections, and this link carries datagrams")
		}
	}
	if e.Loss > 0 {
		return errors.New("loss is what TCP makes of it, and this link carries datagrams: use drop")
	}
	return nil
}

func (r *relay) start() (err error) {
	r.slot, err = r.loop.watch(r.fd, unix.EPOLLIN, r)
	return err
}

// ready takes in what clients have sent. It reads until nothing is left: an edge is told only once.
func (r *relay) ready(uint32) {
	for r.fd >= 0 {
		n, from, err := unix.Recvfrom(r.fd, r.loop.buf, 0)
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if err != nil {
			continue // EINTR, or an answer of ICMP to what was sent before
		}
		if s := r.session(from); s != nil {
			s.arrived(up, r.loop.buf[:n])
		} else {
			r.link.stats.datagrams.Add(1)
			r.link.stats.received[up].Add(int64(n))
			r.link.stats.dropped.Add(1)
		}
	}
}

// session finds the session of a client, or makes it.
func (r *relay) session(from unix.Sockaddr) *session {
	key := addrPort(from)
	if s, ok := r.sessions[key]; ok {
		return s
	}
	if len(r.sessions) >= mostSessions {
		return nil
	}
	number := r.link.numbers
	r.link.numbers++
	s := r.open(number, &r.link.stats)
	s.client, s.from = key, from
	r.sessions[key] = s
	if s.connect(r.link.targets); s.resolving {
		r.link.resolveUDP(s)
	}
	return s
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

func (r *relay) follow(p *policy) error {
	for _, s := range r.sessions {
		s.adopt(p.plan(s.key))
	}
	for s := range r.probes {
		s.adopt(p.plan(s.key))
	}
	return nil
}

func (r *relay) close() {
	if r.fd < 0 {
		return
	}
	for _, s := range r.sessions {
		s.end()
	}
	for s := range r.probes {
		s.end()
	}
	if r.slot >= 0 {
		r.loop.forget(r.slot)
	}
	closeSocket(r.fd, false)
	r.fd = -1
}

// A session is one client's.
type session struct {
	relay     *relay
	client    netip.AddrPort
	from      unix.Sockaddr // the client; nil of a probe, which has a socket of its own
	near      int           // a probe's client, or -1
	fd        int           // connected to the upstream, or -1
	slots     [2]int32      // of near and fd
	resolving bool
	key       uint64
	stats     *stats
	queues    [2]queue
	seen      time.Duration // the last datagram
	life      timer
	over      bool
}

func (r *relay) open(number uint64, st *stats) *session {
	s := &session{relay: r, near: -1, fd: -1, slots: [2]int32{-1, -1}, key: connKey(r.link.spec.Name, number), stats: st, seen: clock.Now()}
	p := r.link.policy.Load().plan(s.key)
	for way := range s.queues {
		q := &s.queues[way]
		q.session, q.way, q.lane, q.key = s, way, &p.lanes[way], streamKey(s.key, way)
		q.timer.owner = q
	}
	s.life.owner = s
	st.connections.Add(1)
	st.open.Add(1)
	r.loop.timers.set(&s.life, s.seen+r.idle)
	return s
}

// connect makes the socket that the upstream sees.
func (s *session) connect(targets []unix.Sockaddr) {
	s.resolving = targets == nil
	for _, to := range targets {
		family := unix.AF_INET
		if _, ok := to.(*unix.SockaddrInet6); ok {
			family = unix.AF_INET6
		}
		fd, err := socket(s.relay.link.space, family, unix.SOCK_DGRAM)
		if err == nil {
			if err = unix.Connect(fd, to); err == nil {
				err = s.watch(down, fd)
			} else {
				closeSocket(fd, false)
			}
		}
		if err == nil {
			s.queues[up].run()
			return
		}
	}
	if !s.resolving {
		s.stats.dialFailures.Add(1)
	}
}

// watch gives the session one of its sockets, by the way of what comes from it.
func (s *session) watch(way, fd int) (err error) {
	if s.slots[way], err = s.relay.loop.watch(fd, unix.EPOLLIN, &shore{s, way}); err != nil {
		closeSocket(fd, false)
		return err
	}
	if way == up {
		s.near = fd
	} else {
		s.fd = fd
	}
	return nil
}

// resolveUDP looks the upstream's name up for a session.
func (l *Link) resolveUDP(s *session) {
	if l.ctx.Err() != nil {
		return
	}
	l.wg.Go(func() {
		targets, err := resolve(l.ctx, "udp", l.spec.Address)
		s.relay.loop.post(func() {
			if s.over {
				return
			}
			if err != nil {
				targets = []unix.Sockaddr{} // which counts as a failure
			}
			s.connect(targets)
		})
	})
}

// A shore is a socket of a session.
type shore struct {
	session *session
	way     int // of what comes from it
}

func (h *shore) ready(uint32) {
	s := h.session
	fd := s.fd
	if h.way == up {
		fd = s.near
	}
	for !s.over {
		n, errno := recv(fd, s.relay.loop.buf)
		switch errno {
		case 0:
			s.arrived(h.way, s.relay.loop.buf[:n])
		case unix.EAGAIN:
			return
		case unix.ECONNREFUSED: // nobody listens there
			s.stats.dialFailures.Add(1)
		}
	}
}

func (s *session) arrived(way int, data []byte) {
	s.seen = clock.Now()
	s.queues[way].arrived(data)
}

func (s *session) adopt(p *plan) {
	for way := range s.queues {
		q := &s.queues[way]
		q.lane, q.paid = &p.lanes[way], 0
		if q.lane.hold {
			for i := range q.waiting {
				q.meetHold(&q.waiting[i])
			}
		}
	}
	for way := range s.queues {
		s.queues[way].run()
	}
}

// alarmed ends the session when it has been idle.
func (s *session) alarmed() {
	if at := s.seen + s.relay.idle; at > clock.Now() || len(s.queues[up].waiting)+len(s.queues[down].waiting) > 0 {
		s.relay.loop.timers.set(&s.life, max(at, clock.Now()+s.relay.idle/2))
		return
	}
	s.end()
}

func (s *session) end() {
	if s.over {
		return
	}
	s.over = true
	for way := range s.queues {
		s.queues[way].clear()
	}
	for way, fd := range [2]int{up: s.near, down: s.fd} {
		if fd >= 0 {
			s.relay.loop.forget(s.slots[way])
			closeSocket(fd, false)
		}
	}
	s.relay.loop.timers.drop(&s.life)
	s.stats.open.Add(-1)
	if s.from == nil {
		delete(s.relay.probes, s)
	} else {
		delete(s.relay.sessions, s.client)
	}
}

// send writes one datagram on a way. One of no bytes is a datagram too.
func (s *session) send(way int, data []byte) syscall.Errno {
	var to unix.Sockaddr
	fd := s.fd
	if way == down {
		if fd = s.near; fd < 0 {
			fd, to = s.relay.fd, s.from
		}
	}
	if to != nil {
		err := unix.Sendto(fd, data, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, to)
		var errno syscall.Errno
		_ = errors.As(err, &errno)
		return errno
	}
	var none byte
	at := &none
	if len(data) > 0 {
		at = &data[0]
	}
	_, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(at)), uintptr(len(data)), unix.MSG_NOSIGNAL, 0, 0)
	return errno
}
