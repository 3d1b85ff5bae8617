package writebehind

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

var outage = bench.Experiment{
	Name:     "cache/write-behind/outage",
	Question: "What becomes of acknowledged writes when the database is down, or refuses one of them?",
	Note: "At one level the database is killed and comes back; at the other it is well, and every hundredth write is one that it refuses: its amount " +
		"violates a constraint that the service does not know. Without a queue the user is told of either. Look at what is lost, at what is stuck in " +
		"the queue at the end, and at how large the backlog grew.",
	Engines: engines(kept("everysec")),
	Variants: []bench.Variant{
		through(),
		{Name: "no-retry", About: "a stream; a batch that fails is dropped", Config: base(queueStream, flushIdempotent).retrying(retryNever, 0)},
		{Name: "retry", About: "a stream; a batch that fails is tried until it succeeds", Config: base(queueStream, flushIdempotent)},
		{
			Name: "dead-letters", About: "a stream; a batch that fails is set aside, and a write that is refused three times becomes a dead letter",
			Config: base(queueStream, flushIdempotent).retrying(retryLater, 3),
		},
		{Name: "memory", About: "in the memory of the service; a batch that fails is tried until it succeeds", Config: base(queueMemory, flushAdditive), Full: true},
	},
	Factor: "what happens",
	Levels: []bench.Level{
		{
			Name: "database-down", About: "PostgreSQL is killed, and comes back after 30 s", Variants: []string{"through", "no-retry", "retry", "dead-letters", "memory"},
			Phases: down(),
		},
		{
			Name: "poison", About: "one write in a hundred violates a constraint", Variants: []string{"through", "retry", "no-retry", "dead-letters"},
			Config: map[string]any{"poison": 50},
			Phases: []bench.Phase{{Name: "load", For: 8 * units.Second, Quick: 2 * units.Second, Rate: bench.PerSecond(rate), Judged: true}},
		},
	},
	Workload: writes(),
	Phases:   down(),
	Columns: []bench.Column{
		crash.Column("acknowledged", bench.AuditAcked),
		{Title: "answered", Of: bench.Query{Metric: "ok"}},
		crash.Column("lost", bench.AuditLost), crash.Column("stuck", auditStuck), crash.Column("dead letters", auditDead), crash.Column("doubled", bench.AuditDoubled),
		{Title: "late", Unit: "s", Of: crash.Audited(auditLateS)},
		{Title: "largest backlog", Of: bench.Query{Metric: "series", Name: "shakedown_backlog_events", Stat: "max"}},
		{Title: "largest Redis", Unit: "B", Of: bench.Query{Metric: "series", Name: "shakedown_redis_used_memory_bytes", Stat: "max"}},
		{Title: "largest service", Unit: "B", Of: bench.Query{Metric: "series", Name: `process_resident_memory_bytes{role="service"}`, Stat: "max"}},
	},
	Checks: []bench.Check{
		some("cache/write-behind#5", "the database is down, without retries", "no-retry", "database-down", bench.AuditLost, "acknowledged writes are lost"),
		crash.Never("cache/write-behind#5", "the database is down, with retries", "retry", "database-down", bench.AuditLost, "no acknowledged write is lost"),
		crash.Never("cache/write-behind#5", "the database is down, with retries", "dead-letters", "database-down", bench.AuditLost, "no acknowledged write is lost"),
		some("cache/write-behind#5", "a write is refused, with retries alone", "retry", "poison", auditStuck, "acknowledged writes are stuck behind it"),
		some("cache/write-behind#5", "a write is refused, without retries", "no-retry", "poison", bench.AuditLost, "acknowledged writes are lost with it"),
		some("cache/write-behind#5", "a write is refused, with dead letters", "dead-letters", "poison", auditDead, "refused writes are dead letters"),
		crash.Never("cache/write-behind#5", "a write is refused, with dead letters", "dead-letters", "poison", auditStuck, "nothing is stuck"),
		crash.Never("cache/write-behind#5", "a write is refused, with dead letters", "dead-letters", "poison", bench.AuditLost, "no acknowledged write is lost"),
	},
}

// down are phases in whose midst the database is gone.
func down() []bench.Phase {
	r := bench.PerSecond(rate)
	return []bench.Phase{
		{Name: "before", For: 3 * units.Second, Quick: units.Second, Rate: r, Judged: true},
		{Name: "down", For: 30 * units.Second, Quick: 2 * units.Second, Rate: r, Faults: chaos.Faults{&chaos.Kill{Process: "postgres"}}, Judged: true},
		{Name: "after", For: 5 * units.Second, Quick: units.Second, Rate: r, Judged: true},
	}
}
