package verdict

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestIntervalsCoverTheTruth(t *testing.T) {
	// Over many runs with a known mean, a 95 % interval must hold it about 95 times in 100, also for a few repeats.
	const runs = 200
	for _, n := range []int{3, 4, 5, 8} {
		rng := rand.New(rand.NewPCG(11, uint64(n)))
		covered := 0
		for run := range runs {
			values := make([]float64, n)
			for i := range values {
				values[i] = 10 + rng.NormFloat64()
			}
			if lo, hi := interval(values, uint64(run)); lo <= 10 && 10 <= hi {
				covered++
			}
		}
		share := float64(covered) / runs
		t.Logf("n = %d: %.1f %% of the intervals hold the mean", n, 100*share)
		if share < 0.87 || share > 0.99 {
			t.Errorf("n = %d: %.1f %% of the intervals hold the mean", n, 100*share)
		}
	}
}

func TestAnIntervalDoesNotDependOnOrder(t *testing.T) {
	values := []float64{3, 1, 4, 1.5, 9, 2.6}
	lo, hi := interval(values, 1)
	slices.Reverse(values)
	if l, h := interval(values, 1); l != lo || h != hi {
		t.Errorf("[%v, %v] became [%v, %v]", lo, hi, l, h)
	}
	if lo >= 3.5 || hi <= 3.5 {
		t.Errorf("[%v, %v] does not hold the mean", lo, hi)
	}
}

func TestEqualValuesLeaveNoDoubt(t *testing.T) {
	if lo, hi := interval([]float64{2, 2, 2}, 1); lo != 2 || hi != 2 {
		t.Errorf("[%v, %v]", lo, hi)
	}
}

func TestStudentsQuantileLeavesATailOfAFortieth(t *testing.T) {
	for _, df := range []int{1, 2, 3, 4, 9, 10, 11, 15, 30, 100} {
		q := studentT975(df)
		if got := studentTail(q, float64(df)); math.Abs(got-tail) > 2e-5 {
			t.Errorf("beyond t = %v with %d degrees of freedom lie %v", q, df, got)
		}
	}
}

// studentTail is the probability of more than q: Simpson's rule on x = √v·tan θ, which makes the density cos^(v−1) θ.
func studentTail(q, v float64) float64 {
	const steps = 20_000
	from, to := math.Atan(q/math.Sqrt(v)), math.Pi/2
	f := func(θ float64) float64 { return math.Pow(math.Cos(θ), v-1) }
	lg1, _ := math.Lgamma((v + 1) / 2)
	lg2, _ := math.Lgamma(v / 2)
	h := (to - from) / steps
	sum := f(from) + f(to)
	for i := 1; i < steps; i++ {
		sum += f(from+float64(i)*h) * float64(2+2*(i%2))
	}
	return math.Exp(lg1-lg2) / math.Sqrt(math.Pi) * sum * h / 3
}

func TestRatiosAreAveragedAsRatios(t *testing.T) {
	data := []datum{{v: 0.5, n: 10}, {v: 2, n: 20}}
	if e := estimate(data, geometric, 1); math.Abs(e.Value-1) > 1e-12 || e.N != 10 || e.Lo != nil {
		t.Errorf("half and twice come to %+v, want 1", e)
	}
	withZero := append(slices.Clone(data), datum{v: 0, n: 5})
	if e := estimate(withZero, geometric, 1); math.Abs(e.Value-2.5/3) > 1e-12 || *e.Lo != 0 {
		t.Errorf("with a zero: %+v", e)
	}
	if e := estimate([]datum{{why: "no data"}}, geometric, 1); !e.Missing || e.Repeats != 0 {
		t.Errorf("without data: %+v", e)
	}
}

func TestHugeValuesStayFinite(t *testing.T) {
	e := estimate([]datum{{v: math.MaxFloat64}, {v: 1}, {v: math.MaxFloat64}}, arithmetic, 1)
	for _, v := range []*float64{&e.Value, e.Lo, e.Hi} {
		if v != nil && !finite(*v) {
			t.Errorf("%+v", e)
		}
	}
}
