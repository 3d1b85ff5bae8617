package queue

import (
	"shakedown/bench"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

const (
	// burstCapacity is what four workers do at most: 20 ms a job.
	burstCapacity = 200
	// burstUsual is the load before and after, of which burstTimes is the burst.
	burstUsual = 50
	burstTimes = 10
	// sustainedTimes the capacity come for long.
	sustainedTimes = 1.2
	// burstAge is how old a job may be when it is done, outside of the burst.
	burstAge = 0.25
)

// The levels of burstExperiment.
const (
	aBurst    = "burst"
	sustained = "sustained"
)

var burstExperiment = bench.Experiment{
	Name:     "async/queue/burst",
	Question: "What does a queue do with a burst, and with more load than its workers can do for long?",
	Note: "Four workers do at most 200 jobs a second. A burst is ten times the usual 50, and is over; sustained overload is 240 a second, and " +
		"is not. The control does the job while the user waits, four at a time. Read what users are answered beside when their jobs are done.",
	Engines: append([]bench.EngineSpec{{Name: redisBroker}}, effects...), Backends: workers,
	Variants: []bench.Variant{
		{Name: "sync", About: "the user waits for the job", Config: fourWorkers(func(c *Config) { c.Sync = true })},
		{Name: "queue", About: "the user waits for a stream of Redis", Config: fourWorkers(func(*Config) {})},
	},
	Factor: "load",
	Levels: []bench.Level{
		{Name: aBurst, About: "50 a second, 500 for a while, 50", Phases: []bench.Phase{
			{Name: "usual", For: 2 * units.Second, Quick: units.Second, Rate: bench.PerSecond(burstUsual), Judged: true},
			{Name: "burst", For: 3 * units.Second, Quick: 1500 * units.Millisecond, Rate: bench.PerSecond(burstTimes * burstUsual), Judged: true},
			{Name: "after", For: 16 * units.Second, Quick: 7 * units.Second, Rate: bench.PerSecond(burstUsual), Judged: true},
		}},
		{Name: sustained, About: "240 a second", Phases: []bench.Phase{
			{Name: "overload", For: 15 * units.Second, Quick: 6 * units.Second, Rate: bench.PerSecond(sustainedTimes * burstCapacity), Judged: true},
		}},
	},
	Workload: jobs(),
	Phases:   []bench.Phase{{Name: "overload", For: 15 * units.Second, Quick: 6 * units.Second, Rate: bench.PerSecond(sustainedTimes * burstCapacity), Judged: true}},
	Columns: []bench.Column{
		{Title: "answered within 250 ms", Unit: "share", Of: bench.Query{Metric: "goodput"}},
		{Title: "response p99", Unit: "ms", Of: bench.Query{Metric: "response_ms", Stat: "p99"}},
		{Title: "oldest job done", Unit: "s", Of: bench.Query{Metric: "span", Name: "done", Stat: "value_max"}},
		{Title: "at the end", Unit: "s", Of: bench.Query{Phase: "after", Tail: burstTail, Metric: "span", Name: "done", Stat: "value_max"}, Levels: []string{aBurst}},
		{Title: "at the end", Unit: "s", Of: bench.Query{Phase: "overload", Tail: burstTail, Metric: "span", Name: "done", Stat: "value_max"}, Levels: []string{sustained}},
		{Title: "lost", Of: crash.Audited(bench.AuditLost)},
	},
	Checks: []bench.Check{
		{
			Claim: id + "1", When: "a burst", Text: "queue: 99 % of the users are answered within 250 ms, those of the burst too",
			Of: bench.Query{Variant: "queue", Level: aBurst, Phase: "burst", Metric: "goodput"}, Rel: bench.AtLeast, Bound: 0.99, ControlFails: true,
		},
		doneInTime("a burst", aBurst, "after"),
		noneLost("1", "a burst", "queue", aBurst, false),
		doneInTime("more load than the workers can do", sustained, "overload"),
	},
}

// burstTail is the end of a phase, when what the queue absorbs must have been absorbed.
const burstTail = 0.25

func fourWorkers(change func(*Config)) Config {
	return with(func(c *Config) {
		c.Consumers, c.Prefetch, c.Work = 4, 1, 20*units.Millisecond
		change(c)
	})
}

// doneInTime asserts that in the end no job waits any more.
func doneInTime(when, level, phase string) bench.Check {
	return bench.Check{
		Claim: id + "1", When: when, Text: "queue, " + level + ": in the end no job is older than 250 ms when it is done", Unit: "s",
		Of:  bench.Query{Variant: "queue", Level: level, Phase: phase, Tail: burstTail, Metric: "span", Name: "done", Stat: "value_max"},
		Rel: bench.AtMost, Bound: burstAge, MinOps: 50,
	}
}
