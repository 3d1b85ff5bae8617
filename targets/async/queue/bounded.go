package queue

import (
	"slices"

	"shakedown/bench"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

const (
	// boundedRate is three times what the one consumer can do.
	boundedRate = 150
	boundedTo   = 30
	// boundedAge is twice what a full queue takes the consumer.
	boundedAge = 1.25
)

var bounded = bench.Experiment{
	Name:     "async/queue/bounded",
	Question: "A consumer is too slow for its load: who loses what, with and without a limit on the length of the queue?",
	Note: "One consumer does 50 jobs a second, and 150 a second come. After the load it goes on until the audit finds that nothing has moved for a " +
		"while, or all is done. Read what was lost although it was acknowledged, and what was refused.",
	Engines: effects, Backends: workers,
	Variants: []bench.Variant{
		{Name: "unbounded", About: "no limit", Config: slow("")},
		{Name: "drop-oldest", About: "30 jobs; the oldest makes room for the new", Config: slow(dropOldest)},
		{Name: "refuse-new", About: "30 jobs; what is more is refused", Config: slow(refuseNew)},
	},
	Factor: "broker", Levels: boundedLevels(),
	Workload: jobs(),
	Phases: []bench.Phase{
		{Name: "load", For: 5 * units.Second, Quick: 2500 * units.Millisecond, Rate: bench.PerSecond(boundedRate), Judged: true},
	},
	Columns: []bench.Column{
		{Title: "acknowledged", Of: crash.Audited(bench.AuditAcked)},
		{Title: "lost", Of: crash.Audited(bench.AuditLost)},
		{Title: "refused", Unit: "share", Of: bench.Query{Phase: "load", Metric: "refused"}},
		{Title: "oldest job done", Unit: "s", Of: bench.Query{Metric: "span", Name: "done", Stat: "value_max"}},
	},
	Checks: boundedChecks(),
}

func slow(overflow string) Config {
	return with(func(c *Config) {
		c.Consumers, c.Prefetch, c.Work, c.Overflow = 1, 1, 20*units.Millisecond, overflow
		if overflow != "" {
			c.MaxLength = boundedTo
		}
	})
}

// boundedLevels leave PostgreSQL out, whose tables have no length.
func boundedLevels() []bench.Level {
	return slices.DeleteFunc(brokers(redisBroker, natsBroker), func(l bench.Level) bool { return l.Name == postgresBroker })
}

func boundedChecks() []bench.Check {
	var checks []bench.Check
	for _, broker := range []string{redisBroker, natsBroker, rabbitBroker} {
		checks = append(checks,
			noneLost("11", "at the limit the oldest job is dropped", "drop-oldest", broker, false),
			noneLost("11", "at the limit the new job is refused", "refuse-new", broker, false),
			bench.Check{
				Claim: id + "11", When: "at the limit the new job is refused", Text: broker + ", refuse-new: no job is older than 1.25 s when it is done",
				Of: bench.Query{Variant: "refuse-new", Level: broker, Metric: "span", Name: "done", Stat: "value_max"}, Rel: bench.AtMost, Bound: boundedAge, ControlFails: true,
			})
	}
	return checks
}
