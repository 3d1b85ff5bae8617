package writethrough

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

// rate is how many requests arrive in a second, two thirds of them writes.
const rate = 400

// killedRate leaves connections to a transaction that lasts for four ways to the database and back.
const killedRate = 240

func config(order string, keys int64) Config {
	return Config{Order: order, Keys: keys, Warm: true, Relay: 20 * units.Millisecond, Pool: 32}
}

func variant(order, about string, keys int64) bench.Variant {
	return bench.Variant{Name: order, About: about, Config: config(order, keys), Instances: 2}
}

var both = []bench.EngineSpec{{Name: "postgres"}, {Name: "redis"}}

// itemOps writes and reads items, all as popular as each other.
func itemOps(keys int64) bench.Workload {
	k := bench.Keys{Dist: "uniform", N: keys}
	return bench.Workload{
		Ops: []bench.Op{{Name: "write", Weight: 2, Method: "PUT", Path: "/item/{key}", Keys: k}, {Name: "read", Path: "/item/{key}", Keys: k}},
		SLO: 500 * units.Millisecond, Timeout: 3 * units.Second,
	}
}

const (
	hotKeys  = 20   // so few that two writers meet
	coldKeys = 2000 // so many that what a crash left is not written over
)

// wide makes the way to the cache take up to 100 ms, and that to the database 30: what comes between two writes has time to.
var wide = chaos.Faults{
	&chaos.Latency{Link: "service→redis", Delay: 50 * units.Millisecond, Jitter: 45 * units.Millisecond},
	&chaos.Latency{Link: "service→postgres", Delay: 30 * units.Millisecond},
}

var divergence = bench.Experiment{
	Name:     "cache/write-through/divergence",
	Question: "Does a cache that is written through stay in sync with the database?",
	Note: "Two instances write and read items that the cache holds from the beginning. At one level they write the same 20 items, without any fault; " +
		"at the other they write 2000, and each is killed once. When nothing moves any more, every entry of the cache is compared with the " +
		"database. A way to the cache takes up to 100 ms, one to the database 30, which makes the time between the two writes " +
		"long, and what happens in it frequent: nearer servers let a cache diverge in the same ways, and less often.",
	Engines: both,
	Variants: []bench.Variant{
		variant(aside, "cache-aside: the database, and then the key is deleted; a reader who misses fills it", hotKeys),
		variant(databaseFirst, "the database, and then the cache", hotKeys),
		variant(cacheFirst, "the cache, and then the database", hotKeys),
		variant(inTransaction, "the cache within the open transaction of the database", hotKeys),
		variant(versioned, "the database, and then the cache unless it has a newer version (a script)", hotKeys),
		variant(outbox, "the database with a note in an outbox, from which a relay takes it to the cache by version", hotKeys),
	},
	Factor: "what happens",
	Levels: []bench.Level{
		{Name: "interleave", About: "two instances write the same items", Variants: []string{aside, databaseFirst, versioned, outbox}},
		{
			Name: "killed", About: "each instance is killed once", Variants: []string{aside, databaseFirst, cacheFirst, inTransaction, outbox},
			Config: map[string]any{"keys": coldKeys}, Workload: new(itemOps(coldKeys)),
			Phases: []bench.Phase{
				{
					Name: "load", For: 3 * units.Second, Rate: bench.PerSecond(killedRate), Judged: true,
					Schedule: []bench.Entry{dies("service-0", 800), dies("service-1", 1900)},
				},
			},
		},
	},
	Network:  wide,
	Workload: itemOps(hotKeys),
	Phases:   []bench.Phase{{Name: "load", For: 5 * units.Second, Quick: 2500 * units.Millisecond, Rate: bench.PerSecond(rate), Judged: true}},
	Columns: []bench.Column{
		{Title: "writes acknowledged", Of: bench.Query{Op: "write", Metric: "throughput_per_s"}, Unit: "/s"},
		crash.Column("keys that differ", auditDiffer), crash.Column("stale reads", auditStale), crash.Column("reads of what never existed", auditNever),
		crash.Column("reads", auditReads),
	},
	Checks: []bench.Check{
		crash.Never("cache/write-through#1", "", databaseFirst, "interleave", auditDiffer, "no entry differs from the database"),
		crash.Never("cache/write-through#1", "", databaseFirst, "killed", auditDiffer, "no entry differs from the database"),
		crash.Never("cache/write-through#2", "", databaseFirst, "killed", auditDiffer, "no entry differs from the database"),
		crash.Never("cache/write-through#2", "", cacheFirst, "killed", auditDiffer, "no entry differs from the database"),
		crash.Never("cache/write-through#2", "", inTransaction, "killed", auditDiffer, "no entry differs from the database"),
		crash.Never("cache/write-through#9", "the last writer of the cache wins", databaseFirst, "interleave", auditStale, "no read is older than a write that was acknowledged before it"),
		crash.Never("cache/write-through#9", "entries carry versions", versioned, "interleave", auditStale, "no read is older than a write that was acknowledged before it"),
		crash.Never("cache/write-through#9", "entries carry versions", versioned, "interleave", auditDiffer, "no entry differs from the database"),
		crash.Never("cache/write-through#10", "", outbox, "interleave", auditDiffer, "no entry differs from the database"),
		crash.Never("cache/write-through#10", "", outbox, "killed", auditDiffer, "no entry differs from the database"),
	},
}

