package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"shakedown/chaos"
	"shakedown/internal/units"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestALinkCarriesBytesBothWaysAndCountsThem(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			addr := "127.0.0.1:0"
			if network == "unix" {
				addr = filepath.Join(t.TempDir(), "s")
			}
			l := newTestLink(t, network, echoServer(t, network, addr))
			c := dialLink(t, l)
			exchange(t, c, "hello")
			eventually(t, "counted while the connection lives", func() bool {
				n := counters(t, l)
				return n.BytesUp == 5 && n.BytesDown == 5 && n.Open == 1 && n.Connections == 1
			})
			_ = c.Close()
			eventually(t, "closed", func() bool { return counters(t, l).Open == 0 })
		})
	}
}

func TestAHalfCloseLeavesTheOtherDirectionOpen(t *testing.T) {
	for name, e := range map[string]chaos.Effect{
		"straight": {}, "delayed": {Delay: units.Millisecond}, "limited": {BytesPerSecond: 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			// The server answers only once it has seen the end of the request.
			addr := startServer(t, "tcp", "127.0.0.1:0", func(c halfCloser) {
				all, _ := io.ReadAll(c)
				_, _ = c.Write(bytes.ToUpper(all))
			})
			l := newTestLink(t, "tcp", addr)
			shape(t, l, "e", e)
			c := dialLink(t, l)
			_, _ = io.WriteString(c, "request")
			_ = c.CloseWrite()
			got, err := io.ReadAll(c)
			if err != nil || string(got) != "REQUEST" {
				t.Fatalf("got %q, %v", got, err)
			}
		})
	}
}

func TestAnUnreachableUpstreamResetsTheClient(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	l := newTestLink(t, "tcp", ln.Addr().String())
	if err := firstError(l); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("a new connection: %v, want a reset", err)
	}
	if n := counters(t, l); n.DialFailures != 1 || n.Open != 0 {
		t.Fatalf("counters %+v", n)
	}
}

func TestAServersResetReachesTheClient(t *testing.T) {
	for name, e := range map[string]chaos.Effect{"straight": {}, "delayed": {Delay: units.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			l := newTestLink(t, "tcp", startServer(t, "tcp", "127.0.0.1:0", func(c halfCloser) {
				_, _ = c.Write([]byte("last words"))
				_, _ = c.Read(make([]byte, 1)) // until the client has them
				reset(c)
			}))
			shape(t, l, "e", e)
			c := dialLink(t, l)
			receive(t, c, "last words")
			_, _ = c.Write([]byte("x"))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Fatalf("read: %v, want a reset", err)
			}
		})
	}
}

func TestADelayIsNeverShorterThanAskedAndOverlaps(t *testing.T) {
	const delay = 40 * time.Millisecond
	l := newTestLink(t, "tcp", echoServer(t, "tcp", "127.0.0.1:0"))
	c := dialLink(t, l)
	exchange(t, c, "before") // the effect meets a live connection
	shape(t, l, "slow", chaos.Effect{Direction: chaos.Upstream, Delay: units.Duration(delay)})
	start := time.Now()
	exchange(t, c, "under")
	if got := time.Since(start); got < delay {
		t.Errorf("a round trip took %s, less than the delay of %s", got, delay)
	}
	n := counters(t, l)
	if n.Delayed != 1 || n.DelayedMicros < delay.Microseconds() {
		t.Errorf("counters %+v", n)
	}
	unshape(t, l, "slow")
	exchange(t, c, "after")
	if again := counters(t, l); again.Delayed != n.Delayed {
		t.Errorf("a chunk counts as delayed after clearing")
	}
}

func TestClearingADelayReleasesWhatWaitedForIt(t *testing.T) {
	l := newTestLink(t, "tcp", echoServer(t, "tcp", "127.0.0.1:0"))
	shape(t, l, "hours", chaos.Effect{Direction: chaos.Upstream, Delay: units.Duration(5 * time.Hour)})
	c := dialLink(t, l)
	_, _ = io.WriteString(c, "one two ")
	eventually(t, "queued", func() bool { return queued(l) > 0 })
	unshape(t, l, "hours")
	_, _ = io.WriteString(c, "three")
	receive(t, c, "one two three")
}

// queued is the number of chunks and ends under way on all connections of the link.
func queued(l *Link) int {
	var n atomic.Int64 // several loops add
	l.each(func(c *conn) {
		for i := range c.flows {
			n.Add(int64(c.flows[i].ring.n))
		}
	})
	return int(n.Load())
}

