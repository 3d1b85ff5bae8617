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
	"shakedown/internal/units"
)

// Edge is the name of the edge that a rig of links has; it has two links.
const Edge = "service→echo"

// Links is a rig with a real proxy in front of a real server that echoes, for faults that act on Edge. A fault that
// cuts connections loses what is under way; its traffic connects again, and what arrives must still be in order.
func Links(t *testing.T, cuts bool) Rig {
	t.Helper()
	p, err := proxy.New()
	if err != nil {
		t.Fatal(err)
	}
	upstream := echo(t)
	t.Cleanup(p.Close)
	s := links{}
	for i := range 2 {
		l, err := p.Create(t.Context(), proxy.Spec{Name: fmt.Sprintf("service-%d→echo", i), Address: upstream})
		if err != nil {
			t.Fatal(err)
		}
		s = append(s, l)
	}
	return Rig{
		Surface: s,
		Start:   func(t *testing.T) Traffic { return startTraffic(t, s, cuts) },
		Disturb: func(t *testing.T) func() { return s.disturb(t) },
	}
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

// disturb delays every link a little.
func (s links) disturb(t *testing.T) (undo func()) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	effect := chaos.Effect{Delay: 300 * units.Microsecond, Jitter: 200 * units.Microsecond, Seed: 7}
	for _, l := range s {
		if err := l.Shape(ctx, "disturbance", effect); err != nil {
			t.Errorf("disturbing: %v", err)
		}
	}
	return func() {
		for _, l := range s {
			if err := l.Clear(ctx, "disturbance"); err != nil {
				t.Errorf("undoing the disturbance: %v", err)
			}
		}
	}
}

// met counts what traffic has met on all links.
func (s links) met(ctx context.Context) (n int64, err error) {
	for _, l := range s {
		c, cerr := l.Counters(ctx)
		n, err = n+c.Delayed+c.Held+c.Throttled+c.Resets, errors.Join(err, cerr)
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
	return ln.Addr().String()
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
