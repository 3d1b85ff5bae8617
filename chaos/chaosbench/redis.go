package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"shakedown/internal/benchmark"
)

// ask runs redis-benchmark's GET against an address.
func ask(ctx context.Context, addr string, conns, n int) (rps, p50 float64, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, 0, err
	}
	out, err := exec.CommandContext(ctx, "redis-benchmark", "-h", host, "-p", port, "-c", strconv.Itoa(conns), "-n", strconv.Itoa(n),
		"-t", "get", "--csv").Output()
	if err != nil {
		return 0, 0, fmt.Errorf("redis-benchmark: %w", err)
	}
	return parseCSV(out)
}

// parseCSV reads the last line of its output: the rate, and the median latency in milliseconds.
func parseCSV(out []byte) (rps, p50 float64, err error) {
	records, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil || len(records) < 2 || len(records[len(records)-1]) < 5 {
		return 0, 0, fmt.Errorf("redis-benchmark said %q", out)
	}
	last := records[len(records)-1]
	if rps, err = strconv.ParseFloat(last[1], 64); err == nil {
		p50, err = strconv.ParseFloat(last[4], 64)
	}
	return rps, p50, err
}

// rate is redis-benchmark -c 50 -t get through every route.
func rate(ctx context.Context, g *rig) (benchmark.Section, error) {
	n := g.times(100_000)
	rps, cpu, err := g.rates(ctx, g.routes, n)
	if err != nil {
		return benchmark.Section{}, err
	}
	s := benchmark.Section{
		Title: "Rate, and what a message costs",
		Text: fmt.Sprintf("`redis-benchmark -c 50 -t get -n %d`. The cost is the proxy's own processor time for each request and its answer, "+
			"as the kernel accounts it to the process.", n),
	}
	t := benchmark.Table{Head: []string{"route", "requests/s", "of HAProxy's", "of toxiproxy's", "processor time a request, µs"}}
	for i, r := range g.routes {
		cost := "–"
		if r.pid > 0 {
			cost = benchmark.MiddleOf(cpu[i]).In("%.1f")
		}
		t.Rows = append(t.Rows, []string{
			r.name, benchmark.MiddleOf(rps[i]).In("%.0f"), benchmark.Ratio(rps[i], rps[haproxy]).In("%.2f"), benchmark.Ratio(rps[i], rps[toxi]).In("%.2f"), cost,
		})
	}
	s.Tables = []benchmark.Table{t}
	h, x := benchmark.Ratio(rps[ours], rps[haproxy]), benchmark.Ratio(rps[ours], rps[toxi])
	s.Promise("no fault, 50 connections: at least HAProxy's rate", h.In("%.2f")+" of it", h.Median >= 1)
	s.Promise("no fault, 50 connections: at least 1.3 times toxiproxy's rate", x.In("%.2f")+" of it", x.Median >= 1.3)
	return s, nil
}

// rates asks through every route in each round, and returns what rateOf says, by route and round.
func (g *rig) rates(ctx context.Context, routes []route, n int) (rps, cpu [][]float64, err error) {
	rps, cpu = make([][]float64, len(routes)), make([][]float64, len(routes))
	for range g.rounds() {
		for i, r := range routes {
			got, cost, err := rateOf(ctx, r, n)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", r.name, err)
			}
			g.Say("%s %.0f/s", r.name, got)
			rps[i], cpu[i] = append(rps[i], got), append(cpu[i], cost)
		}
	}
	return rps, cpu, nil
}

// rateOf is one run: the rate, and the proxy's processor time for a request in microseconds.
func rateOf(ctx context.Context, r route, n int) (rps, cost float64, err error) {
	before, after := int64(0), int64(0)
	if r.pid > 0 {
		d, err := cpuOf(r.pid)
		if err != nil {
			return 0, 0, err
		}
		before = d.Microseconds()
	}
	if rps, _, err = ask(ctx, r.redis, 50, n); err != nil {
		return 0, 0, err
	}
	if r.pid > 0 {
		d, err := cpuOf(r.pid)
		if err != nil {
			return 0, 0, err
		}
		after = d.Microseconds()
	}
	return rps, float64(after-before) / float64(n), nil
}

// turns is how often the routes take turns within a round of single connections. Where the scheduler puts client, proxy and server makes
// a round trip twice as long or half; a new connection is a new draw.
const turns = 20

// alone is the round trip of a connection that has the machine to itself.
func alone(ctx context.Context, g *rig) (benchmark.Section, error) {
	p50 := make([][]float64, len(g.routes))
	n := g.times(10_000)
	for range g.rounds() {
		all := make([][]time.Duration, len(g.routes))
		for range turns {
			for i, r := range g.routes {
				some, err := trips(ctx, r.own, n/turns, 0)
				if err != nil {
					return benchmark.Section{}, fmt.Errorf("%s: %w", r.name, err)
				}
				all[i] = append(all[i], some...)
			}
		}
		for i := range all {
			slices.Sort(all[i])
			p50[i] = append(p50[i], 1e3*millis(quantile(all[i], 0.5)))
		}
	}
	s := benchmark.Section{
		Title: "One connection",
		Text:  fmt.Sprintf("%d messages of 64 bytes, echoed one after the other, on %d connections in turn: the median round trip.", n, turns),
	}
	t := benchmark.Table{Head: []string{"route", "p50, µs", "added by the proxy, µs"}}
	added := make([][]float64, len(g.routes))
	for i, r := range g.routes {
		for round := range p50[i] {
			added[i] = append(added[i], p50[i][round]-p50[direct][round])
		}
		cell := "–"
		if i != direct {
			cell = benchmark.MiddleOf(added[i]).In("%.1f")
		}
		t.Rows = append(t.Rows, []string{r.name, benchmark.MiddleOf(p50[i]).In("%.1f"), cell})
	}
	s.Tables = []benchmark.Table{t}
	a, b := benchmark.MiddleOf(added[ours]), benchmark.MiddleOf(added[haproxy])
	s.Promise(
		"one connection: adds no more than HAProxy to the median round trip",
		fmt.Sprintf("%.1f µs beside %.1f", a.Median, b.Median), a.Median <= b.Median,
	)
	return s, nil
}