func TestAHoldKeepsBytesAndDeliversThemWhenCleared(t *testing.T) {
	l := newTestLink(t, "tcp", echoServer(t, "tcp", "127.0.0.1:0"))
	c := dialLink(t, l)
	exchange(t, c, "before")
	shape(t, l, "hole", chaos.Effect{Hold: true})
	_, _ = io.WriteString(c, "held")
	_ = c.CloseWrite() // the end of the stream is held as well
	eventually(t, "held", func() bool { return counters(t, l).Held == 1 && queued(l) == 2 })
	if n := counters(t, l); n.BytesUp != 6 {
		t.Fatalf("%d bytes passed a hold", n.BytesUp-6)
	}
	unshape(t, l, "hole")
	if got, err := io.ReadAll(c); err != nil || string(got) != "held" {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestAHoldPushesBackOnceItsQueueIsFull(t *testing.T) {
	l := newTestLink(t, "tcp", echoServer(t, "tcp", "127.0.0.1:0"))
	shape(t, l, "hole", chaos.Effect{Hold: true})
	c := dialLink(t, l)
	const total = 3 * queueBytes
	var writing sync.WaitGroup
	defer writing.Wait()
	writing.Go(func() { _, _ = c.Write(make([]byte, total)); _ = c.CloseWrite() })
	eventually(t, "full", func() bool {
		n := 0
		l.each(func(c *conn) { n = c.flows[up].ring.cost })
		if n > queueBytes+bufferBytes {
			t.Fatalf("%d bytes are queued, above the bound", n)
		}
		return n >= queueBytes
	})
	unshape(t, l, "hole")
	if n, err := io.Copy(io.Discard, c); err != nil || n != total {
		t.Fatalf("%d bytes, %v; want %d", n, err, total)
	}
}

func TestAResetEndsLiveAndNewConnectionsOnBothSides(t *testing.T) {
	atServer := make(chan error, 1)
	l := newTestLink(t, "tcp", startServer(t, "tcp", "127.0.0.1:0", func(c halfCloser) {
		_, _ = io.CopyN(c, c, 2)
		_, err := c.Read(make([]byte, 1))
		select {
		case atServer <- err:
		default:
		}
	}))
	live := dialLink(t, l)
	exchange(t, live, "hi")
	shape(t, l, "cut", chaos.Effect{Reset: true})
	if _, err := live.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a live connection: %v, want a reset", err)
	}
	if err := <-atServer; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("its server side: %v, want a reset", err)
	}
	if err := firstError(l); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a new connection: %v, want a reset", err)
	}
	if n := counters(t, l); n.Resets != 2 {
		t.Errorf("%d resets are counted, want 2", n.Resets)
	}
	unshape(t, l, "cut")
	exchange(t, dialLink(t, l), "ok")
}

func TestALimitedLinkIsNoFasterThanAsked(t *testing.T) {
	const rate, size = 2 << 20, 1 << 20
	l := newTestLink(t, "tcp", startServer(t, "tcp", "127.0.0.1:0", func(c halfCloser) {
		_, _ = c.Write(make([]byte, size))
	}))
	shape(t, l, "narrow", chaos.Effect{Direction: chaos.Downstream, BytesPerSecond: rate})
	shape(t, l, "wider", chaos.Effect{Direction: chaos.Downstream, BytesPerSecond: 100 * rate})
	start := time.Now()
	n, err := io.Copy(io.Discard, dialLink(t, l))
	took := time.Since(start)
	if err != nil || n != size {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if least := transmission(size, rate) - catchUp; took < least {
		t.Errorf("1 MiB at 2 MiB/s took %s, less than %s", took, least)
	}
	if counters(t, l).Throttled == 0 {
		t.Error("no chunk counts as throttled")
	}
}

func TestAProbeSeesThePlanAndIsNotCounted(t *testing.T) {
	l := newTestLink(t, "tcp", "127.0.0.1:1") // a probe needs no upstream
	probe := func(giveUp time.Duration) chaos.Probe {
		t.Helper()
		p, err := l.Probe(t.Context(), giveUp)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	const long = time.Minute
	if p := probe(long); p.Lost || p.Reset || p.RoundTrip <= 0 || p.BytesPerSecond <= 0 {
		t.Errorf("idle link: %+v", p)
	}
	shape(t, l, "e", chaos.Effect{Delay: 10 * units.Millisecond})
	if p := probe(long); p.RoundTrip < 20*units.Millisecond {
		t.Errorf("10 ms each way: round trip %s", p.RoundTrip)
	}
	shape(t, l, "e", chaos.Effect{BytesPerSecond: 100_000})
	if p := probe(long); p.BytesPerSecond > 120_000 || p.BytesPerSecond == 0 {
		t.Errorf("100 kB/s: measured %.0f B/s", p.BytesPerSecond)
	}
	shape(t, l, "e", chaos.Effect{Hold: true})
	if p := probe(20 * time.Millisecond); !p.Lost {
		t.Errorf("hold: %+v", p)
	}
	shape(t, l, "e", chaos.Effect{Reset: true})
	if p := probe(long); !p.Reset {
		t.Errorf("reset: %+v", p)
	}
	if n := counters(t, l); !reflect.DeepEqual(n, chaos.Counters{}) {
		t.Errorf("probes were counted: %+v", n)
	}
}

func TestClosingEndsHeldConnectionsAndProbes(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	l, err := p.Create(t.Context(), Spec{Name: "a→b", Address: echoServer(t, "tcp", "127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	shape(t, l, "hole", chaos.Effect{Hold: true})
	c := dialLink(t, l)
	_, _ = io.WriteString(c, "held")
	eventually(t, "held", func() bool { return queued(l) == 1 })
	probed := make(chan error, 1)
	go func() {
		_, err := l.Probe(context.Background(), time.Hour)
		probed <- err
	}()
	eventually(t, "probing", func() bool { return queued(l) == 2 })
	p.Close()
	p.Close()
	if err := <-probed; err == nil {
		t.Error("a probe of a closed link succeeded")
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v, want a reset: a FIN would say that the stream was whole", err)
	}
	if err := l.Shape(t.Context(), "x", chaos.Effect{}); err == nil {
		t.Error("a closed link was shaped")
	}
}

func TestANameIsOneLink(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	spec := Spec{Name: "a→b", Address: "127.0.0.1:1"}
	first, err := p.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := p.Create(t.Context(), spec); err != nil || again != first {
		t.Errorf("the same again: %v, %v", again, err)
	}
	spec.Address = "127.0.0.1:2"
	if _, err := p.Create(t.Context(), spec); !errors.Is(err, ErrExists) {
		t.Errorf("another under the name: %v", err)
	}
	if !p.Delete("a→b") || p.Delete("a→b") {
		t.Error("delete says the wrong thing")
	}
	for _, bad := range []Spec{{}, {Name: "x"}, {Name: "x", Address: "y", Network: "ipx"}} {
		if _, err := p.Create(t.Context(), bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}
