package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"shakedown/chaos"
	"shakedown/internal/units"
)

const (
	pingBytes = 16
	// A payload is worth a quarter of a second of a limited link, within these bounds; an unlimited link gets the
	// default. One that is to be cut off after a number of bytes gets more than those, up to longestPayload.
	defaultPayload, leastPayload, greatestPayload = 64 << 10, 64, 1 << 20
	longestPayload                                = 64 << 20
	// cuts is how many pieces a payload is cut into, about.
	cuts = 32
	// looks is how many messages look for a flipped bit, which effects decide about for each.
	looks      = 64
	probeIndex = 1 << 63 // probes have numbers of their own, so they disturb no random decision
)

// Probe sends messages through the link's present plan to an echo and back, over loopback connections that a loop serves as
// any other. Not being answered within giveUp, or being cut, is an outcome and no error. While the plan is to cut the
// connection later, within giveUp, the probe waits for that.
func (l *Link) Probe(ctx context.Context, giveUp time.Duration) (chaos.Probe, error) {
	if l.ctx.Err() != nil {
		return chaos.Probe{}, l.gone()
	}
	if l.spec.network() == "udp" {
		return l.probeUDP(ctx, giveUp)
	}
	if l.policy.Load().refuse && l.refused(ctx) {
		return chaos.Probe{Refused: true}, nil
	}
	p := prober{link: l, until: time.Now().Add(giveUp)}
	err := p.run(ctx)
	return p.Probe, l.probed(ctx, err, &p)
}

// refused says whether the kernel refuses a connection to the link's own address.
func (l *Link) refused(ctx context.Context) bool {
	err := within(l.space, func() error {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr())
		if err == nil {
			_ = c.Close()
		}
		return err
	})
	return errors.Is(err, syscall.ECONNREFUSED)
}

// A prober is one probe.
type prober struct {
	chaos.Probe
	link  *Link
	until time.Time
	start time.Time
	conn  *net.TCPConn
	plan  *plan
}

func (p *prober) run(ctx context.Context) error {
	l := p.link
	near, inner, err := loopback(ctx)
	if err != nil {
		return err
	}
	echo, outer, err := loopback(ctx)
	if err != nil {
		reset(near)
		return errors.Join(err, unix.Close(inner))
	}
	var uncounted stats
	number := probeIndex | l.probes.Add(1)
	p.conn, p.start = near, time.Now()
	on := l.proxy.loops[number%uint64(len(l.proxy.loops))]
	var c *conn
	on.call(func() {
		c = l.newConn(on, inner, number, &uncounted, outer)
		p.plan = c.plan
	})
	if c == nil {
		_, _ = unix.Close(inner), unix.Close(outer)
		reset(near)
		reset(echo)
		return l.gone()
	}
	var parts sync.WaitGroup
	defer parts.Wait()
	defer func() { // in this order the parts end: the connection, then what is left of its two ends
		on.call(func() { c.abort() })
		reset(near)
		reset(echo)
	}()
	parts.Go(func() { // ends with its connection
		_, _ = io.Copy(echo, echo)
		_ = echo.CloseWrite()
	})
	_ = near.SetDeadline(p.until)
	stop := context.AfterFunc(l.ctx, func() { _ = near.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	abandon := context.AfterFunc(ctx, func() { _ = near.SetDeadline(time.Unix(1, 0)) })
	defer abandon()
	return p.measure()
}

// probed sorts the end of a probe into its outcomes.
func (l *Link) probed(ctx context.Context, err error, p *prober) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("probe of %s: %w", l.spec.Name, context.Cause(ctx))
	case l.ctx.Err() != nil:
		return l.gone()
	case errors.Is(err, os.ErrDeadlineExceeded):
		p.Lost = p.RoundTrip == 0 || p.Took == 0
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		p.Closed = true
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ENOTCONN):
		p.Reset = true
	default:
		return fmt.Errorf("probe of %s: %w", l.spec.Name, err)
	}
	p.Lived = units.Duration(time.Since(p.start))
	return nil
}

// measure times two pings, the second on a connection that stands, then a payload, and then the end of the stream.
func (p *prober) measure() error {
	if err := p.exchange(pingBytes); err != nil {
		return err
	}
	p.First = units.Duration(time.Since(p.start))
	start := time.Now()
	if err := p.exchange(pingBytes); err != nil {
		return err
	}
	p.RoundTrip = units.Duration(time.Since(start))
	if len(p.plan.lanes[up].corrupt)+len(p.plan.lanes[down].corrupt) > 0 {
		for range looks {
			if err := p.exchange(pingBytes); err != nil {
				return err
			}
		}
	}
	if err := p.payload(payload(p.plan)); err != nil {
		return err
	}
	p.Took = units.Duration(time.Since(p.start))
	if p.cutSoon() {
		_, err := p.read(make([]byte, 1))
		return err
	}
	start = time.Now()
	if err := p.conn.CloseWrite(); err != nil {
		return err
	}
	n, err := p.read(make([]byte, 1))
	if n == 0 && errors.Is(err, io.EOF) {
		p.End = units.Duration(time.Since(start))
		return nil
	}
	return err
}

