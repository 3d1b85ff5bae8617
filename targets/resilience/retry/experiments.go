package retry

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
)

// The dependency: 4 slots, each held for one query over a link with a round trip of 20 ms, so that about 200 calls a
// second fit, whatever the processor. Its queue holds half a second of work. A brownout is a slower database link.
const (
	slots      = 4
	queue      = 100
	roundTrip  = 20 * units.Millisecond
	brownout   = 60 * units.Millisecond
	perAttempt = 100 * units.Millisecond
)

var storm = bench.Experiment{
	Name:     "resilience/retry/storm",
	Question: "Does a retry storm outlive the fault that started it?",
	Note: "A dependency with room for about 200 calls a second runs at 80 % load. For a few seconds its database link is slow, " +
		"which leaves a quarter of the capacity; then the link is as good as before. Look at what happens after that moment. " +
		"The dependency goes on working for callers who have given up, as most thread-per-request servers do.",
	Engines:  []bench.EngineSpec{{Name: "postgres", Settings: map[string]string{"max_connections": "30"}}},
	Backends: []bench.Backend{{Role: "backend", Config: BackendConfig{Slots: slots, Queue: queue}}},
	Network:  chaos.Faults{&chaos.Latency{Link: "backend→postgres", Delay: roundTrip / 2}},
	Variants: []bench.Variant{
		{Name: "none", About: "no retry", Config: policy("none", 1)},
		{Name: "immediate", About: "3 retries at once", Config: policy("immediate", 4)},
		{Name: "exponential", About: "3 retries after 200, 400, 800 ms", Config: policy("exponential", 4)},
		{Name: "full-jitter", About: "3 retries, waits uniform in [0, exponential]", Config: policy("full_jitter", 4)},
		{Name: "budget", About: "3 retries at once, as long as a 10 % token bucket lasts", Config: policy("budget", 4)},
		{Name: "breaker", About: "3 retries at once behind sony/gobreaker", Config: policy("breaker", 4)},
	},
	Factor: "loop",
	Levels: []bench.Level{
		{Name: "open", About: "independent users: arrivals do not wait for answers"},
		{
			Name: "closed", About: "32 users who wait for each answer, then think for 200 ms",
			Variants: []string{"none", "immediate", "exponential", "full-jitter"},
			Closed:   &bench.Closed{Users: 32, Think: 200 * units.Millisecond},
		},
	},
	Workload: bench.Workload{
		Ops:     []bench.Op{{Name: "order", Path: "/order/{key}", Keys: bench.Keys{Dist: "uniform", N: 1000}}},
		SLO:     2500 * units.Millisecond,
		Timeout: 4 * units.Second,
	},
	Capacity: &bench.Capacity{Closed: bench.Closed{Users: 2 * slots}, For: 3 * units.Second},
	Phases: []bench.Phase{
		{Name: "warmup", For: 3 * units.Second, Quick: 1 * units.Second, Rate: bench.OfCapacity(0.8)},
		{Name: "baseline", For: 5 * units.Second, Quick: 2500 * units.Millisecond, Rate: bench.OfCapacity(0.8), Judged: true},
		{
			Name: "brownout", For: 5 * units.Second, Quick: 2500 * units.Millisecond, Rate: bench.OfCapacity(0.8), Judged: true,
			Faults: chaos.Faults{&chaos.Latency{Link: "backend→postgres", Delay: brownout / 2}},
		},
		{Name: "after", For: 50 * units.Second, Quick: 9 * units.Second, Rate: bench.OfCapacity(0.8), Judged: true},
	},
	Columns: []bench.Column{
		{Title: "goodput before", Unit: "share", Of: bench.Query{Phase: "baseline", Metric: "goodput"}},
		{Title: "goodput long after", Unit: "share", Of: late("goodput")},
		{Title: "calls per request, after", Unit: "×", Of: amplified()},
		{Title: "p50 long after", Unit: "ms", Of: bench.Query{Phase: "after", Tail: 0.4, Metric: "response_ms", Stat: "p50"}},
		{Title: "back to 90 % after", Unit: "s", Of: bench.Query{Phase: "brownout", Name: "baseline", Metric: "recover_s"}},
	},
	Checks: []bench.Check{
		recovers("resilience/retry#3", "exponential", "open", "independent arrivals"),
		recovers("resilience/retry#3", "full-jitter", "open", "independent arrivals"),
		recovers("resilience/retry#3", "exponential", "closed", "users who wait"),
		recovers("resilience/retry#3", "full-jitter", "closed", "users who wait"),
		recovers("resilience/retry#5", "immediate", "open", ""),
		{
			Claim: "resilience/retry#10", Text: "calls per request stay within the budget of 10 % after the fault",
			Of: amplified().In("budget", "open"), Rel: bench.AtMost, Bound: 1.15, Unit: "×", MinOps: 100,
		},
		{
			Claim: "resilience/retry#10", Text: "without a budget the dependency gets at least twice the calls",
			Of: amplified().In("immediate", "open"), Versus: new(amplified().In("budget", "open")),
			Rel: bench.AtLeast, Bound: 2, MinOps: 100,
		},
		recovers("resilience/retry#10", "budget", "open", ""),
	},
}

func policy(name string, attempts int) Config {
	return Config{
		Policy: name, Attempts: attempts, Timeout: perAttempt,
		Base: 200 * units.Millisecond, Cap: 5 * units.Second,
		BudgetRatio: 0.1, BudgetBurst: 10,
		BreakerFailures: 5, BreakerOpen: units.Second,
	}
}

// recovers asserts that the users long after the fault are served as they were before it.
func recovers(claim, variant, level, when string) bench.Check {
	return bench.Check{
		Claim: claim, When: when, Text: variant + ": long after the fault at least 90 % of requests are answered in time",
		Of: late("goodput").In(variant, level), Rel: bench.AtLeast, Bound: 0.9, MinOps: 100,
	}
}

func late(metric string) bench.Query {
	return bench.Query{Phase: "after", Tail: 0.4, Metric: metric}
}

func amplified() bench.Query {
	return bench.Query{Phase: "after", Metric: "amplification", Name: "backend"}
}
