package arrival

import (
	"math"
	"slices"
	"testing"
	"testing/quick"
	"time"

	"shakedown/bench"
)

var all = []bench.Arrival{bench.Poisson, bench.Constant, bench.Ramp, bench.Step, bench.Spike}

func draw(t testing.TB, a bench.Arrival, rate, peak float64, length time.Duration, seed uint64) []time.Duration {
	t.Helper()
	p, err := New(a, rate, peak, length, seed)
	if err != nil {
		t.Fatal(err)
	}
	var dues []time.Duration
	for due, ok := p.Next(); ok; due, ok = p.Next() {
		dues = append(dues, due)
	}
	if due, ok := p.Next(); ok {
		t.Fatalf("a spent process yielded %v", due)
	}
	return dues
}

func between(dues []time.Duration, from, to time.Duration) int {
	lo, _ := slices.BinarySearch(dues, from)
	hi, _ := slices.BinarySearch(dues, to)
	return hi - lo
}

func TestDeterministicProcessesHaveExactlyTheArrivalsOfTheirCumulativeRate(t *testing.T) {
	second := time.Second
	for _, c := range []struct {
		name       string
		a          bench.Arrival
		rate, peak float64
		length     time.Duration
		from, to   time.Duration
		want       int
	}{
		{"constant", bench.Constant, 100, 0, second, 0, second, 100},
		{"constant, not a whole number", bench.Constant, 0.3, 0, 10 * second, 0, 10 * second, 3},
		{"constant, a third", bench.Constant, 1.0 / 3, 0, 10 * second, 0, 10 * second, 4},
		{"constant, fast", bench.Constant, 1_000_000, 0, second, 0, second, 1_000_000},
		{"constant, slower than the phase", bench.Constant, 0.01, 0, second, 0, second, 1},
		{"constant at any moment", bench.Constant, 1000, 0, 60 * second, 31 * second, 32 * second, 1000},
		{"ramp up, all", bench.Ramp, 100, 300, 10 * second, 0, 10 * second, 2000},
		{"ramp up, first half", bench.Ramp, 100, 300, 10 * second, 0, 5 * second, 750},
		{"ramp from silence", bench.Ramp, 0, 200, 10 * second, 0, 5 * second, 250},
		{"ramp down to silence", bench.Ramp, 200, 0, 10 * second, 0, 10 * second, 1000},
		{"ramp that is flat", bench.Ramp, 50, 50, 10 * second, 0, 10 * second, 500},
		{"step, before", bench.Step, 100, 1000, 4 * second, 0, 2 * second, 200},
		{"step, after", bench.Step, 100, 1000, 4 * second, 2 * second, 4 * second, 2000},
		{"step from silence", bench.Step, 0, 1000, 4 * second, 0, 4 * second, 2000},
		{"spike, before", bench.Spike, 100, 2000, 10 * second, 0, 4 * second, 400},
		{"spike, within", bench.Spike, 100, 2000, 10 * second, 4 * second, 6 * second, 4000},
		{"spike, after", bench.Spike, 100, 2000, 10 * second, 6 * second, 10 * second, 400},
		{"spike that is a pause", bench.Spike, 100, 0, 10 * second, 4 * second, 6 * second, 0},
		{"silence", bench.Constant, 0, 0, second, 0, second, 0},
		{"no time", bench.Constant, 100, 0, 0, 0, second, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := between(draw(t, c.a, c.rate, c.peak, c.length, 1), c.from, c.to); got != c.want {
				t.Errorf("%d arrivals in [%v, %v), want %d", got, c.from, c.to, c.want)
			}
		})
	}
}

