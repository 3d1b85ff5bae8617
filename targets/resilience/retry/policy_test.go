package retry

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"shakedown/internal/units"
)

func backoff(policy string, base, most time.Duration) Config {
	return Config{Policy: policy, Base: units.Duration(base), Cap: units.Duration(most)}
}

func TestExponentialBackoffDoublesUpToItsCap(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	for _, tt := range []struct {
		name   string
		config Config
		n      int
		want   time.Duration
	}{
		{"first retry", backoff("exponential", 200*ms, 5*s), 0, 200 * ms},
		{"doubles", backoff("exponential", 200*ms, 5*s), 1, 400 * ms},
		{"and again", backoff("exponential", 200*ms, 5*s), 4, 3200 * ms},
		{"up to the cap", backoff("exponential", 200*ms, 5*s), 5, 5 * s},
		{"exactly the cap", backoff("exponential", 1*s, 4*s), 2, 4 * s},
		{"a tiny base still doubles late", backoff("exponential", 1, time.Hour), 35, 1 << 35},
		{"a large base does not overflow", backoff("exponential", time.Minute, time.Hour), 29, time.Hour},
		{"any n", backoff("exponential", 200*ms, 5*s), 1000, 5 * s},
		{"immediate does not wait", backoff("immediate", s, s), 3, 0},
		{"budget does not wait", backoff("budget", s, s), 3, 0},
		{"breaker does not wait", backoff("breaker", s, s), 3, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.config.wait(tt.n, nil); got != tt.want {
				t.Errorf("wait(%d) = %v, want %v", tt.n, got, tt.want)
			}
		})
	}
}

func TestFullJitterIsUniformBelowTheExponentialWait(t *testing.T) {
	const draws, bins = 8000, 8
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 8 {
		jitter, ceiling := backoff("full_jitter", 200, 5000), backoff("exponential", 200, 5000).wait(n, nil)
		var seen [bins]int
		for range draws {
			w := jitter.wait(n, rng)
			if w < 0 || w > ceiling {
				t.Fatalf("wait(%d) = %v, outside [0, %v]", n, w, ceiling)
			}
			seen[min(bins-1, int(w)*bins/int(ceiling))]++
		}
		for i, got := range seen { // 1000 are expected, with a standard deviation of 30
			if math.Abs(float64(got)-draws/bins) > 200 {
				t.Errorf("retry %d: %d of %d draws fell into part %d of %d; want %d", n, got, draws, i, bins, draws/bins)
			}
		}
	}
}

func TestFullJitterReachesBothEnds(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	seen := map[time.Duration]bool{}
	for range 200 {
		seen[backoff("full_jitter", 2, 2).wait(0, rng)] = true
	}
	if len(seen) != 3 || !seen[0] || !seen[2] {
		t.Errorf("draws from [0, 2] gave %v", seen)
	}
}

func TestNoBackoffOverflows(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		base := 1 + time.Duration(rng.Int64N(1<<rng.IntN(63)))
		most := base + time.Duration(rng.Int64N(math.MaxInt64-int64(base)))
		if rng.IntN(10) == 0 {
			most = math.MaxInt64
		}
		n := rng.IntN(80)
		for _, policy := range []string{"exponential", "full_jitter"} {
			if w := backoff(policy, base, most).wait(n, rng); w < 0 || w > most || policy == "exponential" && w < base {
				t.Fatalf("%s: base %d, cap %d, retry %d: waits %d", policy, base, most, n, w)
			}
		}
	}
}

func TestABudgetBoundsRetriesByItsShareOfFirstAttempts(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		ratio, burst := rng.Float64()*1.5, 1+rng.Float64()*20
		eager := rng.Float64() // how often a call wants a retry
		b := newBudget(ratio, burst)
		first, retries := 0, 0
		for range 2000 {
			if rng.Float64() < eager {
				if b.spend() {
					retries++
				}
			} else {
				b.earn()
				first++
			}
			if most := ratio*float64(first) + burst; float64(retries) > most+1e-6 {
				t.Fatalf("ratio %.3f, burst %.1f: %d retries after %d first attempts, more than %.2f", ratio, burst, retries, first, most)
			}
		}
	}
}

func TestABudgetIsSpentToItsLastToken(t *testing.T) {
	b := newBudget(0.5, 2)
	var got [5]bool
	for i := range got {
		if i >= 3 {
			b.earn() // half a token
		}
		got[i] = b.spend()
	}
	for i, want := range []bool{true, true, false, false, true} {
		if got[i] != want {
			t.Errorf("the answers are %v; number %d should be %t", got, i, want)
		}
	}
	for range 100 {
		b.earn()
	}
	if b.tokens != 2 {
		t.Errorf("it holds %v tokens; its burst is 2", b.tokens)
	}
}

func TestConfigurationsThatMakeNoSenseAreRefused(t *testing.T) {
	good := policy("exponential", 4)
	with := func(name string, change func(*Config)) Config {
		c := good
		c.Policy = name
		change(&c)
		return c
	}
	for _, tt := range []struct {
		name   string
		config Config
		want   string
	}{
		{"good", good, ""},
		{"no retry", with("none", func(c *Config) { c.Attempts = 1 }), ""},
		{"unknown policy", with("hope", func(*Config) {}), "policy"},
		{"no attempt", with("exponential", func(c *Config) { c.Attempts = 0 }), "attempts"},
		{"none that retries", with("none", func(*Config) {}), "attempts"},
		{"no time-out", with("immediate", func(c *Config) { c.Timeout = 0 }), "timeout"},
		{"no base", with("full_jitter", func(c *Config) { c.Base = 0 }), "base"},
		{"cap below base", with("exponential", func(c *Config) { c.Cap = c.Base - 1 }), "cap"},
		{"no ratio", with("budget", func(c *Config) { c.BudgetRatio = 0 }), "budget_ratio"},
		{"burst below one", with("budget", func(c *Config) { c.BudgetBurst = 0.5 }), "budget_burst"},
		{"breaker that never opens", with("breaker", func(c *Config) { c.BreakerFailures = 0 }), "breaker_failures"},
		{"breaker that never closes", with("breaker", func(c *Config) { c.BreakerOpen = 0 }), "breaker_open"},
		{"immediate needs no base", with("immediate", func(c *Config) { c.Base, c.Cap = 0, 0 }), ""},
	} {
		t.Run(tt.name, func(t *testing.T) { mustSay(t, tt.config.Validate(), tt.want) })
	}
	mustSay(t, BackendConfig{Slots: 1}.Validate(), "")
	mustSay(t, BackendConfig{Slots: 0}.Validate(), "slots")
	mustSay(t, BackendConfig{Slots: 1, Queue: -1}.Validate(), "queue")
}
