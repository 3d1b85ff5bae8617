package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"shakedown/internal/benchmark"
)

const messageBytes = 64

// dial connects to the benchmark's own server, for what it is to do.
func dial(ctx context.Context, addr string, what byte) (*net.TCPConn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if _, err := c.Write([]byte{what}); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// trips are the round trips of n messages, one after the other with a pause before each, after a few that do not count.
func trips(ctx context.Context, addr string, n int, pause time.Duration) ([]time.Duration, error) {
	c, err := dial(ctx, addr, echoes)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	const warm = 3
	var all []time.Duration
	msg := make([]byte, messageBytes)
	for i := range n + warm {
		if pause > 0 {
			time.Sleep(pause)
		}
		start := time.Now()
		if _, err := c.Write(msg); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(c, msg); err != nil {
			return nil, err
		}
		if i >= warm {
			all = append(all, time.Since(start))
		}
	}
	return all, nil
}

// together are the round trips of several connections at once, sorted.
func together(ctx context.Context, addr string, conns, n int, pause time.Duration) (all []time.Duration, err error) {
	var mu sync.Mutex
	var asking sync.WaitGroup
	for range conns {
		asking.Go(func() {
			got, failed := trips(ctx, addr, n, pause)
			mu.Lock()
			defer mu.Unlock()
			all, err = append(all, got...), errors.Join(err, failed)
		})
	}
	asking.Wait()
	slices.Sort(all)
	return all, err
}

// streamRate sends for a time, and returns the bytes per second that arrived, by the receiver's clock.
func streamRate(ctx context.Context, addr, server string, d time.Duration) (float64, error) {
	c, err := dial(ctx, addr, sinks)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	buf := make([]byte, 64<<10)
	for until := time.Now().Add(d); time.Now().Before(until); {
		if _, err := c.Write(buf); err != nil {
			return 0, err
		}
	}
	if err := c.CloseWrite(); err != nil {
		return 0, err
	}
	ask, err := dial(ctx, server, asks)
	if err != nil {
		return 0, err
	}
	defer func() { _ = ask.Close() }()
	var said [16]byte
	if _, err := io.ReadFull(ask, said[:]); err != nil {
		return 0, err
	}
	bytes, took := binary.BigEndian.Uint64(said[:8]), time.Duration(binary.BigEndian.Uint64(said[8:]))
	return float64(bytes) / took.Seconds(), nil
}

// bulk is one stream as fast as it goes.
func bulk(ctx context.Context, g *rig) (benchmark.Section, error) {
	rates := make([][]float64, len(g.routes))
	d := time.Duration(g.times(2000)) * time.Millisecond
	for range g.rounds() {
		for i, r := range g.routes {
			got, err := streamRate(ctx, r.own, g.routes[direct].own, d)
			if err != nil {
				return benchmark.Section{}, fmt.Errorf("%s: %w", r.name, err)
			}
			g.Say("%s %.2f GB/s", r.name, got/1e9)
			rates[i] = append(rates[i], got/1e9)
		}
	}
	s := benchmark.Section{
		Title: "One bulk stream",
		Text: fmt.Sprintf("Writes of 64 KiB for %s, read 64 KiB at a time and thrown away. Without a proxy two threads are at it, and each has a core; "+
			"with one there are three.", d),
	}
	t := benchmark.Table{Head: []string{"route", "GB/s", "of no proxy's"}}
	for i, r := range g.routes {
		t.Rows = append(t.Rows, []string{r.name, benchmark.MiddleOf(rates[i]).In("%.2f"), benchmark.Ratio(rates[i], rates[direct]).In("%.2f")})
	}
	s.Tables = []benchmark.Table{t}
	m := benchmark.Ratio(rates[ours], rates[direct])
	s.Promise("no fault, one bulk stream: at least 80 % of no proxy's rate", m.In("%.2f")+" of it", m.Median >= 0.8)
	return s, nil
}

// exact is how close a delay of 20 ms comes to what was asked.
func exact(ctx context.Context, g *rig) (benchmark.Section, error) {
	const asked = 20 * time.Millisecond
	const conns = 5
	off := map[int]map[float64][]float64{ours: {}, toxi: {}} // in ms, by route and quantile
	n := g.times(100)
	for range g.rounds() {
		for _, i := range []int{ours, toxi} {
			late, err := g.lateness(ctx, g.routes[i], asked, conns, n)
			if err != nil {
				return benchmark.Section{}, fmt.Errorf("%s: %w", g.routes[i].name, err)
			}
			for _, q := range []float64{0, 0.5, 0.99, 1} {
				off[i][q] = append(off[i][q], millis(quantile(late, q)))
			}
		}
	}
	s := benchmark.Section{
		Title: "Exactness of a delay of 20 ms",
		Text: fmt.Sprintf("%d connections exchange %d messages each, one after the other, under a latency of 20 ms one way. A round trip, less 20 ms and "+
			"less the median round trip without the latency in the same round, of messages that are 20 ms apart too, is what the delay is off by. HAProxy delays nothing.", conns, n),
	}
	t := benchmark.Table{Head: []string{"route", "least, ms off", "p50, ms off", "p99, ms off", "most, ms off"}}
	for _, i := range []int{ours, toxi} {
		row := []string{g.routes[i].name}
		for _, q := range []float64{0, 0.5, 0.99, 1} {
			row = append(row, benchmark.MiddleOf(off[i][q]).In("%.3f"))
		}
		t.Rows = append(t.Rows, row)
	}
	s.Tables = []benchmark.Table{t}
	p50, p99 := benchmark.MiddleOf(off[ours][0.5]), benchmark.MiddleOf(off[ours][0.99])
	s.Promise("20 ms asked: the median within 0.2 ms", p50.In("%.3f")+" ms off", p50.Median <= 0.2 && p50.Median >= -0.2)
	s.Promise("20 ms asked: p99 within 1 ms", p99.In("%.3f")+" ms off", p99.Median <= 1)
	return s, nil
}

// lateness is by how much each round trip exceeds the delay that was asked for and that of the route itself, sorted.
func (g *rig) lateness(ctx context.Context, r route, asked time.Duration, conns, n int) ([]time.Duration, error) {
	base, err := together(ctx, r.own, conns, n, asked)
	if err != nil {
		return nil, err
	}
	undo, err := r.delay(ctx, g.routes[direct].own, asked)
	if err != nil {
		return nil, err
	}
	all, err := together(ctx, r.own, conns, n, 0)
	if err := errors.Join(err, undo()); err != nil {
		return nil, err
	}
	for i := range all {
		all[i] -= asked + quantile(base, 0.5)
	}
	return all, nil
}

// delayed is what a delay of 50 ms takes from the throughput.
func delayed(ctx context.Context, g *rig) (benchmark.Section, error) {
	const delay, wanted = 50 * time.Millisecond, 50_000
	small, large := map[int][2][]float64{}, map[int][2][]float64{}
	d := time.Duration(g.times(2000)) * time.Millisecond
	for range g.rounds() {
		for _, i := range []int{ours, toxi} {
			r := g.routes[i]
			for under := range 2 {
				undo := func() error { return nil }
				if under == 1 {
					var err error
					if undo, err = r.delay(ctx, g.routes[direct].own, delay); err != nil {
						return benchmark.Section{}, err
					}
				}
				m, err := messageRate(ctx, r.own, wanted, d)
				if err != nil {
					return benchmark.Section{}, fmt.Errorf("%s, messages: %w", r.name, err)
				}
				b, err := returnRate(ctx, r.own, d)
				if err != nil {
					return benchmark.Section{}, fmt.Errorf("%s, bulk: %w", r.name, err)
				}
				if err := undo(); err != nil {
					return benchmark.Section{}, err
				}
				g.Say("%s %.0f/s, %.2f GB/s", r.name, m, b/1e9)
				ms, bs := small[i], large[i]
				ms[under], bs[under] = append(ms[under], m), append(bs[under], b/1e9)
				small[i], large[i] = ms, bs
			}
		}
	}
	s := benchmark.Section{
		Title: "Throughput under a delay of 50 ms",
		Text: fmt.Sprintf("Messages of 64 bytes are sent at %d/s on 10 connections whatever comes back, and echoed; bytes are echoed too, as fast as they come, "+
			"on one connection. The latency acts on the way back. Counted is what came back in a second, from the first that did.", wanted),
	}
	t := benchmark.Table{Head: []string{"route", "messages/s", "under 50 ms", "ratio", "bulk, GB/s", "under 50 ms", "ratio"}}
	for _, i := range []int{ours, toxi} {
		m, b := small[i], large[i]
		t.Rows = append(t.Rows, []string{
			g.routes[i].name, benchmark.MiddleOf(m[0]).In("%.0f"), benchmark.MiddleOf(m[1]).In("%.0f"), benchmark.Ratio(m[1], m[0]).In("%.2f"),
			benchmark.MiddleOf(b[0]).In("%.2f"), benchmark.MiddleOf(b[1]).In("%.2f"), benchmark.Ratio(b[1], b[0]).In("%.2f"),
		})
	}
	s.Tables = []benchmark.Table{t}
	m, b := benchmark.Ratio(small[ours][1], small[ours][0]), benchmark.Ratio(large[ours][1], large[ours][0])
	s.Promise("50 ms on 50 000 small messages/s: at least 90 % of the throughput without", m.In("%.2f")+" of it", m.Median >= 0.9)
	s.Promise("50 ms on a bulk stream: at least 90 % of the throughput without", b.In("%.2f")+" of it", b.Median >= 0.9)
	return s, nil
}

// messageRate sends messages at a rate for a time, on ten connections, and returns how many a second came back.
func messageRate(ctx context.Context, addr string, perSecond int, d time.Duration) (float64, error) {
	const conns, tick = 10, time.Millisecond
	var got atomic.Int64
	var first, last atomic.Int64
	var all []*net.TCPConn
	var reading sync.WaitGroup
	defer reading.Wait()
	for range conns {
		c, err := dial(ctx, addr, echoes)
		if err != nil {
			return 0, err
		}
		defer func() { _ = c.Close() }()
		all = append(all, c)
		reading.Go(func() {
			b := make([]byte, 16<<10)
			for {
				n, err := c.Read(b)
				if n > 0 {
					now := time.Now().UnixNano()
					first.CompareAndSwap(0, now)
					last.Store(now)
					got.Add(int64(n))
				}
				if err != nil {
					return
				}
			}
		})
	}
	msg := make([]byte, messageBytes)
	start := time.Now()
	for sent := 0; time.Since(start) < d; time.Sleep(tick) {
		for due := int(time.Since(start).Seconds() * float64(perSecond)); sent < due; sent++ {
			if _, err := all[sent%conns].Write(msg); err != nil {
				return 0, err
			}
		}
	}
	for _, c := range all {
		_ = c.CloseWrite()
	}
	reading.Wait()
	return float64(got.Load()) / messageBytes / time.Duration(last.Load()-first.Load()).Seconds(), nil
}

// returnRate sends for a time to an echo, and returns the bytes per second that came back.
func returnRate(ctx context.Context, addr string, d time.Duration) (float64, error) {
	c, err := dial(ctx, addr, echoes)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	var writing sync.WaitGroup
	defer writing.Wait()
	writing.Go(func() {
		buf := make([]byte, 64<<10)
		for until := time.Now().Add(d); time.Now().Before(until); {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
		_ = c.CloseWrite() // reading tells of a failure
	})
	b := make([]byte, 64<<10)
	var total int64
	var first, last time.Time
	for {
		n, err := c.Read(b)
		if n > 0 {
			if last = time.Now(); total == 0 {
				first = last
			}
			total += int64(n)
		}
		if err != nil && total > 0 { // Toxiproxy ends it with a RST at times
			return float64(total) / last.Sub(first).Seconds(), nil
		}
		if err != nil {
			return 0, err
		}
	}
}
