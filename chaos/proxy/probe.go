package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"shakedown/chaos"
	"shakedown/internal/units"
)

const (
	pingBytes = 16
	// A payload is worth a quarter of a second of a limited link, within these bounds; an unlimited link gets the
	// default. The greatest fits into a pump's queue, so a probe cannot block itself.
	defaultPayload, leastPayload, greatestPayload = 64 << 10, 64, 1 << 20
	probeIndex                                    = 1 << 63 // probes have indices of their own, so they disturb no jitter
)

// Probe sends a ping and then a payload through the link's present plan to an echo and back, over loopback
// connections that the same pumps serve. It times the ping's round trip and the payload's rate. Not being
// answered within giveUp, or being reset, is an outcome and no error.
func (l *Link) Probe(ctx context.Context, giveUp time.Duration) (chaos.Probe, error) {
	client, inner, err := loopback(ctx)
	if err != nil {
		return chaos.Probe{}, fmt.Errorf("probe of %s: %w", l.spec.Name, err)
	}
	outer, echo, err := loopback(ctx)
	if err != nil {
		reset(client)
		reset(inner)
		return chaos.Probe{}, fmt.Errorf("probe of %s: %w", l.spec.Name, err)
	}
	var uncounted stats
	c := l.newConn(inner, outer, probeIndex|l.probes.Add(1), &uncounted)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer func() { // in this order the parts end: the connection, then what is left of its two ends
		c.abort()
		reset(client)
		reset(echo)
	}()
	parts.Go(func() { _, _ = io.Copy(echo, echo) }) // ends with its connection
	parts.Go(func() { l.carry(c) })

	_ = client.SetDeadline(time.Now().Add(giveUp))
	stop := context.AfterFunc(ctx, func() { _ = client.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var p chaos.Probe
	err = measure(client, payload(l.plan.Load()), &p)
	return p, l.probed(ctx, err, &p)
}

// probed sorts the end of a probe into its outcomes.
func (l *Link) probed(ctx context.Context, err error, p *chaos.Probe) error {
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return fmt.Errorf("probe of %s: %w", l.spec.Name, context.Cause(ctx))
	case l.ctx.Err() != nil:
		return l.gone()
	case errors.Is(err, os.ErrDeadlineExceeded):
		p.Lost = true
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		p.Reset = true
	default:
		return fmt.Errorf("probe of %s: %w", l.spec.Name, err)
	}
	return nil
}

// measure times a ping, and then a payload from its first read to its last byte, so that the link's delay is not
// part of its rate.
func measure(conn net.Conn, size int, p *chaos.Probe) error {
	start := time.Now()
	var ping [pingBytes]byte
	if _, err := conn.Write(ping[:]); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, ping[:]); err != nil {
		return err
	}
	p.RoundTrip = units.Duration(time.Since(start))

	sent := make(chan error, 1)
	start = time.Now()
	go func() {
		_, err := conn.Write(make([]byte, size))
		sent <- err
	}()
	rate, err := drain(conn, size, start)
	if err != nil {
		_ = conn.SetDeadline(time.Unix(1, 0)) // the writer has nobody to write for
	} else {
		p.BytesPerSecond = rate
	}
	return errors.Join(err, <-sent)
}

// drain reads size bytes and returns the rate at which all but the first read came; of a payload that came in one
// read, the rate since start.
func drain(conn net.Conn, size int, start time.Time) (float64, error) {
	buf := make([]byte, size)
	first, err := conn.Read(buf)
	if err != nil {
		return 0, err
	}
	rest := size - first
	if rest > 0 {
		start = time.Now()
		if _, err := io.ReadFull(conn, buf[first:]); err != nil {
			return 0, err
		}
	} else {
		rest = size
	}
	return float64(rest) / max(time.Since(start).Seconds(), 1e-9), nil
}

// payload is the size of the payload that measures the plan's rate.
func payload(p *plan) int {
	size := int64(0)
	for _, l := range p.lanes {
		if quarter := l.rate / 4; l.rate > 0 && (size == 0 || quarter < size) {
			size = max(quarter, leastPayload)
		}
	}
	if size == 0 {
		return defaultPayload
	}
	return int(min(size, greatestPayload))
}

// loopback is a pair of connected TCP sockets.
func loopback(ctx context.Context) (near, far *net.TCPConn, err error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = ln.Close() }()
	dialled, err := new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	near = dialled.(*net.TCPConn)
	for {
		accepted, err := ln.Accept()
		if err != nil {
			reset(near)
			return nil, nil, err
		}
		if accepted.RemoteAddr().String() == near.LocalAddr().String() {
			return near, accepted.(*net.TCPConn), nil
		}
		reset(accepted) // a stranger found the port
	}
}
