package aside

import (
	"shakedown/bench"
	"shakedown/internal/units"
)

// The hot key is asked for hotRate times a second and takes rebuild to read from the database, so that about
// hotRate × rebuild readers meet each expiry.
const (
	hotRate  = 200
	tailRate = 300
	rebuild  = 100 * units.Millisecond
	tailKeys = 100
)

var stampede = bench.Experiment{
	Name:     "cache/aside/stampede",
	Question: "What keeps the expiry of a hot key from becoming a stampede?",
	Note: "Three instances read one hot key, which expires every second, and a Zipf tail of keys that were all loaded at the same " +
		"moment and expire together. A rebuild is a query that takes 100 ms. Look at how many rebuilds of the same key overlap.",
	Engines: []bench.EngineSpec{
		{Name: "postgres", Settings: map[string]string{"max_connections": "250"}},
		{Name: "redis"},
	},
	Variants: []bench.Variant{
		{Name: "plain", About: "every miss rebuilds", Config: strategy("plain", 0), Instances: 3},
		{Name: "ttl-jitter", About: "time to live ±10 %", Config: strategy("plain", 0.1), Instances: 3},
		{Name: "singleflight", About: "one rebuild per key and process (x/sync/singleflight)", Config: strategy("singleflight", 0), Instances: 3},
		{Name: "redis-lock", About: "one rebuild per key: SET NX PX with a token; the rest wait", Config: strategy("lock", 0), Instances: 3},
		{Name: "early-refresh", About: "probabilistic early refresh (XFetch, β = 1)", Config: strategy("xfetch", 0), Instances: 3},
	},
	Workload: bench.Workload{
		Ops: []bench.Op{
			{Name: "hot", Weight: hotRate, Path: "/item/{key}"},
			{Name: "tail", Weight: tailRate, Path: "/item/{key}", Keys: bench.Keys{Dist: "zipf", From: 1, N: tailKeys, S: 0.5}},
		},
		SLO:     50 * units.Millisecond,
		Timeout: 5 * units.Second,
	},
	Phases: []bench.Phase{
		{Name: "warmup", For: 2 * units.Second, Quick: 1500 * units.Millisecond, Rate: bench.PerSecond(hotRate + tailRate)},
		{Name: "expiries", For: 20 * units.Second, Quick: 8 * units.Second, Rate: bench.PerSecond(hotRate + tailRate), Judged: true},
	},
	Columns: []bench.Column{
		{Title: "rebuilds per expiry", Of: hotSpans("burst_mean")},
		{Title: "worst expiry", Of: hotSpans("burst_max")},
		{Title: "hot p99", Unit: "ms", Of: bench.Query{Op: "hot", Metric: "response_ms", Stat: "p99"}},
		{Title: "hot p99.9", Unit: "ms", Of: bench.Query{Op: "hot", Metric: "response_ms", Stat: "p99_9"}},
		{Title: "oldest answer", Unit: "ms", Of: bench.Query{Op: "hot", Metric: "age_ms", Stat: "max"}},
		{Title: "tail rebuilds, worst 100 ms", Of: tailSpans("peak_100ms")},
		{Title: "database reads", Unit: "/s", Of: bench.Query{Metric: "series", Name: `shakedown_dependency_attempts_total{dependency="postgres"}`, Stat: "rate"}},
	},
	Checks: []bench.Check{
		{
			Claim: "cache/aside#5", Text: "plain: rebuilds that overlap at one expiry are rate × rebuild time",
			Of: hotSpans("burst_mean").In("plain", ""), Rel: bench.Equal, Bound: hotRate * 0.1, Band: 0.3, MinOps: 5,
		},
		{
			Claim: "cache/aside#6", When: "many keys loaded together", Text: "jitter takes at least 30 % off the worst 100 ms of rebuilds",
			Of: tailSpans("peak_100ms").In("ttl-jitter", ""), Versus: new(tailSpans("peak_100ms").In("plain", "")), Rel: bench.AtMost, Bound: 0.7, MinOps: 50,
		},
		{
			Claim: "cache/aside#6", When: "one hot key", Text: "jitter takes at least 30 % off the rebuilds that overlap at one expiry",
			Of: hotSpans("burst_mean").In("ttl-jitter", ""), Versus: new(hotSpans("burst_mean").In("plain", "")), Rel: bench.AtMost, Bound: 0.7, MinOps: 5,
		},
		oneRebuild("a mutex in each of 3 processes", "singleflight"),
		oneRebuild("a lock in Redis", "redis-lock"),
	},
}

func oneRebuild(when, variant string) bench.Check {
	return bench.Check{
		Claim: "cache/aside#7", When: when, Text: variant + ": no two rebuilds of the hot key overlap",
		Of: hotSpans("burst_max").In(variant, ""), Rel: bench.AtMost, Bound: 1, MinOps: 5, ControlFails: true,
	}
}

func strategy(name string, jitter float64) Config {
	return Config{
		Strategy: name, Jitter: jitter, HotTTL: units.Second, TTL: 6 * units.Second, Rebuild: rebuild, Pool: 70,
		LockTTL: 2 * units.Second, LockPoll: 10 * units.Millisecond, Beta: 1, Keys: tailKeys,
	}
}

func hotSpans(stat string) bench.Query {
	return bench.Query{Metric: "span", Name: "rebuild:hot", Stat: stat}
}

func tailSpans(stat string) bench.Query {
	return bench.Query{Metric: "span", Name: "rebuild:tail", Stat: stat}
}
