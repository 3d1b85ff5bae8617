package degradation

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
)

// The database can read pool ÷ itemCost = 333 items a second. With the cache it never has to; without it, it can carry the
// low load and cannot carry the high one.
const (
	pool     = 10
	itemCost = 30 * units.Millisecond
	lowRate  = 150
	highRate = 550
	keys     = 1000
)

var cacheLoss = bench.Experiment{
	Name:     "resilience/degradation/cache-loss",
	Question: "What is left of a service that loses its cache?",
	Note: "Redis hangs (its link swallows bytes and says nothing), comes back, is killed, and comes back empty. PostgreSQL has room for " +
		"333 items a second. The endpoint `account` never used the cache: whatever happens to it is collateral damage.",
	Engines: []bench.EngineSpec{
		{Name: "postgres", Settings: map[string]string{"max_connections": "50"}},
		{Name: "redis"},
	},
	Variants: []bench.Variant{
		{Name: "no-timeouts", About: "waits for the cache as long as it takes", Config: config(Config{})},
		{Name: "timeouts", About: "50 ms for the cache, then the database", Config: config(Config{CacheTimeout: short})},
		{Name: "long-timeouts", About: "500 ms for the cache, then the database", Config: config(Config{CacheTimeout: 10 * short})},
		{Name: "breaker", About: "50 ms and sony/gobreaker, then the database", Config: config(Config{CacheTimeout: short, Breaker: true})},
		{Name: "hard-ttl", About: "as degraded, but the local copy ends with its time to live of 1 s", Config: config(ladder(units.Second))},
		{Name: "degraded", About: "breaker, at most 4 reads fall through at once, then a local copy up to 10 min old", Config: config(ladder(600 * units.Second))},
	},
	Factor: "load",
	Levels: []bench.Level{
		{
			Name: "low", About: "the database could carry it alone", Variants: []string{"no-timeouts", "timeouts", "long-timeouts", "breaker"},
			Phases: phases(lowRate),
		},
		{
			Name: "high", About: "1.5 times what the database can carry", Variants: []string{"no-timeouts", "timeouts", "hard-ttl", "degraded"},
			Phases: phases(highRate),
		},
	},
	Workload: bench.Workload{
		Ops: []bench.Op{
			{Name: "item", Weight: 10, Path: "/item/{key}", Keys: bench.Keys{Dist: "zipf", N: keys, S: 0.9}},
			{Name: "account", Weight: 1, Path: "/account/{key}", Keys: bench.Keys{Dist: "uniform", N: keys}},
		},
		SLO:     250 * units.Millisecond,
		Timeout: 2 * units.Second,
	},
	Phases: phases(highRate),
	Columns: []bench.Column{
		{Title: "useful, cache hung", Unit: "share", Of: bench.Query{Phase: "hung", Op: "item", Metric: "useful"}},
		{Title: "useful, cache dead", Unit: "share", Of: bench.Query{Phase: "dead", Op: "item", Metric: "useful"}},
		{Title: "account, cache dead", Unit: "share", Of: bench.Query{Phase: "dead", Op: "account", Metric: "goodput"}},
		{Title: "degraded, dead", Unit: "share", Of: bench.Query{Phase: "dead", Op: "item", Metric: "degraded"}},
		{Title: "p50, hung", Unit: "ms", Of: bench.Query{Phase: "hung", Op: "item", Metric: "response_ms", Stat: "p50"}},
		{Title: "most in flight, hung", Of: inFlight("hung")},
		{Title: "back after the kill", Unit: "s", Of: bench.Query{Phase: "dead", Name: "baseline", Metric: "recover_s"}},
	},
	Checks: []bench.Check{
		{
			Claim: "resilience/timeout#1", Text: "a hung cache: without timeouts at least 5 times as many requests in flight as with 50 ms",
			Of: inFlight("hung").In("no-timeouts", "low"), Versus: new(inFlight("hung").In("timeouts", "low")), Rel: bench.AtLeast, Bound: 5,
		},
		{
			Claim: "resilience/timeout#6", Text: "ten times the timeout: at least 4 times as many requests in flight while the cache hangs",
			Of: steadyInFlight().In("long-timeouts", "low"), Versus: new(steadyInFlight().In("timeouts", "low")), Rel: bench.AtLeast, Bound: 4,
		},
		{
			Claim: "resilience/breaker#2", Text: "a hung cache: the median answer takes at most 0.6 of what it takes with timeouts alone",
			Of: hungP50().In("breaker", "low"), Versus: new(hungP50().In("timeouts", "low")), Rel: bench.AtMost, Bound: 0.6, MinOps: 100,
		},
		{
			Claim: "cache/aside#10", Text: "above the database's capacity, items keep 95 % of their goodput while the cache is dead",
			Of:     itemGoodput("dead").In("timeouts", "high"),
			Versus: new(itemGoodput("baseline").In("timeouts", "high")), Rel: bench.AtLeast, Bound: 0.95, MinOps: 100,
		},
		{
			Claim: "cache/aside#12", Text: "without timeouts, goodput with a hung cache is at least 90 % of that with a dead one",
			Of:     itemGoodput("hung").In("no-timeouts", "low"),
			Versus: new(itemGoodput("dead").In("no-timeouts", "low")), Rel: bench.AtLeast, Bound: 0.9, MinOps: 100,
		},
		useful("resilience/degradation#1", "", "degraded", "hung", 0, true),
		useful("resilience/degradation#1", "", "degraded", "dead", 0, true),
		useful("resilience/degradation#2", "the copy outlives its time to live", "degraded", "hung", 0.5, false),
		useful("resilience/degradation#2", "the copy ends with its time to live", "hard-ttl", "hung", 0.5, false),
		{
			Claim: "resilience/degradation#7", Text: "falling through to the database costs the account endpoint at most 10 % of its goodput",
			Of:     bench.Query{Phase: "dead", Op: "account", Metric: "goodput"}.In("timeouts", "high"),
			Versus: new(bench.Query{Phase: "baseline", Op: "account", Metric: "goodput"}.In("timeouts", "high")),
			Rel:    bench.AtLeast, Bound: 0.9, MinOps: 50,
		},
	},
}

