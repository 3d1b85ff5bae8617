package queue

import (
	"slices"

	"shakedown/bench"
	"shakedown/internal/units"
	"shakedown/targets/internal/crash"
)

// fanoutRate keeps six consumers half idle when each job goes to three queues.
const fanoutRate = 60

// The variants of fanoutExperiment.
const (
	oneQueue    = "one-queue"
	threeQueues = "three-queues"
)

var fanoutExperiment = bench.Experiment{
	Name:     "async/queue/fanout",
	Question: "How often is a job delivered that several consumers wait for?",
	Note: "Six consumers take from one queue, or two each from three, to all of which every job goes. Nothing fails. Every effect is counted: a job " +
		"is delivered as often as there are queues, however many consumers there are.",
	Engines: effects, Backends: workers,
	Variants: []bench.Variant{
		{Name: oneQueue, About: "six consumers of one queue", Config: fannedOut(1)},
		{Name: threeQueues, About: "two consumers of each of three queues", Config: fannedOut(3)},
	},
	Factor: "broker", Levels: fanoutLevels(),
	Workload: jobs(),
	Phases: []bench.Phase{
		{Name: "load", For: 5 * units.Second, Quick: 3 * units.Second, Rate: bench.PerSecond(fanoutRate), Judged: true},
	},
	Columns: []bench.Column{
		{Title: "acknowledged", Of: crash.Audited(bench.AuditAcked)},
		{Title: "deliveries of each", Unit: "times", Of: crash.Audited(auditEach)},
		{Title: "delivered otherwise", Of: crash.Audited(auditOther)},
	},
	Checks: fanoutChecks(),
}

func fannedOut(queues int) Config {
	return with(func(c *Config) { c.Broker, c.Consumers, c.Prefetch, c.Queues = natsBroker, 6, 1, queues })
}

// fanoutLevels are brokers that copy jobs themselves.
func fanoutLevels() []bench.Level {
	levels := slices.DeleteFunc(brokers(natsBroker), func(l bench.Level) bool { return l.Name != natsBroker && l.Name != rabbitBroker })
	for i := range levels {
		levels[i].About = map[string]string{
			natsBroker:   "consumers of one stream of JetStream, which keeps a job until all have acknowledged it",
			rabbitBroker: "quorum queues of RabbitMQ behind a fanout exchange",
		}[levels[i].Name]
	}
	return levels
}

func fanoutChecks() []bench.Check {
	var checks []bench.Check
	for _, broker := range []string{natsBroker, rabbitBroker} {
		exactly := func(variant, text string) bench.Check {
			return bench.Check{
				Claim: id + "2", Text: broker + ", " + variant + ": " + text,
				Of: crash.Audited(auditOther).In(variant, broker), Rel: bench.AtMost, Bound: 0, MinOps: 100, Never: true,
			}
		}
		checks = append(checks, exactly(oneQueue, "every job is delivered once"), exactly(threeQueues, "every job is delivered three times"))
	}
	return checks
}
