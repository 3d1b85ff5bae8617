package chaostest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"shakedown/chaos"
	"shakedown/chaos/proxy"
)

// Edge is the name of the edge that a rig of links has; it has two links.
const Edge = "service→echo"

// Links has a real proxy in front of a real server that echoes, for faults that act on Edge. Where connections are cut,
// what is under way is lost; the traffic connects again, and what arrives must still be in order.
var Links = &Stand{Name: "links", Build: func(t *testing.T) Rig {
	t.Helper()
	s := newLinks(t, "tcp", echo(t))
	return Rig{
		Surface: s, Clean: s.clean,
		Start: func(t *testing.T, excused Harm) Traffic { return startTraffic(t, s.ways(), s.met, excused) },
	}
}}

// newLinks makes a proxy with the two links of Edge.
func newLinks(t *testing.T, network, upstream string) (s links) {
	t.Helper()
	p, err := proxy.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	for i := range 2 {
		l, err := p.Create(t.Context(), proxy.Spec{
			Name: fmt.Sprintf("service-%d→echo", i), Network: network, Address: upstream,
		})
		if err != nil {
			t.Fatal(err)
		}
		s = append(s, l)
	}
	return s
}

// links is a surface with the links of one edge.
type links []*proxy.Link

func (s links) Links(name string) (found []chaos.Link) {
	for _, l := range s {
		if name == Edge || name == l.Name() {
			found = append(found, l)
		}
	}
	return found
}

func (links) Processes(string) []chaos.Process { return nil }

func (s links) ways() (ways []way) {
	for _, l := range s {
		ways = append(ways, func() (net.Conn, error) { return net.Dial("tcp", l.Addr()) })
	}
	return ways
}

// clean says which effects are left.
func (s links) clean(context.Context) error {
	var errs []error
	for _, l := range s {
		for id := range l.Effects() {
			errs = append(errs, fmt.Errorf("%s is still in force on %s", id, l.Name()))
		}
	}
	return errors.Join(errs...)
}

// met counts what traffic has met on all links.
func (s links) met(ctx context.Context) (n int64, err error) {
	for _, l := range s {
		c, cerr := l.Counters(ctx)
		err = errors.Join(err, cerr)
		n += c.Delayed + c.Lost + c.Held + c.Throttled + c.Sliced + c.Resets + c.Closes + c.Limited + c.HalfOpened +
			c.ConnectDelays + c.SlowCloses + c.Corrupted + c.Dropped + c.Duplicated + c.Reordered
	}
	return n, err
}

// echo is a server that echoes each connection until its client closes its half.
func echo(t *testing.T) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveEcho(t, ln)
	return ln.Addr().String()
}

// serveEcho echoes each connection until its client closes its half, and the test ends.
func serveEcho(t *testing.T, ln net.Listener) {
	t.Helper()
	var serving sync.WaitGroup
	t.Cleanup(func() { _ = ln.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				_, _ = io.Copy(c, c) // a cut connection is the fault's doing
				_ = c.Close()
			})
		}
	})
}

// poll looks every millisecond until ok, or the end of ctx.
func poll(ctx context.Context, ok func() (bool, error)) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if done, err := ok(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
