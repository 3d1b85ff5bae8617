package proxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"shakedown/chaos"
	"shakedown/internal/units"
)

const (
	probeDatagrams = 200
	probeSize      = 512
	probeGap       = 200 * time.Microsecond // between two
	// probeQuiet is how long a probe waits for stragglers, beyond twice the round trip, when nothing comes.
	probeQuiet = 250 * time.Millisecond
)

// probeUDP sends a flow of numbered datagrams through the link's present plan to an echo and back.
func (l *Link) probeUDP(ctx context.Context, giveUp time.Duration) (chaos.Probe, error) {
	until := time.Now().Add(giveUp)
	near, inner, err := loopbackUDP()
	if err != nil {
		return chaos.Probe{}, fmt.Errorf("probe of %s: %w", l.spec.Name, err)
	}
	echo, outer, err := loopbackUDP()
	if err != nil {
		_, _ = near.Close(), unix.Close(inner)
		return chaos.Probe{}, fmt.Errorf("probe of %s: %w", l.spec.Name, err)
	}
	var uncounted stats
	r := l.carrier.(*relay)
	var s *session
	r.loop.call(func() {
		if r.fd >= 0 {
			s = r.open(probeIndex|l.probes.Add(1), &uncounted)
			r.probes[s] = struct{}{}
			err = errors.Join(s.watch(up, inner), s.watch(down, outer))
		}
	})
	var parts sync.WaitGroup
	defer parts.Wait()
	defer func() {
		r.loop.call(func() {
			if s != nil {
				s.end()
			}
		})
		_, _ = near.Close(), echo.Close()
	}()
	if s == nil {
		_, _ = unix.Close(inner), unix.Close(outer)
		return chaos.Probe{}, l.gone()
	}
	if err != nil {
		return chaos.Probe{}, fmt.Errorf("probe of %s: %w", l.spec.Name, err)
	}
	parts.Go(func() { echoDatagrams(echo) })
	for _, c := range []context.Context{ctx, l.ctx} {
		stop := context.AfterFunc(c, func() { _ = near.Close() })
		defer stop()
	}
	f := datagramProbe{near: near, until: until, start: time.Now()}
	parts.Go(f.send)
	err = f.receive()
	switch {
	case ctx.Err() != nil:
		return f.Probe, fmt.Errorf("probe of %s: %w", l.spec.Name, context.Cause(ctx))
	case l.ctx.Err() != nil:
		return f.Probe, l.gone()
	case err != nil:
		return f.Probe, fmt.Errorf("probe of %s: %w", l.spec.Name, err)
	}
	return f.Probe, nil
}

func echoDatagrams(c *net.UDPConn) {
	b := make([]byte, probeSize)
	for {
		n, err := c.Read(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = c.Write(b[:n]) // what is lost is lost
		}
	}
}

// A datagramProbe is the client of one probe.
type datagramProbe struct {
	chaos.Probe
	near         *net.UDPConn
	until, start time.Time

	mu   sync.Mutex
	sent []time.Time
}

// send sends them all, a little apart, so that no buffer of the kernel overflows.
func (f *datagramProbe) send() {
	for i := range probeDatagrams {
		f.mu.Lock()
		f.sent = append(f.sent, time.Now())
		f.mu.Unlock()
		if _, err := f.near.Write(pattern(i)); errors.Is(err, net.ErrClosed) {
			return
		}
		time.Sleep(probeGap)
	}
}

// pattern is the nth datagram: its number, over and over.
func pattern(n int) []byte {
	b := make([]byte, 0, probeSize)
	for len(b) < probeSize {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	return b
}

// numberOf is what two of a datagram's first three words agree on, so that a flipped bit does not hide it; false when no two do.
func numberOf(datagram []byte) (n int, ok bool) {
	if len(datagram) < 12 {
		return 0, false
	}
	a, b, c := binary.BigEndian.Uint32(datagram), binary.BigEndian.Uint32(datagram[4:]), binary.BigEndian.Uint32(datagram[8:])
	if a != b {
		a, ok = c, c == a || c == b
		return int(a), ok
	}
	return int(a), true
}

// known says which of those that were sent a datagram is, and when it left; false when it is none of them.
func (f *datagramProbe) known(datagram []byte) (n int, left time.Time, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n, ok = numberOf(datagram); !ok || n >= len(f.sent) {
		return n, left, false
	}
	return n, f.sent[n], true
}

// receive takes back what comes, until all has or nothing does.
func (f *datagramProbe) receive() error {
	f.Sent = probeDatagrams
	var trips []time.Duration
	seen, latest := make([]bool, probeDatagrams), -1
	b := make([]byte, probeSize)
	quiet := time.Duration(0) // after the first answer
	for f.Got < probeDatagrams {
		until := f.until
		if at := time.Now().Add(quiet); quiet > 0 && at.Before(until) {
			until = at
		}
		_ = f.near.SetReadDeadline(until)
		n, err := f.near.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return err
		}
		now := time.Now()
		f.Bytes += int64(n)
		i, left, known := f.known(b[:n])
		if !known || !bytes.Equal(b[:n], pattern(i)) {
			f.Corrupt++
		}
		if !known {
			f.Got++
			continue
		}
		if seen[i] {
			f.Doubled++
			continue
		}
		seen[i] = true
		f.Got++
		if i < latest {
			f.Reordered++
		}
		latest = max(latest, i)
		trips = append(trips, now.Sub(left))
		quiet = probeQuiet + 2*trips[0]
	}
	f.sum(trips)
	return nil
}

func (f *datagramProbe) sum(trips []time.Duration) {
	if f.Lost = len(trips) == 0; f.Lost {
		return
	}
	f.First = units.Duration(trips[0])
	f.Took = units.Duration(time.Since(f.start))
	f.BytesPerSecond = float64(f.Bytes) / max(f.Took.Seconds(), 1e-9)
	slices.Sort(trips)
	f.RoundTrip = units.Duration(trips[len(trips)/2])
}

// loopbackUDP is a pair of connected UDP sockets, of which the far one is a bare descriptor.
func loopbackUDP() (near *net.UDPConn, far int, err error) {
	anyPort := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	a, err := net.ListenUDP("udp4", anyPort)
	if err != nil {
		return nil, -1, err
	}
	b, err := net.ListenUDP("udp4", anyPort)
	if err != nil {
		return nil, -1, errors.Join(err, a.Close())
	}
	err = errors.Join(connectUDP(a, b), connectUDP(b, a))
	if err == nil {
		far, err = bare(b)
	}
	if err != nil {
		return nil, -1, errors.Join(err, a.Close())
	}
	return a, far, nil
}

func connectUDP(c, to *net.UDPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	addr := to.LocalAddr().(*net.UDPAddr)
	var connected error
	err = raw.Control(func(fd uintptr) {
		connected = unix.Connect(int(fd), &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())})
	})
	return errors.Join(err, connected)
}