// dies is a kill at a moment that is drawn from 300 ms.
func dies(process string, ms units.Duration) bench.Entry {
	return bench.Entry{
		Name: process, Faults: chaos.Faults{&chaos.Kill{Process: process}}, For: bench.Exactly(100 * units.Millisecond),
		At: bench.Bounds{From: ms * units.Millisecond, To: (ms + 300) * units.Millisecond},
	}
}

var refusals = bench.Experiment{
	Name:     "cache/write-through/refusal",
	Question: "What do readers see of a write that the database refuses?",
	Note: "One write in five fails in the database: a statement that is a transaction of its own, or the commit of one. The user is told. " +
		"What the cache was told before that, readers see until somebody writes the item again.",
	Engines: both,
	Variants: []bench.Variant{
		variant(only, "no cache", refusedKeys),
		variant(databaseFirst, "the database, and then the cache", refusedKeys),
		variant(cacheFirst, "the cache, and then the database", refusedKeys),
		variant(inTransaction, "the cache within the open transaction of the database", refusedKeys),
	},
	Workload: itemOps(refusedKeys),
	Phases: []bench.Phase{
		{
			Name: "load", For: 5 * units.Second, Quick: 3 * units.Second, Rate: bench.PerSecond(rate), Judged: true,
			Faults: chaos.Faults{&chaos.PostgresError{
				Link: "service→postgres", Statement: "(?i)^(commit|insert into shakedown_wt_items as alone)", SQLState: "40001", Pick: chaos.Pick{Every: 5},
			}},
		},
	},
	Columns: []bench.Column{
		{Title: "writes refused", Of: bench.Query{Op: "write", Metric: "failed"}},
		crash.Column("reads of what never existed", auditNever), crash.Column("reads", auditReads), crash.Column("keys that differ", auditDiffer),
	},
	Checks: []bench.Check{
		{
			Claim: "cache/write-through#6", Text: "cache-first: values are read that never existed",
			Of: crash.Audited(auditNever).In(cacheFirst, ""), Rel: bench.AtLeast, Bound: 1, MinOps: 100, ControlFails: true,
		},
		crash.Never("cache/write-through#7", "", inTransaction, "", auditNever, "no value is read that never existed"),
	},
}

// refusedKeys are so many that an item is written every second or two.
const refusedKeys = 200

// ttl is a time to live, and laterThan is when what has one must be gone.
const (
	ttl       = 2 * units.Second
	laterThan = 2500 * units.Millisecond
)

var healing = bench.Experiment{
	Name:     "cache/write-through/ttl",
	Question: "Does a time to live heal a cache that has diverged?",
	Note: "Two instances write the same 20 items to the database and then to the cache, and diverge. Then nobody writes or reads any more, and " +
		"the entries that differ from the database are counted again for 2.5 s. An entry lives for ever, or for two seconds from when it was written.",
	Engines: both,
	Variants: []bench.Variant{
		healed("for-ever", "entries stay", 0), healed("ttl-2s", "entries live for two seconds", ttl),
	},
	Network:  wide,
	Workload: itemOps(hotKeys),
	Phases:   []bench.Phase{{Name: "load", For: 5 * units.Second, Quick: 2500 * units.Millisecond, Rate: bench.PerSecond(rate), Judged: true}},
	Columns: []bench.Column{
		crash.Column("keys that differ", auditDiffer), crash.Column("2.5 s later", auditLater),
		{Title: "healed after", Unit: "s", Of: crash.Audited(auditHealS)},
		crash.Column("stale reads", auditStale),
	},
	Checks: []bench.Check{
		{
			Claim: "cache/write-through#8", Text: "ttl-2s: there is something to heal",
			Of: crash.Audited(auditDiffer).In("ttl-2s", ""), Rel: bench.AtLeast, Bound: 1, MinOps: 100,
		},
		{
			Claim: "cache/write-through#8", Text: "ttl-2s: no entry differs after its time to live",
			Of: crash.Audited(auditLater).In("ttl-2s", ""), Rel: bench.AtMost, Bound: 0, MinOps: 100, Never: true, ControlFails: true,
		},
	},
}

