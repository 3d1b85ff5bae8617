package arrival

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"shakedown/bench"
)

// processes makes one of each kind.
func processes(t testing.TB, seed uint64) map[string]*Process {
	t.Helper()
	m := map[string]*Process{}
	var err error
	for _, a := range all {
		if m[a.String()], err = New(a, 300, 900, 3*time.Second, seed); err != nil {
			t.Fatal(err)
		}
	}
	if m["sine"], err = NewSine(500, 1000, 700*time.Millisecond, 3*time.Second); err != nil {
		t.Fatal(err)
	}
	if m["trace"], err = NewTrace([]time.Duration{0, 0, 5, 1e9, 2e9, 4e9}, 3*time.Second); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTheSharesOfAProcessAreTheWhole(t *testing.T) {
	for seed := range uint64(5) {
		for name, p := range processes(t, seed) {
			for _, k := range []int{1, 2, 3, 8} {
				p.Next() // shares begin at the beginning whatever the process has yielded
				whole := begin(*p)
				var want []time.Duration
				for due, ok := whole.Next(); ok; due, ok = whole.Next() {
					want = append(want, due)
				}
				got := make([]time.Duration, len(want))
				seen := make([]int, len(want))
				for i := range k {
					next := p.Share(i, k)
					last := -1
					for n, due, ok := next(); ok; n, due, ok = next() {
						if int(n) <= last || int(n) >= len(want) {
							t.Fatalf("%s, share %d of %d: arrival %d after %d", name, i, k, n, last)
						}
						last = int(n)
						got[n], seen[n] = due, seen[n]+1
					}
				}
				if !slices.Equal(got, want) || slices.ContainsFunc(seen, func(n int) bool { return n != 1 }) {
					t.Fatalf("%s, seed %d: the union of %d shares is not the whole", name, seed, k)
				}
			}
		}
	}
}

// Each share of a Poisson process is one of a kth of the rate, by the Kolmogorov–Smirnov test, and what one share does says nothing of another.
func TestTheSharesOfAPoissonProcessAreIndependentPoissonProcesses(t *testing.T) {
	const rate, k = 4000.0, 4
	for seed := range uint64(3) {
		p, err := New(bench.Poisson, rate, 0, 20*time.Second, seed)
		if err != nil {
			t.Fatal(err)
		}
		const cell = 100 * time.Millisecond
		counts := make([][]float64, k)
		for i := range k {
			counts[i] = make([]float64, 20*time.Second/cell)
			var gaps []float64
			var last time.Duration
			next := p.Share(i, k)
			for _, due, ok := next(); ok; _, due, ok = next() {
				gaps = append(gaps, (due - last).Seconds())
				last = due
				counts[i][due/cell]++
			}
			slices.Sort(gaps)
			n := float64(len(gaps))
			var d float64
			for j, g := range gaps {
				f := -math.Expm1(-rate / k * g)
				d = max(d, f-float64(j)/n, float64(j+1)/n-f)
			}
			if critical := 1.949 / math.Sqrt(n); d > critical {
				t.Errorf("seed %d, share %d: KS distance %.4f over %.4f with %d gaps", seed, i, d, critical, len(gaps))
			}
		}
		for i := range k {
			for j := range i { // the correlation of 200 independent pairs is within ± 3.3/√200 but once in a thousand times
				if r := correlation(counts[i], counts[j]); math.Abs(r) > 3.3/math.Sqrt(200) {
					t.Errorf("seed %d: shares %d and %d correlate, %.2f", seed, i, j, r)
				}
			}
		}
	}
}

func correlation(a, b []float64) float64 {
	n := float64(len(a))
	var sa, sb, saa, sbb, sab float64
	for i := range a {
		sa, sb = sa+a[i], sb+b[i]
		saa, sbb, sab = saa+a[i]*a[i], sbb+b[i]*b[i], sab+a[i]*b[i]
	}
	return (n*sab - sa*sb) / math.Sqrt((n*saa-sa*sa)*(n*sbb-sb*sb))
}

func TestASineHasTheArrivalsOfItsCumulativeRate(t *testing.T) {
	for _, c := range []struct {
		mean, peak     float64
		period, length time.Duration
		from, to       time.Duration
		want           int
	}{
		{100, 200, 10 * time.Second, 10 * time.Second, 0, 10 * time.Second, 1000},
		{100, 200, 10 * time.Second, 10 * time.Second, 0, 5 * time.Second, 819}, // 500 + 100·10/π
		{100, 200, 10 * time.Second, 10 * time.Second, 5 * time.Second, 10 * time.Second, 181},
		{100, 100, time.Second, 3 * time.Second, time.Second, 2 * time.Second, 100},
		{1000, 1500, 100 * time.Millisecond, time.Second, 0, time.Second, 1000},
	} {
		p, err := NewSine(c.mean, c.peak, c.period, c.length)
		if err != nil {
			t.Fatal(err)
		}
		var dues []time.Duration
		for due, ok := p.Next(); ok; due, ok = p.Next() {
			dues = append(dues, due)
		}
		if got := between(dues, c.from, c.to); got < c.want-1 || got > c.want+1 || !slices.IsSorted(dues) {
			t.Errorf("%+v: %d arrivals", c, got)
		}
		for n, due := range dues { // each is where Λ reaches its number
			w := p.rate.(sine)
			if diff := w.upTo(due.Seconds()) - float64(n); math.Abs(diff) > 1e-5 {
				t.Fatalf("%+v: arrival %d is due at %v, where Λ is off by %g", c, n, due, diff)
			}
		}
	}
	for _, bad := range [][4]float64{{100, 50, 1, 1}, {100, 201, 1, 1}, {100, 150, 0, 1}, {-1, 1, 1, 1}, {math.NaN(), 1, 1, 1}, {1, 1, 1, -1}} {
		if _, err := NewSine(bad[0], bad[1], time.Duration(bad[2]), time.Duration(bad[3])); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}

func TestATraceIsReadAsItIsWritten(t *testing.T) {
	dues, err := ParseTrace(strings.NewReader("# a trace\n0\n0.5 # half\n\n 750ms\n1e0\n2s\n"))
	want := []time.Duration{0, 500 * time.Millisecond, 750 * time.Millisecond, time.Second, 2 * time.Second}
	if err != nil || !slices.Equal(dues, want) {
		t.Errorf("%v, %v; want %v", dues, err, want)
	}
	for text, want := range map[string]string{"1\n0.5": "line 2: 500ms comes before", "x": `line 1: "x" is no time`, "\n-1": "line 2: -1s is before the start", "NaN": "is no time", "1e300": "is no time"} {
		if _, err := ParseTrace(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	p, err := NewTrace(want, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, ok := p.Next(); ok; _, ok = p.Next() {
		n++
	}
	if n != 3 {
		t.Errorf("%d arrivals within the first second, want 3", n)
	}
	if _, err := NewTrace([]time.Duration{2, 1}, time.Second); err == nil {
		t.Error("a trace out of order is taken")
	}
}

func TestYieldingAllocatesNothing(t *testing.T) {
	for name, p := range processes(t, 1) {
		next := p.Share(0, 2)
		if n := testing.AllocsPerRun(100, func() { p.Next(); next() }); n != 0 {
			t.Errorf("%s: %v allocations an arrival", name, n)
		}
	}
}

func FuzzParseTrace(f *testing.F) {
	f.Add("0\n1.5\n2s # x")
	f.Fuzz(func(t *testing.T, text string) {
		dues, err := ParseTrace(strings.NewReader(text))
		if err != nil {
			return
		}
		if _, err := NewTrace(dues, time.Hour); err != nil {
			t.Fatal(err)
		}
	})
}
