package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"shakedown/chaos"
	"shakedown/internal/clock"
	"shakedown/internal/units"
)

// onBoth tries something over a link to a TCP server and over one to a unix socket.
func onBoth(t *testing.T, serve func(halfCloser), try func(t *testing.T, l *Link)) {
	t.Helper()
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			addr := "127.0.0.1:0"
			if network == "unix" {
				addr = filepath.Join(t.TempDir(), "s")
			}
			try(t, newTestLink(t, network, startServer(t, network, addr, serve)))
		})
	}
}

func echoing(c halfCloser) {
	_, _ = io.Copy(c, c)
	_ = c.CloseWrite()
}

// patiently bounds what only a hang would make wait.
func patiently(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
}

func TestRefusedConnectionsAreRefusedByTheKernelAndLiveOnesGoOn(t *testing.T) {
	onBoth(t, echoing, func(t *testing.T, l *Link) {
		live := dialLink(t, l)
		exchange(t, live, "before")
		addr := l.Addr()
		for range 3 {
			shape(t, l, "r", chaos.Effect{Refuse: true})
			if c, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatalf("connecting: %v, %v; want ECONNREFUSED", c, err)
			}
			if p, err := l.Probe(t.Context(), time.Minute); err != nil || !p.Refused {
				t.Errorf("a probe: %+v, %v", p, err)
			}
			exchange(t, live, "meanwhile")
			unshape(t, l, "r")
			exchange(t, dialLink(t, l), "after")
		}
		if l.Addr() != addr {
			t.Errorf("the address has become %s", l.Addr())
		}
	})
}

func TestWhoHadConnectedBeforeARefusalIsAccepted(t *testing.T) {
	l := newTestLink(t, "tcp", echoServer(t, "tcp", "127.0.0.1:0"))
	var conns []*net.TCPConn
	for range 50 {
		conns = append(conns, dialLink(t, l))
	}
	shape(t, l, "r", chaos.Effect{Refuse: true})
	for _, c := range conns {
		exchange(t, c, "hello")
	}
}

func TestAClosedConnectionEndsWithAFIN(t *testing.T) {
	onBoth(t, echoing, func(t *testing.T, l *Link) {
		live := dialLink(t, l)
		exchange(t, live, "before")
		shape(t, l, "c", chaos.Effect{Close: true})
		for name, c := range map[string]*net.TCPConn{"live": live, "new": dialLink(t, l)} {
			patiently(t, c)
			_, _ = c.Write([]byte("x")) // bytes that nobody reads must not turn the FIN into a RST
			if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("the %s one: %d bytes, %v; want the end of the stream", name, n, err)
			}
		}
		if n := counters(t, l); n.Closes != 2 || n.Resets != 0 {
			t.Errorf("counters %+v", n)
		}
		l.each(func(c *conn) {
			if c.next() <= clock.Now() {
				t.Error("a connection that lingers keeps its loop busy")
			}
		})
		unshape(t, l, "c")
		exchange(t, dialLink(t, l), "after")
	})
}

func TestACutMayComeLater(t *testing.T) {
	const after = 30 * time.Millisecond
	for name, e := range map[string]chaos.Effect{
		"reset": {Reset: true, After: units.Duration(after)},
		"close": {Close: true, After: units.Duration(after)},
		// Toxiproxy's timeout: nothing passes until the end.
		"timeout": {Hold: true, Close: true, After: units.Duration(after)},
	} {
		t.Run(name, func(t *testing.T) {
			l := newTestLink(t, "tcp", echoServer(t, "tcp", "127.0.0.1:0"))
			live := dialLink(t, l)
			exchange(t, live, "before")
			start := time.Now()
			shape(t, l, "e", e)
			for _, c := range []*net.TCPConn{live, dialLink(t, l)} {
				patiently(t, c)
				n, err := c.Read(make([]byte, 1))
				if took := time.Since(start); took < after {
					t.Errorf("it ended after %s, before %s", took, after)
				}
				if reset := errors.Is(err, syscall.ECONNRESET); n != 0 || reset != e.Reset {
					t.Errorf("it ended with %v", err)
				}
			}
			n := counters(t, l)
			if n.Resets+n.Closes != 2 {
				t.Errorf("counters %+v", n)
			}
			p, err := l.Probe(t.Context(), time.Minute)
			if err != nil || p.Reset != e.Reset || p.Closed != e.Close || p.Lived.D() < after {
				t.Errorf("a probe: %+v, %v", p, err)
			}
		})
	}
}

