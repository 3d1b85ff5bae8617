package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"time"

	"shakedown/bench"
	"shakedown/bench/arrival"
	"shakedown/bench/load/loadbench/peer"
	"shakedown/internal/benchmark"
	"shakedown/internal/clock"
)

// The load of the experiment, and the most that requests may leave late.
const (
	lagRate      = 10_000 // Poisson arrivals a second
	lagP50US     = 50.0
	lagP99US     = 500.0
	lagOfSleeper = 0.1
)

// lags are what a sleeper measured, in milliseconds.
type lags struct{ P50, P99, P999 float64 }

// lag is how late requests leave while the other core is busy.
func lag(ctx context.Context, g *rig) (s benchmark.Section, err error) {
	server, url, err := nginx(ctx)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	burner, _, err := self(ctx, serverCore, "burn")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, burner.stop()) }()
	length := benchmark.Pick(g.Options, 10*time.Second, 2*time.Second)
	var urgent, ordinary, sleeper []lags
	for round := range benchmark.Pick(g.Options, 5, 1) {
		g.Say("round %d", round+1)
		mine := func(prefix ...string) (lags, error) {
			l := peer.Load{URL: url, Length: length, Connections: 64, Rate: lagRate, Poisson: true}
			r, err := g.send(ctx, own, l, peer.Anywhere, prefix...)
			if err != nil {
				return lags{}, err
			}
			return lags{r.Own.Lag.P50, r.Own.Lag.P99, r.Own.Lag.P999}, nil
		}
		u, errU := mine()
		z, errZ := sleeps(ctx, length)
		o, errO := mine("setpriv", "--bounding-set", "-sys_nice")
		if err := errors.Join(errU, errZ, errO); err != nil {
			return s, err
		}
		urgent, sleeper, ordinary = append(urgent, u), append(sleeper, z), append(ordinary, o)
	}
	return lagSection(urgent, ordinary, sleeper, length), nil
}

// sleeps runs a sleeper and waits for what it measured.
func sleeps(ctx context.Context, length time.Duration) (l lags, err error) {
	path, err := os.Executable()
	if err != nil {
		return l, err
	}
	out, err := peer.Command(ctx, peer.Anywhere, nil, path, "sleeper", length.String()).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return l, fmt.Errorf("sleeper: %w: %s", err, exit.Stderr)
	}
	if err != nil {
		return l, fmt.Errorf("sleeper: %w", err)
	}
	return l, json.Unmarshal(out, &l)
}

// sleeperMain is the least that a generator does which paces by time.Sleep and starts a goroutine an arrival: it sends nothing, and measures
// when each goroutine gets to run.
func sleeperMain(args []string) error {
	length, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	arrivals, err := arrival.New(bench.Poisson, lagRate, 0, length, 1)
	if err != nil {
		return err
	}
	late := make(chan time.Duration, int(2*lagRate*length.Seconds()))
	zero, n := clock.Now(), 0
	for due, ok := arrivals.Next(); ok; due, ok = arrivals.Next() {
		for now := clock.Now() - zero; now < due; now = clock.Now() - zero {
			time.Sleep(due - now)
		}
		n++
		go func() { late <- clock.Now() - zero - due }()
	}
	sorted := make([]float64, 0, n)
	for range n {
		sorted = append(sorted, inMS(<-late))
	}
	slices.Sort(sorted)
	p := percentiles(sorted, 0.50, 0.99, 0.999)
	return json.NewEncoder(os.Stdout).Encode(lags{p[0], p[1], p[2]})
}

const lagText = `How long after a request was due it left: %d Poisson arrivals a second for %v, in open loop over 64 connections. Core %d is
busy: it has a process that counts to infinity, and the nginx that is asked. The generator may run on either core. With the
right to it (CAP_SYS_NICE, which root has) shakedown's loop asks for a real-time priority; the second row has it without. The
last row is not a generator but the least that one does which paces by Go's time.Sleep and starts a goroutine an arrival: it
sends nothing.`

func lagSection(urgent, ordinary, sleeper []lags, length time.Duration) benchmark.Section {
	s := benchmark.Section{Title: "Send lag", Text: fmt.Sprintf(lagText, lagRate, length, serverCore)}
	t := benchmark.Table{Head: []string{"µs late", "p50", "p99", "p99.9"}}
	column := func(rows []lags, of func(lags) float64) []float64 {
		var us []float64
		for _, l := range rows {
			us = append(us, 1e3*of(l))
		}
		return us
	}
	p50, p99, p999 := func(l lags) float64 { return l.P50 }, func(l lags) float64 { return l.P99 }, func(l lags) float64 { return l.P999 }
	for _, r := range []struct {
		name string
		rows []lags
	}{{"shakedown", urgent}, {"shakedown without CAP_SYS_NICE", ordinary}, {"time.Sleep", sleeper}} {
		row := []string{r.name}
		for _, of := range []func(lags) float64{p50, p99, p999} {
			row = append(row, benchmark.MiddleOf(column(r.rows, of)).In("%.0f"))
		}
		t.Rows = append(t.Rows, row)
	}
	s.Tables = []benchmark.Table{t}
	within := func(name string, of func(lags) float64, most float64) {
		m := benchmark.MiddleOf(column(urgent, of))
		share := benchmark.Ratio(column(urgent, of), column(sleeper, of))
		s.Promise(fmt.Sprintf("send lag %s ≤ %.0f µs", name, most), m.In("%.0f")+" µs", !math.IsNaN(m.Median) && m.Median <= most)
		s.Promise(fmt.Sprintf("send lag %s ≤ %g of a time.Sleep pacer's", name, lagOfSleeper), share.In("%.3f"), share.Median <= lagOfSleeper)
	}
	within("p50", p50, lagP50US)
	within("p99", p99, lagP99US)
	return s
}
