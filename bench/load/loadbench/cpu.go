package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"shakedown/bench/load/loadbench/peer"
	"shakedown/internal/benchmark"
)

// The loads of the experiment, and the most that a request may cost.
const (
	cpuConnections = 64
	cpuRate        = 30_000 // per second, in open loop
	closedOfWrk    = 0.95   // of wrk's, in closed loop
	openOfWrk      = 1.25   // of wrk's in closed loop, in open loop at cpuRate
	openOfVegeta   = 0.20   // of vegeta's at the highest rate that vegeta comes to; in open loop at cpuRate, at that rate, and at the highest of its own
)

// achieved is the share of its arrivals from which on a generator is said to come to a rate; what it drops and what fails is missing.
const achieved = 0.97

// A contender is a generator under one load.
type contender struct {
	p    peer.Peer
	how  string
	rate float64 // 0: closed loop
	top  bool    // it is the highest that the generator comes to
	runs []peer.Result
}

// costs are the CPU microseconds per request of each run.
func (c *contender) costs() []float64 {
	var us []float64
	for _, r := range c.runs {
		us = append(us, float64(r.CPUPerRequest())/float64(time.Microsecond))
	}
	return us
}

// lags are the median send lags in microseconds, of a generator that says it.
func (c *contender) lags() []float64 {
	var us []float64
	for _, r := range c.runs {
		if r.Own != nil {
			us = append(us, r.Own.Lag.P50*1000)
		}
	}
	return us
}

// cpu is what a request costs each generator, everything that it measures included.
func cpu(ctx context.Context, g *rig) (s benchmark.Section, err error) {
	server, url, err := nginx(ctx)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	contenders, err := g.contenders(ctx, url)
	if err != nil {
		return s, err
	}
	length := benchmark.Pick(g.Options, 10*time.Second, time.Second)
	rounds := benchmark.Pick(g.Options, 5, 2)
	for round := range rounds {
		order := slices.Clone(contenders)
		if round%2 == 1 {
			slices.Reverse(order) // what grows with time falls on all alike
		}
		for _, c := range order {
			g.Say("round %d of %d: %s, %s", round+1, rounds, c.p.Name, c.how)
			r, err := g.send(ctx, c.p, peer.Load{URL: url, Length: length, Connections: cpuConnections, Rate: c.rate}, clientCore)
			if err != nil {
				return s, err
			}
			c.runs = append(c.runs, r)
		}
	}
	return cpuSection(contenders, length), nil
}

// contenders are all that are installed; vegeta, k6 and shakedown also at the highest rate that they come to.
func (g *rig) contenders(ctx context.Context, url string) ([]*contender, error) {
	epoll, prompt := peer.Shakedown("epoll"), peer.Shakedown("auto", "--gather", "0")
	closed := []*contender{{p: peer.Wrk()}, {p: own}, {p: epoll}, {p: peer.Oha()}, {p: peer.Hey()}, {p: peer.K6()}}
	open := []*contender{{p: own, rate: cpuRate}, {p: epoll, rate: cpuRate}, {p: prompt, rate: cpuRate}, {p: peer.Wrk2(), rate: cpuRate}, {p: peer.Oha(), rate: cpuRate}}
	for _, p := range []peer.Peer{own, peer.Vegeta(), peer.K6()} {
		if !g.has(p) {
			continue
		}
		from := ladder[0]
		if p.Name == own.Name {
			from = cpuRate // which it is measured at in any case
		}
		rate, err := g.highest(ctx, p, url, from)
		if err != nil {
			return nil, err
		}
		if rate == 0 {
			g.Say("%s does not even come to %d/s: it is left out", p.Name, ladder[0])
			continue
		}
		open = append(open, &contender{p: p, rate: rate, top: true})
		if p.Name == peer.Vegeta().Name && rate != cpuRate {
			open = append(open, &contender{p: own, rate: rate})
		}
	}
	contenders := slices.DeleteFunc(append(closed, open...), func(c *contender) bool { return !g.has(c.p) })
	for _, c := range contenders {
		c.how = "closed loop"
		if c.rate > 0 {
			c.how = fmt.Sprintf("open loop at %.0f/s", c.rate)
		}
		if c.top {
			c.how += ", its highest"
		}
	}
	return contenders, nil
}

// ladder are the rates that are tried.
var ladder = []int{500, 1000, 2500, 5000, 7500, 10_000, 12_500, 15_000, 17_500, 20_000, 25_000, 30_000, 35_000, 40_000, 50_000, 60_000, 80_000, 100_000, 120_000, 140_000, 160_000, 180_000, 200_000, 250_000}

// highest is the rate of the ladder, from one of its rates on, below the first that the peer does not come to, twice.
func (g *rig) highest(ctx context.Context, p peer.Peer, url string, from int) (rate float64, err error) {
	for _, next := range ladder[max(0, slices.Index(ladder, from)):] {
		comes := false
		for try := 0; try < 2 && !comes; try++ {
			if comes, err = g.comesTo(ctx, p, url, float64(next)); err != nil {
				return 0, err
			}
		}
		if !comes {
			break
		}
		rate = float64(next)
	}
	return rate, nil
}

