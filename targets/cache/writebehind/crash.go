package writebehind

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

// The service is killed every crashEvery on average, for crashLength. It is queueEvery that its memory holds.
const (
	crashEvery  = 1200 * units.Millisecond
	crashLength = 5 * units.Second
	memoryEvery = 500 * units.Millisecond
)

var crashes = bench.Experiment{
	Name:     "cache/write-behind/crash",
	Question: "What does a crash of the service take of the writes it has acknowledged?",
	Note: "Orders, each with a key of its own, and increments of counters are acknowledged once they are in a queue. The service is killed at random " +
		"moments and started again, or asked to end. When nothing moves any more, an audit compares every acknowledged write with the database. " +
		"The database is 2 ms away.",
	Engines: engines(nil),
	Variants: []bench.Variant{
		through(),
		{Name: "memory", About: "in the memory of the service, flushed every 500 ms", Config: base(queueMemory, flushAdditive).every(memoryEvery)},
		{Name: "memory-100ms", About: "in the memory of the service, flushed every 100 ms", Config: base(queueMemory, flushAdditive), Full: true},
		{Name: "list-pop", About: "a list in Redis; a batch leaves it before it is written", Config: base(queuePop, flushAdditive), Full: true},
		{Name: "stream", About: "a stream in Redis with a consumer group; the database remembers the events", Config: base(queueStream, flushIdempotent)},
	},
	Factor: "what happens",
	Levels: []bench.Level{
		{Name: "killed", About: "the service is killed every 1.2 s", Phases: killedOften()},
		{
			Name: "ended", About: "the service is asked to end, once", Variants: []string{"memory"},
			Phases: crash.Phases(rate, &chaos.Terminate{Process: "service-0"}),
		},
	},
	Network:  near,
	Workload: writes(),
	Phases:   killedOften(),
	Columns: []bench.Column{
		crash.Column("acknowledged", bench.AuditAcked), crash.Column("lost", bench.AuditLost), crash.Column("doubled", bench.AuditDoubled),
		crash.Column("money lost", auditMissing),
		{Title: "counters off by", Of: crash.Audited(auditError)},
		{Title: "answer, median", Unit: "ms", Of: bench.Query{Phase: "load", Metric: "answer_ms", Stat: "p50"}},
	},
	Checks: []bench.Check{
		some("cache/write-behind#2", "the service is killed", "memory", "killed", bench.AuditLost, "acknowledged writes are lost"),
		crash.Never("cache/write-behind#2", "the service ends in order, which loses none", "memory", "ended", bench.AuditLost, "no acknowledged write is lost"),
		{
			Claim: "cache/write-behind#4", Text: "memory: the counters are off by at most flush interval × crashes per second",
			Of: crash.Audited(auditError).In("memory", "killed"), Rel: bench.AtMost, Bound: memoryEvery.Seconds() / crashEvery.Seconds(), MinOps: 100, Never: true,
		},
		some("cache/write-behind#9", "", "memory", "killed", auditMissing, "money is lost"),
		crash.Never("cache/write-behind#14", "", "stream", "killed", bench.AuditLost, "no acknowledged write is lost"),
		crash.Never("cache/write-behind#14", "", "stream", "killed", bench.AuditDoubled, "no write is booked twice"),
	},
}

// killedOften are phases in which the service is killed every crashEvery, give or take a third.
func killedOften() []bench.Phase {
	return []bench.Phase{
		{
			Name: "load", For: crashLength, Rate: bench.PerSecond(rate), Judged: true,
			Schedule: []bench.Entry{{
				Name: "crash", Faults: chaos.Faults{&chaos.Kill{Process: "service-0"}}, For: bench.Exactly(100 * units.Millisecond),
				At:    bench.Bounds{From: 700 * units.Millisecond, To: 1100 * units.Millisecond},
				Every: bench.Bounds{From: crashEvery * 2 / 3, To: crashEvery * 4 / 3},
			}},
		},
		{Name: "returned", For: 500 * units.Millisecond, Rate: bench.PerSecond(rate)},
	}
}
