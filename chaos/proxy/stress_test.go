package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shakedown/chaos"
	"shakedown/internal/units"
)

// stream is a pseudo-random byte stream that its reader can predict.
func stream(seed uint64) io.Reader {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return rand.NewChaCha8(key)
}

// TestNoByteIsLostDoubledOrReorderedWhileEffectsComeAndGo changes effects 10 000 times at random, under 200 connections
// whose bytes are all known, both ways. Connections that an effect cuts are cut off from a stream that is right until then,
// and are made again.
func TestNoByteIsLostDoubledOrReorderedWhileEffectsComeAndGo(t *testing.T) {
	conns, changes := 200, 10_000
	if testing.Short() {
		conns, changes = 50, 500
	}
	before := sockets(t)
	for _, network := range []string{"tcp", "unix"} {
		for name, cuts := range map[string]bool{"whole": false, "cut": true} {
			t.Run(network+" "+name, func(t *testing.T) {
				addr := "127.0.0.1:0"
				if network == "unix" {
					addr = filepath.Join(t.TempDir(), "s")
				}
				stress(t, network, addr, conns, changes/4, cuts)
			})
		}
	}
	if now := sockets(t); now > before {
		t.Errorf("%d sockets are open, and %d were before", now, before)
	}
}

// sockets is how many the process has open.
func sockets(t *testing.T) (n int) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range all {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

func stress(t *testing.T, network, addr string, conns, changes int, cuts bool) {
	var stop, wrong atomic.Bool
	served := startServer(t, network, addr, func(c halfCloser) {
		var id [8]byte
		if _, err := io.ReadFull(c, id[:]); err != nil {
			return // cut before it began
		}
		seed := binary.BigEndian.Uint64(id[:])
		if err := converse(c, ^seed, seed, cuts, &stop); err != nil {
			wrong.Store(true)
			t.Errorf("server: %v", err)
		}
	})
	l := newTestLink(t, network, served)
	var cut atomic.Int64
	var talking sync.WaitGroup
	for i := range conns {
		talking.Go(func() {
			for n := uint64(0); !stop.Load() && !wrong.Load(); n++ {
				if n > 0 {
					time.Sleep(20 * time.Millisecond) // a link that refuses or resets would be dialled in a tight loop
				}
				seed := uint64(i)<<32 | n
				c, err := net.Dial("tcp", l.Addr())
				if err != nil {
					continue // cut before it began
				}
				if _, err = c.Write(binary.BigEndian.AppendUint64(nil, seed)); err == nil {
					if err := converse(c.(halfCloser), seed, ^seed, cuts, &stop); err != nil {
						wrong.Store(true)
						t.Errorf("client: %v", err)
					}
				}
				_ = c.Close()
				cut.Add(1)
			}
		})
	}
	disturb(t, l, rand.New(rand.NewPCG(1, 2)), changes, cuts)
	stop.Store(true)
	talking.Wait()
	eventually(t, "every connection ends", func() bool { return counters(t, l).Open == 0 })
	if q := l.proxy.Queued(); q != 0 {
		t.Errorf("%d bytes are still counted", q)
	}
	n := counters(t, l)
	t.Logf("%d conversations, %d MB, %+v", cut.Load(), (n.BytesUp+n.BytesDown)>>20, met(n))
	for name, times := range map[string]int64{
		"delay": n.Delayed, "hold": n.Held, "rate": n.Throttled, "slice": n.Sliced, "connect_delay": n.ConnectDelays, "slow_close": n.SlowCloses,
		"reset": n.Resets, "close": n.Closes, "limit": n.Limited, "half_open": n.HalfOpened,
	} {
		ends := name == "reset" || name == "close" || name == "limit" || name == "half_open"
		if times == 0 && !testing.Short() && (cuts || !ends) {
			t.Errorf("%s met nothing: the test has tried too little", name)
		}
	}
}

// met leaves the distributions out, which are long.
func met(n chaos.Counters) chaos.Counters {
	n.Delays, n.Asked = nil, nil
	return n
}

const sayBytes = 2 << 10 // at a time

// says is how many bytes a stream has in all.
func says(seed uint64) int64 { return int64(10+seed%50) * sayBytes }

// converse writes one stream and expects another, at the same time. It returns what is wrong with the bytes: when nothing
// cuts connections, also that some are missing.
func converse(c halfCloser, out, in uint64, cuts bool, stop *atomic.Bool) error {
	var writing sync.WaitGroup
	defer writing.Wait()
	writing.Go(func() {
		words, b := stream(out), make([]byte, sayBytes)
		pause := time.Duration(0)
		for said := int64(0); said < says(out); said += sayBytes {
			_, _ = io.ReadFull(words, b) // never fails
			if _, err := c.Write(b); err != nil {
				return
			}
			if pause = (pause + 37) % 100; !stop.Load() {
				time.Sleep(pause * time.Millisecond) // bursts, and quiet between
			}
		}
		_ = c.CloseWrite()
	})
	got, want := make([]byte, 8<<10), make([]byte, 8<<10)
	expect := stream(in)
	total := int64(0)
	for {
		_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		n, err := c.Read(got)
		_, _ = io.ReadFull(expect, want[:n])
		if string(got[:n]) != string(want[:n]) {
			return fmt.Errorf("bytes %d to %d are not those that were sent", total, total+int64(n))
		}
		total += int64(n)
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && (!cuts || rand.IntN(4) > 0 && !stop.Load()): // held, or forgotten
		case cuts:
			_ = c.SetWriteDeadline(time.Unix(1, 0))
			return nil
		case total != says(in) || !errors.Is(err, io.EOF):
			_ = c.SetWriteDeadline(time.Unix(1, 0))
			return fmt.Errorf("%d of %d bytes arrived, ending with %w", total, says(in), err)
		default:
			return nil
		}
	}
}

