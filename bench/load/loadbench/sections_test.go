package main

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"shakedown/bench/load/loadbench/peer"
	"shakedown/bench/load/loadbench/queueing"
	"shakedown/bench/load/loadbench/server"
	"shakedown/internal/benchmark"
)

// verdicts says of each bound whether it is met.
func verdicts(s benchmark.Section) []bool {
	var met []bool
	for _, b := range s.Bounds {
		met = append(met, b.Met)
	}
	return met
}

func want(t *testing.T, s benchmark.Section, met ...bool) {
	t.Helper()
	if got := verdicts(s); !slices.Equal(got, met) {
		t.Errorf("the bounds are met: %v, want %v: %+v", got, met, s.Bounds)
	}
}

func TestTheFreezeIsMetWithinAMillisecond(t *testing.T) {
	row := func(p95, p99, p999 float64) []freezeRow {
		return []freezeRow{{"shakedown", peer.Times{P50: 0.1, P90: 0.3, P95: p95, P99: p99, P999: p999}}}
	}
	want(t, freezeSection(row(50.9, 89.1, 99), time.Second), true, true, true)
	want(t, freezeSection(row(51.1, 88.9, 99.5), time.Second), false, false, true)
	want(t, freezeSection(row(50, math.NaN(), 99.5), time.Second), true, false, true)
}

// costing is a contender whose requests cost so many microseconds in each round.
func costing(p peer.Peer, rate float64, us ...float64) *contender {
	c := &contender{p: p, how: "some loop", rate: rate}
	for _, v := range us {
		c.runs = append(c.runs, peer.Result{OK: 1000, Length: time.Second, CPU: time.Duration(v * 1e6)})
	}
	return c
}

func TestCostsAreComparedRoundByRound(t *testing.T) {
	wrk, vegeta := costing(peer.Wrk(), 0, 10, 20, 10), costing(peer.Vegeta(), 9000, 50, 50, 50)
	// The medians are 9.5 and 10; but in its own round each costs 0.95 of wrk's.
	s := cpuSection([]*contender{
		wrk, costing(own, 0, 9.5, 19, 9.4), costing(own, cpuRate, 12.4, 26, 12.5), vegeta, costing(own, 9000, 9, 9, 9),
	}, time.Second)
	want(t, s, true, true, false)
	if got := s.Tables[0].Rows[1][4]; got != "0.95 (0.94–0.95)" {
		t.Errorf("the ratio is %q", got)
	}
}

func TestAPeerThatComesToMoreIsMetAtItsRateToo(t *testing.T) {
	s := cpuSection([]*contender{
		costing(peer.Wrk(), 0, 10), costing(own, 0, 9), costing(own, cpuRate, 11), costing(peer.Vegeta(), 2*cpuRate, 50), costing(own, 2*cpuRate, 10),
	}, time.Second)
	want(t, s, true, true, false, true)
}

func TestAPeerThatIsNotInstalledLeavesItsPromiseUnmet(t *testing.T) {
	s := cpuSection([]*contender{costing(own, 0, 9), costing(own, cpuRate, 9)}, time.Second)
	want(t, s, false, false)
	if !strings.Contains(s.Bounds[0].Measured, "not measured") {
		t.Errorf("it says %q", s.Bounds[0].Measured)
	}
}

// queueRunOf is a run on a queue that behaves, by a generator that is off by some milliseconds.
func queueRunOf(q queueing.Queue, offMS float64) queueRun {
	const load, length = 0.8, 30 * time.Second
	p := percentiles(queueing.Simulate(q, load, length.Seconds(), 99), queueShares...)
	r := queueRun{p: own, q: q, load: load, length: length}
	r.stated = server.Stated{P50: 1e3 * p[0], P95: 1e3 * p[1], P99: 1e3 * p[2], P999: 1e3 * p[3]}
	r.said.Times = peer.Times{P50: 1e3*p[0] + offMS, P95: 1e3*p[1] + offMS, P99: 1e3*p[2] + offMS, P999: 1e3*p[3] + offMS}
	return r
}

func TestQueuesAreHeldToWhatTheServerStatedAndThatToTheory(t *testing.T) {
	mm1, md1 := queueKinds[0], queueKinds[1]
	section := func(runs ...queueRun) benchmark.Section {
		t.Helper()
		s, err := queueSection(runs)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	want(t, section(queueRunOf(mm1, 0.4)), true, true)
	want(t, section(queueRunOf(mm1, 0.4), queueRunOf(md1, 0.6)), false, true)
	wrong := queueRunOf(md1, 0)
	wrong.q = mm1
	want(t, section(wrong), true, false)
}

func TestThePeersErrorsDecideNothing(t *testing.T) {
	r := queueRunOf(queueKinds[0], 100)
	r.p = peer.Vegeta()
	s, err := queueSection([]queueRun{queueRunOf(queueKinds[0], 0), r})
	if err != nil {
		t.Fatal(err)
	}
	want(t, s, true, true)
}

func TestOffIsTheLargerOfAShareAndATime(t *testing.T) {
	for _, tc := range []struct {
		measured, truth float64
		want            bool
	}{{1.49, 1, false}, {1.51, 1, true}, {102.9, 100, false}, {103.1, 100, true}, {96.9, 100, true}, {math.NaN(), 1, true}} {
		if got := off(tc.measured, tc.truth); got != tc.want {
			t.Errorf("off(%v, %v) = %v", tc.measured, tc.truth, got)
		}
	}
}

func TestLagIsHeldToTimesAndToASleeper(t *testing.T) {
	at := func(p50, p99 float64) []lags { return []lags{{p50 / 1e3, p99 / 1e3, 1}, {p50 / 1e3, p99 / 1e3, 1}} }
	want(t, lagSection(at(20, 300), nil, at(400, 2900), time.Second), true, true, true, false)
	want(t, lagSection(at(60, 600), nil, at(400, 9000), time.Second), false, false, false, true)
}

func TestTheBlackHoleIsHeldToItsLedgerItsMemoryAndItsEnd(t *testing.T) {
	r := peer.Result{Wall: 12500 * time.Millisecond, MaxRSSMB: 200, Own: &peer.Own{MaxMB: 195, Ledger: peer.Ledger{Scheduled: 200_000, Unsure: 200_000}}}
	want(t, holeSection(r, 10*time.Second, 100_000), true, true, true)
	r.Own.Ledger.Unsure--
	r.Own.MaxMB, r.Wall = 20, 14*time.Second
	want(t, holeSection(r, 10*time.Second, 100_000), false, false, false)
}

func TestAllocationsAreReadFromGosBenchmarks(t *testing.T) {
	s, err := allocSection(parseAllocations(`goos: linux
BenchmarkWire/epoll-2         	       3	         0.0001234 allocs/request	      5123 cpu-ns/request
BenchmarkWire/io_uring-2      	       3	         1.002 allocs/request	      4000 cpu-ns/request
PASS
`))
	if err != nil {
		t.Fatal(err)
	}
	want(t, s, true, false)
	if _, err := allocSection(parseAllocations("FAIL")); err == nil {
		t.Error("nothing is taken for no allocations")
	}
}