// comesTo says whether the peer comes to a rate, and believes itself, if it is one that doubts.
func (g *rig) comesTo(ctx context.Context, p peer.Peer, url string, rate float64) (bool, error) {
	l := peer.Load{URL: url, Length: benchmark.Pick(g.Options, 2*time.Second, time.Second), Connections: cpuConnections, Rate: rate}
	r, err := g.send(ctx, p, l, clientCore)
	if err != nil {
		return false, err
	}
	g.Say("%s at %.0f/s comes to %.0f/s", p.Name, rate, r.Rate())
	return r.Rate() >= achieved*rate && float64(r.OK) >= achieved*float64(r.OK+r.Failed) && (r.Own == nil || len(r.Own.Reasons) == 0), nil
}

const cpuText = `User and system time of the generator's whole process, from its first instruction to its last, ÷ requests that were answered.
The server is one nginx worker on core %d, which answers with a few bytes; each generator is on core %d, over %d connections,
for %v a round. Ratios are formed within a round, which begins and ends with another generator each time. All that a generator
measures is on: with shakedown the ledger, the histograms of response, service, lag and wait; its calibration, which the others
do not have, is off, and so is the warm-up. vegeta, k6 and shakedown run at the highest rate of a ladder that they come to, and
shakedown at vegeta's too; shakedown's counts only if it does not call the run void. From 12 000/s on it holds arrivals back for the next ones, because each that leaves alone wakes two cores up:
half of its requests were sent as much later than they were due as the last column says, or more. With --gather 0 it does not.
In closed loop a generator is at its end by design, and shakedown itself calls such a run void.`

func cpuSection(contenders []*contender, length time.Duration) benchmark.Section {
	return benchmark.Section{
		Title: "CPU per request", Text: fmt.Sprintf(cpuText, serverCore, clientCore, cpuConnections, length),
		Tables: []benchmark.Table{cpuTable(contenders)}, Bounds: cpuBounds(contenders),
	}
}

// contending is the generator at a rate, or nil.
func contending(contenders []*contender, p peer.Peer, rate float64) *contender {
	for _, c := range contenders {
		if c.p.Name == p.Name && c.rate == rate {
			return c
		}
	}
	return nil
}

// highestOf is the generator at the highest rate that it comes to, or nil.
func highestOf(contenders []*contender, p peer.Peer) *contender {
	for _, c := range contenders {
		if c.p.Name == p.Name && c.top {
			return c
		}
	}
	return nil
}

func cpuTable(contenders []*contender) benchmark.Table {
	t := benchmark.Table{Head: []string{"generator", "load", "requests/s", "CPU µs/request", "÷ wrk", "half sent late by, µs"}}
	wrk := contending(contenders, peer.Wrk(), 0)
	for _, c := range contenders {
		var rates []float64
		for _, r := range c.runs {
			rates = append(rates, r.Rate())
		}
		ratio, late := "–", "–"
		if wrk != nil {
			ratio = benchmark.Ratio(c.costs(), wrk.costs()).In("%.2f")
		}
		if lags := c.lags(); c.rate > 0 && len(lags) > 0 {
			late = benchmark.MiddleOf(lags).In("%.0f")
		}
		t.Rows = append(t.Rows, []string{
			c.p.Name, c.how, fmt.Sprintf("%.0f", benchmark.MiddleOf(rates).Median), benchmark.MiddleOf(c.costs()).In("%.2f"), ratio, late,
		})
	}
	return t
}

func cpuBounds(contenders []*contender) (bounds []benchmark.Bound) {
	promise := func(c, than *contender, most float64, what string, args ...any) {
		what = "CPU per request, " + fmt.Sprintf(what, args...)
		if c == nil || than == nil {
			bounds = append(bounds, benchmark.Bound{What: what, Measured: "not measured: the peer is not installed"})
			return
		}
		m := benchmark.Ratio(c.costs(), than.costs())
		bounds = append(bounds, benchmark.Bound{What: what, Measured: m.In("%.2f"), Met: m.Median <= most})
	}
	wrk := contending(contenders, peer.Wrk(), 0)
	promise(contending(contenders, own, 0), wrk, closedOfWrk, "closed loop, ÷ wrk's ≤ %g", closedOfWrk)
	promise(contending(contenders, own, cpuRate), wrk, openOfWrk, "open loop at %d/s, ÷ wrk's in closed loop ≤ %g", cpuRate, openOfWrk)
	for _, v := range contenders {
		if v.p.Name == peer.Vegeta().Name {
			what := "open loop at %d/s, ÷ vegeta's at its highest rate, %.0f/s, ≤ %g"
			promise(contending(contenders, own, cpuRate), v, openOfVegeta, what, cpuRate, v.rate, openOfVegeta)
			if best := highestOf(contenders, own); best != nil {
				what = "open loop, each at its highest rate, %.0f/s and %.0f/s, ÷ vegeta's ≤ %g"
				promise(best, v, openOfVegeta, what, best.rate, v.rate, openOfVegeta)
			}
			if v.rate > cpuRate {
				what = "open loop at vegeta's highest rate, %.0f/s, ÷ vegeta's ≤ %g"
				promise(contending(contenders, own, v.rate), v, openOfVegeta, what, v.rate, openOfVegeta)
			}
		}
	}
	return bounds
}