const short = 50 * units.Millisecond

func config(c Config) Config {
	c.BreakerFailures, c.BreakerOpen = 5, units.Second
	c.LocalKeys = keys
	c.TTL, c.ItemCost, c.OtherCost, c.Pool, c.Keys = 60*units.Second, itemCost, 5*units.Millisecond, pool, keys
	return c
}

func ladder(staleFor units.Duration) Config {
	return Config{CacheTimeout: short, Breaker: true, FallThrough: 4, StaleFor: staleFor}
}

func phases(rate float64) []bench.Phase {
	r := bench.PerSecond(rate)
	return []bench.Phase{
		{Name: "warmup", For: 5 * units.Second, Quick: 3 * units.Second, Rate: r},
		{Name: "baseline", For: 5 * units.Second, Quick: 2 * units.Second, Rate: r, Judged: true},
		{
			Name: "hung", For: 10 * units.Second, Quick: 3 * units.Second, Rate: r, Judged: true,
			Faults: chaos.Faults{&chaos.Blackhole{Link: "service→redis"}},
		},
		{Name: "healed", For: 10 * units.Second, Quick: 3 * units.Second, Rate: r, Judged: true},
		{
			Name: "dead", For: 10 * units.Second, Quick: 3 * units.Second, Rate: r, Judged: true,
			Faults: chaos.Faults{&chaos.Kill{Process: "redis"}},
		},
		{Name: "returned", For: 15 * units.Second, Quick: 4 * units.Second, Rate: r, Judged: true},
	}
}

// useful asserts that nine in ten users get an answer in time, be it stale.
func useful(claim, when, variant, phase string, tail float64, controlFails bool) bench.Check {
	return bench.Check{
		Claim: claim, When: when, Text: variant + ": at least 90 % of items are answered in time while the cache is " + phase,
		Of:  bench.Query{Phase: phase, Tail: tail, Op: "item", Metric: "useful"}.In(variant, "high"),
		Rel: bench.AtLeast, Bound: 0.9, MinOps: 100, ControlFails: controlFails,
	}
}

func inFlight(phase string) bench.Query {
	return bench.Query{Phase: phase, Metric: "series", Name: "shakedown_in_flight_requests", Stat: "max"}
}

func steadyInFlight() bench.Query {
	return bench.Query{Phase: "hung", Tail: 0.5, Metric: "series", Name: "shakedown_in_flight_requests", Stat: "mean"}
}

func hungP50() bench.Query {
	return bench.Query{Phase: "hung", Tail: 0.75, Op: "item", Metric: "response_ms", Stat: "p50"}
}

func itemGoodput(phase string) bench.Query {
	return bench.Query{Phase: phase, Op: "item", Metric: "goodput"}
}