func TestAForgottenConnectionIsGoneForTheServerOnly(t *testing.T) {
	ended := make(chan error, 8)
	onBoth(t, func(c halfCloser) {
		_, err := io.Copy(c, c)
		ended <- err
	}, func(t *testing.T, l *Link) {
		live := dialLink(t, l)
		exchange(t, live, "before")
		shape(t, l, "f", chaos.Effect{HalfOpen: true})
		<-ended //nolint:errcheck // how the server's side ends says nothing
		fresh := dialLink(t, l)
		for name, c := range map[string]*net.TCPConn{"live": live, "new": fresh} {
			if _, err := io.WriteString(c, "is anybody there?"); err != nil {
				t.Errorf("the %s one cannot write: %v", name, err)
			}
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			var timeout net.Error
			if _, err := c.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("the %s one is told: %v", name, err)
			}
		}
		if n := counters(t, l); n.HalfOpened != 2 || n.BytesUp != 6 {
			t.Errorf("counters %+v", n)
		}
		unshape(t, l, "f")
		patiently(t, live)
		_, _ = io.WriteString(live, "and now?") // a host that is back knows nothing of the connection
		if _, err := live.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("afterwards: %v, want a reset", err)
		}
		exchange(t, dialLink(t, l), "after")
	})
}

func TestAServerHearsOfAConnectionLater(t *testing.T) {
	const delay = 40 * time.Millisecond
	accepted := make(chan time.Time, 4)
	onBoth(t, func(c halfCloser) { accepted <- time.Now(); echoing(c) }, func(t *testing.T, l *Link) {
		shape(t, l, "d", chaos.Effect{ConnectDelay: units.Duration(delay)})
		start := time.Now()
		c := dialLink(t, l)
		exchange(t, c, "hello")
		if took := (<-accepted).Sub(start); took < delay {
			t.Errorf("the server heard of it after %s, before %s", took, delay)
		}
		if n := counters(t, l); n.ConnectDelays != 1 {
			t.Errorf("counters %+v", n)
		}
		if p, err := l.Probe(t.Context(), time.Minute); err != nil || p.First.D() < delay || p.RoundTrip == 0 {
			t.Errorf("a probe: %+v, %v", p, err)
		}
		shape(t, l, "d", chaos.Effect{ConnectDelay: units.Duration(5 * time.Hour)})
		late := dialLink(t, l)
		unshape(t, l, "d") // who waits is let go
		exchange(t, late, "at once")
		<-accepted
	})
}

func TestASlowCloseKeepsTheEndBackAndNoByte(t *testing.T) {
	const delay = 40 * time.Millisecond
	onBoth(t, func(c halfCloser) {
		_, _ = io.WriteString(c, "all of it")
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	},
		func(t *testing.T, l *Link) {
			shape(t, l, "s", chaos.Effect{Direction: chaos.Downstream, SlowClose: units.Duration(delay)})
			start := time.Now()
			got, err := io.ReadAll(dialLink(t, l))
			if took := time.Since(start); string(got) != "all of it" || err != nil || took < delay {
				t.Errorf("%q, %v after %s; the end is to come after %s", got, err, took, delay)
			}
			if n := counters(t, l); n.SlowCloses != 1 {
				t.Errorf("counters %+v", n)
			}
			if p, err := l.Probe(t.Context(), time.Minute); err != nil || p.End.D() < delay || p.RoundTrip.D() > p.End.D() && p.RoundTrip == 0 {
				t.Errorf("a probe: %+v, %v", p, err)
			}
		})
}

