package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"shakedown/chaos"
	"shakedown/internal/units"
)

// udpEcho answers every datagram, until the test ends.
func udpEcho(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = c.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, 64<<10)
		for {
			n, from, err := c.ReadFrom(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = c.WriteTo(b[:n], from)
			}
		}
	}()
	return c
}

func udpLink(t *testing.T) *Link {
	t.Helper()
	return newTestLink(t, "udp", udpEcho(t).LocalAddr().String())
}

func dialUDP(t *testing.T, l *Link) *net.UDPConn {
	t.Helper()
	c, err := net.Dial("udp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.UDPConn)
}

// ask sends a datagram and waits for the answer.
func ask(t *testing.T, c *net.UDPConn, msg string) {
	t.Helper()
	patiently(t, c)
	if _, err := c.Write([]byte(msg)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64<<10)
	if n, err := c.Read(b); err != nil || string(b[:n]) != msg {
		t.Fatalf("got %q, %v; want %q", b[:n], err, msg)
	}
}

// flood sends n numbered datagrams, one after another, and returns the numbers that come back, in their order.
func flood(t *testing.T, l *Link, c *net.UDPConn, n int) (back []int) {
	t.Helper()
	before := counters(t, l)
	for i := range n {
		_, _ = c.Write(binary.BigEndian.AppendUint32(make([]byte, 60), uint32(i)))
		eventually(t, "arrived", func() bool { return counters(t, l).Datagrams-before.Datagrams > int64(i) })
	}
	for range n {
		_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond)) // of those that will not come
		b := make([]byte, 1024)
		for {
			m, err := c.Read(b)
			if err != nil {
				return back
			}
			back = append(back, int(binary.BigEndian.Uint32(b[m-4:])))
		}
	}
	return back
}

func TestDatagramsOfEveryClientPassBothWays(t *testing.T) {
	l := udpLink(t)
	a, b := dialUDP(t, l), dialUDP(t, l)
	for _, msg := range []string{"hello", "", string(make([]byte, 60_000)), "again"} {
		ask(t, a, msg)
		ask(t, b, msg+"!")
	}
	eventually(t, "counted", func() bool {
		n := counters(t, l)
		return n.Connections == 2 && n.Open == 2 && n.Datagrams == 16 && n.BytesUp == n.BytesDown
	})
}