func healed(name, about string, life units.Duration) bench.Variant {
	c := config(databaseFirst, hotKeys)
	c.TTL, c.Later = life, laterThan
	return bench.Variant{Name: name, About: about, Config: c, Instances: 2}
}

// half is half a round trip to either server: as far as within one zone of a cloud.
const half = 500 * units.Microsecond

var cost = bench.Experiment{
	Name:     "cache/write-through/cost",
	Question: "What does writing through cost a write, and what does it give a reader?",
	Note: "The cache is empty at first, and items are written and read. Both servers are 1 ms away. An fsync of PostgreSQL is not waited for, " +
		"or takes 10 ms more than here. Look at the time of a write beside that to the database alone, and at how many of the reads that follow a write the cache answers.",
	Engines: []bench.EngineSpec{{Name: "postgres", Disk: true}, {Name: "redis"}},
	Variants: []bench.Variant{
		cold(expiry, "the database alone; readers fill the cache, whose entries live for a second"), cold(aside, "cache-aside: the key is deleted, and a reader who misses fills it"),
		cold(databaseFirst, "the database, and then the cache"),
	},
	Factor: "an fsync",
	Levels: []bench.Level{
		{
			Name: "not-waited-for", About: "is not waited for (synchronous_commit off)",
			Engines: []bench.EngineSpec{{Name: "postgres", Settings: map[string]string{"synchronous_commit": "off"}}},
		},
		{
			Name: "10ms", About: "takes 10 ms more",
			Phases: costPhases(chaos.Faults{&chaos.DiskSlow{Process: "postgres", Sync: 10 * units.Millisecond}}),
		},
	},
	Network:  chaos.Faults{&chaos.Latency{Link: "service→postgres", Delay: half}, &chaos.Latency{Link: "service→redis", Delay: half}},
	Workload: itemOps(costKeys),
	Phases:   costPhases(nil),
	Columns: []bench.Column{
		{Title: "write, median", Unit: "ms", Of: took("write", "p50")},
		{Title: "write, p99", Unit: "ms", Of: took("write", "p99")},
		{Title: "read, median", Unit: "ms", Of: took("read", "p50")},
		{Title: "hits after a write", Of: crash.Audited(auditHits)},
		crash.Column("stale reads", auditStale), crash.Column("keys that differ", auditDiffer),
	},
	Checks: []bench.Check{
		{
			Claim: "cache/write-through#3", Text: "database-first: after a write the cache answers 99 % of the reads",
			Of: crash.Audited(auditHits).In(databaseFirst, "not-waited-for"), Rel: bench.AtLeast, Bound: 0.99, MinOps: 100,
		},
		{
			Claim: "cache/write-through#3", Text: "database-first: it answers at least a tenth of the reads more than cache-aside does",
			Of: crash.Audited(auditHits).In(databaseFirst, "not-waited-for"), Versus: new(crash.Audited(auditHits).In(aside, "not-waited-for")), By: bench.Difference, Rel: bench.AtLeast,
			Bound: 0.1, MinOps: 100,
		},
		slower("a commit does not wait for its fsync", "not-waited-for"),
		slower("a commit waits for an fsync of 10 ms", "10ms"),
	},
}

const costKeys = 100

func cold(order, about string) bench.Variant {
	c := config(order, costKeys)
	c.Warm = false
	if order == expiry {
		c.TTL = units.Second
	}
	return bench.Variant{Name: order, About: about, Config: c, Instances: 1}
}

func costPhases(faults chaos.Faults) []bench.Phase {
	r := bench.PerSecond(200)
	return []bench.Phase{
		{Name: "warmup", For: units.Second, Quick: 500 * units.Millisecond, Rate: r, Faults: faults},
		{Name: "load", For: 6 * units.Second, Quick: 3 * units.Second, Rate: r, Faults: faults, Judged: true},
	}
}

func took(op, stat string) bench.Query {
	return bench.Query{Phase: "load", Op: op, Metric: "answer_ms", Stat: stat}
}

func slower(when, level string) bench.Check {
	return bench.Check{
		Claim: "cache/write-through#4", When: when, Text: "database-first: a write takes at least one and a half times as long as one to the database alone",
		Of: took("write", "p50").In(databaseFirst, level), Versus: new(took("write", "p50").In(expiry, level)), Rel: bench.AtLeast, Bound: 1.5, MinOps: 100,
	}
}