func TestALimitOfBytesPassesThatManyAndCloses(t *testing.T) {
	for _, limit := range []int64{1, 1000, 200_000} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			onBoth(t, func(c halfCloser) { _, _ = io.Copy(c, stream(1)) }, func(t *testing.T, l *Link) {
				shape(t, l, "l", chaos.Effect{Direction: chaos.Downstream, LimitBytes: limit})
				c := dialLink(t, l)
				patiently(t, c)
				got, err := io.ReadAll(c)
				want := make([]byte, limit)
				_, _ = io.ReadFull(stream(1), want)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes came, ending with %v; want the first %d and the end", len(got), err, limit)
				}
				if n := counters(t, l); n.Limited != 1 || n.BytesDown != limit {
					t.Errorf("counters %+v", n)
				}
				if p, err := l.Probe(t.Context(), time.Minute); err != nil || !p.Closed || p.Bytes != limit {
					t.Errorf("a probe: %+v, %v", p, err)
				}
			})
		})
	}
}

func TestASlicerCutsBytesIntoPiecesApart(t *testing.T) {
	const gap, size = 5 * time.Millisecond, 1000
	onBoth(t, echoing, func(t *testing.T, l *Link) {
		shape(t, l, "s", chaos.Effect{
			Direction: chaos.Upstream, SliceBytes: 100, SliceSpread: 20, SliceDelay: units.Duration(gap), Seed: 3,
		})
		c := dialLink(t, l)
		start := time.Now()
		msg := make([]byte, size)
		_, _ = io.ReadFull(stream(9), msg)
		exchange(t, c, string(msg))
		n := counters(t, l)
		if n.Sliced < size/120 || n.Sliced > size/80+1 {
			t.Errorf("%d pieces of 100±20 bytes make %d", n.Sliced, size)
		}
		if took := time.Since(start); took < time.Duration(n.Sliced-1)*gap-catchUp {
			t.Errorf("%d pieces %s apart took %s", n.Sliced, gap, took)
		}
	})
}

func TestALostSegmentComesARetransmissionLater(t *testing.T) {
	l := newTestLink(t, "tcp", echoServer(t, "tcp", "127.0.0.1:0"))
	shape(t, l, "l", chaos.Effect{Direction: chaos.Upstream, Loss: 0.5, Seed: 4})
	c := dialLink(t, l)
	for i := 0; counters(t, l).Lost == 0; i++ {
		start := time.Now()
		exchange(t, c, fmt.Sprintf("message %d", i))
		if n := counters(t, l); n.Lost > 0 && time.Since(start) < rto {
			t.Errorf("a lost segment came after %s", time.Since(start))
		}
	}
	shape(t, l, "l", chaos.Effect{})
	exchange(t, c, "whole")
}

func TestCorruptionFlipsOneBitOfAChunk(t *testing.T) {
	onBoth(t, echoing, func(t *testing.T, l *Link) {
		shape(t, l, "c", chaos.Effect{Direction: chaos.Upstream, Corrupt: 1, Seed: 5})
		c := dialLink(t, l)
		for range 20 {
			got := make([]byte, 64)
			_, _ = c.Write(make([]byte, 64))
			if _, err := io.ReadFull(c, got); err != nil {
				t.Fatal(err)
			}
			flipped := 0
			for _, b := range got {
				flipped += bits.OnesCount8(b)
			}
			if flipped != 1 {
				t.Fatalf("%d bits were flipped", flipped)
			}
		}
		if n := counters(t, l); n.Corrupted != 20 {
			t.Errorf("counters %+v", n)
		}
		if p, err := l.Probe(t.Context(), time.Minute); err != nil || p.Corrupt == 0 {
			t.Errorf("a probe: %+v, %v", p, err)
		}
		unshape(t, l, "c")
		exchange(t, c, "whole")
	})
}

func TestAHoldOfOneDirectionIsAOneWayPartition(t *testing.T) {
	got := make(chan string, 4)
	onBoth(t, func(c halfCloser) {
		b := make([]byte, 16)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			got <- string(b[:n])
			_, _ = c.Write(b[:n])
		}
	}, func(t *testing.T, l *Link) {
		c := dialLink(t, l)
		shape(t, l, "h", chaos.Effect{Direction: chaos.Downstream, Hold: true})
		_, _ = io.WriteString(c, "heard")
		if s := <-got; s != "heard" {
			t.Errorf("the server got %q", s)
		}
		eventually(t, "the answer is held", func() bool { return counters(t, l).Held == 1 })
		if n := counters(t, l); n.BytesDown != 0 {
			t.Errorf("counters %+v", n)
		}
		unshape(t, l, "h")
		receive(t, c, "heard")
	})
}

