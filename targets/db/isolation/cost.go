package isolation

import (
	"shakedown/bench"
	"shakedown/internal/units"
)

var costExperiment = bench.Experiment{
	Name:     "db/isolation/cost",
	Question: "What does it cost to be correct, and where?",
	Note: "Every variant keeps every update that it acknowledges, each by other means. Eight users wait for their answers and ask again: at once where " +
		"they contend, so that the row is what limits them, and after a thought where they do not. Between the statements of a transaction the " +
		"application works for 2 ms.",
	Engines: []bench.EngineSpec{{Name: onPostgres}},
	Variants: []bench.Variant{
		guarded("for-update", "read committed, select … for update", readCommitted, lockGuard, 0, 0),
		guarded("atomic", "read committed, one statement", readCommitted, atomicGuard, 0, 0),
		guarded("repeatable-read", "repeatable read, tried again with jitter", repeatableRead, noGuard, retries, backoff),
		guarded("serializable", "serializable, tried again with jitter", serializable, noGuard, retries, backoff),
		guarded("serializable-no-retry", "serializable, never tried again", serializable, noGuard, 0, 0),
		guarded("serializable-at-once", "serializable, tried again at once, without bound", serializable, noGuard, -1, 0),
	},
	Factor: "contention",
	Levels: []bench.Level{
		{Name: "spread", About: "1000 counters, users who think for 50 ms", Config: map[string]any{"keys": 1000}, Closed: &bench.Closed{Users: 8, Think: 50 * units.Millisecond}},
		{Name: "hot", About: "one counter", Config: map[string]any{"keys": 1}, Closed: &bench.Closed{Users: 8}},
		{
			Name: "pair", About: "two doctors: conflicts between two rows, of which each transaction writes one or none",
			Variants: []string{"for-update", "serializable", "serializable-no-retry", "serializable-at-once"},
			Config:   map[string]any{"workload": writeSkew, "keys": 1}, Closed: &bench.Closed{Users: 8},
		},
	},
	Workload: drawn(250 * units.Millisecond),
	Phases: []bench.Phase{
		{Name: "warmup", For: units.Second, Quick: 300 * units.Millisecond},
		{Name: "load", For: 6 * units.Second, Quick: 1900 * units.Millisecond, Judged: true},
	},
	Columns: []bench.Column{
		{Title: "goodput", Unit: "1/s", Of: costOf("goodput_per_s", "", "")},
		{Title: "failed", Of: costOf("failed", "", "")},
		{Title: "transactions per request", Of: costOf("amplification", "", onPostgres)},
		{Title: "median answer", Unit: "ms", Of: costOf("answer_ms", "p50", "")},
		{Title: "p99 response", Unit: "ms", Of: costOf("response_ms", "p99", "")},
		{Title: "updates lost", Unit: "found", Of: audited(bench.AuditViolations)},
	},
	Checks: []bench.Check{
		slower("db/isolation#7", "conflicts are rare", "at serializable the goodput is lower by a tenth at least", "spread", 0.9),
		slower("db/isolation#7", "all write one row", "at serializable the goodput is lower by a tenth at least", "hot", 0.9),
		slower("db/isolation#8", "all write one row", "serializable serves less than half of what locks serve", "hot", 0.5),
		slower("db/isolation#8", "conflicts are between rows", "serializable serves less than half of what locks serve", "pair", 0.5),
		{
			Claim: "db/isolation#11", Text: "without retries more than 5 % of users see an error on a hot row", Of: costOf("failed", "", "").In("serializable-no-retry", "hot"),
			Rel: bench.AtLeast, Bound: 0.05,
		},
		{
			Claim: "db/isolation#11", Text: "with retries and jitter fewer than 1 % do", Of: costOf("failed", "", "").In("serializable", "hot"),
			Rel: bench.AtMost, Bound: 0.01,
		},
		{
			Claim: "db/isolation#11", Text: "tried again at once, a request takes half as many transactions again as with jitter",
			Of:     costOf("amplification", "", onPostgres).In("serializable-at-once", "hot"),
			Versus: new(costOf("amplification", "", onPostgres).In("serializable", "hot")), Rel: bench.AtLeast, Bound: 1.5,
		},
	},
}

// guarded is a variant that counts, kept correct by a level or by a guard.
func guarded(name, about, level, guard string, tries int, wait units.Duration) bench.Variant {
	c := counting(level, guard, tries)
	c.Pause, c.Backoff = 2*units.Millisecond, wait
	return bench.Variant{Name: name, About: about, Config: c}
}

func costOf(metric, stat, name string) bench.Query {
	return bench.Query{Phase: "load", Metric: metric, Stat: stat, Name: name}
}

// slower asserts that the goodput at serializable is at most a part of that with locks.
func slower(claim, when, text, level string, most float64) bench.Check {
	versus := costOf("goodput_per_s", "", "").In("for-update", level)
	return bench.Check{
		Claim: claim, When: when, Text: text, Of: costOf("goodput_per_s", "", "").In("serializable", level), Versus: &versus, Rel: bench.AtMost, Bound: most,
	}
}
