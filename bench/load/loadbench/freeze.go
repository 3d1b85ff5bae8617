package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"shakedown/bench/load/loadbench/peer"
	"shakedown/bench/load/loadbench/server"
	"shakedown/internal/benchmark"
)

// freezes is the server of the experiment.
var freezes = server.Freeze{Every: time.Second, For: 100 * time.Millisecond}

const (
	freezeRate = 1000 // per second
	// freezeMS is what p95, p99 and p99.9 may be off, in milliseconds.
	freezeMS = 1.0
)

// A freezeRow is what one generator says of the server that freezes.
type freezeRow struct {
	name  string
	times peer.Times
}

// freeze compares what generators say with what users must have waited.
func freeze(ctx context.Context, g *rig) (s benchmark.Section, err error) {
	p, url, err := serve(ctx, "freeze")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	var rows []freezeRow
	length := benchmark.Pick(g.Options, 10*time.Second, 4*time.Second)
	ask := func(p peer.Peer, how string, l peer.Load) error {
		if !g.has(p) {
			return nil
		}
		l.URL, l.Length = url, length
		g.Say("%s, %s", p.Name, how)
		r, err := g.send(ctx, p, l, peer.Anywhere)
		if err == nil {
			rows = append(rows, freezeRow{p.Name + ", " + how, r.Times})
		}
		return err
	}
	even, poisson := peer.Load{Rate: freezeRate}, peer.Load{Rate: freezeRate, Poisson: true}
	paced, flat := peer.Load{Rate: freezeRate, Connections: 10}, peer.Load{Connections: 10}
	err = errors.Join(
		ask(own, "evenly spaced", even), ask(own, "Poisson", poisson), ask(peer.Wrk2(), "open loop", even), ask(peer.Oha(), "open loop", even),
		ask(peer.Vegeta(), "open loop", even), ask(peer.K6(), "open loop", even), ask(peer.Hey(), "10 workers at 100/s each", paced),
		ask(peer.Wrk(), "closed loop, 10 connections", flat),
	)
	if err != nil {
		return s, err
	}
	return freezeSection(rows, length), nil
}

// freezeShares are the percentiles that are compared, and freezeTimes the times of a row in that order.
var freezeShares = []float64{0.50, 0.90, 0.95, 0.99, 0.999}

func all(t peer.Times) []float64 { return []float64{t.P50, t.P90, t.P95, t.P99, t.P999} }

const freezeText = `The server answers at once, but nothing at all for %v out of every %v. Requests are due %d times a second for %v. A request
that is due at any time of that second waits longer than *x* with probability (%v − *x*) ÷ %v, so what the percentiles must be
is known. The difference is in brackets. A generator that waits for an answer before it sends the next request, or that counts
from when it sent one, does not see what its users would.

With Poisson arrivals the number that meet a freeze is random; two standard deviations of that are in the last row. They take
part in no bound.`

func freezeSection(rows []freezeRow, length time.Duration) benchmark.Section {
	s := benchmark.Section{Title: "A server that freezes", Text: fmt.Sprintf(freezeText, freezes.For, freezes.Every, freezeRate, length, freezes.For, freezes.Every)}
	t := benchmark.Table{Head: []string{"ms", "p50", "p90", "p95", "p99", "p99.9"}}
	truth := []string{"analytic"}
	for _, p := range freezeShares {
		truth = append(truth, ms(inMS(freezes.Wait(p))))
	}
	t.Rows = append(t.Rows, truth)
	for _, r := range rows {
		t.Rows = append(t.Rows, append([]string{r.name}, besides(all(r.times))...))
	}
	n := freezeRate * length.Seconds()
	noise := []string{"± of Poisson arrivals"}
	for _, p := range freezeShares {
		if freezes.Wait(p) == 0 {
			noise = append(noise, "")
			continue
		}
		noise = append(noise, ms(2*math.Sqrt(p*(1-p)/n)*inMS(freezes.Every)))
	}
	t.Rows = append(t.Rows, noise)
	s.Tables = []benchmark.Table{t}
	if len(rows) > 0 {
		s.Bounds = freezeBounds(rows[0])
	}
	return s
}

// besides are the times, each with its distance from the analytic one.
func besides(times []float64) []string {
	var cells []string
	for i, v := range times {
		if math.IsNaN(v) {
			cells = append(cells, "not told")
			continue
		}
		cells = append(cells, fmt.Sprintf("%s (%+.1f)", ms(v), v-inMS(freezes.Wait(freezeShares[i]))))
	}
	return cells
}

func freezeBounds(r freezeRow) []benchmark.Bound {
	var bounds []benchmark.Bound
	for i, p := range freezeShares[2:] {
		want, got := inMS(freezes.Wait(p)), all(r.times)[2+i]
		bounds = append(bounds, benchmark.Bound{
			What:     fmt.Sprintf("freezing server, p%v within %g ms of %.0f ms", 100*p, freezeMS, want),
			Measured: fmt.Sprintf("%.2f ms", got), Met: math.Abs(got-want) <= freezeMS,
		})
	}
	return bounds
}

func inMS(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
