package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"shakedown/bench/load/loadbench/peer"
	"shakedown/internal/benchmark"
)

// The load of the experiment, and how soon after its end shakedown must be gone.
const (
	holeRate    = 20_000 // per second
	holeTimeout = 2 * time.Second
	holeExit    = 3 * time.Second
)

// blackhole is a load on a server that accepts and never answers.
func blackhole(ctx context.Context, g *rig) (s benchmark.Section, err error) {
	server, url, err := serve(ctx, "silent")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	length := benchmark.Pick(g.Options, 10*time.Second, 3*time.Second)
	g.Say("%d/s for %v", holeRate, length)
	r, err := g.send(ctx, own, peer.Load{URL: url, Length: length, Rate: holeRate, Timeout: holeTimeout}, peer.Anywhere)
	if err != nil {
		return s, err
	}
	return holeSection(r, length, files()), nil
}

const holeText = `The server accepts every connection, reads, and never answers: %d arrivals a second, evenly spaced, for %v, each given up after
%v. That is %.0f requests in flight, each on a connection of its own; where a process may have fewer descriptors (here it may
have %d), the arrivals beyond that are unsent. The time until the exit is counted from when the last arrival was due, the
program's start included.`

func holeSection(r peer.Result, length time.Duration, descriptors uint64) benchmark.Section {
	l := r.Own.Ledger
	after := r.Wall - length
	s := benchmark.Section{Title: "A black hole", Text: fmt.Sprintf(holeText, holeRate, length, holeTimeout, holeRate*holeTimeout.Seconds(), descriptors)}
	s.Tables = []benchmark.Table{{
		Head: []string{"scheduled", "ok", "failed", "unsure", "unsent", "most memory MB, by its own account of the load", "by the kernel's of the process", "exit after the end"},
		Rows: [][]string{{
			fmt.Sprint(l.Scheduled), fmt.Sprint(l.OK), fmt.Sprint(l.Failed), fmt.Sprint(l.Unsure), fmt.Sprint(l.Unsent), fmt.Sprintf("%.0f", r.Own.MaxMB),
			fmt.Sprintf("%.0f", r.MaxRSSMB), after.Round(10 * time.Millisecond).String(),
		}},
	}}
	want := int64(holeRate * length.Seconds())
	s.Promise("black hole, the ledger balances and has every arrival", fmt.Sprintf("%d of %d", l.Scheduled, want), l.Balances() && l.Scheduled == want)
	s.Promise(
		fmt.Sprintf("black hole, memory is stated, and at most %d MB", holeMB),
		fmt.Sprintf("%.0f MB, of the whole process %.0f MB", r.Own.MaxMB, r.MaxRSSMB), stated(r),
	)
	s.Promise(fmt.Sprintf("black hole, exit within %v of the end", holeExit), after.Round(10*time.Millisecond).String(), after <= holeExit)
	return s
}

// holeMB is the memory that 40 000 requests in flight may take at most.
const holeMB = 500

// stated says whether shakedown's own account of its memory can stand beside the kernel's, which is of the whole process: reports are
// written after the load.
func stated(r peer.Result) bool {
	return r.MaxRSSMB <= holeMB && r.Own.MaxMB > 0.6*r.MaxRSSMB && r.Own.MaxMB < 1.1*r.MaxRSSMB
}
