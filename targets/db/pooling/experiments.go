package pooling

import (
	"fmt"
	"slices"

	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
)

// relations is how many tables a connection touches where its memory is what is asked; a large schema with partitions has more.
const relations = 3000

// far is the long link: a transaction of two queries makes four round trips, so it holds its connection for at least 40 ms.
const far = 10 * units.Millisecond

var rates = []float64{80, 160, 320}

var size = bench.Experiment{
	Name:     "db/pooling/size",
	Question: "How large should a connection pool be?",
	Note: "A transaction of two queries holds a connection for four round trips. The same pools carry the same rates over a link " +
		"without delay and over one with a round trip of 10 ms; then the rows are locked by one another; then no rate at all, to see what a " +
		"connection costs. `formula` is cores × 2 + 1.",
	Engines: []bench.EngineSpec{{Name: "postgres", Settings: map[string]string{"max_connections": "100", "max_locks_per_transaction": "256", "synchronous_commit": "off"}}},
	Variants: []bench.Variant{
		{Name: "no-pool", About: "connects for every request", Config: Config{}},
		pooled(1), full(pooled(2)),
		{Name: "formula", About: "cores × 2 + 1 connections", Config: Config{Formula: true}},
		pooled(10), pooled(20), full(pooled(50)),
		{Name: "pool-150", About: "more than max_connections", Config: Config{Pool: 150}, X: 150},
		full(bench.Variant{Name: "unlimited", About: "a new connection whenever none is free", Config: Config{Pool: 10_000}}),
	},
	Factor: "setting",
	Levels: []bench.Level{
		{Name: "near", About: "no delay on the link", Phases: sweep(), Network: nil},
		{Name: "rtt-2ms", About: "a round trip of 2 ms", Full: true, Phases: sweep(), Network: delayed(2 * units.Millisecond)},
		{Name: "rtt-10ms", About: "a round trip of 10 ms", Phases: sweep(), Network: delayed(far)},
		{
			Name: "locked", About: "a round trip of 10 ms, and every transaction updates the same row",
			Variants: []string{"formula", "pool-10", "pool-20"}, Network: delayed(far),
			Workload: workload("hot"),
			Phases:   []bench.Phase{warmup(40), judged("load", 150, 8*units.Second, 4*units.Second)},
		},
		{
			Name: "tiny", About: "one `select 1` a request, 50 a second", Variants: []string{"no-pool", "formula"},
			Workload: workload("ping"), Phases: []bench.Phase{warmup(50), judged("load", 50, 10*units.Second, 5*units.Second)},
		},
		{
			Name: "crowd", About: "a closed loop of 10, then 100, then 150 users, max_connections 100", Variants: []string{"no-pool"},
			Phases: []bench.Phase{
				users("warmup", 10, units.Second, false),
				users("10-users", 10, 3*units.Second, true), users("90-users", 90, 3*units.Second, true), users("150-users", 150, 3*units.Second, true),
			},
		},
		{
			Name: "fresh", About: "20 connections that have done little", Variants: []string{"pool-20"},
			Workload: workload("ping"), Phases: []bench.Phase{warmup(100), judged("load", 100, 3*units.Second, 2*units.Second)},
		},
		{
			Name: "touched", About: fmt.Sprintf("20 connections that have each read %d relations", relations), Variants: []string{"pool-20"},
			Config: map[string]any{"relations": relations}, Workload: workload("ping"),
			Phases: []bench.Phase{warmup(100), judged("load", 100, 3*units.Second, 2*units.Second)},
		},
	},
	Workload: *workload("transfer"),
	Phases:   sweep(),
	Columns: slices.Concat(goodputs(), []bench.Column{
		{Title: "p99 at the top rate", Unit: "ms", Of: bench.Query{Phase: top(), Metric: "response_ms", Stat: "p99"}},
		{Title: "p50", Unit: "ms", Of: bench.Query{Phase: "load", Metric: "response_ms", Stat: "p50"}, Levels: []string{"locked", "tiny"}},
		{Title: "answers", Unit: "/s", Of: bench.Query{Phase: "load", Metric: "completed_per_s"}, Levels: []string{"locked"}},
		{Title: "query, median", Unit: "ms", Of: query(), Levels: []string{"tiny"}},
		{Title: "answers to 10 users", Unit: "/s", Of: bench.Query{Phase: "10-users", Metric: "completed_per_s"}},
		{Title: "to 90", Unit: "/s", Of: bench.Query{Phase: "90-users", Metric: "completed_per_s"}},
		{Title: "to 150", Unit: "/s", Of: bench.Query{Phase: "150-users", Metric: "completed_per_s"}},
		{Title: "refused of 150", Unit: "share", Of: bench.Query{Phase: "150-users", Metric: "refused"}},
		{
			Title: "memory per connection", Unit: "B", Of: series(`shakedown_postgres_backend_private_bytes{stat="mean"}`, "last"),
			Levels: []string{"fresh", "touched"},
		},
		{Title: "waiting for a connection, at most", Of: series("shakedown_pool_waiting", "max"), Levels: loaded()},
		{Title: "waiting for a lock, mean", Of: series(`shakedown_postgres_backends_waiting{wait_event_type="Lock"}`, "mean"), Levels: loaded()},
	}),
	Sweeps: []bench.Sweep{{
		Title: "smallest pool with 99 % of the top rate within the SLO", Unit: "connections",
		Of: bench.Query{Phase: top(), Metric: "goodput"}, Rel: bench.AtLeast, Bound: 0.99,
		Formula: &bench.Formula{Name: "cores × 2 + 1 spindle", PerCore: 2, Plus: 1},
	}},
	Checks: []bench.Check{
		memory("a connection that has done little", "fresh", bench.AtLeast, 1),
		memory("a connection that has done little", "fresh", bench.AtMost, 10),
		memory("a connection that has touched thousands of relations", "touched", bench.AtMost, 10),
		{
			Claim: "db/pooling#2", Text: "the median tiny query, from asking for a connection to the answer, takes at least ten times as long without a pool",
			Of: query().In("no-pool", "tiny"), Versus: new(query().In("formula", "tiny")), Rel: bench.AtLeast, Bound: 10, MinOps: 50,
		},
		{
			Claim: "db/pooling#3", Text: "without a pool, 90 users at once get at most half the throughput that 10 get",
			Of:     bench.Query{Phase: "90-users", Metric: "completed_per_s"}.In("no-pool", "crowd"),
			Versus: new(bench.Query{Phase: "10-users", Metric: "completed_per_s"}.In("no-pool", "crowd")),
			Rel:    bench.AtMost, Bound: 0.5, MinOps: 50,
		},
		{
			Claim: "db/pooling#3", Text: "past max_connections the rest gets at most half the throughput that 10 users get",
			Of:     bench.Query{Phase: "150-users", Metric: "completed_per_s"}.In("no-pool", "crowd"),
			Versus: new(bench.Query{Phase: "10-users", Metric: "completed_per_s"}.In("no-pool", "crowd")),
			Rel:    bench.AtMost, Bound: 0.5, MinOps: 50,
		},
		formulaSuffices("no round-trip time", "near"),
		formulaSuffices("a round trip of 10 ms", "rtt-10ms"),
		largerSuffices("a round trip of 10 ms", "rtt-10ms"),
		doubling("rtt-10ms", "the pool is the bottleneck", top()),
		doubling("locked", "the rows are the bottleneck", "load"),
	},
}

