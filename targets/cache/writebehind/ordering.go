package writebehind

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

// statuses are overwritten often: each of 300 keys about once a second, and failed batches come back after half a second.
var statuses = bench.Op{Name: "status", Method: "PUT", Path: "/status/{key}", Keys: bench.Keys{Dist: "uniform", N: 300}}

var ordering = bench.Experiment{
	Name:     "cache/write-behind/order",
	Question: "Is a newer write overwritten by an older one that was tried again?",
	Note: "Each request overwrites the status of one of 300 keys. One transaction of the flusher in three fails with a serialization error. " +
		"A batch that failed is tried again before any other, or set aside for half a second while others go on.",
	Engines: engines(nil),
	Variants: []bench.Variant{
		through(),
		{Name: "in-order", About: "a stream; a batch that fails is tried until it succeeds", Config: base(queueStream, flushIdempotent)},
		{Name: "later", About: "a stream; a batch that fails is set aside", Config: setAside(false)},
		{Name: "later-versioned", About: "the same, and a status is overwritten by a newer one only", Config: setAside(true)},
	},
	Workload: bench.Workload{Ops: []bench.Op{statuses}, SLO: 250 * units.Millisecond, Timeout: 3 * units.Second},
	Phases: []bench.Phase{
		{
			Name: "load", For: 6 * units.Second, Quick: 4 * units.Second, Rate: bench.PerSecond(rate), Judged: true,
			Faults: chaos.Faults{&chaos.PostgresError{
				Link: "service→postgres", Statement: "(?i)^insert into shakedown_wb_statuses", SQLState: "40001", Pick: chaos.Pick{Every: 3},
			}},
		},
	},
	Columns: []bench.Column{
		crash.Column("acknowledged", bench.AuditAcked), crash.Column("statuses overwritten", auditOverwritten),
		{Title: "answered", Of: bench.Query{Metric: "ok"}},
		{Title: "failed flushes", Of: bench.Query{Metric: "series", Name: "shakedown_flush_failures_total", Stat: "increase"}},
	},
	Checks: []bench.Check{
		crash.Never("cache/write-behind#8", "", "later", "", auditOverwritten, "no newer status is overwritten by an older one"),
		crash.Never("cache/write-behind#13", "", "later-versioned", "", auditOverwritten, "no newer status is overwritten by an older one"),
		crash.Never("cache/write-behind#13", "", "in-order", "", auditOverwritten, "no newer status is overwritten by an older one"),
	},
}

func setAside(versions bool) Config {
	c := base(queueStream, flushIdempotent).retrying(retryLater, 0)
	c.Pause, c.Versions = 500*units.Millisecond, versions
	return c
}