func TestAnEffectActsOnAShareOfTheConnectionsAndReplays(t *testing.T) {
	upstream := echoServer(t, "tcp", "127.0.0.1:0")
	hit := func() (hit []bool) {
		l := newTestLink(t, "tcp", upstream)
		shape(t, l, "s", chaos.Effect{Reset: true, Share: 0.3, Seed: 11})
		for range 200 {
			c, err := net.Dial("tcp", l.Addr()) // which may see the reset already
			if err == nil {
				_, _ = io.WriteString(c, "x")
				_, err = c.Read(make([]byte, 1))
				_ = c.Close()
			}
			hit = append(hit, err != nil)
		}
		return hit
	}
	first, again := hit(), hit()
	n := 0
	for i := range first {
		if first[i] != again[i] {
			t.Fatalf("connection %d is hit or not, by chance", i)
		}
		if first[i] {
			n++
		}
	}
	if n < 35 || n > 85 { // 60 ± 4 standard deviations
		t.Errorf("%d of 200 connections were hit by a share of 0.3", n)
	}
}

func TestALimitOfALinkOrAGroupIsShared(t *testing.T) {
	const rate, each = 4 << 20, 512 << 10
	for name, e := range map[string]chaos.Effect{
		"link":  {Direction: chaos.Downstream, BytesPerSecond: rate, Scope: chaos.ScopeLink},
		"group": {Direction: chaos.Downstream, BytesPerSecond: rate, Scope: chaos.ScopeGroup, Group: "g"},
	} {
		t.Run(name, func(t *testing.T) {
			addr := startServer(t, "tcp", "127.0.0.1:0", func(c halfCloser) { _, _ = c.Write(make([]byte, each)) })
			l := newTestLink(t, "tcp", addr)
			links := []*Link{l, l}
			if name == "group" {
				other, err := l.proxy.Create(t.Context(), Spec{Name: "other→echo", Address: addr})
				if err != nil {
					t.Fatal(err)
				}
				links[1] = other
			}
			for _, l := range links {
				shape(t, l, "e", e)
			}
			start := time.Now()
			var reading sync.WaitGroup
			for i := range 4 {
				c := dialLink(t, links[i%2])
				reading.Go(func() {
					if n, err := io.Copy(io.Discard, c); n != each || err != nil {
						t.Errorf("%d bytes, %v", n, err)
					}
				})
			}
			reading.Wait()
			if took, least := time.Since(start), transmission(4*each, rate)-catchUp; took < least {
				t.Errorf("4 connections together took %s, less than %s", took, least)
			}
			for _, l := range links {
				unshape(t, l, "e")
			}
			if len(l.proxy.groups) != 0 {
				t.Error("the group is kept, with nobody in it")
			}
		})
	}
}

func TestEffectsThatCannotActAreRefused(t *testing.T) {
	l := newTestLink(t, "tcp", "127.0.0.1:1")
	for _, bad := range []chaos.Effect{
		{Direction: "sideways"},
		{Delay: -1},
		{Jitter: -1},
		{BytesPerSecond: -1},
		{Share: 1.1},
		{Loss: 1},
		{Corrupt: -0.1},
		{Law: "cauchy"},
		{Law: chaos.Traced},
		{Law: chaos.Pareto, Shape: 0.5},
		{Scope: "planet"},
		{Scope: chaos.ScopeGroup},
		{Refuse: true, Share: 0.5},
		{SliceBytes: 10, SliceSpread: 10},
		{Drop: 0.1},
		{Duplicate: 0.1},
		{Reorder: 0.1},
		{Delay: units.Duration(longest) + 1},
	} {
		if err := l.Shape(t.Context(), "e", bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
	if n := len(l.Effects()); n != 0 {
		t.Errorf("%d effects are in force", n)
	}
}