func TestAnUpstreamIsFoundByItsName(t *testing.T) {
	_, port, err := net.SplitHostPort(udpEcho(t).LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	ask(t, dialUDP(t, newTestLink(t, "udp", net.JoinHostPort("localhost", port))), "hello")
	_, port, err = net.SplitHostPort(echoServer(t, "tcp", "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, dialLink(t, newTestLink(t, "tcp", net.JoinHostPort("localhost", port))), "hello")
	l := newTestLink(t, "tcp", "nowhere.invalid:1")
	if err := firstError(l); err == nil {
		t.Error("a name that is nobody's was reached")
	}
	if n := counters(t, l); n.DialFailures != 1 || n.Open != 0 {
		t.Errorf("counters %+v", n)
	}
}

func TestASessionEndsWhenItHasBeenIdle(t *testing.T) {
	l := udpLink(t)
	l.home.call(func() { l.carrier.(*relay).idle = 10 * time.Millisecond })
	c := dialUDP(t, l)
	ask(t, c, "hello")
	eventually(t, "ended", func() bool { return counters(t, l).Open == 0 })
	ask(t, c, "anew")
	if n := counters(t, l); n.Connections != 2 {
		t.Errorf("counters %+v", n)
	}
}

func TestDatagramsAreDroppedDoubledAndOvertaken(t *testing.T) {
	const n = 160 // which fit into the buffer of a socket that nobody reads yet
	l := udpLink(t)
	c := dialUDP(t, l)
	shape(t, l, "e", chaos.Effect{Direction: chaos.Upstream, Drop: 0.25, Seed: 1})
	back := flood(t, l, c, n)
	met := counters(t, l)
	if met.Dropped < n/4-25 || met.Dropped > n/4+25 || len(back) != n-int(met.Dropped) {
		t.Errorf("%d of %d came back, and %d were dropped", len(back), n, met.Dropped)
	}
	shape(t, l, "e", chaos.Effect{Direction: chaos.Downstream, Duplicate: 0.25, Seed: 1})
	back = flood(t, l, c, n)
	met = counters(t, l)
	if met.Duplicated < n/4-25 || met.Duplicated > n/4+25 || len(back) != n+int(met.Duplicated) {
		t.Errorf("%d of %d came back, and %d were doubled", len(back), n, met.Duplicated)
	}
	shape(t, l, "e", chaos.Effect{Direction: chaos.Upstream, Reorder: 0.25, Seed: 1})
	back = flood(t, l, c, n)
	met = counters(t, l)
	late, latest := 0, -1
	for _, i := range back {
		if i < latest {
			late++
		}
		latest = max(latest, i)
	}
	if len(back) != n || late < n/8 || int64(late) > met.Reordered {
		t.Errorf("%d of %d came back, %d of them after a later one; %d were reordered", len(back), n, late, met.Reordered)
	}
	unshape(t, l, "e")
	for i, n := range flood(t, l, c, 50) {
		if i != n {
			t.Fatalf("the %dth is %d, with no effect in force", i, n)
		}
	}
}

func TestDatagramsAreDelayedHeldAndLimited(t *testing.T) {
	l := udpLink(t)
	c := dialUDP(t, l)
	ask(t, c, "before")
	const delay = 30 * time.Millisecond
	shape(t, l, "e", chaos.Effect{Direction: chaos.Upstream, Delay: units.Duration(delay)})
	start := time.Now()
	ask(t, c, "late")
	if took := time.Since(start); took < delay {
		t.Errorf("a round trip took %s, less than %s", took, delay)
	}
	if n := counters(t, l); n.Delayed != 1 || n.Delays.Count() != 1 {
		t.Errorf("counters %+v", n)
	}
	shape(t, l, "e", chaos.Effect{Hold: true})
	_, _ = c.Write([]byte("held"))
	eventually(t, "held", func() bool { return counters(t, l).Held == 1 })
	unshape(t, l, "e")
	b := make([]byte, 100)
	if n, err := c.Read(b); err != nil || string(b[:n]) != "held" {
		t.Errorf("got %q, %v", b[:n], err)
	}
	const rate, size = 100_000, 1000
	shape(t, l, "e", chaos.Effect{Direction: chaos.Downstream, BytesPerSecond: rate})
	start = time.Now()
	for range 10 {
		ask(t, c, string(make([]byte, size)))
	}
	if took, least := time.Since(start), transmission(10*size, rate)-catchUp; took < least {
		t.Errorf("10 kB at 100 kB/s took %s, less than %s", took, least)
	}
}

func TestAFlippedBitOfADatagram(t *testing.T) {
	l := udpLink(t)
	c := dialUDP(t, l)
	shape(t, l, "e", chaos.Effect{Direction: chaos.Upstream, Corrupt: 1})
	patiently(t, c)
	_, _ = c.Write(make([]byte, 100))
	b := make([]byte, 100)
	if _, err := io.ReadFull(c, b); err != nil || bytes.Equal(b, make([]byte, 100)) || counters(t, l).Corrupted != 1 {
		t.Errorf("got %x, %v", b, err)
	}
}

func TestAHeldQueueIsBounded(t *testing.T) {
	l := udpLink(t)
	c := dialUDP(t, l)
	shape(t, l, "e", chaos.Effect{Hold: true})
	msg := make([]byte, 60_000)
	eventually(t, "the queue is full", func() bool {
		_, _ = c.Write(msg)
		return counters(t, l).Dropped > 0
	})
	if q := l.proxy.Queued(); q > queueBytes {
		t.Errorf("%d bytes are queued", q)
	}
	l.proxy.Close()
	if q := l.proxy.Queued(); q != 0 {
		t.Errorf("%d bytes are still counted", q)
	}
}

func TestAProbeOfDatagramsSeesTheirPlan(t *testing.T) {
	l := udpLink(t)
	probe := func(e chaos.Effect) chaos.Probe {
		t.Helper()
		shape(t, l, "e", e)
		p, err := l.Probe(t.Context(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := probe(chaos.Effect{}); p.Got != p.Sent || p.Sent == 0 || p.RoundTrip <= 0 || p.Doubled+p.Reordered+p.Corrupt != 0 {
		t.Errorf("no effect: %+v", p)
	}
	if p := probe(chaos.Effect{Delay: 10 * units.Millisecond}); p.RoundTrip < 20*units.Millisecond {
		t.Errorf("10 ms each way: %+v", p)
	}
	if p := probe(chaos.Effect{Direction: chaos.Upstream, Drop: 0.5}); p.Got == 0 || p.Got == p.Sent {
		t.Errorf("half is dropped: %+v", p)
	}
	if p := probe(chaos.Effect{Direction: chaos.Upstream, Duplicate: 0.5}); p.Doubled == 0 {
		t.Errorf("half is doubled: %+v", p)
	}
	if p := probe(chaos.Effect{Direction: chaos.Upstream, Reorder: 0.5}); p.Reordered == 0 {
		t.Errorf("half is overtaken: %+v", p)
	}
	if p := probe(chaos.Effect{Direction: chaos.Upstream, Corrupt: 0.5}); p.Corrupt == 0 || p.Corrupt == p.Sent {
		t.Errorf("half is corrupted: %+v", p)
	}
	for seed := range uint64(10) {
		e := chaos.Effect{Direction: chaos.Upstream, Corrupt: 1, Seed: seed}
		if p := probe(e); p.Corrupt != p.Sent || p.Got != p.Sent || p.Doubled+p.Reordered != 0 {
			t.Errorf("a bit of each is flipped: %+v", p)
		}
	}
	if p := probe(chaos.Effect{Corrupt: 1}); p.Corrupt == 0 {
		t.Errorf("a bit of each is flipped each way: %+v", p)
	}
	if p := probe(chaos.Effect{Hold: true}); !p.Lost {
		t.Errorf("hold: %+v", p)
	}
	if n := counters(t, l); n.Connections != 0 || n.Datagrams != 0 {
		t.Errorf("probes were counted: %+v", n)
	}
}

func TestConnectionsEffectsDoNotActOnDatagrams(t *testing.T) {
	l := udpLink(t)
	for _, bad := range []chaos.Effect{
		{Reset: true}, {Close: true}, {Refuse: true}, {HalfOpen: true}, {ConnectDelay: 1}, {SlowClose: 1}, {LimitBytes: 1}, {SliceBytes: 1}, {Loss: 0.1},
	} {
		if err := l.Shape(t.Context(), "e", bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func TestAFlippedBitDoesNotHideTheNumberOfAProbe(t *testing.T) {
	for n := range probeDatagrams {
		for bit := range 8 * probeSize {
			b := pattern(n)
			b[bit/8] ^= 1 << (bit % 8)
			if got, ok := numberOf(b); !ok || got != n {
				t.Fatalf("bit %d of datagram %d is flipped: it is taken for %d, %v", bit, n, got, ok)
			}
		}
	}
	for _, b := range [][]byte{nil, make([]byte, 11), {0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3}} {
		if n, ok := numberOf(b); ok {
			t.Errorf("%v is taken for %d", b, n)
		}
	}
}
