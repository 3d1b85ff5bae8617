package queue

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

const (
	orderRate = 150
	// orderAway is the distance to the database: as long is a commit over there before the producer knows of it, and has enqueued nothing.
	orderAway = 30 * units.Millisecond
)

var outboxExperiment = bench.Experiment{
	Name:     "async/queue/outbox",
	Question: "An order is committed to a database and its job enqueued: what is left when the producer dies in between?",
	Note: "Every request commits an order in PostgreSQL, 30 ms away, and enqueues its job. In the midst of the load the producer is " +
		"killed and started again. When nothing moves any more, committed orders are compared with jobs: an order without one is never worked " +
		"on, a job without an order is a ghost.",
	Engines: effects, Backends: workers,
	Variants: []bench.Variant{
		{Name: commitEnqueue, About: "the order is committed, then the job is enqueued", Config: ordered(commitEnqueue, redisBroker)},
		{Name: enqueueCommit, About: "the job is enqueued, then the order is committed", Config: ordered(enqueueCommit, redisBroker)},
		{Name: outbox, About: "the job is committed with the order, and a relay enqueues it", Config: ordered(outbox, redisBroker)},
		{Name: inDatabase, About: "the queue is a table, and the job is committed with the order", Config: ordered(inDatabase, postgresBroker)},
	},
	Factor: "where the queue is",
	Levels: []bench.Level{
		{
			Name: redisBroker, About: "in Redis, beside the database", Variants: []string{commitEnqueue, enqueueCommit, outbox},
			Engines: []bench.EngineSpec{{Name: redisBroker}},
		},
		{Name: postgresBroker, About: "in the database", Variants: []string{inDatabase}},
	},
	Workload: jobs(),
	Phases:   struck(orderRate, &chaos.Kill{Process: bench.ServiceRole}),
	Network:  distant(postgresBroker, orderAway),
	Columns: []bench.Column{
		{Title: "acknowledged", Of: crash.Audited(bench.AuditAcked)},
		{Title: "orders without a job", Of: crash.Audited(auditNoJob)},
		{Title: "ghosts", Of: crash.Audited(auditGhost)},
		{Title: "done twice", Of: crash.Audited(bench.AuditDoubled)},
		{Title: "answer, median", Unit: "ms", Of: bench.Query{Phase: "load", Metric: "answer_ms", Stat: "p50"}},
	},
	Checks: []bench.Check{
		noOrder("", commitEnqueue, auditNoJob, "every committed order has its job", false),
		noOrder("enqueued before the commit", enqueueCommit, auditGhost, "every job has its order", false),
		noOrder("an outbox", outbox, auditNoJob, "every committed order has its job", true),
		noOrder("an outbox", outbox, auditGhost, "every job has its order", false),
		noOrder("a queue in the same database", inDatabase, auditNoJob, "every committed order has its job", false),
		noOrder("a queue in the same database", inDatabase, auditGhost, "every job has its order", false),
	},
}

func ordered(how, broker string) Config {
	return with(func(c *Config) { c.Order, c.Broker = how, broker })
}

func noOrder(when, variant, number, text string, controlFails bool) bench.Check {
	level := redisBroker
	if variant == inDatabase {
		level = postgresBroker
	}
	return bench.Check{
		Claim: id + "14", When: when, Text: variant + ": " + text,
		Of: crash.Audited(number).In(variant, level), Rel: bench.AtMost, Bound: 0, MinOps: 100, Never: true, ControlFails: controlFails,
	}
}
