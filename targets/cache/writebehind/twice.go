package writebehind

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

// The moments.
const (
	midFlush    = "mid-flush"
	afterCommit = "after-commit"
)

var twice = bench.Experiment{
	Name:     "cache/write-behind/twice",
	Question: "What does a crash in the middle of a flush do?",
	Note: "The service is killed at two moments: while a batch is being written (its statement is held up on its way), and after the database has " +
		"committed a batch and before the service knows (the acknowledgement is withheld). It is started again, and flushes what its queue still " +
		"holds. Look at what is lost in the one case, and at what is there twice in the other.",
	Engines: engines(nil),
	Variants: []bench.Variant{
		through(),
		{Name: "list-pop", About: "a list in Redis; a batch leaves it before it is written", Config: base(queuePop, flushAdditive)},
		{Name: "additive", About: "a list in Redis; a batch leaves it after it is written, rows are inserted and counters added to", Config: base(queueList, flushAdditive)},
		{Name: "absolute", About: "dirty entries of a cache; rows and counters are set to what they hold", Config: base(queueDirty, flushAbsolute)},
		{Name: "idempotent", About: "a stream in Redis; the database remembers the events", Config: base(queueStream, flushIdempotent)},
	},
	Factor: "when the service is killed",
	Levels: []bench.Level{
		{
			Name: midFlush, About: "while a batch is being written", Variants: []string{"through", "list-pop", "idempotent"},
			Phases: killedDuring(&chaos.PostgresDelay{Link: "service→postgres", Statement: "(?i)^insert into shakedown_wb_orders", Delay: 2 * units.Second}),
		},
		{
			Name: afterCommit, About: "when a batch is committed, and the service does not know", Variants: []string{"through", "additive", "absolute", "idempotent"},
			Phases: killedDuring(&chaos.CommitAckLost{Link: "service→postgres", Then: chaos.LostByHold, Autocommit: true, Pick: chaos.Pick{Nth: 1}}),
		},
	},
	Workload: writes(),
	Phases:   killedDuring(nil),
	Columns: []bench.Column{
		crash.Column("acknowledged", bench.AuditAcked), crash.Column("lost", bench.AuditLost), crash.Column("doubled", bench.AuditDoubled),
		crash.Column("money lost", auditMissing), crash.Column("money booked twice", auditTwice),
	},
	Checks: []bench.Check{
		some("cache/write-behind#2", "", "list-pop", midFlush, bench.AuditLost, "acknowledged writes are lost"),
		crash.Never("cache/write-behind#6", "", "additive", afterCommit, bench.AuditDoubled, "no write is booked twice"),
		crash.Never("cache/write-behind#11", "", "absolute", afterCommit, bench.AuditDoubled, "no write is booked twice"),
		crash.Never("cache/write-behind#11", "", "absolute", afterCommit, bench.AuditLost, "no acknowledged write is lost"),
		crash.Never("cache/write-behind#11", "", "idempotent", afterCommit, bench.AuditDoubled, "no write is booked twice"),
		crash.Never("cache/write-behind#11", "", "idempotent", afterCommit, bench.AuditLost, "no acknowledged write is lost"),
		crash.Never("cache/write-behind#11", "", "idempotent", midFlush, bench.AuditLost, "no acknowledged write is lost"),
		some("cache/write-behind#9", "", "list-pop", midFlush, auditMissing, "money is lost"),
		some("cache/write-behind#9", "", "additive", afterCommit, auditTwice, "money is booked twice"),
	},
}

// killedDuring are phases in which the service is killed 400 ms after the fault has landed, when at least one flush has met it.
func killedDuring(f chaos.Fault) []bench.Phase {
	load := bench.Phase{Name: "load", For: 3 * units.Second, Rate: bench.PerSecond(rate), Judged: true}
	if f != nil {
		load.Schedule = []bench.Entry{
			{Name: "held", Faults: chaos.Faults{f}, At: bench.Exactly(800 * units.Millisecond), For: bench.Exactly(900 * units.Millisecond)},
			{
				Faults: chaos.Faults{&chaos.Kill{Process: "service-0"}}, After: "held", At: bench.Exactly(400 * units.Millisecond),
				For: bench.Exactly(100 * units.Millisecond),
			},
		}
	}
	return []bench.Phase{load, {Name: "returned", For: 300 * units.Millisecond, Rate: bench.PerSecond(rate)}}
}