// The one-sample Kolmogorov–Smirnov statistic against the exponential distribution; its critical value at α = 0.001 is
// 1.949/√n for large n (N. Smirnov, Annals of Mathematical Statistics 19, 1948). The seeds are fixed: it cannot flake.
func TestPoissonGapsAreExponential(t *testing.T) {
	for seed := range uint64(5) {
		const rate = 1000.0
		dues := draw(t, bench.Poisson, rate, 0, 20*time.Second, seed)
		gaps := make([]float64, 0, len(dues))
		var last time.Duration
		for _, due := range dues {
			gaps = append(gaps, (due - last).Seconds())
			last = due
		}
		slices.Sort(gaps)
		var d float64
		n := float64(len(gaps))
		for i, g := range gaps {
			f := -math.Expm1(-rate * g)
			d = max(d, f-float64(i)/n, float64(i+1)/n-f)
		}
		if critical := 1.949 / math.Sqrt(n); d > critical {
			t.Errorf("seed %d: KS distance %.4f over %.4f with %d gaps", seed, d, critical, len(gaps))
		}
	}
}

func TestPoissonCountsVaryAsTheirMean(t *testing.T) {
	const mean, trials = 100.0, 2000
	var sum, squares float64
	for seed := range uint64(trials) {
		n := float64(len(draw(t, bench.Poisson, mean, 0, time.Second, seed)))
		sum += n
		squares += n * n
	}
	m := sum / trials
	if v := squares/trials - m*m; math.Abs(m-mean) > 1 || math.Abs(v-mean) > 15 {
		t.Errorf("mean %.2f and variance %.2f; a Poisson count has both at %.0f", m, v, mean)
	}
}

func TestTheSameSeedGivesTheSameScheduleAndAnotherSeedAnother(t *testing.T) {
	for _, a := range all {
		one, two := draw(t, a, 200, 700, 3*time.Second, 42), draw(t, a, 200, 700, 3*time.Second, 42)
		if !slices.Equal(one, two) {
			t.Errorf("%v: one seed, two schedules", a)
		}
		other := draw(t, a, 200, 700, 3*time.Second, 43)
		if random := a == bench.Poisson; slices.Equal(one, other) == random {
			t.Errorf("%v: another seed: same schedule is %v, want %v", a, !random, !random)
		}
	}
}

func TestDueTimesAreInOrderAndWithinThePhase(t *testing.T) {
	property := func(kind uint8, rate, peak uint16, ms uint16, seed uint64) bool {
		length := time.Duration(ms%3000) * time.Millisecond
		dues := draw(t, all[int(kind)%len(all)], float64(rate)/7, float64(peak)/7, length, seed)
		return slices.IsSorted(dues) && (len(dues) == 0 || dues[0] >= 0 && dues[len(dues)-1] < length)
	}
	if err := quick.Check(property, nil); err != nil {
		t.Error(err)
	}
}

func TestImpossibleParametersAreRefused(t *testing.T) {
	for _, bad := range []float64{-1, math.NaN(), math.Inf(1), math.Inf(-1), MaxRate + 1} {
		for _, a := range all {
			if _, err := New(a, bad, 1, time.Second, 1); err == nil {
				t.Errorf("%v took a rate of %v", a, bad)
			}
		}
		for _, a := range []bench.Arrival{bench.Ramp, bench.Step, bench.Spike} {
			if _, err := New(a, 1, bad, time.Second, 1); err == nil {
				t.Errorf("%v took a peak of %v", a, bad)
			}
		}
	}
	if _, err := New(bench.Constant, 1, 0, -time.Second, 1); err == nil {
		t.Error("took a negative length")
	}
	if _, err := New(bench.Arrival(200), 1, 0, time.Second, 1); err == nil {
		t.Error("took an unknown process")
	}
}

func TestNextAllocatesNothing(t *testing.T) {
	for _, a := range all {
		p, err := New(a, 1000, 5000, time.Hour, 1)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(1000, func() { p.Next() }); n != 0 {
			t.Errorf("%v: %v allocations a call", a, n)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	for _, a := range all {
		b.Run(a.String(), func(b *testing.B) {
			p, err := New(a, MaxRate, MaxRate/2, 24*time.Hour, 1)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				p.Next()
			}
		})
	}
}
