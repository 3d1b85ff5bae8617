package queueing

import (
	"math"
	"testing"
)

var shares = []float64{0.50, 0.95, 0.99, 0.999}

func quantile(t *testing.T, q Queue, load, p float64) float64 {
	t.Helper()
	v, err := q.Quantile(load, p)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheoryIsWhatALongSimulationComesTo(t *testing.T) {
	for _, q := range []Queue{{1, 1, false}, {1, 1, true}, {4, 1, false}, {2, 0.5, false}} {
		for _, load := range []float64{0.5, 0.8} {
			stays := Simulate(q, load, 1e6*q.MeanS/float64(q.Servers), 1)
			for _, p := range shares {
				want, got := quantile(t, q, load, p), At(stays, p)
				if math.Abs(got/want-1) > 0.05 {
					t.Errorf("%v at %.0f %%, p%v: %.4g simulated, %.4g by formula", q, 100*load, 100*p, got, want)
				}
			}
		}
	}
}

func TestMM1StaysAreExponential(t *testing.T) {
	q := Queue{Servers: 1, MeanS: 0.002}
	for _, p := range shares {
		want := -math.Log(1-p) / (500 - 400)
		if got := quantile(t, q, 0.8, p); math.Abs(got/want-1) > 1e-9 {
			t.Errorf("p%v is %v, want %v", 100*p, got, want)
		}
	}
}

func TestErlangCOfTables(t *testing.T) {
	for _, tc := range []struct {
		c       int
		a, want float64
	}{{1, 0.8, 0.8}, {2, 1, 1.0 / 3}, {4, 3.2, 0.5964}, {10, 8, 0.4092}} {
		if got := ErlangC(tc.c, tc.a); math.Abs(got-tc.want) > 5e-5 {
			t.Errorf("C(%d, %v) = %v, want %v", tc.c, tc.a, got, tc.want)
		}
	}
}

// The mean wait in M/D/1 is ρ/2(1−ρ) service times (Pollaczek and Khinchine), and nobody waits with probability 1−ρ.
func TestMD1WaitsHaveTheMeanOfPollaczekAndKhinchine(t *testing.T) {
	for _, load := range []float64{0.5, 0.8, 0.95} {
		waits := fixedWaits(load)
		if got := waits(0); math.Abs(got-(1-load)) > 1e-12 {
			t.Errorf("load %v: nobody waits with probability %v", load, got)
		}
		const step = 0.01
		mean := 0.0
		for x := step / 2; x < 400; x += step {
			mean += step * (1 - waits(x))
		}
		if want := load / 2 / (1 - load); math.Abs(mean/want-1) > 1e-3 {
			t.Errorf("load %v: the mean wait is %v, want %v", load, mean, want)
		}
	}
}

func TestABandHoldsOtherRunsAndNotAnotherQueue(t *testing.T) {
	const seconds = 20
	q := Queue{Servers: 1, MeanS: 0.002}
	bands := Bands(q, 0.8, seconds, shares, 100)
	for seed := range uint64(20) {
		stays := Simulate(q, 0.8, seconds, 1000+seed)
		for i, p := range shares {
			if v := At(stays, p); !bands[i].Holds(v) {
				t.Errorf("seed %d: p%v is %v, outside %v", seed, 100*p, v, bands[i])
			}
		}
	}
	if other := At(Simulate(Queue{1, 0.002, true}, 0.8, seconds, 1), 0.99); bands[2].Holds(other) {
		t.Errorf("the p99 of M/D/1, %v, lies in the band of M/M/1, %v", other, bands[2])
	}
}

func TestTheSecondServerTakesWhatTheFirstCannot(t *testing.T) {
	s := NewStation(Queue{Servers: 2, MeanS: 1, Fixed: true}, 1)
	for i, want := range []float64{1, 1, 2, 2, 11} {
		if got := s.Leave([]float64{0, 0, 0, 0.5, 10}[i]); got != want {
			t.Errorf("customer %d leaves at %v, want %v", i, got, want)
		}
	}
}

func TestAtTakesTheRankThatHdrHistogramTakes(t *testing.T) {
	v := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for p, want := range map[float64]float64{0: 1, 0.1: 1, 0.5: 5, 0.55: 6, 0.9: 9, 0.91: 9, 0.96: 10, 1: 10} {
		if got := At(v, p); got != want {
			t.Errorf("At(%v) = %v, want %v", p, got, want)
		}
	}
	if !math.IsNaN(At(nil, 0.5)) {
		t.Error("of nothing there is a percentile")
	}
}

func TestWhatHasNoFormulaSaysSo(t *testing.T) {
	if _, err := (Queue{4, 1, true}).Quantile(0.5, 0.5); err == nil {
		t.Error("M/D/4 has a formula")
	}
	if _, err := (Queue{1, 1, false}).Quantile(1, 0.5); err == nil {
		t.Error("a queue that is full has percentiles")
	}
}
