package queue

import (
	"fmt"

	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

// jobs is the workload: every request enqueues a job of its own.
func jobs() bench.Workload {
	w := crash.Writes()
	w.Ops = []bench.Op{{Name: "job", Method: "POST", Path: "/job/{key}", Keys: bench.Keys{Dist: "sequential", N: 1 << 60}}}
	return w
}

// workers is the process that consumes, built as the variant says.
var workers = []bench.Backend{{Role: workerRole, AsService: true}}

// effects is where jobs leave their mark, whatever the broker.
var effects = []bench.EngineSpec{{Name: postgresBroker}}

// At the deliveryRate 18 jobs are worked on at any time, on average: nine have had their effect, nine have not.
const (
	deliveryRate = 60
	deliveryWork = 300 * units.Millisecond
)

func careful() Config {
	return Config{Broker: redisBroker, Ack: ackAfter, Consumers: 8, Prefetch: 4, Work: 20 * units.Millisecond}
}

func with(change func(*Config)) Config {
	c := careful()
	change(&c)
	return c
}

// long is a configuration whose jobs take so long that a consumer has several when it is killed.
func long(change func(*Config)) Config {
	c := with(func(c *Config) { c.Consumers, c.Prefetch, c.Work = 24, 2, deliveryWork })
	change(&c)
	return c
}

// brokers are levels with a broker each.
func brokers(quick ...string) []bench.Level {
	about := map[string]string{
		redisBroker: "a stream with a group of consumers", postgresBroker: "a table, FOR UPDATE SKIP LOCKED",
		rabbitBroker: "a quorum queue of RabbitMQ", natsBroker: "a work queue of JetStream",
	}
	var levels []bench.Level
	for _, name := range []string{redisBroker, postgresBroker, natsBroker, rabbitBroker} {
		l := bench.Level{Name: name, About: about[name], Full: true, Config: map[string]any{"broker": name}}
		for _, q := range quick {
			l.Full = l.Full && q != name
		}
		if name != postgresBroker {
			l.Engines = []bench.EngineSpec{{Name: name}}
		}
		if name == rabbitBroker {
			l.Config["kind"] = rabbitQuorum
		}
		levels = append(levels, l)
	}
	return levels
}

// struck are the phases of a trial in whose midst a fault strikes.
func struck(rate float64, f ...chaos.Fault) []bench.Phase {
	r := bench.PerSecond(rate)
	return []bench.Phase{
		{Name: "load", For: 3 * units.Second, Quick: 1500 * units.Millisecond, Rate: r, Judged: true},
		{Name: "down", For: 500 * units.Millisecond, Quick: 300 * units.Millisecond, Rate: r, Faults: f},
		{Name: "returned", For: units.Second, Quick: 300 * units.Millisecond, Rate: r},
	}
}

var deliveryExperiment = bench.Experiment{
	Name:     "async/queue/delivery",
	Question: "What becomes of the jobs that a consumer has when it is killed?",
	Note: "Every request enqueues a job of its own, whose effect is a row in PostgreSQL, half way through the job. In the midst of the load the " +
		"consumer is killed and started again. When nothing moves any more, jobs that were acknowledged to users are compared with effects: " +
		"one without is lost, one with two was done twice.",
	Engines: effects, Backends: workers,
	Variants: []bench.Variant{
		{Name: "ack-before", About: "acknowledged as soon as it is received", Config: long(func(c *Config) { c.Ack = ackBefore })},
		{Name: "ack-after", About: "acknowledged when it is done", Config: long(func(*Config) {})},
		{Name: "idempotent", About: "likewise, and an effect that is there already is left alone", Config: long(func(c *Config) { c.Idempotent = true })},
	},
	Factor: "broker", Levels: brokers(redisBroker, postgresBroker, natsBroker),
	Workload: jobs(),
	Phases:   struck(deliveryRate, &chaos.Kill{Process: workerRole}),
	Columns: []bench.Column{
		{Title: "acknowledged", Of: crash.Audited(bench.AuditAcked)},
		{Title: "lost", Of: crash.Audited(bench.AuditLost)},
		{Title: "done twice", Of: crash.Audited(bench.AuditDoubled)},
		{Title: "still waiting", Of: crash.Audited(auditWaiting)},
		{Title: "oldest job after", Unit: "s", Of: bench.Query{Phase: "returned", Metric: "span", Name: "done", Stat: "value_max"}},
	},
	Checks: deliveryChecks(),
}

func deliveryChecks() []bench.Check {
	var checks []bench.Check
	for _, broker := range []string{redisBroker, postgresBroker, natsBroker, rabbitBroker} {
		none := func(variant, number, text string) bench.Check {
			return bench.Check{
				Claim: id + "5", Text: fmt.Sprintf("%s, %s: %s", broker, variant, text),
				Of: crash.Audited(number).In(variant, broker), Rel: bench.AtMost, Bound: 0, MinOps: 100, Never: true, ControlFails: number == bench.AuditLost,
			}
		}
		checks = append(checks,
			none("ack-after", bench.AuditLost, "no acknowledged job is lost"),
			none("idempotent", bench.AuditLost, "no acknowledged job is lost"),
			none("idempotent", bench.AuditDoubled, "no job is done twice"),
			bench.Check{
				Claim: id + "6", Text: broker + ", ack-before: some acknowledged jobs are lost",
				Of: crash.Audited(bench.AuditLost).In("ack-before", broker), Rel: bench.AtLeast, Bound: 1, MinOps: 100,
			})
	}
	return checks
}
