package proxy

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"shakedown/chaos"
	"shakedown/internal/units"
)

// openPipes is how many pipes the proxy's loops have open, and how many of these they only keep.
func openPipes(l *Link) (open, spare int) {
	for _, on := range l.proxy.loops {
		on.call(func() {
			open += on.blocks.pipes.open
			spare += on.blocks.pipes.spare
		})
	}
	return open, spare
}

// idle checks that nothing is under way, and that a proxy that closes leaves no pipe.
func idle(t *testing.T, l *Link) {
	t.Helper()
	eventually(t, "nothing is queued", func() bool { return l.proxy.Queued() == 0 })
	if open, spare := openPipes(l); open != spare || spare > sparePipes*len(l.proxy.loops) {
		t.Errorf("%d pipes are open, of which %d are kept for later", open, spare)
	}
	l.proxy.Close()
	for _, on := range l.proxy.loops {
		if n := on.blocks.pipes.open; n > 0 {
			t.Errorf("%d pipes are open after the end", n)
		}
	}
}

// TestABulkStreamWaitsInPipesAndIsWhole sends a stream that is too fast to be copied under a delay, and meanwhile has every effect meet what
// is in pipes: another delay, a hold, a limit, slices, corruption of no chunk, and none.
func TestABulkStreamWaitsInPipesAndIsWhole(t *testing.T) {
	size := int64(256 << 20)
	if testing.Short() {
		size = 32 << 20
	}
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			addr := "127.0.0.1:0"
			if network == "unix" {
				addr = filepath.Join(t.TempDir(), "s")
			}
			l := newTestLink(t, network, echoServer(t, network, addr))
			shape(t, l, "delay", chaos.Effect{Delay: 5 * units.Millisecond})
			c := dialLink(t, l)
			sent, got := sha256.New(), sha256.New()
			done := make(chan error, 2)
			go func() {
				buf := make([]byte, 1<<20)
				_, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(c, sent)}, io.LimitReader(stream(1), size), buf)
				_ = c.CloseWrite()
				done <- err
			}()
			n := int64(0)
			go func() {
				var err error
				n, err = io.Copy(got, c)
				done <- err
			}()
			most := 0
			rng := rand.New(rand.NewPCG(5, 6))
			for left := 2; left > 0; {
				select {
				case err := <-done:
					if err != nil {
						t.Fatal(err)
					}
					left--
				case <-time.After(10 * time.Millisecond):
					open, spare := openPipes(l)
					most = max(most, open-spare)
					unshape(t, l, "other")
					shape(t, l, "other", []chaos.Effect{
						{Delay: 20 * units.Millisecond, Jitter: 10 * units.Millisecond},
						{Hold: true},
						{BytesPerSecond: 500 << 20},
						{SliceBytes: 100_000, SliceSpread: 50_000},
						{Corrupt: 1e-12},
						{SlowClose: units.Millisecond},
					}[rng.IntN(6)])
					if rng.IntN(4) == 0 {
						unshape(t, l, "delay")
					} else {
						shape(t, l, "delay", chaos.Effect{Delay: 5 * units.Millisecond})
					}
				}
				if left == 1 {
					unshape(t, l, "other") // a hold would keep the rest
				}
			}
			if n != size || !bytes.Equal(got.Sum(nil), sent.Sum(nil)) {
				t.Errorf("%d bytes came back of %d, and other ones: %v", n, size, n == size)
			}
			if most < 2 {
				t.Errorf("%d pipes were in use: the test has tried nothing", most)
			}
			idle(t, l)
		})
	}
}

// TestAStreamThatIsCutLeavesNoPipe resets a stream that has bytes in pipes, and does so when the client goes away.
func TestAStreamThatIsCutLeavesNoPipe(t *testing.T) {
	for name, cut := range map[string]func(*Link, io.Closer){
		"reset": func(l *Link, _ io.Closer) { shape(t, l, "cut", chaos.Effect{Reset: true}) },
		"gone":  func(_ *Link, c io.Closer) { _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			l := newTestLink(t, "tcp", echoServer(t, "tcp", "127.0.0.1:0"))
			shape(t, l, "delay", chaos.Effect{Delay: 50 * units.Millisecond, Direction: chaos.Upstream})
			c := dialLink(t, l)
			go func() { _, _ = io.Copy(c, stream(2)) }() // until it is cut
			eventually(t, "pipes are in use", func() bool { open, spare := openPipes(l); return open > spare+4 })
			cut(l, c)
			eventually(t, "the connection has ended", func() bool { return counters(t, l).Open == 0 })
			idle(t, l)
		})
	}
}

func TestPipesAreBoundedAndUsedAgain(t *testing.T) {
	var p pipes
	var all []*block
	for b := p.get(); b != nil; b = p.get() {
		all = append(all, b)
	}
	if len(all) != mostPipes {
		t.Errorf("%d pipes are open at most, want %d", len(all), mostPipes)
	}
	if _, err := unix.Write(all[0].pipe.in, []byte("left")); err != nil {
		t.Fatal(err)
	}
	all[0].end = 4
	for _, b := range all {
		p.put(b)
	}
	if p.spare != sparePipes || p.open != sparePipes {
		t.Errorf("%d of %d pipes are kept, want %d", p.spare, p.open, sparePipes)
	}
	b := p.get()
	if n, err := unix.Read(b.pipe.out, make([]byte, 8)); n > 0 || err != unix.EAGAIN {
		t.Errorf("a pipe that is used again has %d bytes, %v", n, err)
	}
	p.put(b)
	if p.shut(); p.open != 0 || p.free != nil {
		t.Errorf("%d are open after the end", p.open)
	}
}
