package queue

import (
	"shakedown/bench"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

// fifoRate keeps one consumer half idle: a job takes 9 ms on average.
const fifoRate = 50

var fifo = bench.Experiment{
	Name:     "async/queue/order",
	Question: "Are jobs done in the order in which they were accepted?",
	Note: "A job is overtaken when the effect of another is there first that was sent only after this one had been acknowledged. Every fifth job " +
		"takes 25 ms, all others 5 ms. Nothing is broken: order goes by itself.",
	Engines: effects, Backends: workers,
	Variants: []bench.Variant{
		{Name: "1-consumer", About: "one job at a time, none is tried again", Config: inOrder(1, 1, 0)},
		{Name: "4-consumers", About: "four jobs at a time", Config: inOrder(4, 1, 0)},
		{Name: "retries", About: "one job at a time; every tenth fails at first and is tried again", Config: inOrder(1, 1, 10)},
		{Name: "retries-prefetch", About: "likewise, and ten jobs are fetched ahead", Config: inOrder(1, 10, 10), Full: true},
	},
	Factor: "broker", Levels: brokers(redisBroker, postgresBroker),
	Workload: jobs(),
	Phases: []bench.Phase{
		{Name: "load", For: 6 * units.Second, Quick: 3 * units.Second, Rate: bench.PerSecond(fifoRate), Judged: true},
	},
	Columns: []bench.Column{
		{Title: "jobs", Of: crash.Audited(bench.AuditOrdered)},
		{Title: "overtaken", Of: crash.Audited(bench.AuditOvertaken)},
	},
	Checks: fifoChecks(),
}

func inOrder(consumers, prefetch int, flaky int64) Config {
	return with(func(c *Config) {
		c.Consumers, c.Prefetch, c.Flaky, c.Work, c.Uneven = consumers, prefetch, flaky, 5*units.Millisecond, true
	})
}

func fifoChecks() []bench.Check {
	var checks []bench.Check
	for _, broker := range []string{redisBroker, postgresBroker, natsBroker, rabbitBroker} {
		inOrder := func(when, variant string) bench.Check {
			return bench.Check{
				Claim: id + "3", When: when, Text: broker + ", " + variant + ": no job is overtaken",
				Of: crash.Audited(bench.AuditOvertaken).In(variant, broker), Rel: bench.AtMost, Bound: 0, MinOps: 50, Never: true,
			}
		}
		checks = append(checks, inOrder("", "4-consumers"), inOrder("one consumer, one job at a time, no retry", "1-consumer"),
			inOrder("one consumer, with retries, "+broker, "retries"))
	}
	return checks
}
