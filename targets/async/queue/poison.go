package queue

import (
	"fmt"

	"shakedown/bench"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

const (
	poisonRate  = 60
	poisonEvery = 20
	// poisonTries is how often a job is tried before it is given up.
	poisonTries = 5
)

var poison = bench.Experiment{
	Name:     "async/queue/poison",
	Question: "What becomes of a job that can never succeed, and what does it do to the others?",
	Note: "Every twentieth job fails whenever it is tried. It is accounted for as any other: done, in the queue, among the dead letters, or lost, " +
		"although its user was told that it was accepted.",
	Engines: effects, Backends: workers,
	Variants: []bench.Variant{
		{Name: "limit", About: "given up after 5 attempts, and dropped", Config: poisoned(poisonTries, "")},
		{Name: "forever", About: "tried again until it succeeds", Config: poisoned(0, "")},
		{Name: "dead-letters", About: "after 5 attempts it is moved to a queue of dead letters", Config: poisoned(poisonTries, dead)},
		{Name: "dead-letters-full", About: "likewise, and that queue is full", Config: poisoned(poisonTries, deadFull)},
	},
	Factor: "broker", Levels: poisonLevels(),
	Workload: jobs(),
	Phases: []bench.Phase{
		{Name: "load", For: 4 * units.Second, Quick: 2 * units.Second, Rate: bench.PerSecond(poisonRate), Judged: true},
	},
	Columns: []bench.Column{
		{Title: "acknowledged", Of: crash.Audited(bench.AuditAcked)},
		{Title: "lost", Of: crash.Audited(bench.AuditLost)},
		{Title: "dead letters", Of: crash.Audited(auditDead)},
		{Title: "still waiting", Of: crash.Audited(auditWaiting)},
		{Title: "attempts", Unit: "/s", Of: bench.Query{Phase: "load", Metric: "span", Name: "attempt", Stat: "rate"}},
		{Title: "oldest job done", Unit: "s", Of: bench.Query{Phase: "load", Metric: "span", Name: "done", Stat: "value_max"}},
	},
	Checks: poisonChecks(),
}

func poisoned(attempts int, letters string) Config {
	return with(func(c *Config) {
		c.Consumers, c.Prefetch, c.Work = 4, 1, 20*units.Millisecond
		c.Poison, c.Attempts, c.DeadLetters = poisonEvery, attempts, letters
	})
}

// poisonLevels are the brokers; only RabbitMQ moves dead letters by itself, and so only its can be kept out by a full queue.
func poisonLevels() []bench.Level {
	levels := brokers(redisBroker)
	for i := range levels {
		if levels[i].Name != rabbitBroker {
			levels[i].Variants = []string{"limit", "forever", "dead-letters"}
		}
	}
	return levels
}

func poisonChecks() []bench.Check {
	var checks []bench.Check
	for _, broker := range []string{redisBroker, postgresBroker, natsBroker, rabbitBroker} {
		limited := "given up after 5 attempts"
		if broker == natsBroker {
			limited += ", by a server that keeps what it gives up"
		}
		lost := func(when, variant string) bench.Check {
			return bench.Check{
				Claim: id + "7", When: when, Text: fmt.Sprintf("%s, %s: acknowledged jobs are lost", broker, variant),
				Of: crash.Audited(bench.AuditLost).In(variant, broker), Rel: bench.AtLeast, Bound: 1, MinOps: 50,
			}
		}
		checks = append(checks, lost(limited, "limit"), lost("tried for ever", "forever"))
		safe := noneLost("8", "it has room", "dead-letters", broker, broker != natsBroker)
		safe.MinOps = 50
		checks = append(checks, safe)
	}
	full := noneLost("8", "", "dead-letters-full", rabbitBroker, true)
	full.MinOps = 50
	return append(checks, full)
}
