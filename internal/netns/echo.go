package netns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"shakedown/chaos"
)

const (
	// echoPort is that of the Echo Protocol (RFC 862).
	echoPort = 7
	// probeTOS marks the packets of probes, so that rules can count them apart from those of real traffic: network control,
	// class selector 6 (RFC 2474, 4.2.2), which no server here sends.
	probeTOS = 0xc0
)

// echo answers for a host: it returns what comes by TCP, and notes the datagrams that come by UDP.
type echo struct {
	tcp     net.Listener
	udp     net.PacketConn
	serving sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil once closed
}

// marked makes a socket send packets that are known as those of a probe.
func marked(_, _ string, c syscall.RawConn) error {
	var err error
	if cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, probeTOS) }); cerr != nil {
		return cerr
	}
	return err
}

func listenEcho(ctx context.Context, h *Host) (*echo, error) {
	e := &echo{conns: map[net.Conn]struct{}{}}
	address := netip.AddrPortFrom(h.addr, echoPort).String()
	listen := net.ListenConfig{Control: marked}
	err := h.space.Do(func() (err error) {
		if e.tcp, err = listen.Listen(ctx, "tcp4", address); err != nil {
			return err
		}
		e.udp, err = listen.ListenPacket(ctx, "udp4", address)
		return err
	})
	if err != nil {
		if e.tcp != nil {
			_ = e.tcp.Close()
		}
		return nil, fmt.Errorf("listening for probes: %w", err)
	}
	e.serving.Go(e.accept)
	e.serving.Go(func() { e.receive(&h.network.pings) })
	return e, nil
}

func (e *echo) accept() {
	for {
		c, err := e.tcp.Accept()
		if err != nil {
			return
		}
		if !e.keep(c) {
			_ = c.Close()
			return
		}
		e.serving.Go(func() {
			_, _ = io.Copy(c, c) // until its client has enough
			e.mu.Lock()
			delete(e.conns, c)
			e.mu.Unlock()
			_ = c.Close()
		})
	}
}

func (e *echo) keep(c net.Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conns == nil {
		return false
	}
	e.conns[c] = struct{}{}
	return true
}

func (e *echo) receive(p *pings) {
	datagram := make([]byte, 64)
	for {
		n, _, err := e.udp.ReadFrom(datagram)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && n == 8 {
			p.arrived(binary.BigEndian.Uint64(datagram))
		}
	}
}

func (e *echo) close() error {
	err := errors.Join(e.tcp.Close(), e.udp.Close())
	e.mu.Lock()
	for c := range e.conns {
		_ = c.Close()
	}
	e.conns = nil
	e.mu.Unlock()
	e.serving.Wait()
	return err
}

// pings are those under way on a network. Sender and receiver are in one process, so that arriving is seen where it happens.
type pings struct {
	last atomic.Uint64
	mu   sync.Mutex
	wait map[uint64]chan struct{}
}

func (p *pings) begin(datagrams int) (id uint64, arrivals <-chan struct{}) {
	id = p.last.Add(1)
	c := make(chan struct{}, datagrams)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wait == nil {
		p.wait = map[uint64]chan struct{}{}
	}
	p.wait[id] = c
	return id, c
}

func (p *pings) end(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.wait, id)
}

func (p *pings) arrived(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.wait[id] <- struct{}{}: // blocks for ever, and is skipped, when nobody waits
	default:
	}
}

// Ping sends datagrams to the Echo port of another host, and counts those that arrive there.
func (h *Host) Ping(ctx context.Context, to chaos.Host, datagrams int, giveUp time.Duration) (arrived int, err error) {
	peer, err := h.peer(to)
	if err != nil {
		return 0, err
	}
	id, arrivals := h.network.pings.begin(datagrams)
	defer h.network.pings.end(id)
	c, err := h.dial(ctx, "udp4", peer) // which waits for nobody, but on a busy machine for its turn
	if err != nil {
		return 0, fmt.Errorf("pinging %s from %s: %w", peer.name, h.name, err)
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	for range datagrams {
		// An ICMP message that an earlier datagram caused comes as the error of a later one, which is then sent again.
		for range 2 {
			if _, err = c.Write(binary.BigEndian.AppendUint64(nil, id)); err == nil {
				break
			}
		}
	}
	for arrived < datagrams {
		select {
		case <-arrivals:
			arrived++
		case <-ctx.Done():
			return arrived, nil
		}
	}
	return arrived, nil
}

// Connect dials the Echo port of another host.
func (h *Host) Connect(ctx context.Context, to chaos.Host, giveUp time.Duration) (chaos.Handshake, error) {
	peer, err := h.peer(to)
	if err != nil {
		return "", err
	}
	within, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	c, err := h.dial(within, "tcp4", peer)
	switch {
	case err == nil:
		_ = c.(*net.TCPConn).SetLinger(0) // leaves nothing to be sent again
		return chaos.Connected, c.Close()
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ECONNRESET):
		return chaos.Refused, nil
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH):
		return chaos.Unreachable, nil
	case isTimeout(err):
		return chaos.TimedOut, nil
	}
	return "", fmt.Errorf("connecting from %s to %s: %w", h.name, peer.name, err)
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// Pour sends bytes to the Echo port of another host and reads them back.
func (h *Host) Pour(ctx context.Context, to chaos.Host, bytes int64) (bytesPerSecond float64, err error) {
	peer, err := h.peer(to)
	if err != nil {
		return 0, err
	}
	fail := func(err error) (float64, error) {
		return 0, fmt.Errorf("sending %d bytes from %s to %s and back: %w", bytes, h.name, peer.name, err)
	}
	c, err := h.dial(ctx, "tcp4", peer)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	start := time.Now()
	sent := make(chan error, 1)
	go func() {
		_, err := io.CopyN(c, zeros{}, bytes)
		sent <- err
	}()
	_, err = io.CopyN(io.Discard, c, bytes)
	took := time.Since(start)
	if err != nil {
		_ = c.SetDeadline(time.Unix(1, 0)) // the sender has nobody to send to
	}
	if err := errors.Join(err, <-sent); err != nil {
		return fail(err)
	}
	return float64(bytes) / took.Seconds(), nil
}

// zeros is an endless source of bytes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// dial dials the Echo port of a host, by packets that are known as those of a probe.
func (h *Host) dial(ctx context.Context, network string, to *Host) (c net.Conn, err error) {
	dialer := net.Dialer{Control: marked}
	err = h.space.Do(func() (err error) {
		c, err = dialer.DialContext(ctx, network, netip.AddrPortFrom(to.addr, echoPort).String())
		return err
	})
	return c, err
}
