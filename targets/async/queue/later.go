package queue

import (
	"fmt"

	"shakedown/bench"
	"shakedown/internal/units"
)

const (
	laterRate  = 40
	laterDelay = 500 * units.Millisecond
	// laterOften and laterSeldom are how often it is looked for jobs that are due.
	laterOften  = 50 * units.Millisecond
	laterSeldom = units.Second
	// onTime is what a job may be late by.
	onTime = 0.25
)

// The variants of laterExperiment, and what its levels are called after their broker.
const (
	often  = "50ms"
	seldom = "1s"

	manyLater    = "-100000-later"
	millionLater = "-1000000-later"
	atOnce       = "-400-at-once"
)

var laterExperiment = bench.Experiment{
	Name:     "async/queue/later",
	Question: "How late are jobs that are scheduled for a time?",
	Note: "Every job is due half a second after it was accepted. In Redis it waits in a sorted set until the worker looks and moves it to the stream, " +
		"in PostgreSQL in the table, by an index on when it is due. Others wait too: for an hour later, or for the same moment.",
	Engines: effects, Backends: workers,
	Variants: []bench.Variant{
		{Name: often, About: "it is looked every 50 ms for jobs that are due", Config: scheduled(laterOften)},
		{Name: seldom, About: "every second", Config: scheduled(laterSeldom)},
	},
	Factor: "where jobs wait, and with what others", Levels: append(laterLevels(redisBroker), laterLevels(postgresBroker)...),
	Workload: jobs(),
	Phases: []bench.Phase{
		{Name: "load", For: 6 * units.Second, Quick: 3 * units.Second, Rate: bench.PerSecond(laterRate), Judged: true},
	},
	Columns: []bench.Column{
		{Title: "late by, mean", Unit: "s", Of: bench.Query{Metric: "span", Name: "late", Stat: "value_mean"}},
		{Title: "late by, most", Unit: "s", Of: latest},
		{Title: "jobs begun", Of: bench.Query{Metric: "span", Name: "late", Stat: "count"}},
	},
	Checks: laterChecks(),
}

const hour = 3600 * units.Second

var latest = bench.Query{Metric: "span", Name: "late", Stat: "value_max"}

func scheduled(poll units.Duration) Config {
	return with(func(c *Config) {
		c.Consumers, c.Prefetch, c.Work, c.Delay, c.Poll = 4, 1, 10*units.Millisecond, laterDelay, poll
	})
}

// laterLevels are a broker in which nothing else waits, or many jobs for later, or some for the same moment.
func laterLevels(broker string) []bench.Level {
	level := func(name, about string, full bool, jobs int, in units.Duration, variants ...string) bench.Level {
		l := bench.Level{Name: broker + name, About: about, Full: full, Variants: variants, Config: map[string]any{"broker": broker}}
		if broker == redisBroker {
			l.Engines = []bench.EngineSpec{{Name: redisBroker}}
		}
		if jobs > 0 {
			l.Config["backlog"], l.Config["backlog_due"] = jobs, in
		}
		return l
	}
	return []bench.Level{
		level("", "nothing else", false, 0, 0),
		level(manyLater, "100 000 jobs for an hour later", false, 100_000, hour, often),
		level(millionLater, "1 000 000 jobs for an hour later", true, 1_000_000, hour, often),
		level(atOnce, "400 jobs for one moment, as the load begins or before", false, 400, laterDelay, often),
	}
}

func laterChecks() []bench.Check {
	var checks []bench.Check
	punctual := func(when, variant, level string) {
		checks = append(checks, bench.Check{
			Claim: id + "10", When: when, Text: fmt.Sprintf("%s, looked for every %s: no job is late by more than 250 ms", level, variant), Unit: "s",
			Of: latest.In(variant, level), Rel: bench.AtMost, Bound: onTime, MinOps: 50,
		})
	}
	for _, broker := range []string{redisBroker, postgresBroker} {
		punctual("looked for every 50 ms", often, broker)
		punctual("looked for every second", seldom, broker)
		punctual("looked for every 50 ms, among 100 000 that are due later", often, broker+manyLater)
		punctual("looked for every 50 ms, among 1 000 000 that are due later", often, broker+millionLater)
		punctual("looked for every 50 ms, with 400 that are due at once", often, broker+atOnce)
	}
	return checks
}