// loaded are the levels at which something may have to wait.
func loaded() []string { return []string{"near", "rtt-2ms", "rtt-10ms", "locked"} }

func pooled(n int) bench.Variant {
	return bench.Variant{Name: fmt.Sprintf("pool-%d", n), About: fmt.Sprintf("%d connections", n), Config: Config{Pool: n}, X: float64(n)}
}

func full(v bench.Variant) bench.Variant {
	v.Full = true
	return v
}

func delayed(roundTrip units.Duration) chaos.Faults {
	return chaos.Faults{&chaos.Latency{Link: "service→postgres", Delay: roundTrip / 2}}
}

func workload(op string) *bench.Workload {
	return &bench.Workload{
		Ops:     []bench.Op{{Name: op, Path: "/" + op + "/{key}", Keys: bench.Keys{Dist: "uniform", N: accounts}}},
		SLO:     150 * units.Millisecond,
		Timeout: 2 * units.Second,
	}
}

func sweep() []bench.Phase {
	phases := []bench.Phase{warmup(rates[0])}
	for _, r := range rates {
		phases = append(phases, judged(phaseAt(r), r, 6*units.Second, 2*units.Second))
	}
	return phases
}

func warmup(rate float64) bench.Phase {
	return bench.Phase{Name: "warmup", For: 2 * units.Second, Quick: units.Second, Rate: bench.PerSecond(rate)}
}