// cutSoon says whether the plan will cut the connection before the probe gives up.
func (p *prober) cutSoon() bool {
	for _, c := range p.plan.cuts {
		if p.start.Add(c.after).Before(p.until) {
			return true
		}
	}
	return false
}

// exchange sends a message of zeros and waits for all of it.
func (p *prober) exchange(size int) error {
	msg := make([]byte, size)
	if _, err := p.conn.Write(msg); err != nil {
		return err
	}
	for got := 0; got < size; {
		n, err := p.read(msg[got:])
		got += n
		if err != nil {
			return err
		}
	}
	return nil
}

// read reads, and counts bytes, and those that are not the zeros that were sent.
func (p *prober) read(b []byte) (int, error) {
	n, err := p.conn.Read(b)
	p.Bytes += int64(n)
	p.Corrupt += int64(n - bytes.Count(b[:n], []byte{0}))
	return n, err
}

// payload sends a payload and times it from its first read to its last byte, so that the link's delay is not part of its
// rate.
func (p *prober) payload(size int) error {
	sent := make(chan error, 1)
	start := time.Now()
	go func() {
		_, err := p.conn.Write(make([]byte, size))
		sent <- err
	}()
	rate, err := p.drain(size, start)
	if err != nil {
		_ = p.conn.SetDeadline(time.Unix(1, 0)) // the writer has nobody to write for
		<-sent                                  //nolint:errcheck // why the reader stopped is why the writer did
		return err
	}
	p.BytesPerSecond = rate
	return <-sent
}

// drain reads size bytes and returns the rate at which all but the first read came; of a payload that came in one
// read, the rate since start.
func (p *prober) drain(size int, start time.Time) (float64, error) {
	buf := make([]byte, min(size, greatestPayload))
	first, err := p.read(buf)
	if err != nil {
		return 0, err
	}
	rest := size - first
	if rest > 0 {
		start = time.Now()
	}
	for left := rest; left > 0; {
		n, err := p.read(buf[:min(left, len(buf))])
		if left -= n; err != nil {
			return 0, err
		}
	}
	if rest == 0 {
		rest = size
	}
	return float64(rest) / max(time.Since(start).Seconds(), 1e-9), nil
}

// payload is the size of the payload that measures the plan's rate, and meets its limit of bytes.
func payload(p *plan) int {
	size := int64(0)
	for i := range p.lanes {
		for _, n := range p.lanes[i].limits {
			if quarter := n.rate / 4; size == 0 || quarter < size {
				size = max(quarter, leastPayload)
			}
		}
	}
	if size = min(size, greatestPayload); size == 0 {
		size = defaultPayload
	}
	for i := range p.lanes {
		if s := p.lanes[i].sliced; s != nil {
			size = min(size, cuts*s.SliceBytes)
		}
	}
	for i := range p.lanes {
		if n := p.lanes[i].limit; n < longestPayload {
			size = max(size, n+1)
		}
	}
	return int(size)
}

// loopback is a pair of connected TCP sockets, of which the far one is a bare descriptor for a loop.
func loopback(ctx context.Context) (near *net.TCPConn, far int, err error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, -1, err
	}
	defer func() { _ = ln.Close() }()
	dialled, err := new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
	if err != nil {
		return nil, -1, err
	}
	near = dialled.(*net.TCPConn)
	for {
		accepted, err := ln.Accept()
		if err != nil {
			reset(near)
			return nil, -1, err
		}
		if accepted.RemoteAddr().String() == near.LocalAddr().String() {
			far, err = bare(accepted.(*net.TCPConn))
			if err != nil {
				reset(near)
			}
			return near, far, err
		}
		reset(accepted) // a stranger found the port
	}
}

// bare takes the descriptor out of a connection, which it closes.
func bare(c syscallConn) (fd int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	var dup error
	err = raw.Control(func(own uintptr) { fd, dup = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, dup, c.Close()); err != nil {
		return -1, err
	}
	return fd, nil
}

type syscallConn interface {
	syscall.Conn
	io.Closer
}

// reset closes a connection with a RST in place of a FIN.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // fails only on a connection that is closed already
	}
	_ = c.Close()
}
