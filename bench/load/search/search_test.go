package search_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"shakedown/bench/load/search"
)

// A server is what a simulated trial at a rate measures.
type server func(rate float64, length time.Duration, rng *rand.Rand) search.Outcome

// find searches a simulated server; the seed fixes its noise.
func find(t *testing.T, o search.Options, seed uint64, s server) search.Result {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	o.Length = 10 * time.Second
	r, err := search.Find(t.Context(), o, func(_ context.Context, rate float64, length time.Duration) (search.Outcome, error) {
		return s(rate, length, rng), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// mm1 is a queue with one server of mu requests per second, whose p99 must stay under a bound. The time in the system is exponential with
// the rate mu − lambda (L. Kleinrock, Queueing Systems I, 1975, section 3.2), so its p99 is ln 100 ÷ (mu − lambda). What a trial measures
// is off by a lognormal error that grows with the load. Beyond mu the queue grows by lambda − mu.
func mm1(mu float64, bound time.Duration, noise float64) server {
	return func(lambda float64, length time.Duration, rng *rand.Rand) search.Outcome {
		o := search.Outcome{Valid: true}
		p99 := length.Seconds()
		if lambda < mu {
			p99 = min(p99, math.Log(100)/(mu-lambda))
		} else {
			o.GrowthPerS = lambda - mu
		}
		p99 *= math.Exp(noise * rng.NormFloat64())
		if o.Met = p99 < bound.Seconds(); !o.Met {
			o.Why = []string{"p99"}
		}
		o.P99MS = 1000 * p99
		return o
	}
}

// cliff meets everything up to a rate and nothing above it.
func cliff(at float64) server {
	return func(rate float64, _ time.Duration, _ *rand.Rand) search.Outcome {
		return search.Outcome{Valid: true, Met: rate <= at}
	}
}

// limited is a generator that cannot make more than a rate.
func limited(at float64, s server) server {
	return func(rate float64, length time.Duration, rng *rand.Rand) search.Outcome {
		if rate > at {
			return search.Outcome{Why: []string{"the generator was the limit"}}
		}
		return s(rate, length, rng)
	}
}

func TestACliffIsFoundToTheResolution(t *testing.T) {
	for _, at := range []float64{1.5, 37, 100, 101, 999, 5000, 123_456} {
		r := find(t, search.Options{}, 1, cliff(at))
		if r.KneePerS == nil || r.MissedPerS == nil || !r.Confirmed || r.Limit != search.Server {
			t.Fatalf("a cliff at %v: %+v", at, r)
		}
		if *r.KneePerS > at || *r.MissedPerS <= at || *r.MissedPerS > *r.KneePerS*1.051 {
			t.Errorf("a cliff at %v is said to lie between %v and %v", at, *r.KneePerS, *r.MissedPerS)
		}
		if r.KneeMet != (search.Tally{N: 3, Of: 3}) || r.MissedMet != (search.Tally{N: 0, Of: 3}) {
			t.Errorf("repeats %v and %v", r.KneeMet, r.MissedMet)
		}
	}
}

func TestAFinerResolutionGivesANarrowerInterval(t *testing.T) {
	r := find(t, search.Options{Resolution: 0.01}, 1, cliff(5000))
	if *r.MissedPerS > *r.KneePerS*1.011 || *r.KneePerS > 5000 || *r.MissedPerS <= 5000 {
		t.Errorf("between %v and %v", *r.KneePerS, *r.MissedPerS)
	}
}

// The limit of the formula is where p99 meets its bound: mu − ln 100 ÷ bound.
func TestTheLimitOfANoisyQueueIsFound(t *testing.T) {
	const mu, bound = 1000.0, 50 * time.Millisecond
	limit := mu - math.Log(100)/bound.Seconds()
	for seed := range uint64(50) {
		r := find(t, search.Options{}, seed, mm1(mu, bound, 0.2))
		if !r.Confirmed || r.Limit != search.Server {
			t.Fatalf("seed %d: %v: %s", seed, r, r.Note)
		}
		if *r.KneePerS < limit*0.94 || *r.KneePerS > limit*1.05 {
			t.Errorf("seed %d: the limit is %.0f/s and the search says %v", seed, limit, r)
		}
	}
}

// One trial in ten goes wrong for reasons that have nothing to do with the rate, in either direction.
func TestFlukesDoNotDecide(t *testing.T) {
	const at = 5000
	flaky := func(rate float64, _ time.Duration, rng *rand.Rand) search.Outcome {
		return search.Outcome{Valid: true, Met: (rate <= at) != (rng.Float64() < 0.1)}
	}
	off := 0
	for seed := range uint64(100) {
		r := find(t, search.Options{}, seed, flaky)
		if r.KneePerS == nil || *r.KneePerS < at*0.9 || *r.KneePerS > at*1.1 {
			off++
		}
	}
	// Two of three repeats go wrong with a probability of 2.8 %, on two sides, and a few more are asked on the way.
	if off > 15 {
		t.Errorf("%d of 100 searches are more than 10 %% off", off)
	}
}

func TestARateThatOnlyLooksMetIsTakenBack(t *testing.T) {
	looks := 0
	s := func(rate float64, _ time.Duration, _ *rand.Rand) search.Outcome {
		looks++
		return search.Outcome{Valid: true, Met: rate <= 1000 || looks <= 5} // the first five looks see 1600/s met
	}
	r := find(t, search.Options{}, 1, s)
	if !r.Confirmed || *r.KneePerS > 1000 || *r.KneePerS < 950 {
		t.Errorf("%v, confirmed %v", r, r.Confirmed)
	}
}

func TestARateThatOnlyLooksMissedIsTakenBack(t *testing.T) {
	looks := 0
	s := func(rate float64, _ time.Duration, _ *rand.Rand) search.Outcome {
		looks++
		return search.Outcome{Valid: true, Met: rate <= 1000 && looks != 2} // 200/s looks missed
	}
	r := find(t, search.Options{}, 1, s)
	if !r.Confirmed || *r.KneePerS > 1000 || *r.KneePerS < 950 {
		t.Errorf("%v, confirmed %v", r, r.Confirmed)
	}
}

func TestAServerThatFlapsEndsTheSearchAndIsNotBelieved(t *testing.T) {
	n := 0
	s := func(float64, time.Duration, *rand.Rand) search.Outcome {
		n++
		return search.Outcome{Valid: true, Met: n%2 == 0}
	}
	r := find(t, search.Options{MaxTrials: 40}, 1, s)
	if len(r.Trials) > 40 {
		t.Errorf("%d trials", len(r.Trials))
	}
	for seed := range uint64(20) {
		coin := func(_ float64, _ time.Duration, rng *rand.Rand) search.Outcome {
			return search.Outcome{Valid: true, Met: rng.IntN(2) == 0}
		}
		r := find(t, search.Options{MaxTrials: 40}, seed, coin)
		if len(r.Trials) > 40 || r.Confirmed == (r.Limit == search.Unfinished) {
			t.Errorf("seed %d: %d trials, confirmed %v, limit %s", seed, len(r.Trials), r.Confirmed, r.Limit)
		}
	}
}

func TestAServerThatNeverMeetsHasNoKnee(t *testing.T) {
	r := find(t, search.Options{}, 1, cliff(0))
	if r.KneePerS != nil || r.Limit != search.Nothing || !r.Confirmed || *r.MissedPerS != 1 {
		t.Errorf("%+v", r)
	}
	if text := r.String(); !strings.Contains(text, "not met at any rate, down to 1/s") {
		t.Error(text)
	}
}

func TestAServerThatAlwaysMeetsIsFoundUpToTheGeneratorsLimit(t *testing.T) {
	r := find(t, search.Options{}, 1, limited(20_000, cliff(math.Inf(1))))
	if r.Limit != search.Generator || r.KneePerS == nil || *r.KneePerS > 20_000 || *r.KneePerS < 19_000 {
		t.Fatalf("%v, limit %s", r, r.Limit)
	}
	if text := r.String(); !strings.Contains(text, "at least") || !strings.Contains(text, "the generator was the limit") {
		t.Error(text)
	}
	// A server that is slower than the generator is the limit, though the first steps overshot both.
	if r := find(t, search.Options{Start: 6000}, 1, limited(9000, cliff(7000))); r.Limit != search.Server || *r.KneePerS > 7000 || *r.KneePerS < 6600 {
		t.Errorf("%v, limit %s", r, r.Limit)
	}
}

func TestAGeneratorThatCanDoNothingIsNotTheServersFault(t *testing.T) {
	r := find(t, search.Options{}, 1, limited(0, cliff(1)))
	if r.KneePerS != nil || r.Limit != search.Generator {
		t.Errorf("%v, limit %s", r, r.Limit)
	}
}

func TestAVoidTrialIsTriedAgain(t *testing.T) {
	n := 0
	s := func(rate float64, length time.Duration, rng *rand.Rand) search.Outcome {
		if n++; n%4 == 3 {
			return search.Outcome{Why: []string{"the hypervisor took 9 % of the processors"}}
		}
		return cliff(5000)(rate, length, rng)
	}
	r := find(t, search.Options{}, 1, s)
	if r.Limit != search.Server || *r.KneePerS > 5000 || *r.KneePerS < 4750 {
		t.Errorf("%v, limit %s", r, r.Limit)
	}
	for i, trial := range r.Trials[:len(r.Trials)-1] {
		if next := r.Trials[i+1]; !trial.Valid && (next.RatePerS != trial.RatePerS || next.Purpose != trial.Purpose) {
			t.Errorf("after a void trial at %v/s comes one at %v/s", trial.RatePerS, next.RatePerS)
		}
	}
}

func TestRatesHaveFourDigits(t *testing.T) {
	for _, at := range []float64{2, 943.5, 54_321} {
		for _, trial := range find(t, search.Options{}, 1, cliff(at)).Trials {
			if text := strconv.FormatFloat(trial.RatePerS, 'f', -1, 64); len(strings.Trim(strings.Replace(text, ".", "", 1), "0")) > 4 {
				t.Errorf("a rate of %s/s", text)
			}
		}
	}
}

func TestNoRateAboveTheRangeIsTried(t *testing.T) {
	r := find(t, search.Options{Start: 150, Most: 1000}, 1, cliff(math.Inf(1)))
	if r.Limit != search.Range || *r.KneePerS != 1000 || !r.Confirmed {
		t.Errorf("%v, limit %s", r, r.Limit)
	}
	for _, trial := range r.Trials {
		if trial.RatePerS > 1000 {
			t.Errorf("tried %v", trial.RatePerS)
		}
	}
}

// A loose SLO is met for a while by a queue that grows, but no server can do that for long.
func TestAQueueThatGrowsIsNotMetAndItsGrowthIsReported(t *testing.T) {
	r := find(t, search.Options{}, 1, mm1(1000, 30*time.Second, 0))
	if *r.KneePerS > 1020 || *r.KneePerS < 950 || *r.MissedPerS < 1000 {
		t.Fatal(r)
	}
	if want := *r.MissedPerS - 1000; math.Abs(r.GrowthPerS-want) > 1e-9 {
		t.Errorf("at %v/s the queue grows by %v/s, not %v", *r.MissedPerS, want, r.GrowthPerS)
	}
	last := r.Trials[slices.IndexFunc(r.Trials, func(t search.Trial) bool { return !t.Settled })]
	if last.Met || last.BacklogGrowthPerS == 0 || !strings.Contains(last.Why[0], "grew") {
		t.Errorf("%+v", last)
	}
}

func TestBothSidesAreRepeatedInTurn(t *testing.T) {
	r := find(t, search.Options{Repeats: 4}, 1, cliff(777))
	var rates []float64
	for _, trial := range r.Trials {
		if trial.Purpose == search.Repeat {
			rates = append(rates, trial.RatePerS)
		}
	}
	lo, hi := *r.KneePerS, *r.MissedPerS
	if want := []float64{lo, hi, hi, lo, lo, hi, hi, lo}; !slices.Equal(rates, want) {
		t.Errorf("repeats at %v, want %v", rates, want)
	}
}

func TestEveryTrialIsTold(t *testing.T) {
	var told []search.Trial
	r := find(t, search.Options{OnTrial: func(trial search.Trial) { told = append(told, trial) }}, 1, cliff(777))
	if len(told) != len(r.Trials) || len(told) == 0 {
		t.Errorf("%d of %d", len(told), len(r.Trials))
	}
}

func TestAnErrorEndsTheSearchAndKeepsWhatIsKnown(t *testing.T) {
	broken := errors.New("the machine is gone")
	n := 0
	r, err := search.Find(t.Context(), search.Options{}, func(_ context.Context, rate float64, _ time.Duration) (search.Outcome, error) {
		if n++; n > 6 {
			return search.Outcome{}, broken
		}
		return search.Outcome{Valid: true, Met: rate <= 700}, nil
	})
	if !errors.Is(err, broken) || len(r.Trials) != 6 || r.Confirmed || r.Limit != search.Unfinished || r.KneePerS == nil || *r.KneePerS > 700 {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestAContextThatIsDoneEndsTheSearch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := search.Find(ctx, search.Options{}, func(context.Context, float64, time.Duration) (search.Outcome, error) {
		cancel()
		return search.Outcome{Valid: true, Met: true}, nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	for name, o := range map[string]search.Options{
		"a start above the most":  {Start: 10, Most: 5},
		"a start below the least": {Start: 10, Least: 20},
		"no growth":               {Growth: 1},
		"a resolution of nothing": {Resolution: -0.1},
		"a coarse resolution":     {Resolution: 2},
		"negative repeats":        {Repeats: -1},
		"not a number":            {Start: math.NaN()},
	} {
		if _, err := search.Find(t.Context(), o, nil); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