func judged(name string, rate float64, length, quick units.Duration) bench.Phase {
	return bench.Phase{Name: name, For: length, Quick: quick, Rate: bench.PerSecond(rate), Judged: true}
}

func users(name string, n int, length units.Duration, judge bool) bench.Phase {
	return bench.Phase{Name: name, For: 2 * length, Quick: length, Closed: &bench.Closed{Users: n}, Judged: judge}
}

func phaseAt(rate float64) string { return fmt.Sprintf("at-%g", rate) }

func top() string { return phaseAt(rates[len(rates)-1]) }

func goodputs() []bench.Column {
	var columns []bench.Column
	for _, r := range rates {
		columns = append(columns, bench.Column{
			Title: fmt.Sprintf("goodput at %g/s", r), Unit: "share", Of: bench.Query{Phase: phaseAt(r), Metric: "goodput"},
		})
	}
	return columns
}

func memory(when, level string, rel bench.Rel, mb float64) bench.Check {
	return bench.Check{
		Claim: "db/pooling#1", When: when, Text: fmt.Sprintf("it keeps %s %g MB of its own", rel.Sign(), mb),
		Of:  series(`shakedown_postgres_backend_private_bytes{stat="mean"}`, "last").In("pool-20", level),
		Rel: rel, Bound: mb * (1 << 20), Unit: "B",
	}
}

func formulaSuffices(when, level string) bench.Check {
	return bench.Check{
		Claim: "db/pooling#4", When: when, Text: "the formula's pool answers at least 90 % of the top rate within the SLO",
		Of: bench.Query{Phase: top(), Metric: "goodput"}.In("formula", level), Rel: bench.AtLeast, Bound: 0.9, MinOps: 100,
	}
}

// a larger pool does, so that the rate is not what is too much.
func largerSuffices(when, level string) bench.Check {
	c := formulaSuffices(when, level)
	c.Text = "a pool of 20 does no better: it answers less than 90 % of the top rate within the SLO"
	c.Of.Variant, c.Rel = "pool-20", bench.AtMost
	return c
}

func doubling(level, what, phase string) bench.Check {
	return bench.Check{
		Claim: "db/pooling#7", Text: what + ": twice the connections answer at least 20 % more",
		Of:     bench.Query{Phase: phase, Metric: "completed_per_s"}.In("pool-20", level),
		Versus: new(bench.Query{Phase: phase, Metric: "completed_per_s"}.In("pool-10", level)),
		Rel:    bench.AtLeast, Bound: 1.2, MinOps: 100,
	}
}

func query() bench.Query {
	return bench.Query{Phase: "load", Metric: "span", Name: "query", Stat: "p50_ms"}
}

func series(name, stat string) bench.Query {
	return bench.Query{Metric: "series", Name: name, Stat: stat}
}
