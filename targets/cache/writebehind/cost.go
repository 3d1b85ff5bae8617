package writebehind

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

// slowSync is what an fsync takes on a magnetic disk, or on a network's.
const slowSync = 10 * units.Millisecond

// rtt is half a round trip to either server: with it, both are as far as within one zone of a cloud.
const rtt = 500 * units.Microsecond

var cost = bench.Experiment{
	Name:     "cache/write-behind/cost",
	Question: "What does write-behind save, and what do its readers see?",
	Note: "Orders, increments of counters with a Zipf popularity, and reads of those counters. Both servers are 1 ms away, and an fsync of PostgreSQL takes " +
		"10 ms more than here. Look at the time of an answer beside that of PostgreSQL without a synchronous commit, and at transactions and rows for each write.",
	Engines: []bench.EngineSpec{{Name: "postgres", Disk: true}, {Name: "redis", Settings: kept("everysec")}},
	Variants: []bench.Variant{
		{Name: "through", About: "the database is written before the answer, and counters in the cache after it", Config: readingCache(queueNone, flushAdditive)},
		{
			Name: "through-async", About: "the same, synchronous_commit off", Config: readingCache(queueNone, flushAdditive),
			Engines: []bench.EngineSpec{{Name: "postgres", Settings: map[string]string{"synchronous_commit": "off"}}},
		},
		{Name: "behind", About: "a stream in Redis, flushed every 100 ms, up to 1000 events at a time; counters are read from the cache", Config: readingCache(queueStream, flushIdempotent)},
		{Name: "behind-database", About: "the same; counters are read from the database", Config: base(queueStream, flushIdempotent)},
		{Name: "behind-batch-1", About: "a stream, one event at a time", Config: batchesOf(1), Full: true},
		{Name: "behind-batch-10", About: "a stream, up to 10 events at a time", Config: batchesOf(10), Full: true},
		{Name: "behind-1s", About: "a stream in Redis, flushed every second", Config: base(queueStream, flushIdempotent).every(units.Second)},
	},
	Network: chaos.Faults{&chaos.Latency{Link: "service→postgres", Delay: rtt}, &chaos.Latency{Link: "service→redis", Delay: rtt}},
	Workload: bench.Workload{
		Ops: []bench.Op{
			orders, hot,
			{Name: "read", Path: "/count/{key}", Keys: hot.Keys},
		},
		SLO: 250 * units.Millisecond, Timeout: 3 * units.Second,
	},
	Phases: []bench.Phase{
		{Name: "warmup", For: units.Second, Quick: 500 * units.Millisecond, Rate: bench.PerSecond(costRate)},
		{Name: "load", For: 8 * units.Second, Quick: 4 * units.Second, Rate: bench.PerSecond(costRate), Faults: slowDisk, Judged: true},
	},
	Columns: []bench.Column{
		{Title: "order, median", Unit: "ms", Of: answerTo("order", "p50")},
		{Title: "order, p99", Unit: "ms", Of: answerTo("order", "p99")},
		{Title: "increment, median", Unit: "ms", Of: answerTo("count", "p50")},
		{Title: "increment, p99", Unit: "ms", Of: answerTo("count", "p99")},
		{Title: "transactions", Unit: "/s", Of: perSecond(transactions)},
		{Title: "rows of orders", Unit: "/s", Of: perSecond(`shakedown_written_rows_total{kind="order"}`)},
		{Title: "rows of counters", Unit: "/s", Of: perSecond(counterRows)},
		{Title: "stale reads", Of: crash.Audited(auditStaleShare)},
		crash.Column("lost", bench.AuditLost),
	},
	Checks: []bench.Check{
		halfOf("PostgreSQL commits synchronously, and an fsync takes 10 ms", "through"),
		halfOf("PostgreSQL does not wait for its fsync (synchronous_commit off)", "through-async"),
		cuts("behind", transactions, 0.1, "at most a tenth of the transactions of writing through"),
		cuts("behind-1s", transactions, 0.01, "at most a hundredth of the transactions of writing through"),
		cuts("behind-1s", counterRows, 0.2, "at most a fifth of the rows of counters, of which each is incremented ten times a second"),
		staleReads("the cache is read", "behind"),
		staleReads("the database is read", "behind-database"),
	},
}

// costRate is in all, of which a half are increments. The most popular counter gets 33 of them a second: with a row lock held for as long
// as a commit takes here, 13 ms, it is busy for less than half of the time.
const costRate = 400

const (
	transactions = "shakedown_write_transactions_total"
	counterRows  = `shakedown_written_rows_total{kind="count"}`
)

// hot are increments of 20 counters.
var hot = bench.Op{Name: "count", Weight: 2, Method: "POST", Path: "/count/{key}", Keys: bench.Keys{Dist: "zipf", N: 20, S: 0.8}}

var slowDisk = chaos.Faults{&chaos.DiskSlow{Process: "postgres", Sync: slowSync}}

func readingCache(queue, flush string) Config {
	c := base(queue, flush)
	c.Read = readCache
	return c
}

func batchesOf(n int) Config {
	c := base(queueStream, flushIdempotent)
	c.Batch = n
	return c
}

func answerTo(op, stat string) bench.Query {
	return bench.Query{Phase: "load", Op: op, Metric: "answer_ms", Stat: stat}
}

// perSecond is the rate of a counter of the service.
func perSecond(counter string) bench.Query {
	return bench.Query{Phase: "load", Metric: "series", Name: counter, Stat: "rate"}
}

// cuts asserts that a counter grows by at most a part of what it grows by without a queue, where the same writes arrive.
func cuts(variant, counter string, bound float64, text string) bench.Check {
	return bench.Check{
		Claim: "cache/write-behind#3", Text: variant + ": " + text,
		Of: perSecond(counter).In(variant, ""), Versus: new(perSecond(counter).In("through-async", "")), Rel: bench.AtMost, Bound: bound,
	}
}

// halfOf asserts of an order, which meets no lock, what "fastest" promises: half the time at most.
func halfOf(when, of string) bench.Check {
	return bench.Check{
		Claim: "cache/write-behind#1", When: when, Text: "behind: an order is answered in at most half the time that " + of + " takes",
		Of: answerTo("order", "p50").In("behind", ""), Versus: new(answerTo("order", "p50").In(of, "")), Rel: bench.AtMost, Bound: 0.5, MinOps: 100,
	}
}

func staleReads(when, variant string) bench.Check {
	return crash.Never("cache/write-behind#10", when, variant, "", auditStale, "no read lacks an increment that was acknowledged before it")
}