// disturb sets and clears every effect at random, and then leaves none.
func disturb(t *testing.T, l *Link, rng *rand.Rand, changes int, cuts bool) {
	ids := []string{"a", "b", "c", "d", "e"}
	for i := range changes {
		id := ids[rng.IntN(len(ids))]
		if rng.IntN(2) == 0 {
			unshape(t, l, id)
		} else {
			shape(t, l, id, random(rng, cuts))
		}
		if i%64 == 0 {
			if _, err := l.Probe(context.Background(), time.Millisecond); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Duration(rng.IntN(1000)) * time.Microsecond) // some effects meet no byte, and some many
	}
	for _, id := range ids {
		unshape(t, l, id)
	}
}

// random is an effect that does not corrupt, and may cut connections.
func random(rng *rand.Rand, cuts bool) chaos.Effect {
	ms := func(n int64) units.Duration { return units.Duration(rng.Int64N(n * int64(units.Millisecond))) }
	e := chaos.Effect{Direction: []chaos.Direction{chaos.Both, chaos.Upstream, chaos.Downstream}[rng.IntN(3)], Seed: rng.Uint64()}
	kinds := 12
	if cuts {
		kinds = 16
	}
	switch rng.IntN(kinds) {
	case 0, 1, 2:
		e.Delay, e.Jitter = ms(4), ms(3)
		e.Law = []chaos.Law{chaos.Uniform, chaos.Normal, chaos.Pareto}[rng.IntN(3)]
	case 3, 4:
		e.BytesPerSecond = 1<<20 + rng.Int64N(32<<20)
		e.Scope = []chaos.Scope{chaos.ScopeConnection, chaos.ScopeLink, chaos.ScopeGroup}[rng.IntN(3)]
		e.Group = "g"
	case 5, 6:
		e.Hold = true
	case 7, 8:
		e.SliceBytes, e.SliceDelay = 100+rng.Int64N(4000), ms(1)
		e.SliceSpread = rng.Int64N(e.SliceBytes)
	case 9:
		e.Loss = rng.Float64() / 100
	case 10:
		e.SlowClose = ms(20)
	case 11:
		e.ConnectDelay = ms(5)
	case 12:
		e.Reset, e.Share, e.After = true, 0.1, ms(20)
	case 13:
		e.Close, e.Share, e.After = true, 0.1, ms(20)
	case 14:
		e.LimitBytes, e.Share = 1+rng.Int64N(64<<10), 0.1
	case 15:
		e.HalfOpen, e.Share = rng.IntN(2) == 0, 0.05
		e.Refuse = !e.HalfOpen
		if e.Refuse {
			e.Share = 0
		}
	}
	return e
}
