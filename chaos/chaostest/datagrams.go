package chaostest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// DatagramLinks has a real proxy in front of a real server that echoes datagrams, for faults that act on Edge.
var DatagramLinks = &Stand{Name: "links of datagrams", Build: func(t *testing.T) Rig {
	t.Helper()
	s := newLinks(t, "udp", echoDatagrams(t))
	return Rig{
		Surface: s, Clean: s.clean,
		Start: func(t *testing.T, excused Harm) Traffic { return startDatagrams(t, s, excused) },
	}
}}

// echoDatagrams is a server that sends each datagram back.
func echoDatagrams(t *testing.T) (addr string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() { _ = conn.Close(); serving.Wait() })
	serving.Go(func() {
		b := make([]byte, 2*messageBytes)
		for {
			n, from, err := conn.ReadFrom(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = conn.WriteTo(b[:n], from) // what the kernel has no room for is lost, which its client sees
			}
		}
	})
	return conn.LocalAddr().String()
}

// quiet is how long a client waits for a datagram that may be lost.
const quiet = 300 * time.Millisecond

// flows is traffic of datagrams: each client sends numbered ones, a window ahead of what came back.
type flows struct {
	links   links
	excused Harm
	mark    int64
	stop    atomic.Bool
	ended   context.Context // done when nobody waits any more
	cancel  context.CancelFunc
	clients sync.WaitGroup

	mu   sync.Mutex
	errs []error
}

func startDatagrams(t *testing.T, s links, excused Harm) *flows {
	t.Helper()
	f := &flows{links: s, excused: excused}
	f.ended, f.cancel = context.WithCancel(context.Background())
	for i, l := range s {
		for j := range connsPerLink {
			f.clients.Go(func() {
				c := flow{flows: f, seed: uint64(i*connsPerLink + j), latest: -1}
				if err := c.run(l.Addr()); err != nil {
					f.mu.Lock()
					f.errs = append(f.errs, fmt.Errorf("flow %d: %w", c.seed, err))
					f.mu.Unlock()
				}
			})
		}
	}
	t.Cleanup(func() { // when the test gave up before Stop
		f.stop.Store(true)
		f.cancel()
		f.clients.Wait()
	})
	return f
}

// Mark remembers what was met until now.
func (f *flows) Mark(ctx context.Context) (err error) {
	f.mark, err = f.links.met(ctx)
	return err
}

// Meet returns once the counters of a link show that traffic met an effect.
func (f *flows) Meet(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		n, err := f.links.met(ctx)
		return n > f.mark, err
	})
}

// Stop waits until every datagram that was sent is back, or lost where that is excused.
func (f *flows) Stop(ctx context.Context) error {
	f.stop.Store(true)
	defer context.AfterFunc(ctx, f.cancel)()
	f.clients.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.errs...)
}

// A flow is one client.
type flow struct {
	*flows
	seed         uint64
	sent, latest int
	back         []bool // by number
	missing      int    // under way
}

func (c *flow) run(addr string) error {
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(c.ended, func() { _ = conn.Close() })()
	b := make([]byte, 2*messageBytes)
	for !c.stop.Load() || c.missing > 0 {
		if c.missing == 0 {
			time.Sleep(pace)
			if err := c.send(conn); err != nil {
				return err
			}
		}
		if c.excused&(Drops|Flips) != 0 { // one whose number was hit is lost too
			_ = conn.SetReadDeadline(time.Now().Add(quiet))
		}
		n, err := conn.Read(b)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.missing = 0
		case err != nil:
			return fmt.Errorf("with %d datagrams missing: %w", c.missing, err)
		default:
			if err := c.received(b[:n]); err != nil {
				return err
			}
		}
	}
	return nil
}

// send sends a window of datagrams.
func (c *flow) send(conn net.Conn) error {
	for range window {
		if _, err := conn.Write(c.message(c.sent)); err != nil {
			return err
		}
		c.sent++
		c.missing++
		c.back = append(c.back, false)
	}
	return nil
}

// message is the nth datagram.
func (c *flow) message(n int) []byte {
	m := make([]byte, messageBytes)
	_, _ = rand.NewChaCha8([32]byte{byte(c.seed), byte(n), byte(n >> 8)}).Read(m[8:]) // never fails
	binary.BigEndian.PutUint64(m, uint64(n))
	return m
}

// received takes a datagram back; the error says which harm was done that is not excused.
func (c *flow) received(m []byte) error {
	n := int(binary.BigEndian.Uint64(m))
	if n < 0 || n >= c.sent || string(m) != string(c.message(n)) {
		if c.excused&Flips == 0 {
			return fmt.Errorf("datagram %d came back wrong", n)
		}
		if n < 0 || n >= c.sent {
			return nil
		}
	}
	if c.back[n] {
		if c.excused&(Doubles|Flips) == 0 {
			return fmt.Errorf("datagram %d came back twice", n)
		}
		return nil
	}
	if n < c.latest && c.excused&(Reorders|Flips) == 0 {
		return fmt.Errorf("datagram %d came back after %d", n, c.latest)
	}
	c.back[n] = true
	c.latest = max(c.latest, n)
	c.missing = max(c.missing-1, 0)
	return nil
}
