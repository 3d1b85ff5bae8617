package writebehind

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

// streamEvery is long enough for a second of writes to be in Redis and not yet in the database.
const streamEvery = units.Second

// twoSeconds is what an append-only file that is synced once a second may lose: redis.conf says one, and that Redis waits for up to two
// when an fsync takes long.
const twoSeconds = 2

var persistence = bench.Experiment{
	Name:     "cache/write-behind/persistence",
	Question: "What does a crash of Redis take of a write-behind queue?",
	Note: "Writes wait in a stream in Redis for up to a second until they are flushed. Redis is killed, or its machine loses its power, which takes " +
		"what was not synced to its disk; it is started again, and what is left of the stream is flushed.",
	Engines: []bench.EngineSpec{{Name: "postgres"}, {Name: "redis", Disk: true}},
	Variants: []bench.Variant{
		through(),
		inStream("none", "no persistence", nil),
		inStream("everysec", "append-only file, fsync once a second", kept("everysec")),
		inStream("always", "append-only file, fsync before the answer", kept("always")),
	},
	Factor: "what happens",
	Levels: []bench.Level{
		{Name: "kill9", About: "Redis is killed", Variants: []string{"through", "none", "everysec"}, Phases: crash.Phases(rate, &chaos.Kill{Process: "redis"})},
		{
			Name: "power-loss", About: "the machine of Redis loses its power", Variants: []string{"through", "everysec", "always"},
			Phases: crash.Phases(rate, &chaos.PowerLoss{Process: "redis"}),
		},
	},
	Workload: writes(),
	Phases:   crash.Phases(rate, &chaos.Kill{Process: "redis"}),
	Columns: []bench.Column{
		crash.Column("acknowledged", bench.AuditAcked), crash.Column("lost", bench.AuditLost),
		{Title: "span of lost orders", Unit: "s", Of: crash.Audited(bench.AuditLostS)},
		crash.Column("stuck", auditStuck), crash.Column("doubled", bench.AuditDoubled), crash.Column("money lost", auditMissing),
		{Title: "answer, median", Unit: "ms", Of: bench.Query{Phase: "load", Metric: "answer_ms", Stat: "p50"}},
	},
	Checks: []bench.Check{
		some("cache/write-behind#2", "Redis keeps nothing, and is killed", "none", "kill9", bench.AuditLost, "acknowledged writes are lost"),
		lostWithin("Redis keeps nothing, and is killed", "none", "kill9", "what is lost is at most a flush interval of writes", streamEvery.Seconds()*1.2),
		lostWithin("the power fails, fsync once a second", "everysec", "power-loss", "what is lost is at most two seconds of writes", twoSeconds),
		some("cache/write-behind#9", "", "none", "kill9", auditMissing, "money is lost"),
		crash.Never("cache/write-behind#14", "", "always", "power-loss", bench.AuditLost, "no acknowledged write is lost"),
		crash.Never("cache/write-behind#14", "", "always", "power-loss", bench.AuditDoubled, "no write is booked twice"),
	},
}

func inStream(name, about string, settings map[string]string) bench.Variant {
	return bench.Variant{
		Name: name, About: about, Config: base(queueStream, flushIdempotent).every(streamEvery),
		Engines: []bench.EngineSpec{{Name: "redis", Settings: settings}},
	}
}

func lostWithin(when, variant, level, text string, seconds float64) bench.Check {
	return crash.LostWithin("cache/write-behind#2", when, variant, level, text, seconds)
}
