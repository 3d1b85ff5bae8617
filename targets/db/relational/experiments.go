package relational

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
)

// rate is low enough for a disk that takes 10 ms for an fsync: commits of several connections share one.
const rate = 200

// asyncWindow is three times wal_writer_delay, which PostgreSQL's manual gives as the longest that an asynchronous commit may stay
// unwritten.
const asyncWindow = 0.6

var durability = bench.Experiment{
	Name:     "db/relational/durability",
	Question: "What is an acknowledged commit worth after a crash?",
	Note: "Every request commits a row of its own. In the middle of the load PostgreSQL is killed, or the power fails; it recovers, and the rows " +
		"that are there are compared with the commits that were acknowledged. The power loss is the worst case: the kernel has written nothing " +
		"back by itself, so without fsync nothing is left of the trial, and the database is whole. A real machine would have written some of " +
		"its pages and not others, and might have left a database that is not.",
	Engines: []bench.EngineSpec{{Name: "postgres", Disk: true, Settings: map[string]string{"wal_writer_delay": "200ms"}}},
	Variants: []bench.Variant{
		variant("neither", "fsync off, synchronous_commit off", "off", "off"),
		variant("fsync-off", "fsync off", "off", "on"),
		variant("async", "synchronous_commit off", "on", "off"),
		variant("default", "both on", "on", "on"),
	},
	Factor: "what happens",
	Levels: []bench.Level{
		{Name: "kill9", About: "every process of the server is killed", Phases: crash(&chaos.Kill{Process: "postgres"})},
		{Name: "power-loss", About: "the machine loses its power", Phases: crash(&chaos.PowerLoss{Process: "postgres"})},
	},
	Workload: bench.Workload{
		Ops:     []bench.Op{{Name: "write", Method: "PUT", Path: "/write/{key}", Keys: bench.Keys{Dist: "sequential", N: 1 << 60}}},
		SLO:     250 * units.Millisecond,
		Timeout: 3 * units.Second,
	},
	Phases: crash(&chaos.Kill{Process: "postgres"}),
	Columns: []bench.Column{
		{Title: "acknowledged", Of: audited(bench.AuditAcked)},
		{Title: "lost", Of: audited(bench.AuditLost)},
		{Title: "span of the lost", Unit: "s", Of: audited(bench.AuditLostS)},
		{Title: "answer, median", Unit: "ms", Of: bench.Query{Phase: "load", Metric: "answer_ms", Stat: "p50"}},
	},
	Checks: []bench.Check{
		nothingLost("the defaults, a killed process", "default", "kill9"),
		nothingLost("the defaults, a power loss", "default", "power-loss"),
		nothingLost("synchronous_commit off, a killed process", "async", "kill9"),
		nothingLost("synchronous_commit off, a power loss", "async", "power-loss"),
		within("synchronous_commit off, a killed process, when 3 × wal_writer_delay may go", "kill9"),
		within("synchronous_commit off, a power loss, when 3 × wal_writer_delay may go", "power-loss"),
		nothingLost("fsync off, a killed process", "fsync-off", "kill9"),
		nothingLost("fsync off, a power loss", "fsync-off", "power-loss"),
	},
}

func variant(name, about, fsync, synchronous string) bench.Variant {
	return bench.Variant{
		Name: name, About: about, Config: Config{Pool: 16},
		Engines: []bench.EngineSpec{{Name: "postgres", Settings: map[string]string{"fsync": fsync, "synchronous_commit": synchronous}}},
	}
}

func crash(f chaos.Fault) []bench.Phase {
	r := bench.PerSecond(rate)
	return []bench.Phase{
		{Name: "load", For: 8 * units.Second, Quick: 2500 * units.Millisecond, Rate: r, Judged: true},
		{Name: "down", For: units.Second, Quick: 300 * units.Millisecond, Rate: r, Faults: chaos.Faults{f}},
		{Name: "returned", For: units.Second, Quick: 400 * units.Millisecond, Rate: r},
	}
}

func audited(number string) bench.Query { return bench.Query{Metric: "audit", Name: number} }

func nothingLost(when, variant, level string) bench.Check {
	return bench.Check{
		Claim: "db/relational#14", When: when, Text: variant + ": no acknowledged commit is lost",
		Of: audited(bench.AuditLost).In(variant, level), Rel: bench.AtMost, Bound: 0, MinOps: 100, Never: true, ControlFails: true,
	}
}

func within(when, level string) bench.Check {
	return bench.Check{
		Claim: "db/relational#14", When: when, Text: "async: what is lost is at most three times wal_writer_delay",
		Of: audited(bench.AuditLostS).In("async", level), Rel: bench.AtMost, Bound: asyncWindow, MinOps: 100, Never: true,
	}
}
